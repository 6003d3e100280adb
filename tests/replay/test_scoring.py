"""Many settings scored on the same calls come to what each comes to alone."""

import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from observed import KNOWN, busy, calls_of, configs, horizon, rows_with

from recloser import CircuitBreakerConfig
from recloser.replay import scoring
from recloser.replay.calls import FAILED, SUCCEEDED
from recloser.replay.ledger import Ledger
from recloser.replay.lookout import Lookout
from recloser.replay.outages import Delays
from recloser.replay.passage import Passage
from recloser.replay.scoring import Score, Scorer, scores_of


def score_alone(calls, config):
    ledger = Ledger(calls, Delays(()))
    Passage(Lookout(calls), config, ledger, horizon(calls)).run()
    figures = ledger.figures()
    assert figures.lost.exact
    return Score(
        figures.trips.low,
        figures.lost.low,
        figures.let_through.low,
        figures.saved.low,
        figures.open_ns.low,
    )


def check(rows, several):
    calls = calls_of(rows)
    scorer = Scorer([calls])
    for config in (*several, *several):
        assert scorer.score(config) == score_alone(calls, config)


@settings(max_examples=100)
@given(rows_with(KNOWN), st.lists(configs(), min_size=2, max_size=6))
def test_what_settings_share_changes_nothing(rows, several):
    check(rows, several)


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_so_it_is_where_many_calls_are_under_way_and_windows_are_long(seed):
    check(*busy(seed))


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


def test_settings_that_differ_in_one_thing_share_what_is_found_of_the_other():
    scorer = Scorer([calls_of(OUTAGES)])
    for config in GRID:
        scorer.score(config)
    (shared,) = scorer._shared
    assert (len(shared._trips), len(shared._spells)) == (4, 3)


@pytest.mark.parametrize("processes", [1, 2])
def test_scores_stand_in_the_order_of_the_settings(processes):
    parts = [[calls_of(OUTAGES)], [calls_of(OUTAGES[:300]), calls_of(OUTAGES[300:])]]
    done = []
    found = scores_of(parts, GRID, processes, done.append)
    for config, scores in zip(GRID, found, strict=True):
        assert list(scores) == [Scorer(part).score(config) for part in parts]
    assert done == sorted(done)
    assert done[-1] == len(GRID)


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(scoring, "_KEPT", 40)
    monkeypatch.setattr(scoring, "_LOOK_EVERY", 1)
    scorer = Scorer([calls_of(OUTAGES)])
    for config in GRID:
        assert scorer.score(config) == score_alone(calls_of(OUTAGES), config)
        assert sum(shared.kept for shared in scorer._shared) <= 40


def test_calls_can_be_sent_to_another_process():
    calls = calls_of(OUTAGES)
    sent = pickle.loads(pickle.dumps(Lookout(calls).calls))
    assert sent.breaker == calls.breaker
    for name in ("starts", "ends", "tooks", "outcomes", "by_end"):
        assert list(getattr(sent, name)) == list(getattr(calls, name))
