"""Clocks have a monotonic and a wall-clock reading; only ``clock.py`` reads real clocks."""

import os
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from bytecode_points import at_each_point

from recloser import ManualClock, RecloserError, SkewedClock, SystemClock
from recloser import clock as clock_module
from recloser.clock import boot_id_of, monotonic_reader
from recloser.core.moments import after, nanoseconds_between

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_system_clock_is_aware_and_monotonic():
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.boot_id == SystemClock().boot_id


def test_readings_of_a_manual_clock_move_together_or_separately():
    clock = ManualClock(START)
    clock.advance(seconds=1.5, ns=1000)
    assert clock.monotonic_ns() == 1_500_001_000
    assert clock.now() == START + timedelta(seconds=1.5, microseconds=1)
    clock.advance_wall(seconds=-3600)
    assert clock.monotonic_ns() == 1_500_001_000
    assert clock.now() == START + timedelta(seconds=1.5 - 3600, microseconds=1)
    clock.advance_monotonic(ns=7)
    assert clock.monotonic_ns() == 1_500_001_007


def test_manual_clock_adds_up_nanoseconds_that_its_wall_clock_does_not_show():
    clock = ManualClock(START)
    for _ in range(1000):
        clock.advance(ns=1)
    assert clock.now() == START + timedelta(microseconds=1)


def test_manual_clock_refuses_to_move_its_monotonic_reading_backwards():
    with pytest.raises(RecloserError, match="never runs backwards"):
        ManualClock().advance(seconds=-1)


def test_manual_clock_refuses_a_naive_start():
    with pytest.raises(RecloserError, match="aware"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001  # naive on purpose


def test_manual_clock_converts_local_times_to_utc():
    clock = ManualClock(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_reboot_restarts_the_monotonic_reading_with_another_boot_id():
    clock = ManualClock(monotonic_ns=5)
    before = boot_id_of(clock)
    clock.reboot()
    assert clock.monotonic_ns() == 0
    assert boot_id_of(clock) != before


def test_skewed_clock_changes_only_its_wall_clock_reading():
    inner = ManualClock(START)
    clock = SkewedClock(inner, shift_seconds=60, drift_ppm=500, steps=[(10, -3600), (20, 7200)])
    assert clock.now() == START + timedelta(seconds=60)
    inner.advance(seconds=10)
    assert clock.now() == START + timedelta(seconds=70 - 3600, milliseconds=5)
    inner.advance(seconds=10)
    assert clock.now() == START + timedelta(seconds=80 + 3600, milliseconds=10)
    assert clock.monotonic_ns() == inner.monotonic_ns()
    assert boot_id_of(clock) == inner.boot_id


def test_clock_without_a_boot_id_has_an_empty_one():
    class WithoutBootId:
        def monotonic_ns(self) -> int:
            return 0

        def now(self) -> datetime:
            return START

    assert boot_id_of(WithoutBootId()) == ""


def test_time_between_two_moments_is_exact():
    assert nanoseconds_between(START, START + timedelta(days=40000, microseconds=1)) == (
        40000 * 86400 * 10**9 + 1000
    )
    assert nanoseconds_between(START + timedelta(microseconds=1), START) == -1000


def test_time_outside_the_calendar_becomes_its_first_or_last_time():
    assert after(datetime.max.replace(tzinfo=UTC), 10**9).year == 9999
    assert after(datetime.min.replace(tzinfo=UTC), -(10**9)).year == 1


def test_signal_handler_may_move_a_manual_clock_that_is_being_moved():
    """The handler reads and moves it at each point at which Python may run handlers."""
    clock = ManualClock()
    moved = 0

    def move():
        clock.monotonic_ns()
        clock.now()
        clock.advance(ns=1000)

    for interruption in at_each_point([clock_module], move):
        with interruption:
            clock.advance(ns=1000)
        moved += 1000 + 1000 * interruption.is_reached
    assert clock.monotonic_ns() == moved
    assert clock.now() == after(ManualClock().now(), moved)


def test_manual_clock_adds_up_the_moves_of_several_threads():
    clock = ManualClock()

    def move():
        for _ in range(2000):
            clock.advance(ns=1)

    threads = [threading.Thread(target=move) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic_ns() == 16_000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_clock_can_be_read_in_a_child_forked_during_a_reading():
    class Slow(ManualClock):
        def monotonic_ns(self):
            if threading.current_thread() is not threading.main_thread():
                entered.set()
                released.wait(60)
            return super().monotonic_ns()

    entered, released = threading.Event(), threading.Event()
    read = monotonic_reader(Slow(monotonic_ns=7))
    reader = threading.Thread(target=read)
    reader.start()
    assert entered.wait(60)
    pid = os.fork()
    if pid == 0:
        os._exit(read() != 7)
    released.set()
    reader.join()
    assert os.waitpid(pid, 0)[1] == 0


def test_reading_of_a_clock_that_runs_backwards_stands_still():
    class Backwards(ManualClock):
        shown = iter([5, 3, 7])

        def monotonic_ns(self):
            return next(self.shown)

    read = monotonic_reader(Backwards())
    assert [read(), read(), read()] == [5, 5, 7]
