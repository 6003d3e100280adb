"""Scores equal those of live breakers that are driven with the same calls."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observed import KNOWN, busy, calls_of, configs, horizon, rows_with, trace_of

from recloser import CircuitBreakerConfig, MemoryLog, Trigger
from recloser.core.state_machine import CLOSED
from recloser.history.engine import replay
from recloser.history.live_driver import drive
from recloser.simulate.call_table import FAILED, SUCCEEDED
from recloser.whatif.scoring import Score, Scorer, score_all


def score_of_live(rows, config):
    """Compute the score from the log of a live breaker that is driven with the calls."""
    log = MemoryLog(tick_seconds=None)
    drive(trace_of(rows), config, log)
    calls, events = calls_of(rows), list(log)
    made = {
        code: sum(getattr(event, "count", 1) for event in events if event.kind == kind)
        for code, kind in ((SUCCEEDED, "call_succeeded"), (FAILED, "call_failed"))
    }
    open_ns, is_closed = 0, True
    history = replay(log)
    for edge in history.edges:
        if edge.trigger is Trigger.TRIP:
            open_ns -= edge.at
        elif edge.to_state is CLOSED:
            open_ns += edge.at
        is_closed = edge.to_state is CLOSED
    return Score(
        trips=len(history.trips()),
        lost=calls.count(SUCCEEDED) - made[SUCCEEDED],
        let_through=made[FAILED],
        saved=calls.count(FAILED) - made[FAILED],
        open_ns=open_ns if is_closed else open_ns + horizon(calls),
    )


def check(rows, several):
    scorer = Scorer([calls_of(rows)])
    for config in several:
        assert scorer.score(config) == score_of_live(rows, config)


@settings(max_examples=100)
@given(rows_with(KNOWN), st.lists(configs(), min_size=1, max_size=3))
def test_a_score_equals_that_of_a_live_breaker(rows, several):
    check(rows, several)


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_a_score_equals_that_of_a_live_breaker_with_many_calls_in_flight(seed):
    rows, several = busy(seed)
    check(rows, several[:3])


OUTAGES = [
    (second * 10**9 + n, 30 * 10**6, FAILED if second % 40 < 12 else SUCCEEDED)
    for second in range(400)
    for n in range(3)
]
GRID = [
    CircuitBreakerConfig(
        failure_threshold=threshold, window=window, recovery_timeout_seconds=cooldown
    )
    for threshold, window in (
        (2, None),
        (9, None),
        (None, {"size": 20, "failure_rate": 0.4}),
        (None, {"seconds": 5, "failure_rate": 0.4}),
    )
    for cooldown in (1, 5, 20)
]


@pytest.mark.parametrize("processes", [1, 2])
def test_scores_are_in_the_order_of_the_settings(processes):
    parts = [[calls_of(OUTAGES)], [calls_of(OUTAGES[:300]), calls_of(OUTAGES[300:])]]
    done = []
    found = score_all(parts, GRID, processes, done.append)
    for config, scores in zip(GRID, found, strict=True):
        assert list(scores) == [Scorer(part).score(config) for part in parts]
    assert done == sorted(done)
    assert done[-1] == len(GRID)


def test_calls_can_be_pickled():
    calls = calls_of(OUTAGES)
    sent = pickle.loads(pickle.dumps(calls))
    assert sent.breaker == calls.breaker
    for name in ("starts", "ends", "durations", "outcomes", "by_end"):
        assert list(getattr(sent, name)) == list(getattr(calls, name))
