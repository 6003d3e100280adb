"""Calls past the lock: they end as those that ask, and each edge fires where its call stands."""

import asyncio
import contextlib
import threading

import pytest
from breaker_calls import ServiceDownError
from held_locks import log_lock_held_elsewhere
from hypothesis import given
from hypothesis import strategies as st

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CountWindow,
    EventLog,
    Listener,
    ManualClock,
    MemoryLog,
    TimeWindow,
    read_events,
    replay,
)
from recloser.live.function_wrapper import begin

SETTINGS = {
    "failures in a row": {"failure_threshold": 4},
    "count window": {
        "failure_threshold": None,
        "window": CountWindow(6, failure_rate=0.5, minimum_calls=4, slow_call_rate=0.5),
        "slow_call_seconds": 0.05,
    },
    "time window": {
        "failure_threshold": None,
        "window": TimeWindow(2, failure_rate=0.5, minimum_calls=4),
    },
}
ENDS = ("success", "failure", "other failure", "ignored", "slow", "slow failure")
ERRORS = {
    "failure": ServiceDownError,
    "slow failure": ServiceDownError,
    "other failure": ValueError,
    "ignored": KeyError,
}


class Service:
    """A dependency whose calls end as the test wants, timed by a clock that the test moves."""

    def __init__(self, settings, detail="full", *, asks=False):
        self.clock = ManualClock()
        self.log = MemoryLog(clock=self.clock, detail=detail)
        if asks:
            self.log.attach().disable_fast_paths()
        config = CircuitBreakerConfig(ignore=(KeyError,), recovery_timeout_seconds=0.4, **settings)
        self.breaker = CircuitBreaker("b", config, log=self.log)
        self.protected = self.breaker(self.work)

    def work(self, end):
        if end.startswith("slow"):
            self.clock.advance(seconds=0.06)
        if end in ERRORS:
            raise ERRORS[end]
        return end

    def call(self, end):
        """The result or the error that a caller sees."""
        try:
            return self.protected(end)
        except (ServiceDownError, ValueError, KeyError, CircuitOpenError) as error:
            return type(error)


def edges_of(log):
    return [
        (edge.at, edge.trigger, edge.cause.rule, edge.cause.observed, edge.cause.calls)
        for edge in log
        if edge.kind == "state_changed"
    ]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("detail", ["full", "runs"])
@given(st.lists(st.tuples(st.sampled_from(ENDS), st.integers(0, 400)), max_size=60))
def test_breaker_on_the_fast_path_behaves_as_one_that_takes_the_lock(name, detail, calls):
    past, asking = Service(SETTINGS[name], detail), Service(SETTINGS[name], asks=True)
    for end, ms in calls:
        assert past.call(end) == asking.call(end)
        assert past.breaker.current_state() == asking.breaker.current_state()
        for service in (past, asking):
            service.clock.advance(seconds=ms / 1000)
    past.breaker.snapshot()
    assert edges_of(past.log) == edges_of(asking.log)
    assert past.breaker.snapshot().totals == asking.breaker.snapshot().totals
    history = replay(past.log)
    assert history.differences == []
    assert history.snapshots["b"] == past.breaker.snapshot()


def test_failures_take_no_lock_while_there_are_some_to_spare():
    service = Service({"failure_threshold": 5})
    service.call("failure")  # what its error says is learnt from it
    with log_lock_held_elsewhere(service.breaker):
        for _ in range(3):
            assert service.call("failure") is ServiceDownError
    assert service.breaker.snapshot().consecutive_failures == 4
    assert service.call("failure") is ServiceDownError
    assert service.breaker.current_state().value == "OPEN"
    failures = [event for event in service.log if event.kind == "call_failed"]
    assert [event.error for event in failures] == ["breaker_calls.ServiceDownError"] * 5


def test_a_success_between_them_gives_failures_back():
    service = Service({"failure_threshold": 2})
    for _ in range(20):
        service.call("failure")
        service.call("success")
    assert service.breaker.current_state().value == "CLOSED"
    assert service.breaker.snapshot().totals.failed == 20


def test_awaited_failures_take_no_lock():
    log = MemoryLog(clock=ManualClock())
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=5), log=log)

    @breaker
    async def broken():
        raise ServiceDownError

    async def fail_often(times):
        for _ in range(times):
            with pytest.raises(ServiceDownError):
                await broken()

    asyncio.run(fail_often(1))
    with log_lock_held_elsewhere(breaker):
        asyncio.run(fail_often(3))
    assert breaker.snapshot().consecutive_failures == 4


def test_call_takes_the_lock_when_a_tick_is_due():
    service = Service({"failure_threshold": 5})
    service.call("success")
    assert begin(service.breaker.fast_path) is not None
    service.clock.advance(seconds=1)
    assert begin(service.breaker.fast_path) is None
    service.call("success")
    assert [event.at for event in service.log if event.kind == "clock_ticked"] == [10**9]


def test_call_under_way_on_an_expired_token_takes_the_lock():
    service = Service({"failure_threshold": 5})
    service.call("success")
    started = begin(service.breaker.fast_path)
    service.breaker.force_open()
    assert not started.record_return()
    assert not started.record_error(ServiceDownError())
    assert service.breaker.snapshot().totals.succeeded == 1


def test_error_that_is_not_judged_by_its_type_alone_takes_the_lock_each_time(tmp_path):
    """A predicate is the user's code: it is asked of every error."""
    asked = []
    config = CircuitBreakerConfig(record=(lambda error: asked.append(error) is None,))
    breaker = CircuitBreaker("b", config, log=MemoryLog())

    @breaker
    def broken():
        raise ServiceDownError

    for _ in range(3):
        with pytest.raises(ServiceDownError):
            broken()
    assert len(asked) == 3


@pytest.mark.parametrize("detail", ["full", "runs"])
def test_threads_that_fail_at_once_lose_no_call_and_the_log_replays(tmp_path, detail):
    with EventLog(tmp_path / "log", detail=detail) as log:
        window = CountWindow(50, failure_rate=0.9)
        config = CircuitBreakerConfig(failure_threshold=None, window=window)
        breaker = CircuitBreaker("b", config, log=log)

        @breaker
        def work(fails):
            if fails:
                raise ServiceDownError

        def call(first):
            for number in range(5_000):
                with contextlib.suppress(ServiceDownError):
                    work((number + first) % 3 == 0)

        threads = [threading.Thread(target=call, args=(first,)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        live = breaker.snapshot()
    assert live.totals.failed + live.totals.succeeded + live.totals.rejected == 20_000
    history = replay(tmp_path / "log")
    assert history.differences == []
    assert history.snapshots["b"].totals == live.totals
    counted = [
        getattr(event, "count", 1)
        for event in read_events(tmp_path / "log")
        if "call_" in event.kind
    ]
    assert sum(counted) == 20_000


def test_listener_of_events_receives_each_outcome_at_once():
    class HearsAll(Listener):
        inline = True
        hears_successes = False

        def __init__(self):
            self.heard = []

        def on_event(self, event):
            self.heard.append(event.kind)

    listener = HearsAll()
    config = CircuitBreakerConfig(ignore=(KeyError,))
    breaker = CircuitBreaker("b", config, log=MemoryLog(), listeners=[listener])
    for error in (KeyError, ServiceDownError, KeyError, ServiceDownError):

        @breaker
        def work(error=error):
            raise error

        with pytest.raises(error):
            work()
    assert [kind for kind in listener.heard if kind.startswith("call")] == [
        *("call_ignored", "call_failed", "call_ignored", "call_failed")
    ]
