"""Claims of one process: which call uses a granted probe, and how long it is kept."""

import pytest

from recloser import CircuitBreakerConfig, CircuitBreakerState, CountWindow
from recloser.core import kernel
from recloser.core.events import ProbeAdmitted
from recloser.core.state import BreakerState
from recloser.sharing.claims import HOLD_NS, Claims

PROBE = ProbeAdmitted(9, 0, "b", 2, 1)
TIMEOUT_NS = 60_000_000_000


@pytest.fixture
def claims():
    return Claims()


@pytest.fixture
def state():
    state = BreakerState("b", CircuitBreakerConfig())
    state.state, state.epoch, state.half_open_at = CircuitBreakerState.HALF_OPEN, 2, 0
    return state


def granted(claims, state, decided_ns=0):
    claim = claims.make("b", 0, 1)
    claims.record_decision({claim.number: PROBE}, 1, decided_ns)
    claim.is_awaited = False
    if state.probes is None:
        kernel.step(state, kernel.ADMITTED, 1, 0, 0, 2, 1, 1)
    return claim


def test_granted_probe_is_used_once(claims, state):
    granted(claims, state)
    assert claims.has_granted("b")
    assert claims.use_granted(state, 5) == PROBE
    assert claims.use_granted(state, 5) is None
    assert not claims.has_granted("b")


def test_probe_that_a_call_waits_for_is_not_given_to_another_call(claims, state):
    granted(claims, state).is_awaited = True
    assert claims.use_granted(state, 5) is None


def test_probe_is_not_used_after_the_process_was_stopped_for_long(claims, state):
    granted(claims, state, decided_ns=TIMEOUT_NS)
    assert claims.use_granted(state, TIMEOUT_NS) is None


@pytest.mark.parametrize(
    "change", [{"epoch": 4}, {"reclosing": None}, {"state": CircuitBreakerState.OPEN}]
)
def test_probe_that_is_no_longer_valid_is_not_used(claims, state, change):
    granted(claims, state)
    for name, value in change.items():
        setattr(state, name, value)
    assert claims.use_granted(state, 5) is None


def test_unused_probe_is_returned_after_one_second(claims, state):
    granted(claims, state)
    assert claims.drop_unused(HOLD_NS) == []
    assert claims.drop_unused(HOLD_NS + 1) == [PROBE]
    assert claims.drop_unused(HOLD_NS + 1) == []


def test_number_of_claims_is_limited_to_free_probes(claims, state):
    assert claims.may_claim(state, 0)
    claims.make("b", 0, 1)
    assert not claims.may_claim(state, 0)
    claims.forget_unsent(0)
    assert claims.may_claim(state, 0)
    claims.make("other", 0, 1)
    assert claims.may_claim(state, 0)


def test_all_remaining_probes_of_a_half_open_window_may_be_claimed():
    config = CircuitBreakerConfig(half_open_window=CountWindow(3, 0.5))
    state = BreakerState("b", config)
    state.state, state.opened_at, state.deadline = CircuitBreakerState.OPEN, 0, 10
    claims = Claims()
    assert not claims.may_claim(state, 10)
    for _ in range(3):
        assert claims.may_claim(state, 1_000_010)
        claims.make("b", 0, 1)
    assert not claims.may_claim(state, 1_000_010)
