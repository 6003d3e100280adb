"""The registry makes a breaker for each name on first use."""

import gc
import sys
import threading
import tracemalloc

import pytest

from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    Listener,
    MemoryLog,
)
from support import fail


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock)


def test_a_breaker_is_made_on_first_use_and_kept(log):
    breakers = Breakers(CircuitBreakerConfig(failure_threshold=2), log=log)
    assert "payments" not in breakers
    assert len(breakers) == 0
    fail(breakers["payments"], 2)
    assert breakers["payments"] is breakers["payments"]
    assert breakers["payments"].current_state().value == "OPEN"
    assert breakers["orders"].current_state().value == "CLOSED"
    assert list(breakers) == ["payments", "orders"]
    assert dict(breakers)["orders"] is breakers["orders"]


def test_settings_may_depend_on_the_name(log):
    breakers = Breakers(lambda name: CircuitBreakerConfig(failure_threshold=len(name)), log=log)
    assert breakers["abc"].config.failure_threshold == 3


def test_listeners_and_the_clock_are_those_of_all(clock):
    told = []

    class Recorder(Listener):
        def on_transition(self, edge):
            told.append(edge.breaker)

    breakers = Breakers(clock=clock, listeners=[Recorder()])
    fail(breakers["a"], 5)
    fail(breakers["b"], 5)
    assert breakers["b"].flush()
    assert told == ["a", "b"]


def test_a_bounded_registry_gives_further_names_one_breaker_together(log):
    breakers = Breakers(log=log, max_size=2)
    first, second = breakers["a"], breakers["b"]
    assert breakers["c"] is breakers["d"]
    assert breakers["c"].name == "(others)"
    assert (breakers["a"], breakers["b"]) == (first, second)
    for n in range(1000):
        breakers[f"stranger {n}"]
    assert len(breakers) <= 3


@pytest.mark.parametrize("size", [0, -1])
def test_a_bound_is_a_number_from_1_up(size):
    with pytest.raises(ConfigError, match="max_size must be"):
        Breakers(max_size=size)


def test_threads_that_ask_at_once_get_the_same_breaker(log):
    breakers = Breakers(log=log)
    got = []
    barrier = threading.Barrier(8)

    def ask():
        barrier.wait()
        got.append(breakers["payments"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(breaker) for breaker in got}) == 1


@pytest.mark.parametrize("detail", [None, "full", "runs"])
@pytest.mark.parametrize("is_called", [False, True])
def test_an_idle_breaker_takes_less_than_1_kib(tmp_path, clock, detail, is_called):
    log = None if detail is None else EventLog(tmp_path, clock=clock, detail=detail)
    breakers = Breakers(log=log, clock=clock)
    breakers["warm"].call(int)
    tracemalloc.start()
    for number in range(1000):
        breaker = breakers[f"dependency {number}"]
        if is_called:
            breaker.call(int)
    clock.advance(seconds=2)  # what was counted is written when its second is over
    breakers["warm"].snapshot()
    if log is not None:
        log.flush()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if log is not None:
        size -= sys.getsizeof(log._appender._segment._pending)  # one for all of them, however many
        log.close()
    assert size < 1000 * 1024


def test_a_breaker_that_shares_no_log_takes_less_than_4_kib(clock):
    made = [CircuitBreaker("warm", clock=clock)]
    tracemalloc.start()
    for number in range(1000):
        made.append(CircuitBreaker(f"dependency {number}", clock=clock))
        made[-1].call(int)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1000 * 4096


@pytest.mark.parametrize("detail", ["full", "runs"])
def test_a_call_costs_the_same_however_many_breakers_there_are(clock, detail):
    def steps(count):
        """How many functions are entered for a few calls of one of so many busy breakers."""
        breakers = Breakers(log=MemoryLog(clock=clock, detail=detail))
        calls = [breakers[f"{number}"](int) for number in range(count)]
        fail(breakers["open"], 5)
        for call in calls:
            call()
        for _ in range(200):
            breakers["open"].before_call()
        breakers["0"].snapshot()
        entered = []
        gc.disable()  # who is told of a collection is no part of a call
        sys.setprofile(lambda _frame, event, _argument: entered.append(event))
        calls[0]()
        fail(breakers["0"])
        calls[0]()
        breakers["open"].before_call()
        breakers["0"].snapshot()
        sys.setprofile(None)
        gc.enable()
        return len(entered)

    assert steps(10) == steps(500)
