"""Outcomes that may fire an edge are urgent."""

import pytest

from recloser import CircuitBreakerConfig, CountWindow
from recloser.core import kernel
from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ForcedOpen,
    ProbeAdmitted,
    Reason,
)
from recloser.core.state import BreakerState
from recloser.sharing.send_priority import is_urgent

FAILURE = CallFailed(0, 0, "b", 0, 0)
SECOND = 10**9


def state_after(config, kinds, took=0):
    state = BreakerState("b", config)
    for seq, kind in enumerate(kinds):
        assert not kernel.step(state, kind, seq, 0, took, 0, 0, 1)
    return state


@pytest.mark.parametrize(("counted", "urgent"), [(0, False), (1, False), (2, True), (3, True)])
def test_failure_is_urgent_when_half_of_the_threshold_is_reached(counted, urgent):
    config = CircuitBreakerConfig(failure_threshold=5)
    state = state_after(config, [kernel.FAILED] * counted)
    assert is_urgent(FAILURE, state, 1) is urgent


def test_failure_is_urgent_when_half_of_the_missing_window_failures_wait():
    window = CountWindow(10, failures=6)
    config = CircuitBreakerConfig(failure_threshold=None, window=window)
    state = state_after(config, [kernel.FAILED, kernel.FAILED, kernel.SUCCEEDED])
    assert not is_urgent(FAILURE, state, 1)
    assert is_urgent(FAILURE, state, 2)


def test_failure_is_urgent_at_a_quarter_of_a_window_that_trips_at_half():
    window = CountWindow(100, 0.5, minimum_calls=100)
    state = BreakerState("b", CircuitBreakerConfig(failure_threshold=None, window=window))
    assert not is_urgent(FAILURE, state, 24)
    assert is_urgent(FAILURE, state, 25)


def test_slow_call_is_urgent_where_a_slow_call_rate_trips():
    window = CountWindow(4, slow_call_rate=1, minimum_calls=4)
    config = CircuitBreakerConfig(
        failure_threshold=None, window=window, slow_call_seconds=0.1, recovery_timeout_seconds=1
    )
    slow, quick = (CallSucceeded(0, 0, "b", 0, took) for took in (SECOND, 0))
    state = state_after(config, [kernel.SUCCEEDED] * 2, took=SECOND)
    assert is_urgent(slow, state, 1)
    assert not is_urgent(quick, state, 1)


def test_stale_outcome_is_not_urgent():
    state = BreakerState("b", CircuitBreakerConfig(failure_threshold=1))
    state.epoch = 2
    assert not is_urgent(FAILURE, state, 1)


def test_probes_and_commands_are_urgent_and_rejected_calls_are_not():
    state = BreakerState("b", CircuitBreakerConfig(failure_threshold=5))
    assert is_urgent(CallIgnored(0, 0, "b", 0, 0, probe=1), state, 0)
    assert is_urgent(ProbeAdmitted(0, 0, "b", 0, 1), state, 0)
    assert is_urgent(ForcedOpen(0, 0, "b"), state, 0)
    assert not is_urgent(CallRejected(0, 0, "b", Reason.COOLDOWN_ACTIVE), state, 0)
