"""Outcomes of calls in a log that breakers wrote are known, except of calls that never reported."""

from recloser import CircuitBreaker, CircuitBreakerConfig, ManualClock, MemoryLog
from recloser.simulate.recorded_calls import read_traffic


def test_outcomes_of_calls_in_shadow_mode_are_known():
    log = MemoryLog(clock=ManualClock())
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1, mode="shadow"), log=log)
    for _ in range(3):
        breaker.after_failure(breaker.before_call().permit)
    traffic = read_traffic(log)
    assert (traffic.total, traffic.unknown) == (3, 0)


def test_a_probe_that_never_reported_has_an_unknown_outcome():
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1), log=log)
    breaker.after_failure(breaker.before_call().permit)
    clock.advance(seconds=31)
    breaker.before_call()
    traffic = read_traffic(log)
    assert (traffic.total, traffic.unknown) == (2, 1)
