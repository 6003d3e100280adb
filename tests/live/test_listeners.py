"""Listeners are called in order, in a thread of the log's own, and can break nothing."""

import json
import logging
import threading

import pytest
from breaker_calls import fail, succeed

from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    Listener,
    LoggingListener,
    MemoryLog,
)


class Recorder(Listener):
    def __init__(self):
        self.events, self.edges = [], []

    def on_event(self, event):
        self.events.append(event)

    def on_transition(self, edge):
        self.edges.append(edge)


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


def breaker_with(listener, log, name="b"):
    config = CircuitBreakerConfig(failure_threshold=3)
    return CircuitBreaker(name, config, log=log, listeners=[listener])


def test_listener_receives_all_events_of_its_breaker_in_order(log, clock):
    recorder = Recorder()
    breaker = breaker_with(recorder, log)
    other = CircuitBreaker("other", log=log)
    fail(breaker, 3)
    clock.advance(seconds=30)
    succeed(other)
    succeed(breaker, 2)
    assert breaker.flush()
    assert recorder.events == [event for event in log if getattr(event, "breaker", "") == "b"]
    assert recorder.edges == [event for event in recorder.events if event.kind == "state_changed"]
    assert len(recorder.edges) == 3


def test_exception_of_a_listener_is_logged_and_goes_no_further(log, caplog):
    class Broken(Listener):
        def on_event(self, event):
            raise ZeroDivisionError

    recorder = Recorder()
    breaker = CircuitBreaker("b", log=log, listeners=[Broken(), recorder])
    succeed(breaker)
    assert breaker.flush()
    assert [event.kind for event in recorder.events] == ["breaker_configured", "call_succeeded"]
    assert "a listener raised on call_succeeded" in caplog.text


def test_a_listener_may_use_the_breaker(log):
    class Resetter(Recorder):
        def on_transition(self, edge):
            super().on_transition(edge)
            if edge.to_state.value == "OPEN":
                breaker.reset(actor="listener")

    resetter = Resetter()
    breaker = breaker_with(resetter, log)
    fail(breaker, 3)
    assert breaker.flush()
    assert breaker.current_state().value == "CLOSED"
    assert breaker.flush()
    assert [edge.trigger.value for edge in resetter.edges] == ["trip", "reset"]


def test_listeners_receive_events_of_threads_in_the_order_of_the_log(log):
    recorder = Recorder()
    config = CircuitBreakerConfig(failure_threshold=None)
    breaker = CircuitBreaker("b", config, log=log, listeners=[recorder])
    threads = [threading.Thread(target=succeed, args=(breaker, 300)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.flush()
    assert recorder.events == list(log)[1:]


def lines_of(caplog):
    return [json.loads(record.getMessage()) for record in caplog.records]


def test_an_edge_is_logged_as_one_structured_line_with_its_cause(log, caplog):
    caplog.set_level(logging.INFO, "recloser")
    breaker = breaker_with(LoggingListener(), log, "pay\nments")
    fail(breaker, 3)
    assert breaker.flush()
    (line,) = lines_of(caplog)
    assert line == {
        "event": "state_changed",
        "breaker": "pay\nments",
        "seq": 6,
        "epoch": 1,
        "from_state": "CLOSED",
        "to_state": "OPEN",
        "trigger": "trip",
        "rule": "consecutive_failures",
        "observed": 3,
        "threshold": 3,
        "calls": 0,
        "seqs": [3, 4, 5],
    }
    assert caplog.records[0].levelno == logging.WARNING
    assert "\n" not in caplog.records[0].getMessage()


def test_rejections_are_logged_once_per_second_with_a_count(log, caplog, clock):
    caplog.set_level(logging.INFO, "recloser")
    breaker = breaker_with(LoggingListener(), log)
    fail(breaker, 3)
    assert breaker.flush()
    caplog.clear()
    for _ in range(25):
        breaker.before_call()
        clock.advance(seconds=0.1)
    assert breaker.flush()
    lines = lines_of(caplog)
    assert [line["count"] for line in lines] == [1, 10, 10]
    assert lines[1] == {
        "event": "call_rejected",
        "breaker": "b",
        "state": "OPEN",
        "reason": "cooldown_active",
        "retry_after": 29.0,
        "count": 10,
    }


def test_another_logger_may_be_given(log, caplog):
    caplog.set_level(logging.INFO)
    breaker = breaker_with(LoggingListener(logging.getLogger("mine")), log)
    fail(breaker, 3)
    assert breaker.flush()
    assert {record.name for record in caplog.records} == {"mine"}


class Awaited(Listener):
    async def on_transition(self, edge):
        """It would never run."""


class AwaitedEvents(Listener):
    async def on_event(self, event):
        """It would never run."""


class Generates(Listener):
    def on_event(self, event):
        yield event


@pytest.mark.parametrize(
    ("listeners", "remedy"),
    [
        (print, "subclass recloser.Listener, override on_event or on_transition"),
        ([print], "subclass recloser.Listener, override on_event or on_transition"),
        ("audit", "subclass recloser.Listener"),
        (LoggingListener, r"LoggingListener is a class; give an instance: LoggingListener\(\)"),
        ([LoggingListener], r"give an instance: LoggingListener\(\)"),
        ([Awaited()], "Awaited.on_transition is async.*make it a plain method"),
        (AwaitedEvents(), "AwaitedEvents.on_event is async.*run_coroutine_threadsafe"),
        ([Generates()], "Generates.on_event is async or a generator"),
    ],
)
@pytest.mark.parametrize(
    "make", [Breakers, lambda listeners: CircuitBreaker("b", listeners=listeners)]
)
def test_object_that_is_no_listener_is_refused_with_a_remedy(make, listeners, remedy):
    with pytest.raises(ConfigError, match=remedy):
        make(listeners=listeners)


def test_one_listener_may_be_given_without_a_list(log):
    recorder = Recorder()
    breaker = CircuitBreaker("b", log=log, listeners=recorder)
    Breakers(log=log, listeners=recorder)["other"].force_open()
    breaker.force_open()
    assert breaker.flush()
    assert [edge.breaker for edge in recorder.edges] == ["other", "b"]


def test_no_listeners_may_be_given_as_none(log):
    CircuitBreaker("b", log=log, listeners=None).force_open()


def test_the_wishes_of_a_listener_are_read_under_no_lock(log):
    other = CircuitBreaker("other", log=log)

    class Asks(Recorder):
        @property
        def inline(self):
            other.force_open()
            return False

        @property
        def hears_successes(self):
            other.snapshot()
            return True

    asks = Asks()
    breaker = CircuitBreaker("b", log=log, listeners=[asks])
    succeed(breaker)
    assert breaker.flush()
    assert asks.events[-1].kind == "call_succeeded"


class Deaf(Listener):
    def on_event(self):
        raise AssertionError("it takes no event")


class Undecided(Listener):
    @property
    def inline(self):
        raise RuntimeError("undecided")


def test_listener_that_takes_no_event_is_refused():
    with pytest.raises(ConfigError, match=r"Deaf.on_event must take one argument, the event"):
        CircuitBreaker("b", listeners=Deaf())


def test_listener_whose_wishes_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match=r"Undecided can't be asked what it hears: RuntimeError"):
        CircuitBreaker("b", listeners=Undecided())


@pytest.mark.parametrize("logger", [5, "recloser"])
def test_logging_listener_refuses_an_object_that_is_no_logger(logger):
    with pytest.raises(ConfigError, match=r"^logger must be a logger"):
        LoggingListener(logger)
