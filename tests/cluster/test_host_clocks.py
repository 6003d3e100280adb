"""Corrected host clocks: jumps make no call longer, and the uncertainty is reported."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser.cluster.host_clocks import EPOCH, HostClock
from recloser.core.events import ClockTicked, LogOpened

S = 10**9
START = datetime(2026, 11, 24, tzinfo=UTC)
START_NS = (START - EPOCH) // timedelta(microseconds=1) * 1000


def opened(at=0, wall=START, session=1):
    return LogOpened(1, at, 1, 1, session, wall, at, "", "", 1, "")


def tick(seconds, skew_us=0):
    wall = START + timedelta(seconds=seconds, microseconds=skew_us)
    return ClockTicked(1, seconds * S, wall, 0)


def dated(clock, *seconds):
    return [clock.unix_ns(int(second * S)) - START_NS for second in seconds]


def test_right_clock_dates_by_its_readings():
    clock = HostClock([opened(), tick(10), tick(20)], uncertainty_ns=5)
    assert dated(clock, 0, 3.5, 12, 100) == [0, 3.5 * S, 12 * S, 100 * S]
    assert clock.uncertainty_ns == 5


def test_drifting_clock_is_interpolated_and_its_drift_is_the_uncertainty():
    clock = HostClock([opened(), tick(10, skew_us=1000), tick(20, skew_us=3000)], 0)
    assert dated(clock, 5, 10, 15) == [5 * S + 500_000, 10 * S + 1_000_000, 15 * S + 2_000_000]
    assert clock.uncertainty_ns == 2_000_000


@pytest.mark.parametrize("step_s", [3600, -3600, 2, -2])
def test_clock_that_was_set_was_wrong_before(step_s):
    us = step_s * 10**6
    clock = HostClock([opened(), tick(10), tick(11, us), tick(20, us)], 0)
    assert dated(clock, 0, 10, 10.5, 11, 30) == [
        int(second * S) + step_s * S for second in (0, 10, 10.5, 11, 30)
    ]
    assert clock.uncertainty_ns == abs(step_s) * S


def test_each_session_is_corrected_separately():
    """The clock of a later session does not correct the times of an earlier one."""
    again = opened(5 * S, START + timedelta(hours=2), session=2)
    clock = HostClock([opened(), tick(5), again, tick(6, 7200 * 10**6 - 5_000_000)], 0)
    assert dated(clock, 4)[0] == 4 * S
    assert clock.uncertainty_ns < 7200 * S


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(-(10**9), 10**9), st.booleans())),
    st.lists(st.integers(0, 5000 * S), min_size=2),
)
def test_order_of_events_of_one_host_never_changes(steps, moments):
    at, wall_us, session, readings = 0, 0, 1, [opened()]
    for seconds, skew_us, is_opening in steps:
        at += seconds
        wall_us += skew_us
        session += is_opening
        reading = tick(at, wall_us)
        readings.append(opened(at * S, reading.wall, session) if is_opening else reading)
    clock = HostClock(readings, 0)
    walls = [clock.unix_ns(moment) for moment in sorted(moments)]
    assert all(earlier <= later for earlier, later in pairwise(walls))
