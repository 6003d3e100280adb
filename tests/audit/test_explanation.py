"""The explanation of a trip: the rule, its evidence and its cost."""

import pytest
from breaker_calls import fail, succeed

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    MemoryLog,
    RecloserError,
    Trigger,
)
from recloser.audit.explanation import why
from recloser.history.engine import replay


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


@pytest.fixture
def breaker(log):
    return CircuitBreaker("payments", CircuitBreakerConfig(failure_threshold=3), log=log)


def test_the_evidence_is_the_consecutive_failures(breaker, clock, log):
    fail(breaker, 2)
    succeed(breaker)
    for took in (10, 20, 30):
        clock.advance(seconds=1)
        breaker.after_failure(breaker.before_call().permit, "OSError", took_ns=took)
    cause = why(replay(log), "payments")
    failures = [event for event in log if event.kind == "call_failed"][-3:]
    assert [call.seq for call in cause.evidence] == [event.seq for event in failures]
    assert [call.took_ns for call in cause.evidence] == [10, 20, 30]
    assert [call.at_ns for call in cause.evidence] == [10**9, 2 * 10**9, 3 * 10**9]
    assert cause.evidence[0].utc == "2000-01-01T00:00:01.000000000Z"
    assert cause.evidence[0].error == "OSError"
    assert cause.headline == (
        "payments opened at 2000-01-01T00:00:03.000000000Z: "
        "3 consecutive failures reached the threshold of 3"
    )


def test_the_cost_covers_the_open_period(breaker, clock, log):
    fail(breaker, 3)
    other = CircuitBreaker("other", breaker.config, log=log)
    fail(other, 3)
    for _ in range(7):
        breaker.before_call()
        other.before_call()
    clock.advance(seconds=30)
    fail(breaker)
    clock.advance(seconds=30)
    succeed(breaker, 2)
    fail(breaker, 2)
    breaker.before_call()
    cost = why(replay(log), "payments").cost
    assert (cost.rejected, cost.probes, cost.relapses) == (7, 3, 1)
    assert cost.not_closed_ns == 60 * 10**9
    assert cost.closed_utc == "2000-01-01T00:01:00.000000000Z"
    assert cost.closed_by is Trigger.RECOVER


def test_the_cost_of_an_open_period_without_an_end_covers_the_rest_of_the_log(breaker, clock, log):
    fail(breaker, 3)
    clock.advance(seconds=5)
    breaker.before_call()
    cost = why(replay(log), "payments").cost
    assert (cost.closed_utc, cost.closed_by) == (None, None)
    assert cost.not_closed_ns == 5 * 10**9


def test_trips_are_numbered_from_1_and_from_the_last(breaker, log):
    for _ in range(3):
        fail(breaker, 3)
        breaker.reset()
    history = replay(log)
    assert [why(history, "payments", n).trip for n in (1, 2, 3, -1, -3)] == [1, 2, 3, 3, 1]
    assert why(history, "payments", 2).seq == history.trips("payments")[1].seq
    for trip in (0, 4, -4):
        with pytest.raises(RecloserError, match=f"has trips 1 to 3; there is no trip {trip}"):
            why(history, "payments", trip)


def windowed(log, window, **settings):
    config = CircuitBreakerConfig(failure_threshold=None, window=window, **settings)
    return CircuitBreaker("payments", config, log=log)


def test_the_evidence_for_a_failure_rate_is_the_failures_in_the_window(log):
    breaker = windowed(log, CountWindow(4, 0.5))
    fail(breaker)
    succeed(breaker, 2)
    fail(breaker)
    cause = why(replay(log), "payments")
    assert cause.figures == "2 of the last 4 calls failed, which reached the threshold of 0.5"
    assert [call.seq for call in cause.evidence] == [3, 6]
    assert (cause.rule.calls, cause.rule.span) == (4, (3, 6))


def test_the_evidence_leaves_out_failures_before_the_window_and_of_other_breakers(log):
    breaker, other = windowed(log, CountWindow(3, failures=2)), CircuitBreaker("other", log=log)
    fail(breaker)
    succeed(breaker, 2)
    fail(breaker)
    fail(other)
    fail(breaker)
    cause = why(replay(log), "payments")
    assert cause.figures == "2 failures among the last 3 calls reached the threshold of 2"
    mine = [e.seq for e in log if e.kind == "call_failed" and e.breaker == "payments"]
    assert [call.seq for call in cause.evidence] == mine[1:]


def test_the_evidence_for_a_slow_call_rate_is_every_slow_call_failed_or_not(log):
    breaker = windowed(log, CountWindow(3, slow_call_rate=0.6), slow_call_seconds=0.1)
    for took, report in ((0.2, "success"), (0.1, "failure"), (0.3, "failure")):
        permit = breaker.before_call().permit
        getattr(breaker, f"after_{report}")(permit, took_ns=round(took * 10**9))
    cause = why(replay(log), "payments")
    assert cause.figures == "2 of the last 3 calls were slow, which reached the threshold of 0.6"
    assert [call.took_ns for call in cause.evidence] == [200_000_000, 300_000_000]
    assert [call.outcome for call in cause.evidence] == ["call_succeeded", "call_failed"]


def test_the_cause_of_a_forced_trip_is_the_operators_command(breaker, log):
    breaker.force_open(actor="ann", reason="the bank asked us to")
    cause = why(replay(log), "payments")
    assert cause.headline == (
        "payments was forced open by ann at 2000-01-01T00:00:00.000000000Z: the bank asked us to"
    )
    assert cause.evidence == []


def test_why_of_a_breaker_that_never_opened_or_does_not_exist_is_an_error(breaker, log):
    with pytest.raises(RecloserError, match="'payments' never opened in this log"):
        why(replay(log), "payments")
    with pytest.raises(RecloserError, match="there is no breaker 'orders' in this log"):
        why(replay(log), "orders")
