"""Recorded breakers are evaluated by the edges in their log."""

from recloser import CircuitBreaker, CircuitBreakerConfig, ManualClock, MemoryLog
from recloser.simulate.recorded_calls import read_traffic
from recloser.whatif.comparison import what_happened


def test_what_happened_takes_its_figures_from_the_recorded_edges():
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker(
        "b", CircuitBreakerConfig(failure_threshold=2, half_open_success_threshold=1), log=log
    )
    for outcome in ("ok", "failed", "failed", "refused", "refused"):
        permit = breaker.before_call().permit
        clock.advance(seconds=1)
        if outcome == "failed":
            breaker.after_failure(permit)
        elif permit:
            breaker.after_success(permit)
    clock.advance(seconds=30)
    permit = breaker.before_call().permit
    clock.advance(seconds=1)
    breaker.after_success(permit)
    traffic = read_traffic(log)
    assert (traffic.total, traffic.unknown) == (6, 2)
    did = what_happened(traffic, failures=2)["b"]
    assert (did.figures.trips.low, did.figures.rejected.low, did.figures.let_through.low) == (
        1,
        2,
        2,
    )
    assert did.figures.open_ns.low == 33 * 10**9
    assert (did.figures.saved.low, did.figures.saved.high) == (0, 2)
    (outage,) = did.outages
    assert (outage.start, outage.end, outage.failures) == (2 * 10**9, 36 * 10**9, 2)
    assert (did.detection[0].low, did.recovery[0].low) == (10**9, 0)
