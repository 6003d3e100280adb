"""Simulated breakers take the same edges as live breakers driven with the same calls."""

from array import array

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from observed import KNOWN, MS, OPENED, busy, calls_of, configs, driven, rows_with

from recloser import CircuitBreakerConfig, FoldError, Trigger
from recloser.core import edges
from recloser.core.events import CallObserved, Outcome
from recloser.history.engine import replay
from recloser.history.history import Transition
from recloser.simulate.call_table import FAILED, IGNORED, SUCCEEDED, Calls
from recloser.simulate.imported_history import simulate_calls
from recloser.testing import strategies

CODES = {Outcome.SUCCEEDED: SUCCEEDED, Outcome.FAILED: FAILED, Outcome.IGNORED: IGNORED}


def check(rows, config):
    history, _, _ = driven(rows, config)
    found = simulate_calls([calls_of(rows)], config)
    assert found.edges == [
        Transition("b", edge.epoch, edge.at, edge.from_state, edge.to_state, edge.trigger)
        for edge in history.edges
    ]
    assert found.digest == history.digest
    assert found.totals == {"b": history.snapshots["b"].totals}
    assert found.states == {"b": history.snapshots["b"].state}


MODES = st.sampled_from(["enforce", "enforce", "shadow", "disabled"])


@settings(max_examples=150)
@given(rows_with(KNOWN), configs(), MODES)
def test_simulated_history_equals_that_of_live_breakers(rows, config, mode):
    check(rows, evolve(config, mode=mode))


@settings(max_examples=100)
@given(st.integers(0, 2**32))
def test_simulated_history_equals_live_one_with_many_calls_in_flight(seed):
    rows, settings_ = busy(seed)
    check(rows, settings_[0])


def columns_of(trace):
    """The calls of each breaker, in the order of the log."""
    named = {}
    for event in trace:
        if event.kind == "call_observed":
            named.setdefault(event.breaker, []).append(event)
    return [
        Calls.from_log(
            name,
            array("q", (event.start for event in events)),
            array("q", (event.at for event in events)),
            array("q", (event.took for event in events)),
            bytes(CODES[event.outcome] for event in events),
            seqs=array("q", (event.seq for event in events)),
        )
        for name, events in named.items()
    ]


@settings(max_examples=80)
@given(strategies.traces(), strategies.configurations())
def test_calls_that_end_at_the_same_nanosecond_keep_the_order_of_the_log(trace, config):
    for calls in columns_of(trace):
        alone = [e for e in trace if e.kind != "call_observed" or e.breaker == calls.breaker]
        alone = [evolve(event, seq=seq) for seq, event in enumerate(alone, start=1)]
        assert simulate_calls([calls], config).digest == replay(alone, config=config).digest


@settings(max_examples=80)
@given(strategies.traces(), strategies.configurations())
def test_a_call_of_one_breaker_ends_the_cooldown_of_another_in_a_shared_log(trace, config):
    trace = list(trace)
    history = replay(trace, config=config)
    found = simulate_calls(columns_of(trace), config, is_shared=True)
    assert found.digest == history.digest
    assert found.totals == {name: each.totals for name, each in history.snapshots.items()}


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2**32), min_size=2, max_size=3), st.booleans())
def test_breakers_in_a_shared_log_equal_live_ones_with_many_calls_in_flight(seeds, is_coarse):
    several = [busy(seed) for seed in seeds]
    grain = 500 * MS if is_coarse else 1
    rows = [
        (start // grain * grain, took // grain * grain, code, f"b{number}")
        for number, (rows, _) in enumerate(several)
        for start, took, code in rows
    ]
    outcomes = {code: outcome for outcome, code in CODES.items()}
    rows.sort(key=lambda row: row[0] + row[1])
    trace = [OPENED] + [
        CallObserved(seq, start + took, breaker, start, took, outcomes[code])
        for seq, (start, took, code, breaker) in enumerate(rows, start=2)
    ]
    config = several[0][1][0]
    found = simulate_calls(columns_of(trace), config, is_shared=True)
    assert found.digest == replay(trace, config=config).digest


def test_of_calls_that_end_together_the_first_in_the_log_counts_first():
    """The success resets the count of failures only if it comes before the second failure."""
    config = CircuitBreakerConfig(failure_threshold=2)
    starts, ends, durations = array("q", [0, 5, 3]), array("q", [1, 9, 9]), array("q", [1, 4, 6])
    trips = [
        len(
            simulate_calls(
                [Calls.from_log("b", starts, ends, durations, bytes(codes))], config
            ).edges
        )
        for codes in ([FAILED, SUCCEEDED, FAILED], [FAILED, FAILED, SUCCEEDED])
    ]
    assert trips == [0, 1]


def test_edges_by_time_sorts_the_edges_of_all_breakers():
    rows = [(n, 1, FAILED) for n in range(9)]
    several = [calls_of(rows), calls_of([(start + 1, took, code) for start, took, code in rows])]
    several[1].breaker = "a"
    found = simulate_calls(several, CircuitBreakerConfig(failure_threshold=3))
    assert [edge.breaker for edge in found.edges] == ["b", "a"]
    assert [(edge.at, edge.breaker) for edge in found.edges_by_time] == [(3, "b"), (4, "a")]


def test_an_edge_that_the_state_machine_does_not_declare_is_an_error(monkeypatch):
    """A rule names only a trigger; the state machine decides which state it leads to."""
    monkeypatch.setattr(edges, "trigger_of", lambda _state, _rule: Trigger.COOL)
    with pytest.raises(FoldError, match="no edge 'cool' leaves CLOSED"):
        simulate_calls([calls_of([(0, 1, FAILED)])], CircuitBreakerConfig(failure_threshold=1))
