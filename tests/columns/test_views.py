"""Rows looked at from afar and from nearby: where an edge may fire, and what stands before it."""

from copy import deepcopy

import pytest
from attrs import evolve
from hypothesis import example, given, settings
from hypothesis import strategies as st

from recloser import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.columns.reading import rows_in
from recloser.columns.views import Far, Near
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ProbeAdmitted,
    Reason,
)
from recloser.fold import apply, pass_over
from recloser.log.columns import table_of
from recloser.state import BreakerState, dump

SECOND = 10**9
QUICK, SLOW = 0, 2 * SECOND

rates = st.sampled_from([None, 0.4, 0.7, 1])
windows = st.builds(
    lambda kind, length, needed, **limits: kind(length, minimum_calls=needed, **limits),
    st.sampled_from([CountWindow, TimeWindow]),
    st.integers(1, 8),
    st.integers(1, 8),
    failures=st.sampled_from([3, 6, 99]),
    failure_rate=rates,
    slow_call_rate=rates,
)
configs = st.builds(
    lambda window, threshold: CircuitBreakerConfig(
        failure_threshold=threshold, window=window, slow_call_seconds=1
    ),
    windows,
    st.sampled_from([None, 2, 4]),
)
steps = st.tuples(
    st.sampled_from("SSSSFFIR"),
    st.sampled_from([0, 0, 1, SECOND // 3, SECOND, 5 * SECOND]),
    st.sampled_from([QUICK, QUICK, SLOW]),
    st.integers(2, 5),
)


def events_of(steps, several):
    """Outcomes of a closed breaker; where ``several``, quick successes and refusals stand for more."""
    at, events = 0, []
    for seq, (letter, wait, took, count) in enumerate(steps, 3):
        at += wait
        many = count if several else 1
        if letter == "S":
            events.append(CallSucceeded(seq, at, "b", 0, took, count=many if took == QUICK else 1))
        elif letter == "R":
            events.append(CallRejected(seq, at, "b", Reason.COOLDOWN_ACTIVE, count=many))
        else:
            events.append((CallFailed if letter == "F" else CallIgnored)(seq, at, "b", 0, took))
    return events


def far_over(config, events):
    opening = BreakerConfigured(2, 0, "b", config.to_mapping())
    table = table_of("b", [opening, *events])
    return Far(evolve(rows_in(table, "b"), tooks=table.column("took").to_numpy()))


def found_by(view, state, start, stop):
    for scan in view.scans(state.config):
        stop = scan.next(state, start, stop)
    return stop


def fired_at(state, events, start):
    """The row whose event is the first to fire an edge."""
    state = deepcopy(state)
    for row in range(start, len(events) + 1):
        if apply(state, events[row - 1]):
            return row
    return len(events) + 1


FULL_IN_MID_ROW = CircuitBreakerConfig(
    failure_threshold=None,
    window=CountWindow(6, minimum_calls=6, slow_call_rate=0.4),
    slow_call_seconds=1,
)


@settings(max_examples=300, deadline=None)
@example(
    config=FULL_IN_MID_ROW,
    steps=[("S", 0, QUICK, 2), *[("S", 0, SLOW, 1)] * 3, ("S", 0, QUICK, 2)],
    several=True,
)
@given(config=configs, steps=st.lists(steps, min_size=1, max_size=80), several=st.booleans())
def test_either_finds_what_fires_and_sums_up_what_stands_before(config, steps, several):
    events = events_of(steps, several)
    far = far_over(config, events)
    state, row = BreakerState("b", config), 1
    while row < far.stop and state.epoch == 0:
        near = Near(far, row, far.stop)
        fired = fired_at(state, events, row)
        found = found_by(near, state, row, far.stop)
        assert found <= fired
        assert several or found == fired
        assert found_by(far, state, row, far.stop) <= fired
        one_by_one = deepcopy(state)
        for event in events[row - 1 : found - 1]:
            apply(one_by_one, event)
        for view in (far, near):
            passed = deepcopy(state)
            pass_over(passed, view.stretch(state, row, found))
            assert dump(passed) == dump(one_by_one)
        state = one_by_one
        if found < far.stop:
            apply(state, events[found - 1])
        row = found + 1


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(steps, min_size=1, max_size=30), several=st.booleans())
def test_both_count_what_an_open_breaker_refuses_and_what_comes_too_late(steps, several):
    events = events_of(steps, several)
    far = far_over(CircuitBreakerConfig(), events)
    refused = sum(event.count for event in events if event.kind == "call_rejected")
    late = sum(getattr(event, "count", 1) for event in events) - refused
    for view in (far, Near(far, 1, far.stop)):
        stretch = view.refused(1, far.stop)
        assert (stretch.rejected, stretch.stale) == (refused, late)


@pytest.mark.parametrize("start", [0, 1, 3])
def test_both_tell_where_rows_are_other_than_those_before(start):
    outcomes = events_of([("S", 0, QUICK, 1)] * 6, several=False)
    outcomes[2] = ProbeAdmitted(5, 0, "b", 0, 1)
    outcomes[4] = evolve(outcomes[4], epoch=1)
    far = far_over(CircuitBreakerConfig(), outcomes)
    near = Near(far, start, 6)
    assert [far.next_break(row) for row in range(start, 6)] == [3, 3, 3, 5, 5, 6][start:]
    assert [near.next_break(row) for row in range(start, 6)] == [3, 3, 3, 5, 5, 6][start:]


def test_both_hand_out_the_same_events():
    events = events_of([(letter, 1, SLOW, 3) for letter in "SFIR"], several=True)
    events.append(ProbeAdmitted(7, 9, "b", 0, 4))
    far = far_over(CircuitBreakerConfig(), events)
    near = Near(far, 0, far.stop)
    assert [near.event(row) for row in range(far.stop)] == [
        far.event(row) for row in range(far.stop)
    ]
    assert near.event(2).took == SLOW
    assert near.event(4).count == 3


@pytest.mark.parametrize("kind", [CountWindow, TimeWindow])
def test_settings_may_change_within_what_is_looked_at(kind):
    events = events_of([("S", 0, SLOW, 1)] * 4, several=False)
    patient, strict = (
        CircuitBreakerConfig(
            failure_threshold=None,
            window=kind(9, slow_call_rate=1, minimum_calls=needed),
            slow_call_seconds=seconds,
        )
        for needed, seconds in ((4, 3), (2, 1))
    )
    near = Near(far_over(patient, events), 1, 5)
    for config, found, slow in ((patient, 5, 0), (strict, 2, 1)):
        state = BreakerState("b", config)
        assert found_by(near, state, 1, 5) == found
        pass_over(state, near.stretch(state, 1, 2))
        assert state.window.slow == slow


def test_the_same_settings_are_not_searched_for_again():
    config = CircuitBreakerConfig()
    far = far_over(config, events_of([("F", 0, QUICK, 1)] * 4, several=False))
    found = far.scans(config)
    assert far.scans(CircuitBreakerConfig()) is found
    assert far.scans(CircuitBreakerConfig(failure_threshold=2)) is not found
