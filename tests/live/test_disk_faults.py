"""A disk that fails or stalls costs events that are counted, and never a protected call."""

import errno
import itertools
import os
import subprocess
import threading
import time

import pytest
from breaker_calls import fail, succeed
from faulty_disk import ERRORS, FaultyDisk, fail_each_call, scenario

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, LogError
from recloser.core.events import LogGap
from recloser.history.engine import replay
from recloser.live import write_buffer, write_pacing
from recloser.log import appender
from recloser.log.reader import LogReader


def gaps(path):
    return [event for event in LogReader(path) if isinstance(event, LogGap)]


def succeed_and_come_by(breaker, times):
    """Successes that are appended one by one."""
    for _ in range(times):
        succeed(breaker)
        breaker.fast_path.fold_buffered()


def recorded(path, kind="call_succeeded"):
    return [event.kind for event in LogReader(path)].count(kind)


@pytest.mark.parametrize("write_bytes", [1, appender.WRITE_BYTES])
def test_whichever_disk_call_fails_every_event_is_in_the_log_or_counted_as_lost(
    write_bytes, monkeypatch, capsys
):
    """The N-th call fails, for every N until none does, with each of five errors."""
    monkeypatch.setattr(appender, "WRITE_BYTES", write_bytes)
    runs, errors = 0, set()
    for error, _number, outcome in fail_each_call(calls=16):
        assert outcome.found + outcome.lost == outcome.appended
        assert outcome.lost < outcome.appended
        errors.add(error)
        runs += 1
    assert errors == set(ERRORS)
    with capsys.disabled():
        print(
            f"\ndisk: {runs} runs with one failed call each, every event found or counted as lost"
        )


@pytest.mark.parametrize("durability", ["batch", "sync", "memory"])
@pytest.mark.parametrize("name", ["write", "sync", "create", "sync_folder", "cut"])
def test_a_kind_of_call_that_fails_again_and_again_is_lived_with(tmp_path, name, durability):
    """Every second call of the kind fails, so also those that mend what the first one broke."""
    numbers = itertools.count()

    def every_second(_n, called):
        return errno.EIO if called == name and next(numbers) % 2 == 0 else None

    faulty = FaultyDisk(every_second)
    outcome = scenario(tmp_path / "log", faulty, calls=60, durability=durability)
    assert outcome.found + outcome.lost == outcome.appended


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_makes_a_gap_and_the_state_after_it_goes_on(tmp_path, clock, error, caplog):
    full = threading.Event()
    faulty = FaultyDisk(lambda _n, _name: error if full.is_set() else None)
    with faulty.installed(), EventLog(tmp_path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=9), log=log)
        succeed(breaker, 10)
        log.flush()
        full.set()
        succeed(breaker, 20)
        log.flush()
        fail(breaker, 5)
        log.flush()
        full.clear()
        log.flush()
        fail(breaker, 4)
        assert breaker.current_state().value == "OPEN"
        snapshot = breaker.snapshot()
    (gap,) = gaps(tmp_path)
    assert (gap.lost, gap.error) == (25, os.strerror(error))
    assert (recorded(tmp_path), recorded(tmp_path, "call_failed")) == (10, 4)
    history = replay(tmp_path)
    assert history.differences == []
    assert history.snapshots["b"] == snapshot
    assert "the log can't be written" in caplog.text
    assert "the log goes on; 25 events are missing" in caplog.text


def test_a_failed_sync_is_never_taken_for_success_on_a_later_try(tmp_path, clock):
    """Earlier writes may be gone too, so they are counted as lost and removed from the file."""
    failing = threading.Event()
    faulty = FaultyDisk(lambda _n, name: errno.EIO if name == "sync" and failing.is_set() else None)
    with faulty.installed(), EventLog(tmp_path, clock=clock, durability="sync") as log:
        breaker = CircuitBreaker("b", log=log)
        succeed(breaker, 3)
        failing.set()
        succeed(breaker)
        failing.clear()
        log.flush()
        succeed(breaker, 2)
    assert [gap.lost for gap in gaps(tmp_path)] == [1]
    assert recorded(tmp_path) == 5
    assert replay(tmp_path).snapshots["b"].totals.succeeded == 6


def test_on_log_failure_raise_reports_an_event_that_is_not_safe(tmp_path, clock):
    failing = threading.Event()
    faulty = FaultyDisk(lambda _n, name: errno.EIO if failing.is_set() else None)
    log = EventLog(tmp_path, clock=clock, durability="sync", on_log_failure="raise")
    with faulty.installed(), log:
        breaker = CircuitBreaker("b", log=log)
        failing.set()
        with pytest.raises(LogError, match="could not be made safe: Input/output error"):
            succeed(breaker)
        failing.clear()
        log.flush()
        succeed(breaker)


def test_disk_stalled_for_two_seconds_delays_no_call_and_loses_no_event(tmp_path):
    stalled = threading.Event()

    def stall(_n, name):
        if name == "write" and not stalled.is_set():
            stalled.set()
            threading.Event().wait(2)

    slowest = calls = 0
    with FaultyDisk(stall).installed(), EventLog(tmp_path) as log:
        breaker = CircuitBreaker("b", log=log)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            begun = time.monotonic()
            succeed(breaker)
            slowest = max(slowest, time.monotonic() - begun)
            calls += 1
            threading.Event().wait(0.001)
    assert stalled.is_set()
    assert slowest < 1
    assert gaps(tmp_path) == []
    assert recorded(tmp_path) == calls


def test_full_write_buffer_loses_further_events_and_counts_them(tmp_path, clock, monkeypatch):
    monkeypatch.setattr(write_buffer, "MAX_BUFFERED", 100)
    stall, go_on = threading.Event(), threading.Event()

    def wait(_n, _name):
        if stall.is_set():
            go_on.wait(10)

    faulty = FaultyDisk(wait)
    with faulty.installed(), EventLog(tmp_path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        stall.set()
        succeed(breaker)
        threading.Event().wait(0.3)  # the writer is in its stalled call now
        succeed_and_come_by(breaker, 250)
        go_on.set()
        log.flush()
        succeed(breaker, 3)
    (gap,) = gaps(tmp_path)
    assert gap.error == "the disk is too slow"
    assert recorded(tmp_path) + gap.lost == 254
    # At most one full buffer was taken before the disk stalled, and one more waits.
    assert gap.lost >= 50
    assert replay(tmp_path).snapshots["b"].totals.succeeded == 254


def test_callers_give_way_to_a_disk_a_few_times_and_then_no_more(tmp_path, clock, monkeypatch):
    """What takes longer has stalled, and a call would wait for it."""
    monkeypatch.setattr(write_buffer, "MAX_BUFFERED", 100)
    go_on, at_disk, ways = threading.Event(), threading.Event(), []

    def wait(_n, name):
        if name == "write":
            at_disk.set()
            go_on.wait(10)

    with FaultyDisk(wait).installed(), EventLog(tmp_path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(2):
            go_on.clear()
            at_disk.clear()
            succeed(breaker, 1)
            assert at_disk.wait(10)
            with monkeypatch.context() as patched:
                patched.setattr(log._writer.pacing._has_written, "wait", ways.append)
                succeed_and_come_by(breaker, 90)
            assert ways == [write_pacing.GIVE_WAY_SECONDS] * write_pacing.PATIENCE
            assert breaker.fast_path.call_buffer.limit == 0
            ways.clear()
            go_on.set()
            log.flush()
        assert log.health().lost == 0


def test_a_really_full_disk(tmp_path, clock):
    """A file system of 256 KiB, filled by something else and freed again."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", tmp_path],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        with EventLog(tmp_path / "log", clock=clock, tick_seconds=None) as log:
            breaker = CircuitBreaker("b", log=log)
            succeed(breaker, 5)
            log.flush()
            (tmp_path / "filler").write_bytes(b"x" * 240 * 1024)
            for _ in range(40):
                succeed(breaker, 10)
                log.flush()
            (tmp_path / "filler").unlink()
            log.flush()
            succeed(breaker, 5)
        lost = sum(gap.lost for gap in gaps(tmp_path / "log"))
        assert lost > 0
        assert recorded(tmp_path / "log") + lost == 410
        assert replay(tmp_path / "log").snapshots["b"].totals.succeeded == 410
    finally:
        subprocess.run(["umount", tmp_path], check=True)
