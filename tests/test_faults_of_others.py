"""Faults that were seen in other circuit breakers, and must not occur here."""

import asyncio
import threading
import traceback
import tracemalloc
from datetime import UTC

import pytest
from breaker_calls import fail, succeed

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    Constant,
    CountWindow,
    ManualClock,
    MemoryLog,
    Reason,
    TimeWindow,
)


@pytest.fixture
def make(clock):
    def make_breaker(**settings):
        log = MemoryLog(clock=clock, tick_seconds=None)
        return CircuitBreaker("b", CircuitBreakerConfig(**settings), log=log)

    return make_breaker


def state(breaker):
    return breaker.current_state().value


def test_tracebacks_do_not_grow_with_rejected_calls(clock):
    """An exception instance that is raised repeatedly keeps every frame that it has passed."""
    breaker = CircuitBreaker("b", clock=clock)
    fail(breaker, 5)

    def rejected_call():
        try:
            breaker.call(pytest.fail)
        except CircuitOpenError as error:
            return error
        return None

    first = rejected_call()
    tracemalloc.start()
    try:
        for _ in range(20_000):
            error = rejected_call()
        grown = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert error is not first
    assert len(traceback.extract_tb(error.__traceback__)) < 10
    assert grown < 1_000_000


@pytest.mark.parametrize("hours", [-1, 1])
def test_wall_clock_step_of_one_hour_does_not_change_the_cooldown(make, clock, hours):
    breaker = make()
    fail(breaker, 5)
    clock.advance_wall(seconds=3600 * hours)
    clock.advance_monotonic(seconds=30, ns=-1)
    assert not breaker.before_call().allowed
    clock.advance_monotonic(ns=1)
    assert breaker.before_call().reason is Reason.PROBE


def test_times_in_a_snapshot_are_aware_and_utc(make, clock, monkeypatch):
    """The time zone of the machine has no influence."""
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    breaker = make()
    fail(breaker, 5)
    snapshot = breaker.snapshot()
    assert snapshot.opened_at.tzinfo is snapshot.retry_at.tzinfo is UTC
    assert snapshot.opened_at == clock.now()


def test_cancelled_call_is_not_a_success(make):
    breaker = make(failure_threshold=3)
    fail(breaker, 2)

    async def main():
        task = asyncio.create_task(breaker.call(asyncio.sleep, 60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    snapshot = breaker.snapshot()
    assert (snapshot.totals.ignored, snapshot.totals.succeeded) == (1, 0)
    assert snapshot.consecutive_failures == 2


@pytest.mark.parametrize("outcome", ["after_success", "after_failure"])
def test_call_begun_before_the_trip_does_not_move_the_half_open_breaker(make, clock, outcome):
    breaker = make(half_open_success_threshold=1)
    early = breaker.before_call().permit
    fail(breaker, 5)
    clock.advance(seconds=30)
    assert breaker.before_call().reason is Reason.PROBE
    getattr(breaker, outcome)(early)
    assert state(breaker) == "HALF_OPEN"
    assert breaker.snapshot().totals.stale == 1


def test_idle_time_ages_a_time_window(make, clock):
    breaker = make(failure_threshold=None, window=TimeWindow(10, failures=5))
    fail(breaker, 4)
    clock.advance(seconds=10)
    fail(breaker)
    assert state(breaker) == "CLOSED"
    assert breaker.snapshot().window.failures == 1


def test_jitter_is_drawn_once_per_cooldown(make, clock):
    """If it was drawn for each call, the shortest of a thousand draws would end the cooldown."""
    breaker = make(backoff=Constant("full", seed=1))
    fail(breaker, 5)
    wait = breaker.snapshot().retry_after
    assert wait > 1
    for _ in range(1000):
        clock.advance(ns=round(wait * 1e6))
        allowed = breaker.before_call().allowed
        if allowed:
            break
    assert clock.monotonic_ns() / 1e9 == pytest.approx(wait, rel=0.01)


def test_ignored_error_in_a_probe_allows_another_probe(make, clock):
    breaker = make(ignore=[KeyError], half_open_success_threshold=1)
    fail(breaker, 5)
    clock.advance(seconds=30)
    with pytest.raises(KeyError):
        breaker.call({}.__getitem__, "absent")
    assert state(breaker) == "HALF_OPEN"
    breaker.call(int)
    assert state(breaker) == "CLOSED"


def test_half_open_breaker_admits_one_of_fifty_threads(clock):
    breaker = CircuitBreaker("b", clock=clock)
    fail(breaker, 5)
    clock.advance(seconds=30)
    barrier = threading.Barrier(50)
    allowed = []

    def ask():
        barrier.wait()
        allowed.append(breaker.before_call().allowed)

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(allowed) == [False] * 49 + [True]


def test_no_lock_is_held_during_the_protected_call(make):
    """Eight calls that wait for one another can only end if they run at the same time."""
    breaker = make()
    together = threading.Barrier(8, timeout=10)
    threads = [threading.Thread(target=breaker.call, args=(together.wait,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert breaker.snapshot().totals.succeeded == 8


def test_decorating_an_async_function_protects_it(make):
    """Creating a coroutine is not a successful call."""
    breaker = make(failure_threshold=2)

    @breaker
    async def work():
        raise OSError

    async def main():
        for _ in range(2):
            with pytest.raises(OSError):
                await work()
        with pytest.raises(CircuitOpenError):
            await work()

    asyncio.run(main())
    assert breaker.snapshot().totals.succeeded == 0


def test_counters_do_not_drift_under_two_threads(make):
    breaker = make(failure_threshold=None, window=CountWindow(100, failures=101))

    def hammer():
        for _ in range(1500):
            fail(breaker)
            succeed(breaker)

    threads = [threading.Thread(target=hammer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    snapshot = breaker.snapshot()
    assert (snapshot.totals.succeeded, snapshot.totals.failed) == (3000, 3000)
    recorded = [e for e in breaker._sequencer._log if e.kind in ("call_succeeded", "call_failed")]
    assert snapshot.window.failures == sum(e.kind == "call_failed" for e in recorded[-100:])


def test_window_size_is_not_taken_from_a_reduced_fraction(make):
    """A rate of 50 in 100 calls must not be treated as 1 in 2 calls."""
    breaker = make(failure_threshold=None, window=CountWindow(100, 0.5, minimum_calls=100))
    fail(breaker)
    succeed(breaker)
    fail(breaker, 49)
    assert state(breaker) == "CLOSED"
    succeed(breaker, 48)
    assert breaker.snapshot().window.calls == 99
    succeed(breaker)
    assert state(breaker) == "OPEN"


def test_injected_clock_is_the_only_clock():
    clock = ManualClock()
    breaker = CircuitBreaker("b", CircuitBreakerConfig(recovery_timeout_seconds=0.001), clock=clock)
    fail(breaker, 5)
    threading.Event().wait(0.01)
    assert not breaker.before_call().allowed
