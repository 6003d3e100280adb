"""The live view shows the breakers of a log that is being written."""

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, ManualClock
from recloser.audit.live_view import Watch, WatchedTrip

SECOND = 10**9


@pytest.fixture
def log(tmp_path, clock):
    with EventLog(tmp_path / "log", clock=clock, seal_seconds=0) as log:
        yield log


def watched(watch):
    assert not watch.poll()
    return {breaker.breaker: breaker for breaker in watch.breakers()}


def test_each_poll_reads_what_was_written_since_the_last(log, clock):
    watch = Watch(log.path, clock)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)
    fail(breaker, 2)
    log.flush()
    assert watched(watch)["b"].figures == ["consecutive failures: 2 of 3"]
    assert watch.trips == []
    clock.advance(seconds=1)
    fail(breaker)
    log.flush()
    assert watched(watch)["b"].state.value == "OPEN"
    assert watch.trips == [
        WatchedTrip(
            "2000-01-01T00:00:01Z", "b", "3 consecutive failures reached the threshold of 3"
        )
    ]
    before = watch.events
    assert watched(watch)["b"].totals.failed == 3
    assert watch.events == before


def test_the_countdown_continues_between_events_and_stops_at_zero(log, clock):
    fail(CircuitBreaker("b", log=log), 5)
    log.flush()
    reader = ManualClock()
    watch = Watch(log.path, reader)
    assert watched(watch)["b"].probe_in_ns == 30 * SECOND
    reader.advance(seconds=12)
    assert watched(watch)["b"].probe_in_ns == 18 * SECOND
    assert watched(watch)["b"].figures == ["cooldown: 18.000 s left"]
    reader.advance(seconds=60)
    assert watched(watch)["b"].probe_in_ns == 0
    reader.advance_wall(seconds=-7200)
    assert watched(watch)["b"].probe_in_ns == 30 * SECOND


def test_open_breakers_are_listed_first(log, clock):
    for name in ("c", "a", "b", "d"):
        CircuitBreaker(name, CircuitBreakerConfig(failure_threshold=1), log=log)
    breakers = {
        n: CircuitBreaker(n, CircuitBreakerConfig(failure_threshold=1), log=log) for n in "xy"
    }
    fail(breakers["x"])
    clock.advance(seconds=30)
    breakers["x"].before_call()
    fail(breakers["y"])
    succeed(CircuitBreaker("z", log=log))
    log.flush()
    assert list(watched(Watch(log.path, clock))) == ["y", "x", "a", "b", "c", "d", "z"]


def test_poll_reads_a_long_log_in_parts(log, clock):
    succeed(CircuitBreaker("b", log=log), 100)
    log.flush()
    watch = Watch(log.path, clock)
    parts = []
    while watch.poll(30):
        parts.append(watch.events)
    assert parts[:3] == [30, 60, 90]
    assert watch.breakers()[0].totals.succeeded == 100
