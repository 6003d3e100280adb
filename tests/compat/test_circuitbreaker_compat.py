"""The interface of circuitbreaker: recorded, replayed, and timed by an injected clock."""

import asyncio
import contextvars
import threading

import pytest
from servers import THROUGH_AN_OUTAGE, replayed, triggers_of

from recloser import ConfigError, EventLog, MemoryLog
from recloser.compat import record_in
from recloser.compat.circuitbreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerMonitor,
    circuit,
)


@pytest.fixture(autouse=True)
def no_circuits():
    CircuitBreakerMonitor.circuit_breakers.clear()


class Bank:
    def __init__(self):
        self.healthy, self.calls = True, 0

    def __call__(self):
        self.calls += 1
        if not self.healthy:
            raise ConnectionError("no bank")
        return "paid"


def test_decorated_function_goes_through_an_outage_and_its_log_replays(clock, tmp_path):
    bank = Bank()
    with EventLog(tmp_path, clock=clock) as log:

        @circuit(failure_threshold=2, recovery_timeout=10, name="bank", log=log, clock=clock)
        def pay():
            return bank()

        breaker = CircuitBreakerMonitor.get("bank")
        assert pay() == "paid"
        bank.healthy = False
        for _ in range(2):
            with pytest.raises(ConnectionError):
                pay()
        assert (breaker.state, breaker.open_remaining) == ("open", 10)
        clock.advance(seconds=4)
        with pytest.raises(CircuitBreakerError, match=r"2 failures, 6 sec remaining.*no bank"):
            pay()
        assert bank.calls == 3
        clock.advance(seconds=6)
        assert breaker.state == "half_open"
        assert not breaker.closed
        with pytest.raises(ConnectionError):
            pay()
        assert (breaker.state, breaker.failure_count) == ("open", 3)
        clock.advance(seconds=11)
        assert breaker.open_remaining == -1
        bank.healthy = True
        assert pay() == "paid"
        assert (breaker.state, breaker.failure_count, breaker.last_failure) == ("closed", 0, None)
    history = replayed(tmp_path)
    assert triggers_of(history) == THROUGH_AN_OUTAGE
    assert history.snapshots["bank"].totals.rejected == 1


def test_recreated_circuit_continues_from_its_log(clock, tmp_path):
    bank = Bank()
    bank.healthy = False
    for session in range(2):
        with EventLog(tmp_path, clock=clock) as log:
            breaker = CircuitBreaker(1, 10, name="bank", log=log, clock=clock)
            error = ConnectionError if session == 0 else CircuitBreakerError
            with pytest.raises(error):
                breaker.call(bank)
            assert breaker.open_remaining == 10 - 3 * session
        clock.advance(seconds=3)
    assert bank.calls == 1


def test_record_in_records_all_circuits_created_afterwards(clock):
    log = MemoryLog(clock=clock)
    record_in(log)
    try:

        @circuit
        def pay():
            return "paid"

        with pytest.raises(ConfigError, match="needs a name"), CircuitBreaker():
            pass
    finally:
        record_in(None)
    assert pay() == "paid"
    kinds = [event.kind for event in log]
    assert kinds == ["log_opened", "breaker_configured", "call_succeeded"]
    assert list(log)[1].breaker.endswith("pay")


def test_open_circuit_rejects_direct_calls(clock):
    breaker = CircuitBreaker(failure_threshold=1, clock=clock)
    with pytest.raises(ValueError, match="no"), breaker:
        raise ValueError("no")
    with pytest.raises(CircuitBreakerError), breaker:
        pytest.fail("the block of an open circuit was entered")
    with pytest.raises(CircuitBreakerError):
        breaker.call(dict)
    breaker.reset()
    assert breaker.call(dict) == {}


def test_cancelled_call_does_not_close_the_circuit(clock):
    breaker = CircuitBreaker(failure_threshold=1, recovery_timeout=5, clock=clock)
    with pytest.raises(OSError, match="down"), breaker:
        raise OSError("down")
    clock.advance(seconds=5)

    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(breaker.call_async(cancelled))
    assert not breaker.closed


def test_expected_exception_is_a_failure_and_others_are_successes(clock):
    breaker = CircuitBreaker(2, expected_exception=(OSError,), clock=clock)
    for error in (OSError, KeyError, OSError):
        with pytest.raises(error), breaker:
            raise error
    assert (breaker.state, breaker.failure_count) == ("closed", 1)


def test_late_failure_does_not_prolong_the_open_period(clock):
    breaker = CircuitBreaker(1, 10, clock=clock)

    def slow():
        with pytest.raises(OSError, match="down"), breaker:
            raise OSError("down")
        clock.advance(seconds=4)
        raise KeyError

    with pytest.raises(KeyError):
        breaker.call(slow)
    assert (breaker.failure_count, breaker.open_remaining) == (1, 6)


def test_discarded_generator_does_not_disturb_the_count(clock):
    """Garbage collection may happen anywhere; here the predicate drops the last reference."""
    breaker = CircuitBreaker(
        expected_exception=lambda kind, error: begun.clear() is None, clock=clock
    )

    @breaker
    def numbers():
        yield 1

    begun = [numbers()]
    next(begun[0])

    def fail():
        with pytest.raises(OSError, match="down"), breaker:
            raise OSError("down")

    thread = threading.Thread(target=fail, daemon=True)
    thread.start()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert begun == []


def test_no_lock_is_held_while_a_predicate_of_circuitbreaker_runs(clock):
    """A lock would block calls in other threads, and in a child forked meanwhile."""
    free = []

    def is_failure(_kind, _error):
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=fail, daemon=True)
            thread.start()
            thread.join(timeout=10)
            free.append(not thread.is_alive())
        return True

    def fail():
        with pytest.raises(OSError, match="down"), breaker:
            raise OSError("down")

    breaker = CircuitBreaker(100, expected_exception=is_failure, clock=clock)
    fail()
    assert free == [True] * len(free)
    assert free
    assert breaker.failure_count == 1 + len(free)


def test_nested_creation_of_the_inner_breaker_is_safe(clock, monkeypatch):
    """A signal handler may do this. Both breakers share one state, by their name and log."""
    breaker = CircuitBreaker(2, clock=clock)
    make, states = breaker._make_breaker, []

    def make_twice():
        monkeypatch.setattr(breaker, "_make_breaker", make)
        states.append(breaker.state)
        return make()

    monkeypatch.setattr(breaker, "_make_breaker", make_twice)
    for _ in range(2):
        with pytest.raises(OSError, match="down"), breaker:
            raise OSError("down")
    assert (states, breaker.state) == (["closed"], "open")


def half_open(clock, **settings):
    breaker = CircuitBreaker(1, 10, name="bank", clock=clock, **settings)
    with pytest.raises(KeyError):
        breaker.call({}.__getitem__, 1)
    clock.advance(seconds=11)
    return breaker


def test_nested_call_of_a_half_open_circuit_is_part_of_the_trial(clock):
    breaker = half_open(clock)
    assert breaker.call(breaker.call, int) == 0
    assert breaker.closed


def test_refusal_by_the_same_circuit_does_not_reopen_it(clock):
    breaker = half_open(clock)
    with pytest.raises(CircuitBreakerError):
        breaker.call(contextvars.Context().run, breaker.call, int)
    assert breaker.state == "half_open"


def test_generator_closed_early_closes_the_circuit(clock):
    breaker = half_open(clock)
    numbers = breaker.call_generator(lambda: iter([1, 2]))
    next(numbers)
    numbers.close()
    assert breaker.closed


def test_circuitbreaker_call_passes_any_keyword_argument(clock):
    assert CircuitBreaker(name="bank").call(dict, func=1, self=2) == {"func": 1, "self": 2}
