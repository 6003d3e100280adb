"""The fold from edge to edge: the same edges, causes and states as event by event."""

import random
import sys
from datetime import UTC, datetime
from itertools import pairwise
from unittest import mock

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from lives import Life

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    ManualClock,
    MemoryLog,
    TimeWindow,
)
from recloser.columns import rows, skipping
from recloser.columns.folding import in_order
from recloser.columns.reading import rows_in, times_of
from recloser.columns.run_search import RunSearch
from recloser.columns.skipping import SkippingFold
from recloser.columns.views import Near
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallSucceeded,
    CircuitBreakerState,
    LogOpened,
    ProbeAdmitted,
)
from recloser.log.columns import table_of
from recloser.logfold import LogFold
from recloser.state import dump
from recloser.testing import strategies as rst

NEVER = sys.maxsize
WALL = datetime(2000, 1, 1, tzinfo=UTC)

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


def skipped(events, cuts=()):
    """The folds of each breaker, its rows handed over in parts that are cut at these shares."""
    of = {}
    for event in events:
        of.setdefault(getattr(event, "breaker", None), []).append(event)
    times = times_of([event for event in of.pop(None) if event.kind != "log_sealed"])
    folds = []
    for breaker, own in of.items():
        table, fold = table_of(breaker, own), SkippingFold(breaker, times)
        bounds = sorted({0, len(own), *(min(len(own), int(cut * len(own))) for cut in cuts)})
        for start, stop in pairwise(bounds):
            part = table.slice(start, stop - start)
            fold.take(evolve(rows_in(part, breaker), tooks=part.column("took").to_numpy()))
        fold.finish()
        folds.append(fold)
    return folds


def searching(worthwhile, block=64):
    """What is searched from afar: all where 0 rows make it worthwhile, next to nothing at NEVER."""
    return mock.patch.multiple(skipping, _WORTHWHILE=worthwhile, _BLOCK=block)


def edges_of(folds):
    return in_order(taken for fold in folds for taken in fold.taken)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10**9),
    configs=st.lists(configs, min_size=1, max_size=2),
    cuts=st.lists(st.floats(0, 1), max_size=3),
    worthwhile=st.sampled_from([0, 0, 20, 256, NEVER]),
    block=st.sampled_from([1, 3, 64]),
    at_once=st.sampled_from([1, 50, 1 << 16]),
)
def test_it_takes_the_same_edges_to_the_same_states(
    seed, configs, cuts, worthwhile, block, at_once
):
    events = Life(seed, configs).live(500)
    fold, edges = folded(events)
    with searching(worthwhile, block), mock.patch.object(rows, "_AT_ONCE", at_once):
        folds = skipped(events, cuts)
    assert edges_of(folds) == edges
    for each in folds:
        assert dump(each.state) == dump(fold.breakers[each.breaker])
        assert not each.is_parted
    assert sorted((w for f in folds for w in f.witnesses), key=lambda w: w.seq) == edges


@pytest.mark.parametrize("worthwhile", [0, NEVER])
@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize(
    "window",
    [
        None,
        CountWindow(20, failure_rate=0.4, slow_call_rate=0.5),
        TimeWindow(9, failure_rate=0.4, slow_call_rate=0.5),
    ],
)
def test_what_is_counted_is_carried_from_one_part_to_the_next(window, size, worthwhile):
    threshold = 4 if window is None else None
    config = CircuitBreakerConfig(
        failure_threshold=threshold,
        window=window,
        slow_call_seconds=1,
        recovery_timeout_seconds=0.2,
    )
    events = Life(7, [config]).live(800)
    fold, edges = folded(events)
    with searching(worthwhile):
        (in_parts,) = skipped(events, cuts=[n * size / len(events) for n in range(len(events))])
    assert len(edges) > 15
    assert edges_of([in_parts]) == edges
    assert dump(in_parts.state) == dump(fold.breakers["b0"])


@pytest.mark.parametrize(
    "config",
    [
        CircuitBreakerConfig(failure_threshold=40),
        CircuitBreakerConfig(failure_threshold=None, window=CountWindow(50, failure_rate=0.6)),
        CircuitBreakerConfig(failure_threshold=None, window=TimeWindow(10, failure_rate=0.6)),
        CircuitBreakerConfig(
            failure_threshold=None, window=CountWindow(50, slow_call_rate=0.9), slow_call_seconds=1
        ),
    ],
)
def test_what_fires_nothing_is_passed_over(config):
    life = Life(2, [config])
    life.pace_ns, life.slow = 50 * 10**6, 0.1
    events = life.live(5_000)
    (fold,) = skipped(events)
    assert fold.searched > 0.6 * len(events)


def tripping(*calls):
    """A log of a breaker that trips after so many calls, recovers, trips after so many, and so on."""
    clock = ManualClock()
    log = MemoryLog(clock=clock, host="")
    config = CircuitBreakerConfig(
        failure_threshold=3, recovery_timeout_seconds=1, half_open_success_threshold=1
    )
    breaker = CircuitBreaker("b", config, log=log)
    for count in calls:
        for letter in "S" * (count - 3) + "FFF":
            permit = breaker.before_call().permit
            (breaker.after_failure if letter == "F" else breaker.after_success)(permit)
        clock.advance(seconds=1)
        breaker.after_success(breaker.before_call().permit)
    return list(log)


def looked_at(events):
    """Where rows were searched from afar, and the blocks that were looked at from nearby."""
    searched, blocks = [], []
    find, begin = RunSearch.next, Near.__init__

    def spy_on_search(self, state, start, stop):
        searched.append(start)
        return find(self, state, start, stop)

    def spy_on_block(self, far, start, stop):
        blocks.append((start, stop))
        begin(self, far, start, stop)

    with (
        mock.patch.object(RunSearch, "next", spy_on_search),
        mock.patch.object(Near, "__init__", spy_on_block),
    ):
        (fold,) = skipped(events)
    assert edges_of([fold]) == folded(events)[1]
    return searched, blocks


# What follows a trip: its witness, that of the cooldown's end, the probe, its success and the
# witness of the recovery.
OPENING = 5


def test_where_edges_stand_close_together_rows_are_looked_at_from_nearby():
    events = tripping(*[20] * 40)
    searched, blocks = looked_at(events)
    first = 1 + 20 - 1  # the row of the failure that trips it
    assert searched == [1]
    assert blocks[:3] == [
        (first, first + 64),
        (first + 64, first + 192),
        (first + 192, first + 448),
    ]
    assert blocks[-1][1] == 1 + 40 * (20 + OPENING)


def test_where_none_comes_for_long_the_next_is_searched_for_again():
    long = 1 + 4 * (20 + OPENING)
    behind = long + 3_000 + OPENING
    searched, blocks = looked_at(tripping(20, 20, 20, 20, 3_000, *[20] * 10))
    assert searched == [1, long + 256, behind]
    # Behind a search that was worth its while, the blocks begin small again.
    again = behind + 20 - 1
    assert next(block for block in blocks if block[0] >= long + 256) == (again, again + 64)


def test_long_stretches_are_never_looked_at_from_nearby():
    searched, blocks = looked_at(tripping(*[300] * 5))
    assert searched == [1 + number * (300 + OPENING) for number in range(5)]
    assert blocks == []


def test_it_stays_nearby_from_one_part_to_the_next():
    events = tripping(*[20] * 10)
    with mock.patch.object(RunSearch, "next", autospec=True, side_effect=RunSearch.next) as search:
        (fold,) = skipped(events, cuts=(0.3, 0.6))
    assert search.call_count == 1
    assert edges_of([fold]) == folded(events)[1]


@settings(max_examples=30, deadline=None)
@given(calls=st.lists(st.sampled_from([3, 20, 60, 250, 260, 600]), min_size=1, max_size=12))
def test_long_and_short_stretches_may_follow_each_other(calls):
    looked_at(tripping(*calls))


def test_failures_that_are_made_good_within_their_second_trip_a_window_of_seconds():
    window = TimeWindow(5, failure_rate=0.5, minimum_calls=4)
    config = CircuitBreakerConfig(failure_threshold=None, window=window, mode="shadow")
    clock = ManualClock()
    log = MemoryLog(clock=clock, host="")
    breaker = CircuitBreaker("b", config, log=log)
    for second in (".....", ".....", "....", "", "", "", "FFFF........"):
        for letter in second:
            permit = breaker.before_call().permit
            (breaker.after_failure if letter == "F" else breaker.after_success)(permit)
        clock.advance(seconds=1)
    edges = folded(log)[1]
    with searching(0):
        (found,) = skipped(log)
    assert [edge.trigger.value for edge in edges] == ["trip"]
    assert edges_of([found]) == edges


@pytest.mark.parametrize("worthwhile", [0, NEVER])
@pytest.mark.parametrize(
    "window", [CountWindow(20, failure_rate=0.2), TimeWindow(5, failure_rate=0.1)]
)
def test_a_row_that_stands_for_several_calls_counts_as_many(window, worthwhile):
    config = CircuitBreakerConfig(failure_threshold=None, window=window)
    events = counted_life(config, steps=2_000)
    fold, edges = folded(events)
    with searching(worthwhile):
        (skipping_fold,) = skipped(events, cuts=(0.3, 0.6))
    assert len(edges) > 30
    assert edges_of([skipping_fold]) == edges
    assert dump(skipping_fold.state) == dump(fold.breakers["b"])


def counted_life(config, steps):
    """A log as hot services write it: successes of one second in one event."""
    chance = random.Random(1)
    fold, events = LogFold(), []

    def write(kind, *fields, **more):
        event = kind(fold.seq + 1, *fields, **more)
        events.append(event)
        for edge in fold.apply(event):
            events.append(edge)
            fold.apply(edge)

    write(LogOpened, 0, 1, 1, 1, WALL, 0, "", "", 0, "")
    write(BreakerConfigured, 0, "b", config.to_mapping())
    for _ in range(steps):
        state = fold.breakers["b"]
        at = fold.at + chance.randrange(300 * 10**6)
        if state.epoch and chance.random() < 0.2:
            write(CallFailed, at, "b", state.epoch - 1, 0)  # stale, and often behind a deadline
        elif state.epoch and chance.random() < 0.1:
            write(LogOpened, at, 1, 1, fold.opened.session + 1, WALL, 0, "", "", 0, "")
        elif state.state is CircuitBreakerState.OPEN:
            write(ProbeAdmitted, max(at, state.deadline), "b", state.epoch + 1, 1)
        elif state.state is CircuitBreakerState.HALF_OPEN and not state.probes:
            write(ProbeAdmitted, at, "b", state.epoch, state.probes_admitted + 1)
        elif state.probes and chance.random() < 0.9:
            write(CallSucceeded, at, "b", state.epoch, 0, next(iter(state.probes)))
        elif chance.random() < 0.3:
            write(CallFailed, at, "b", state.epoch, 0)
        else:
            write(CallSucceeded, at, "b", state.epoch, 0, count=chance.randrange(1, 9))
    return events
