"""Clocks have two hands, and only ``clock.py`` looks at real ones."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from recloser import ManualClock, RecloserError, SkewedClock, SystemClock
from recloser.clock import after, boot_id_of, nanoseconds_between

START = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_system_clock_is_aware_and_monotonic():
    clock = SystemClock()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic_ns() <= clock.monotonic_ns()
    assert clock.boot_id == SystemClock().boot_id


def test_the_hands_of_a_manual_clock_move_together_and_apart():
    clock = ManualClock(START)
    clock.advance(seconds=1.5, ns=1000)
    assert clock.monotonic_ns() == 1_500_001_000
    assert clock.now() == START + timedelta(seconds=1.5, microseconds=1)
    clock.advance_wall(seconds=-3600)
    assert clock.monotonic_ns() == 1_500_001_000
    assert clock.now() == START + timedelta(seconds=1.5 - 3600, microseconds=1)
    clock.advance_monotonic(ns=7)
    assert clock.monotonic_ns() == 1_500_001_007


def test_a_manual_clock_keeps_nanoseconds_that_its_wall_hand_does_not_show():
    clock = ManualClock(START)
    for _ in range(1000):
        clock.advance(ns=1)
    assert clock.now() == START + timedelta(microseconds=1)


def test_a_monotonic_hand_never_runs_backwards():
    with pytest.raises(RecloserError, match="never runs backwards"):
        ManualClock().advance(seconds=-1)


def test_a_naive_start_is_refused():
    with pytest.raises(RecloserError, match="aware"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001  # what is refused


def test_local_times_are_turned_into_utc():
    clock = ManualClock(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == START
    assert clock.now().tzinfo is UTC


def test_a_reboot_starts_the_monotonic_hand_again_under_another_name():
    clock = ManualClock(monotonic_ns=5)
    before = boot_id_of(clock)
    clock.reboot()
    assert clock.monotonic_ns() == 0
    assert boot_id_of(clock) != before


def test_a_skewed_clock_is_wrong_on_its_wall_hand_only():
    inner = ManualClock(START)
    clock = SkewedClock(inner, shift_seconds=60, drift_ppm=500, steps=[(10, -3600), (20, 7200)])
    assert clock.now() == START + timedelta(seconds=60)
    inner.advance(seconds=10)
    assert clock.now() == START + timedelta(seconds=70 - 3600, milliseconds=5)
    inner.advance(seconds=10)
    assert clock.now() == START + timedelta(seconds=80 + 3600, milliseconds=10)
    assert clock.monotonic_ns() == inner.monotonic_ns()
    assert boot_id_of(clock) == inner.boot_id


def test_a_clock_without_a_boot_id_has_an_empty_one():
    class TwoHands:
        def monotonic_ns(self) -> int:
            return 0

        def now(self) -> datetime:
            return START

    assert boot_id_of(TwoHands()) == ""


def test_the_time_between_two_moments_is_exact():
    assert nanoseconds_between(START, START + timedelta(days=40000, microseconds=1)) == (
        40000 * 86400 * 10**9 + 1000
    )
    assert nanoseconds_between(START + timedelta(microseconds=1), START) == -1000


def test_a_time_that_no_calendar_holds_is_the_last_one_that_it_does():
    assert after(datetime.max.replace(tzinfo=UTC), 10**9).year == 9999
    assert after(datetime.min.replace(tzinfo=UTC), -(10**9)).year == 1
