"""A log is followed while it is written, rotated and compressed."""

import os
import shutil
import threading

import pytest
from breaker_calls import fail, succeed
from faulty_disk import FaultyDisk
from log_files import crash

from recloser import CircuitBreaker, CircuitBreakerConfig, DamagedLogError, EventLog, LogError
from recloser.audit.live_view import Watch
from recloser.clock import SYSTEM_CLOCK
from recloser.log import disk, segment_reader
from recloser.log import follower as follower_module
from recloser.log.codec import decode_lines
from recloser.log.follower import LogFollower
from recloser.log.reader import LogReader, segments_of


def test_follower_yields_each_event_once_and_in_order(tmp_path, clock):
    follower = LogFollower(tmp_path)
    assert list(follower.poll()) == []
    seen = []
    with EventLog(tmp_path, clock=clock, segment_bytes=3000) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(60):
            clock.advance(seconds=1)
            succeed(breaker)
            log.flush()
            seen += follower.poll()
    seen += follower.poll()
    assert seen == list(LogReader(tmp_path))
    assert any(path.suffix == ".zst" for path in tmp_path.iterdir())
    assert list(follower.poll()) == []


def test_follower_waits_for_the_seal(tmp_path, clock):
    follower = LogFollower(tmp_path)
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        succeed(breaker)
        log.flush()
        assert list(follower.poll()) == []
        fail(breaker, 5)
        log.flush()
        kinds = [event.kind for event in follower.poll()]
    assert kinds[0] == "log_opened"
    assert kinds[-2:] == ["state_changed", "log_sealed"]


def test_follower_continues_after_a_crash_and_restart(tmp_path, clock):
    follower = LogFollower(tmp_path)
    log = EventLog(tmp_path, clock=clock)
    succeed(CircuitBreaker("b", log=log))
    crash(log)
    seen = list(follower.poll())
    with EventLog(tmp_path, clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
    seen += follower.poll()
    assert seen == list(LogReader(tmp_path))


def test_poll_decodes_only_new_lines(tmp_path, clock, monkeypatch):
    follower = LogFollower(tmp_path)
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        fail(breaker, 5)
        log.flush()
        assert len(list(follower.poll())) == 9
        breaker.reset()
        log.flush()
        checked = []
        monkeypatch.setattr(
            segment_reader,
            "decode_lines",
            lambda lines, count: checked.append(count) or decode_lines(lines, count),
        )
        assert [event.kind for event in follower.poll()] == ["reset", "state_changed", "log_sealed"]
        assert checked == [3]


def test_segment_that_does_not_continue_the_one_before_is_an_error(tmp_path, clock):
    logs = [tmp_path / "a", tmp_path / "b"]
    for path in logs:
        with EventLog(path, clock=clock) as log:
            succeed(CircuitBreaker(path.name, log=log))
    follower = LogFollower(logs[0])
    assert list(follower.poll())
    foreign = (logs[1] / "000000000001.jsonl").read_bytes()
    (logs[0] / "000000000002.jsonl").write_bytes(foreign)
    with pytest.raises(DamagedLogError, match="not the one written after"):
        list(follower.poll())


def test_segments_removed_for_their_age_are_skipped(tmp_path, clock):
    follower, seen = LogFollower(tmp_path), []
    for session in range(1, 5):
        with EventLog(tmp_path, clock=clock) as log:
            succeed(CircuitBreaker("b", log=log))
        if session == 1:
            seen += follower.poll()
    (tmp_path / "000000000002.jsonl").unlink()
    seen += follower.poll()
    assert [event.session for event in seen if event.kind == "log_opened"] == [1, 3, 4]


def test_damage_is_an_error(tmp_path, clock):
    with EventLog(tmp_path, clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
    segment = tmp_path / "000000000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b"succeeded", b"suxxeeded"))
    with pytest.raises(DamagedLogError, match="seal 1"):
        list(LogFollower(tmp_path).poll())


def test_log_under_load_is_followed_to_its_end(tmp_path):
    follower, stop, seen = LogFollower(tmp_path), threading.Event(), []

    def follow():
        while not stop.wait(0.01):
            seen.extend(follower.poll())

    thread = threading.Thread(target=follow)
    thread.start()
    with EventLog(tmp_path, segment_bytes=200_000, durability="memory") as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(40):
            succeed(breaker, 200)
            threading.Event().wait(0.01)
    stop.set()
    thread.join()
    seen.extend(follower.poll())
    assert seen == list(LogReader(tmp_path))
    assert sum(event.kind == "call_succeeded" for event in seen) == 8000


CONFIG = CircuitBreakerConfig(failure_threshold=None)


def write_segments(breaker, log, count):
    last = log._writer.appender.number
    while log._writer.appender.number < last + count:
        fail(breaker, 3)
        log.flush()


def remove_all_but_last(path):
    for segment in segments_of(path)[:-1]:
        segment.unlink()


def remove_last(path):
    segments_of(path)[-1].unlink()


def truncate_last(path):
    os.truncate(segments_of(path)[-1], 0)


def cut_last(path):
    last = segments_of(path)[-1]
    os.truncate(last, last.stat().st_size - 300)


@pytest.mark.parametrize("looks_meanwhile", [True, False])
@pytest.mark.parametrize(
    "change", [remove_all_but_last, remove_last, truncate_last, cut_last, shutil.rmtree]
)
def test_watched_state_is_right_after_segments_are_removed_or_cut(
    tmp_path, clock, change, looks_meanwhile
):
    """The state equals the live breaker's, even if events were missed."""
    path = tmp_path / "log"
    watch = Watch(path, SYSTEM_CLOCK)
    options = {"segment_bytes": 1500, "compress": False, "clock": clock, "tick_seconds": None}
    with EventLog(path, **options) as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        write_segments(breaker, log, 2)
        watch.poll()
        write_segments(breaker, log, 3)
        with log._disk_lock._io:
            change(path)
            if looks_meanwhile:
                watch.poll()
        write_segments(breaker, log, 2)
        watch.poll()
        breaker.force_open()
        log.flush()
        watch.poll()
        (watched,) = watch.breakers()
        assert watched.state.value == "OPEN"
        assert watched.totals == breaker.snapshot().totals


def test_failed_write_that_was_read_and_then_cut_off_is_not_damage(tmp_path, clock, monkeypatch):
    follower, seen, offsets = LogFollower(tmp_path), [], []
    full = threading.Event()
    faulty = FaultyDisk(lambda _n, name: 28 if name == "write" and full.is_set() else None)
    with faulty.installed(), EventLog(tmp_path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        fail(breaker, 3)
        log.flush()
        cut = disk.cut

        def read_and_cut(descriptor, offset):
            seen.extend(follower.poll())
            offsets.append((follower._reader.offset, offset))
            cut(descriptor, offset)

        monkeypatch.setattr(disk, "cut", read_and_cut)
        full.set()
        fail(breaker, 30)
        log.flush()
        full.clear()
        fail(breaker, 30)
        log.flush()
        seen += follower.poll()
    seen += follower.poll()
    assert any(read > kept for read, kept in offsets)
    assert seen == list(LogReader(tmp_path))


def test_segment_removed_between_listing_and_reading_is_skipped(tmp_path, clock, monkeypatch):
    with EventLog(
        tmp_path, clock=clock, tick_seconds=None, segment_bytes=1500, compress=False
    ) as log:
        write_segments(CircuitBreaker("b", CONFIG, log=log), log, 5)
    listed = segments_of(tmp_path)
    monkeypatch.setattr(follower_module, "segments_in", lambda _path: listed)
    for segment in listed[:3]:
        segment.unlink()
    assert list(LogFollower(tmp_path).poll()) == list(LogReader(tmp_path))


def test_follower_reports_a_folder_that_cannot_be_listed(tmp_path):
    (tmp_path / "log").write_text("no folder")
    with pytest.raises(LogError, match="Not a directory"):
        list(LogFollower(tmp_path / "log").poll())
    assert list(LogFollower(tmp_path / "absent").poll()) == []
