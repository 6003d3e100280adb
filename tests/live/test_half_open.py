"""Half-open: how many probes there are, what they decide, and that it always ends."""

import pytest

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    MemoryLog,
    Reason,
    Rule,
    Trigger,
)
from recloser.core.kernel import NEVER
from recloser.history.engine import replay


@pytest.fixture
def half_open(clock):
    """A breaker whose cooldown of a second is over, with its log."""

    def make(**settings):
        log = MemoryLog(clock=clock, tick_seconds=None)
        config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout_seconds=1, **settings)
        breaker = CircuitBreaker("b", config, log=log)
        breaker.after_failure(breaker.before_call().permit)
        clock.advance(seconds=1)
        return breaker, log

    return make


def edges(log):
    history = replay(log)
    assert history.differences == []
    return history.edges


def probe(breaker, count=1):
    permits = [breaker.before_call().permit for _ in range(count)]
    assert None not in permits
    return permits if count > 1 else permits[0]


def state(breaker):
    return breaker.current_state().value


def test_as_many_probes_at_once_as_allowed(half_open):
    breaker, _ = half_open(half_open_max_probes=3)
    probe(breaker, 3)
    assert breaker.before_call().reason is Reason.PROBES_EXHAUSTED


def test_a_probe_that_has_reported_makes_place_for_another(half_open):
    breaker, _ = half_open(half_open_max_probes=2, half_open_success_threshold=3)
    first, _second = probe(breaker, 2)
    breaker.after_success(first)
    probe(breaker)
    assert not breaker.before_call().allowed


def test_first_failed_probe_reopens_whatever_other_probes_report(half_open):
    breaker, log = half_open(half_open_max_probes=3)
    first, second, third = probe(breaker, 3)
    breaker.after_success(first)
    breaker.after_failure(second)
    breaker.after_success(third)
    assert state(breaker) == "OPEN"
    assert edges(log)[-1].cause.rule is Rule.PROBE_FAILED
    assert breaker.snapshot().totals.stale == 1


def test_a_window_lets_so_many_probes_through_in_all(half_open):
    breaker, _ = half_open(half_open_window=CountWindow(4, 0.5))
    first, second, *_ = probe(breaker, 4)
    breaker.after_success(first)
    breaker.after_success(second)
    assert breaker.before_call().reason is Reason.PROBES_EXHAUSTED


def test_an_ignored_probe_gives_its_place_in_the_window_back(half_open):
    breaker, _ = half_open(half_open_window=CountWindow(2, 0.5))
    first, _ = probe(breaker, 2)
    breaker.after_ignored(first)
    probe(breaker)
    assert not breaker.before_call().allowed


@pytest.mark.parametrize(
    ("outcomes", "expected", "rule"),
    [
        ("ssf", "CLOSED", Rule.PROBE_WINDOW),
        ("sff", "OPEN", Rule.FAILURE_RATE),
        ("ff", "HALF_OPEN", None),
    ],
)
def test_rate_of_the_half_open_window_decides_after_its_minimum(
    half_open, outcomes, expected, rule
):
    breaker, log = half_open(half_open_window=CountWindow(3, 0.5, minimum_calls=3))
    for outcome, permit in zip(outcomes, probe(breaker, 3), strict=False):
        (breaker.after_success if outcome == "s" else breaker.after_failure)(permit)
    assert state(breaker) == expected
    if rule:
        assert edges(log)[-1].cause.rule is rule
        assert edges(log)[-1].cause.calls == 3


def test_a_window_over_probes_may_decide_on_slow_ones(half_open):
    breaker, log = half_open(
        half_open_window=CountWindow(2, slow_call_rate=1.0), slow_call_seconds=0.1
    )
    for permit in probe(breaker, 2):
        breaker.after_success(permit, took_ns=100_000_001)
    assert edges(log)[-1].cause.rule is Rule.SLOW_CALL_RATE


def test_a_window_over_probes_goes_before_a_threshold_of_0(half_open):
    breaker, _ = half_open(half_open_window=CountWindow(1, 1.0), half_open_success_threshold=0)
    permit = probe(breaker)
    assert state(breaker) == "HALF_OPEN"
    breaker.after_success(permit)
    assert state(breaker) == "CLOSED"


@pytest.mark.parametrize(("ns", "expected"), [(-1, "HALF_OPEN"), (0, "OPEN")])
def test_a_probe_that_never_reports_counts_as_failed_after_its_timeout(
    half_open, clock, ns, expected
):
    breaker, log = half_open(probe_timeout_seconds=5)
    permit = probe(breaker)
    clock.advance(seconds=5, ns=ns)
    assert not breaker.before_call().allowed
    assert state(breaker) == expected
    breaker.after_success(permit)
    if expected == "OPEN":
        edge = edges(log)[-1]
        assert (edge.trigger, edge.cause.rule) == (Trigger.RELAPSE, Rule.PROBE_TIMEOUT)
        assert edge.cause.observed == edge.cause.threshold == 5 * 10**9
        assert breaker.snapshot().totals.stale == 1


def test_lost_probe_counts_as_failed_in_a_window_and_its_late_report_is_ignored(half_open, clock):
    breaker, log = half_open(
        half_open_window=CountWindow(4, 0.5, minimum_calls=4), probe_timeout_seconds=5
    )
    lost = probe(breaker)
    clock.advance(seconds=3)
    others = probe(breaker, 3)
    clock.advance(seconds=3)
    for permit in others[:2]:
        breaker.after_success(permit)
    assert breaker.snapshot().probe_window.failures == 1
    breaker.after_success(lost)
    assert breaker.snapshot().totals.stale == 1
    assert breaker.snapshot().probe_window.calls == 3
    clock.advance(seconds=3)
    assert not breaker.before_call().allowed
    assert state(breaker) == "OPEN"
    assert edges(log)[-1].cause.observed == 2


def test_a_lost_probe_is_slow_if_its_timeout_is(half_open, clock):
    breaker, log = half_open(
        half_open_window=CountWindow(1, slow_call_rate=1.0),
        slow_call_seconds=1,
        probe_timeout_seconds=5,
    )
    probe(breaker)
    clock.advance(seconds=5)
    breaker.before_call()
    assert edges(log)[-1].cause.rule is Rule.SLOW_CALL_RATE


def test_several_lost_probes_are_counted_at_once(half_open, clock):
    breaker, log = half_open(
        half_open_window=CountWindow(3, 1.0, minimum_calls=3), probe_timeout_seconds=5
    )
    probe(breaker, 3)
    clock.advance(seconds=60)
    assert not breaker.before_call().allowed
    assert edges(log)[-1].cause.observed == 3


@pytest.mark.parametrize(("ns", "expected"), [(-1, "HALF_OPEN"), (0, "OPEN")])
def test_a_half_open_that_takes_too_long_opens_again(half_open, clock, ns, expected):
    breaker, log = half_open(half_open_timeout_seconds=7, probe_timeout_seconds=100)
    probe(breaker)
    clock.advance(seconds=7, ns=ns)
    breaker.before_call()
    assert state(breaker) == expected
    if expected == "OPEN":
        assert edges(log)[-1].cause.rule is Rule.HALF_OPEN_TIMEOUT


def test_a_half_open_breaker_tells_no_time_to_retry_at(half_open):
    """Its deadline is when it gives a probe up, which is nothing to wait for."""
    breaker, _ = half_open()
    probe(breaker)
    assert breaker._state.deadline != NEVER
    assert (breaker.snapshot().retry_at, breaker.snapshot().retry_after) == (None, None)


def test_time_limit_that_strikes_during_a_report_is_raised(half_open, clock):
    """The report is of a half-open state that had ended."""
    breaker, _ = half_open(half_open_timeout_seconds=7)
    permit = probe(breaker)
    clock.advance(seconds=7)
    breaker.after_success(permit)
    assert state(breaker) == "OPEN"
    assert breaker.snapshot().totals.stale == 1
