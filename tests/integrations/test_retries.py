"""tenacity and stamina retry a rejected call only after ``retry_after``."""

import asyncio
import time

import pytest
import stamina
import tenacity
from servers import replayed, triggers_of

from recloser import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, EventLog, MemoryLog
from recloser.integrations.stamina import after_retry_after
from recloser.integrations.tenacity import wait_retry_after


class Dependency:
    """A function that fails its first calls and notes their times."""

    def __init__(self, failures, clock=None):
        self.failures, self.clock, self.called_at = failures, clock, []

    def __call__(self):
        now = time.monotonic_ns() if self.clock is None else self.clock.monotonic_ns()
        self.called_at.append(now)
        if len(self.called_at) <= self.failures:
            raise ConnectionError
        return "well"


def config(seconds):
    return CircuitBreakerConfig(
        failure_threshold=2, recovery_timeout_seconds=seconds, half_open_success_threshold=1
    )


def test_tenacity_waits_until_retry_after(clock, tmp_path):
    """The own wait of the strategy is 1 s; the breaker opens for 30 s, twice."""
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker("b", config(30), log=log)
        dependency = Dependency(3, clock)
        retrying = tenacity.Retrying(
            wait=wait_retry_after(tenacity.wait_fixed(1)),
            sleep=lambda seconds: clock.advance(seconds=seconds),
        )
        assert retrying(breaker.call, dependency) == "well"
    assert [at // 10**9 for at in dependency.called_at] == [0, 1, 31, 61]
    history = replayed(tmp_path)
    assert triggers_of(history) == ["trip", "cool", "relapse", "cool", "recover"]
    assert history.snapshots["b"].totals.rejected == 2


def test_tenacity_waits_until_retry_after_in_an_event_loop(clock):
    breaker = CircuitBreaker("b", config(30), log=MemoryLog(clock=clock))
    dependency = Dependency(2, clock)

    async def sleep(seconds):
        clock.advance(seconds=seconds)

    @breaker
    async def call():
        return dependency()

    async def retried():
        retrying = tenacity.AsyncRetrying(wait=wait_retry_after(), sleep=sleep)
        return await retrying(call)

    assert asyncio.run(retried()) == "well"
    assert dependency.called_at[2] - dependency.called_at[1] >= 30 * 10**9


def test_tenacity_uses_its_own_wait_without_retry_after(clock):
    breaker = CircuitBreaker("b", log=MemoryLog(clock=clock))
    breaker.force_open()
    waits = []
    retrying = tenacity.Retrying(
        wait=wait_retry_after(tenacity.wait_fixed(7)),
        stop=tenacity.stop_after_attempt(3),
        sleep=waits.append,
        reraise=True,
    )
    with pytest.raises(CircuitOpenError):
        retrying(breaker.call, dict)
    assert waits == [7, 7]


def test_stamina_waits_until_retry_after(tmp_path):
    with EventLog(tmp_path) as log:
        breaker = CircuitBreaker("b", config(0.2), log=log)
        dependency = Dependency(2)

        @stamina.retry(on=after_retry_after(ConnectionError), wait_initial=0, wait_jitter=0)
        def call():
            return breaker.call(dependency)

        assert call() == "well"
    second, third = dependency.called_at[1:]
    assert third - second >= 200_000_000
    history = replayed(tmp_path)
    assert triggers_of(history) == ["trip", "cool", "recover"]
    assert history.snapshots["b"].totals.rejected == 1


def test_stamina_hook_passes_other_errors_to_the_users_hook(clock):
    breaker = CircuitBreaker("b", log=MemoryLog(clock=clock))
    breaker.force_open()
    with pytest.raises(CircuitOpenError) as refused:
        breaker.admit()
    assert after_retry_after()(refused.value) is True
    assert after_retry_after(OSError)(ConnectionError()) is True
    assert after_retry_after(OSError)(ValueError()) is False
    assert after_retry_after(lambda error: 2.5)(ValueError()) == 2.5
