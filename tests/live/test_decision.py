"""The error of a refused call can be raised by hand, printed and pickled."""

import copy
import pickle

import pytest
from breaker_calls import fail, work

from recloser import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError
from recloser.errors import MisuseError


def refusal(clock, *, forced=False):
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1), clock=clock)
    if forced:
        breaker.force_open()
    else:
        fail(breaker)
    with pytest.raises(CircuitOpenError) as refused:
        breaker.call(work)
    return refused.value


def test_circuit_open_error_shows_retry_after(clock):
    error = refusal(clock)
    assert error.retry_after == error.decision.retry_after == 30
    assert str(error) == "'b' refused the call: cooldown_active; try again in 30.000 s"


def test_rejection_for_an_unknown_time_has_no_retry_after(clock):
    error = refusal(clock, forced=True)
    assert error.retry_after is None
    assert str(error) == "'b' refused the call: forced_open"


@pytest.mark.parametrize(
    ("args", "name", "text"),
    [
        ((), "", "the breaker refused the call"),
        (("bank",), "bank", "'bank' refused the call"),
        (("bank", None), "bank", "'bank' refused the call"),
        ((7, "why"), "7", "'7' refused the call"),
    ],
)
def test_circuit_open_error_made_by_hand_can_be_read_and_pickled(args, name, text):
    error = CircuitOpenError(*args)
    for each in (error, pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert each.breaker == name
        assert str(each) == text
        assert each.retry_after is None
        assert not each.decision.allowed
        assert repr(each)


def test_circuit_open_error_can_be_pickled(clock):
    """As by a pool of processes that carries it to its parent."""
    error = refusal(clock)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.breaker, again.decision) == (str(error), "b", error.decision)


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_permit_can_not_be_copied_as_it_is_for_one_call(clock, duplicate):
    breaker = CircuitBreaker("b", clock=clock)
    permit = breaker.before_call().permit
    with pytest.raises(MisuseError, match="a permit is for one call"):
        duplicate(permit)
    breaker.after_success(permit)
