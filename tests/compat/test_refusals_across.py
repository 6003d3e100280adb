"""A rejection by a breaker of any interface is not a failure of an outer breaker."""

import pickle

import pytest

import recloser
from recloser import CircuitOpenError
from recloser.compat import circuitbreaker, pybreaker


def down():
    raise OSError


def ours(name):
    return recloser.CircuitBreaker(name, {"failure_threshold": 1})


def with_pybreaker(name):
    return pybreaker.CircuitBreaker(1, 60, name=name)


def with_circuitbreaker(name):
    return circuitbreaker.CircuitBreaker(1, 60, name=name)


KINDS = [ours, with_pybreaker, with_circuitbreaker]
REFUSED = (CircuitOpenError, pybreaker.CircuitBreakerError, circuitbreaker.CircuitBreakerError)


def opened(make, name):
    breaker = make(name)
    with pytest.raises((OSError, *REFUSED)):
        breaker.call(down)
    return breaker


def is_closed(breaker):
    if isinstance(breaker, circuitbreaker.CircuitBreaker):
        return breaker.closed and breaker.failure_count == 0
    if isinstance(breaker, pybreaker.CircuitBreaker):
        return breaker.current_state == "closed" and breaker.fail_counter == 0
    return breaker.current_state().value == "CLOSED"


@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("inner", KINDS)
def test_rejection_by_an_inner_breaker_is_no_failure_of_the_outer_one(outer, inner):
    refusing, around = opened(inner, "inner"), outer("outer")
    with pytest.raises(REFUSED):
        around.call(refusing.call, int)
    assert is_closed(around)


def test_failure_that_opens_an_inner_breaker_is_a_failure_of_the_outer_one():
    inner, around = with_pybreaker("inner"), ours("outer")
    with pytest.raises(pybreaker.CircuitBreakerError):
        around.call(inner.call, down)
    assert not is_closed(around)


def test_rejection_whose_type_is_in_record_is_a_failure():
    refusing = opened(with_pybreaker, "inner")
    settings = {"failure_threshold": 1, "record": [pybreaker.CircuitBreakerError]}
    around = recloser.CircuitBreaker("outer", settings)
    with pytest.raises(pybreaker.CircuitBreakerError):
        around.call(refusing.call, int)
    assert not is_closed(around)


def test_pickled_rejection_of_pybreaker_is_still_a_rejection():
    """A process pool pickles errors to send them to the parent."""
    with pytest.raises(pybreaker.CircuitBreakerError) as refused:
        opened(with_pybreaker, "inner").call(int)
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.breaker) == (str(refused.value), refused.value.breaker)
    around = ours("outer")
    with pytest.raises(pybreaker.CircuitBreakerError):
        around.call(raise_it, again)
    assert is_closed(around)


def raise_it(error):
    raise error
