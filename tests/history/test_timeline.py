"""Times of a log are converted to wall time between the readings of both clocks."""

from datetime import UTC, datetime, timedelta

from recloser.core.events import ClockTicked, LogOpened
from recloser.history.timeline import Timeline

WALL = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 10**9


def opened(at, wall):
    return LogOpened(1, at, 1, 1, 1, wall, 0, "", "", 1, "0")


def tick(at, wall):
    return ClockTicked(1, at, wall, at)


def test_times_after_the_last_reading_follow_the_monotonic_clock():
    timeline = Timeline()
    timeline.add(opened(0, WALL))
    assert timeline.utc(90 * SECOND) == WALL + timedelta(seconds=90)
    assert timeline.text(1_500_000_007) == "2026-01-01T00:00:01.500000007Z"


def test_wall_time_between_readings_is_interpolated():
    """The wall clock lost half a second in ten, which counts as an even loss."""
    timeline = Timeline()
    timeline.add(opened(0, WALL))
    timeline.add(tick(10 * SECOND, WALL + timedelta(seconds=9.5)))
    assert timeline.utc(4 * SECOND) == WALL + timedelta(seconds=3.8)
    assert timeline.utc(12 * SECOND) == WALL + timedelta(seconds=11.5)


def test_step_of_the_wall_clock_is_not_spread_over_the_time_before():
    timeline = Timeline()
    timeline.add(opened(0, WALL))
    timeline.add(tick(SECOND, WALL - timedelta(hours=1)))
    assert timeline.utc(SECOND - 1000) == WALL + timedelta(seconds=0.999999)
    assert timeline.utc(SECOND) == WALL - timedelta(hours=1)


def test_reading_that_agrees_to_the_microsecond_rounds_nothing():
    timeline = Timeline()
    timeline.add(opened(0, WALL))
    timeline.add(tick(1_000_000_999, WALL + timedelta(seconds=1)))
    assert timeline.text(1_000_000_998) == "2026-01-01T00:00:01.000000998Z"


def test_time_between_two_sessions_is_not_interpolated():
    timeline = Timeline()
    timeline.add(opened(0, WALL))
    timeline.add(opened(10 * SECOND, WALL + timedelta(hours=1)))
    assert timeline.utc(9 * SECOND) == WALL + timedelta(seconds=9)
    assert timeline.utc(10 * SECOND) == WALL + timedelta(hours=1)
