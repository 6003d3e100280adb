"""Folding one breaker by columns gives the same edges, causes and states as event by event."""

from itertools import pairwise

import pytest
from adversarial import SECOND, WALL, AdversarialLog
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from lives import Life

from recloser import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.core.events import BreakerConfigured, CallFailed, CallSucceeded, ClockTicked
from recloser.core.log_fold import LogFold
from recloser.core.state import dump
from recloser.errors import FoldError
from recloser.history.columnar.breaker_fold import BreakerFold, clock_events_of, in_order
from recloser.history.columnar.exported_log import columns_in
from recloser.log.arrow_table import table_of
from recloser.testing import strategies as rst

wide_windows = st.builds(
    lambda kind, length, **thresholds: kind(length, **thresholds),
    st.sampled_from([CountWindow, TimeWindow]),
    st.integers(1, 80),
    failure_rate=st.sampled_from([0.05, 0.2, 0.5]),
    minimum_calls=st.integers(1, 60),
    slow_call_rate=st.sampled_from([None, 0.3]),
    failures=st.sampled_from([None, 7]),
)
configs = rst.configurations(
    window=st.one_of(wide_windows, st.none(), rst.count_windows(), rst.time_windows()),
    mode=st.sampled_from(["enforce", "enforce", "enforce", "shadow", "disabled"]),
)


def folded(events):
    fold = LogFold()
    return fold, [edge for event in events for edge in fold.apply(event)]


def by_columns(events, cuts=()):
    """Return the fold of each breaker, with its rows split at these shares."""
    of = {}
    for event in events:
        of.setdefault(getattr(event, "breaker", None), []).append(event)
    times = clock_events_of([event for event in of.pop(None) if event.kind != "log_sealed"])
    folds = []
    for breaker, own in of.items():
        table, fold = table_of(breaker, own), BreakerFold(breaker, times)
        bounds = sorted({0, len(own), *(min(len(own), int(cut * len(own))) for cut in cuts)})
        for start, stop in pairwise(bounds):
            fold.fold_rows(columns_in(table.slice(start, stop - start), breaker))
        fold.fold_rest()
        folds.append(fold)
    return folds


def edges_of(folds):
    return in_order(taken for fold in folds for taken in fold.edges)


def assert_same(folds, fold, edges):
    assert edges_of(folds) == edges
    for each in folds:
        assert dump(each.state) == dump(fold.breakers[each.breaker])
        assert not each.has_diverged
    assert sorted((w for f in folds for w in f.witnesses), key=lambda w: w.seq) == edges


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    configs=st.lists(configs, min_size=1, max_size=2),
    cuts=st.lists(st.floats(0, 1), max_size=3),
)
def test_life_of_a_breaker_gives_the_same_result_by_columns(seed, configs, cuts):
    events = Life(seed, configs).live(500)
    assert_same(by_columns(events, cuts), *folded(events))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    configs=st.lists(configs, min_size=1, max_size=4),
    breakers=st.integers(1, 3),
    cuts=st.lists(st.floats(0, 1), max_size=3),
)
def test_any_log_gives_the_same_result_by_columns(seed, configs, breakers, cuts):
    log = AdversarialLog(seed, configs, breakers).grow(300)
    fold, edges = folded(log.events)
    assert edges == log.edges
    assert_same(by_columns(log.events, cuts), fold, edges)
    # Witnesses divide the rows; without them, the kernel continues across edges and ticks.
    unwitnessed = by_columns([e for e in log.events if e.kind != "state_changed"], cuts)
    assert edges_of(unwitnessed) == edges
    for each in unwitnessed:
        assert dump(each.state) == dump(fold.breakers[each.breaker])


def test_adversarial_logs_have_edges_of_every_rule():
    rules, kinds = set(), set()
    for seed in range(12):
        configs = [
            CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=seed % 2),
            CircuitBreakerConfig(
                failure_threshold=None,
                window=(CountWindow, TimeWindow)[seed % 2](
                    8, failure_rate=0.5, slow_call_rate=0.5, minimum_calls=4
                ),
                slow_call_seconds=1,
                recovery_timeout_seconds=0,
                half_open_window=CountWindow(2, failures=2),
                half_open_max_probes=2,
                half_open_timeout_seconds=3,
                probe_timeout_seconds=0.5,
            ),
            CircuitBreakerConfig(
                failure_threshold=None,
                window=CountWindow(9, failures=4),
                probe_timeout_seconds=0.5,
                half_open_success_threshold=1,
            ),
        ]
        log = AdversarialLog(seed, configs, 3).grow(1_500)
        rules |= {edge.cause.rule.value for edge in log.edges}
        kinds |= {event.kind for event in log.events}
    assert len(kinds) == 14
    assert rules == {
        "consecutive_failures",
        "failure_rate",
        "slow_call_rate",
        "window_failures",
        "cooldown",
        "probe_failed",
        "probe_timeout",
        "probe_successes",
        "probe_window",
        "half_open_timeout",
        "command",
    }


def test_tick_before_new_settings_follows_the_old_ones():
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout_seconds=1)
    log = AdversarialLog(0, [config], 1)
    log.write(CallFailed, 0, "b0", 0, 0)
    log.write(ClockTicked, SECOND, WALL, SECOND)
    log.write(ClockTicked, 5 * SECOND, WALL, 5 * SECOND)
    hasty = evolve(config, half_open_timeout_seconds=0.5)
    log.write(BreakerConfigured, 5 * SECOND, "b0", hasty.to_mapping())
    log.write(ClockTicked, 6 * SECOND, WALL, 6 * SECOND)
    assert [(edge.trigger.value, edge.at) for edge in log.edges] == [
        ("trip", 0),
        ("cool", SECOND),
        ("relapse", 6 * SECOND),
    ]
    assert_same(by_columns(log.events), *folded(log.events))


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize(
    "window",
    [
        None,
        CountWindow(20, failure_rate=0.4, slow_call_rate=0.5),
        TimeWindow(9, failure_rate=0.4, slow_call_rate=0.5),
    ],
)
def test_counts_carry_over_from_one_chunk_to_the_next(window, size):
    config = CircuitBreakerConfig(
        failure_threshold=4 if window is None else None,
        window=window,
        slow_call_seconds=1,
        recovery_timeout_seconds=0.2,
    )
    events = Life(7, [config]).live(800)
    fold, edges = folded(events)
    folds = by_columns(events, cuts=[n * size / len(events) for n in range(len(events))])
    assert len(edges) > 15
    assert_same(folds, fold, edges)


def test_outcome_of_a_future_epoch_is_refused_as_event_by_event():
    events = Life(1, [CircuitBreakerConfig()]).live(50)
    last = events[-1]
    events.append(CallSucceeded(last.seq + 1, last.at, "b0", 7, 0))
    with pytest.raises(FoldError) as by_event:
        folded(events)
    with pytest.raises(FoldError) as by_column:
        by_columns(events)
    assert str(by_column.value) == str(by_event.value)
