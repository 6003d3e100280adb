"""Segments follow one another, whatever else is in the folder of the log."""

import os

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog
from recloser.history.engine import replay
from recloser.log.listing import last_number, segments_in
from recloser.log.reader import LogReader

CONFIG = CircuitBreakerConfig(failure_threshold=None)


def folder(path):
    path.mkdir()


def folder_with_something(path):
    path.mkdir()
    (path / "file").touch()


def link_to_nowhere(path):
    path.symlink_to("nowhere")


def link_to_itself(path):
    path.symlink_to(path.name)


def link_to_a_file(path):
    (path.parent / "elsewhere").write_text("of somebody else")
    path.symlink_to("elsewhere")


def pipe(path):
    os.mkfifo(path)


def empty_file(path):
    path.touch()


def unreadable_file(path):
    path.write_text("no log\n")
    path.chmod(0)


STRAYS = [
    folder,
    folder_with_something,
    link_to_nowhere,
    link_to_itself,
    link_to_a_file,
    pipe,
    empty_file,
    unreadable_file,
]
NAMES = [
    "notes.jsonl",
    ".jsonl",
    "1.jsonl",
    "0000000000001.jsonl.bak",
    "x00000000002.jsonl.zst",
    "\N{SUPERSCRIPT TWO}00000000002.jsonl",
]


def write_segments(breaker, log, count):
    last = log._writer.appender.number
    while log._writer.appender.number < last + count:
        fail(breaker, 3)
        log.flush()


@pytest.mark.parametrize("ahead", [1, 2, 7])
@pytest.mark.parametrize("stray", STRAYS)
def test_writer_skips_the_name_of_a_stray_segment(tmp_path, clock, stray, ahead):
    """The next segment has a higher number, so that a restart begins after the stray one.

    A process that dies while it begins a segment leaves an empty file, so such a number is used.
    """
    is_reused = stray is empty_file
    options = {
        "segment_bytes": 1500,
        "keep_bytes": 6000,
        "compress": False,
        "clock": clock,
        "tick_seconds": None,
    }
    path = tmp_path / "log"
    with EventLog(path, **options) as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        write_segments(breaker, log, 2)
        name = path / f"{log._writer.appender.number + ahead:012d}.jsonl"
        stray(name)
        before = os.lstat(name)
        number = log._writer.appender.number
        write_segments(breaker, log, 1)
        assert log._writer.appender.number == number + ahead + (not is_reused)
        assert is_reused or os.lstat(name).st_ino == before.st_ino
        write_segments(breaker, log, 2)
        breaker.force_open()
        health = log.health()
        assert (health.lost, health.gaps, health.disturbance) == (0, 0, None)
        assert log._thread.is_running
        snapshot = breaker.snapshot()
    with EventLog(path, **options) as log:
        again = CircuitBreaker("b", CONFIG, log=log)
        assert again.current_state().value == "OPEN"
        assert again.snapshot().totals == snapshot.totals


@pytest.mark.parametrize("stray", STRAYS)
def test_file_without_a_segment_name_is_ignored(tmp_path, clock, stray):
    path = tmp_path / "log"
    options = {
        "segment_bytes": 1500,
        "keep_bytes": 6000,
        "compress": False,
        "clock": clock,
        "tick_seconds": None,
    }
    with EventLog(path, **options) as log:
        for name in NAMES:
            stray(path / name)
        breaker = CircuitBreaker("b", CONFIG, log=log)
        write_segments(breaker, log, 6)
        assert log.health().failure is None
        snapshot = breaker.snapshot()
    assert [last_number(path)] == [log._writer.appender.number]
    assert replay(path).differences == []
    assert replay(path).snapshots["b"] == snapshot
    assert len(segments_in(path)) < 6  # old ones are removed
    with EventLog(path, **options) as log:
        assert CircuitBreaker("b", CONFIG, log=log).snapshot().totals == snapshot.totals
    assert all(os.path.lexists(path / name) for name in NAMES)


def test_retention_leaves_the_live_segment_alone_when_strays_have_higher_numbers(tmp_path, clock):
    path = tmp_path / "log"
    with EventLog(path, segment_bytes=1500, keep_bytes=1, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        write_segments(breaker, log, 3)
        live = segments_in(path)[-1]
        for number in range(100, 105):
            (path / f"{number:012d}.jsonl").write_bytes(b"{}\n" * 1000)
        housekeeper = log._retention
        housekeeper._run(path, log._fold.at, log._writer.appender.number)
        assert live.exists()
        fail(breaker)
        log.flush()
        assert log.health().disturbance is None
        for number in range(100, 105):
            (path / f"{number:012d}.jsonl").unlink()
    assert sum(event.kind == "call_failed" for event in LogReader(path)) > 0
    assert replay(path).differences == []
