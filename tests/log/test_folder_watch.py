"""Changes to the folder of a log are noticed while it is written, reported once, and mended."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, LogError
from recloser.core.events import LogGap
from recloser.history.engine import replay
from recloser.log.reader import LogReader
from recloser.log.verification import verify

CONFIG = CircuitBreakerConfig(failure_threshold=None)
PATIENCE_SECONDS = 10


def until(is_so):
    due = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < due
        time.sleep(0.005)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "bank"


def newest(path):
    return max(path.glob("*.jsonl"))


def gaps(path):
    return [event for event in LogReader(path) if isinstance(event, LogGap)]


def remove_folder(path):
    remove_tree(path)


def remove_parent(path):
    remove_tree(path.parent)


def remove_tree(path):
    """Remove a folder in one step, since the writer may create it again while files are removed."""
    shutil.rmtree(path.rename(path.with_name("removed")))


def move_folder(path):
    path.rename(path.with_name("bank.1"))


def remove_segment(path):
    newest(path).unlink()


def move_segment(path):
    segment = newest(path)
    segment.rename(segment.with_name(f"{segment.name}.1"))


def replace_segment(path):
    segment = newest(path)
    copy = segment.with_name("copy")
    shutil.copyfile(segment, copy)
    copy.replace(segment)


def truncate(path):
    os.truncate(newest(path), 0)


def cut_the_header(path):
    os.truncate(newest(path), 20)


def cut_in_a_line(path):
    segment = newest(path)
    os.truncate(segment, segment.stat().st_size - 250)


LOSING = [
    remove_folder,
    remove_parent,
    move_folder,
    remove_segment,
    move_segment,
    truncate,
    cut_the_header,
    cut_in_a_line,
]


def append_to_segment(path):
    with newest(path).open("ab") as stream:
        stream.write(b"a line of somebody else\nand half of")


def remove_lock(path):
    (path / "lock").unlink()


def replace_lock(path):
    (path / "new").touch()
    (path / "new").replace(path / "lock")


def close_descriptors(path):
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):  # the descriptor of this listing is closed by now
            if str(descriptor.readlink()).startswith(str(path)):
                os.close(int(descriptor.name))


@pytest.mark.parametrize("durability", ["batch", "sync"])
@pytest.mark.parametrize("disturb", LOSING)
def test_log_continues_with_a_gap_after_its_newest_segment_was_removed_or_cut(
    path, clock, caplog, durability, disturb
):
    log = EventLog(path, clock=clock, tick_seconds=None, durability=durability)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker, 5)
    log.flush()
    disturb(path)
    fail(breaker, 3)
    log.flush()
    fail(breaker, 2)
    breaker.force_open()
    log.flush()
    (gap,) = gaps(path)
    health = log.health()
    assert health.disturbance == gap.error
    assert (health.failure, health.gaps, health.lost) == (None, 1, gap.lost)
    found = sum(event.kind in {"call_failed", "breaker_configured"} for event in LogReader(path))
    assert found + gap.lost == 11
    snapshot = breaker.snapshot()
    log.close()
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [gap.error in record.getMessage() for record in warnings] == [True, False]
    assert f"{gap.lost} events are missing" in warnings[1].getMessage()
    assert verify(path).damages == []
    assert replay(path).differences == []
    assert replay(path).snapshots["b"] == snapshot
    with EventLog(path, clock=clock) as again:
        assert CircuitBreaker("b", CONFIG, log=again).current_state().value == "OPEN"


@pytest.mark.parametrize("disturb", LOSING)
def test_log_with_earlier_segments_continues_after_a_disturbance(path, clock, disturb):
    with EventLog(path, clock=clock, tick_seconds=None, segment_bytes=1500) as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        for _ in range(12):
            fail(breaker, 3)
            log.flush()
        disturb(path)
        for _ in range(12):
            fail(breaker, 3)
            log.flush()
        snapshot = breaker.snapshot()
    assert verify(path).damages == []
    assert replay(path).differences == []
    assert replay(path).snapshots["b"] == snapshot
    assert len(gaps(path)) == 1


@pytest.mark.parametrize(
    "disturb", [remove_lock, replace_lock, close_descriptors, append_to_segment]
)
def test_log_continues_without_loss_after_a_disturbance_that_can_be_mended(
    path, clock, caplog, disturb
):
    log = EventLog(path, clock=clock, tick_seconds=None)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker, 5)
    log.flush()
    disturb(path)
    fail(breaker, 3)
    log.flush()
    fail(breaker, 2)
    log.flush()
    until(lambda: log.health().gaps)
    with pytest.raises(LogError, match="one log has one writer"):
        EventLog(path)
    log.close()
    (gap,) = gaps(path)
    assert gap.error == log.health().disturbance
    found = sum(event.kind == "call_failed" for event in LogReader(path))
    assert found + gap.lost == 10
    assert sum(gap.error in record.getMessage() for record in caplog.records) == 1
    if disturb is not append_to_segment:
        assert gap.lost == 0
        assert "no event is lost" in caplog.text
    assert verify(path).damages == []
    assert replay(path).differences == []
    assert replay(path).snapshots["b"].totals.failed == 10


def test_file_that_reuses_a_descriptor_of_the_log_is_not_written_to(tmp_path, path, clock):
    log = EventLog(path, clock=clock)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker, 5)
    log.flush()
    close_descriptors(path)
    others = [(tmp_path / f"other-{number}").open("w+b", buffering=0) for number in range(4)]
    for other in others:
        other.write(b"not the log's")
    fail(breaker, 3)
    log.flush()
    log.close()
    for other in others:
        assert os.pread(other.fileno(), 100, 0) == b"not the log's"  # neither written nor closed
        other.close()
    assert replay(path).snapshots["b"].totals.failed == 8


@pytest.mark.parametrize("disturb", [remove_folder, truncate, remove_lock, close_descriptors])
def test_disturbance_of_an_idle_log_is_noticed_within_about_a_second(path, disturb):
    log = EventLog(path)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker)
    until(lambda: log.health().waiting == 0)
    disturb(path)
    until(lambda: log.health().gaps == 1)  # no call is made meanwhile
    assert log.health().disturbance
    assert verify(path).damages == []
    log.close()


def test_log_fails_until_its_folder_can_be_created_again(path, clock, caplog):
    log = EventLog(path, clock=clock)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker, 5)
    log.flush()
    remove_parent(path)
    path.parent.write_text("a file in its place")
    for _ in range(3):
        fail(breaker)
        log.flush()
    assert log.health().failure == "Not a directory"
    path.parent.unlink()
    fail(breaker)
    log.flush()
    until(lambda: log.health().failure is None)
    log.close()
    assert caplog.text.count("can't be written") == 1
    assert verify(path).damages == []
    assert replay(path).snapshots["b"].totals.failed == 9


def test_relative_path_keeps_its_meaning_after_the_current_folder_changes(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    log = EventLog("log", segment_bytes=1500)
    monkeypatch.chdir(tmp_path / "elsewhere")
    breaker = CircuitBreaker("b", CONFIG, log=log)
    for _ in range(10):
        fail(breaker, 5)
        log.flush()
    log.close()
    assert log.health().disturbance is None
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert replay(tmp_path / "log").snapshots["b"].totals.failed == 50


SECOND_WRITER = """
import sys
from recloser import CircuitBreaker, EventLog
print("ready", flush=True)
sys.stdin.readline()
log = EventLog(sys.argv[1])
breaker = CircuitBreaker("b", log=log)
breaker.force_closed()
log.flush()
print("writing", flush=True)
sys.stdin.readline()
breaker.reset()
log.close()
"""


@pytest.mark.parametrize("is_gone", [True, False])
@pytest.mark.parametrize("disturb", [remove_lock, replace_lock, remove_folder])
def test_writer_stops_after_a_second_writer_locked_the_folder(path, disturb, is_gone):
    """Also if the second writer has written and ended, the first one writes nothing."""
    log = EventLog(path)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    succeed(breaker)
    breaker.force_open()
    log.flush()
    with subprocess.Popen(
        [sys.executable, "-c", SECOND_WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as second:
        with log._disk_lock._io:  # the thread has no chance to notice it before
            assert second.stdout.readline() == "ready\n"
            disturb(path)
            second.stdin.write("open\n")
            second.stdin.flush()
            assert second.stdout.readline() == "writing\n"
            if is_gone:
                second.communicate("close\n")
        breaker.before_call()
        log.flush()
        assert log.path == path.with_name(f"bank-{os.getpid()}")
        assert "another writer has the folder" in log.health().disturbance
        if not is_gone:
            second.communicate("close\n")
    assert second.returncode == 0
    breaker.before_call()
    log.close()
    for folder in (path, log.path):
        assert verify(folder).damages == []
        assert replay(folder).differences == []
    assert replay(path).snapshots["b"].state.value == "CLOSED"
    assert replay(log.path).snapshots["b"].state.value == "OPEN"
    (gap,) = gaps(log.path)
    assert gap.error == log.health().disturbance


def test_closing_a_log_without_events_does_not_create_its_removed_folder_again(path):
    log = EventLog(path)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker)
    log.flush()
    log._with_disk(lambda: log._commit(seal=True))
    with log._disk_lock._io:
        remove_folder(path)
    log.close()
    assert not path.exists()


@pytest.mark.parametrize("disturb", LOSING)
def test_call_raises_when_its_event_is_not_safe_and_on_log_failure_asks_for_it(
    path, clock, disturb
):
    log = EventLog(path, clock=clock, durability="sync", on_log_failure="raise")
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker, 5)
    disturb(path)
    with pytest.raises(LogError, match="could not be made safe: the "):
        fail(breaker)
    fail(breaker, 3)
    log.close()
    assert sum(event.kind == "call_failed" for event in LogReader(path)) >= 3
    assert verify(path).damages == []


def test_relative_path_works_when_the_current_folder_is_gone(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(LogError, match="the current folder is gone"):
        EventLog("log")


def test_undisturbed_log_has_no_gap(path, clock):
    with EventLog(path, clock=clock, segment_bytes=1500, durability="sync") as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        fail(breaker, 50)
        assert log.health().disturbance is None
    assert gaps(path) == []
