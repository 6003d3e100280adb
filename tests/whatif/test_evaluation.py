"""What-if figures equal those of a live breaker; with unknown outcomes, ranges hold the truth."""

from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from observed import KNOWN, MS, calls_of, configs, driven, horizon, rows_with, trace_of, windows

from recloser import (
    CircuitBreakerConfig,
    CountWindow,
    MemoryLog,
    TimeWindow,
)
from recloser.history.live_driver import drive
from recloser.simulate.call_table import FAILED, IGNORED, SUCCEEDED, UNKNOWN
from recloser.simulate.recorded_calls import read_traffic
from recloser.simulate.simulation import Simulation
from recloser.whatif.comparison import summarize_delays
from recloser.whatif.costs import FIGURES, Outage, outages_of
from recloser.whatif.evaluation import evaluate, what_if


def simulated(rows, config):
    """The edges of a simulation, the start indexes of the rejected calls, and their starts."""
    calls = calls_of(rows)
    simulation = Simulation(calls, config)
    edges = [(at, trigger) for at, trigger, _ in simulation.edges()]
    refused = [n for first, end in simulation.rejected for n in range(first, end)]
    return edges, refused, [calls.starts[n] for n in refused]


def figures_of(rows, config):
    calls = calls_of(rows)
    return evaluate(calls, config, horizon(calls), []).figures


@settings(max_examples=400)
@given(rows_with(KNOWN), configs())
def test_with_all_outcomes_known_the_figures_equal_those_of_a_live_breaker(rows, config):
    history, edges, refused = driven(rows, config)
    its_edges, _, its_refused = simulated(rows, config)
    assert its_edges == edges
    assert its_refused == refused
    figures = figures_of(rows, config)
    assert figures.trips.exact
    assert figures.trips.low == len(history.trips())
    totals = history.snapshots["b"].totals
    assert figures.rejected.low == totals.rejected == len(refused)


@st.composite
def partly_unknown(draw):
    """Draw calls of which a few have unknown outcomes."""
    rows = draw(rows_with(KNOWN, size=30))
    hidden = draw(st.sets(st.integers(0, len(rows) - 1), max_size=6))
    return [
        (start, took, UNKNOWN if n in hidden else code)
        for n, (start, took, code) in enumerate(rows)
    ]


def resolved(rows):
    """Every combination of outcomes that the unknown calls can have had."""
    hidden = [n for n, (_, _, code) in enumerate(rows) if code == UNKNOWN]
    for outcomes in product([SUCCEEDED, FAILED], repeat=len(hidden)):
        codes = dict(zip(hidden, outcomes, strict=True))
        yield [(start, took, codes.get(n, code)) for n, (start, took, code) in enumerate(rows)]


OUTAGES = [
    Outage(200 * MS, 900 * MS, 3),
    Outage(1500 * MS, 4000 * MS, 5),
    Outage(6000 * MS, None, 9),
]


def lies_in(value, delay):
    """Whether a delay is within a range; None is a delay that did not end."""
    if value is None:
        return delay.high is None
    return (
        delay.low is not None and delay.low <= value and (delay.high is None or value <= delay.high)
    )


@settings(max_examples=150)
@given(partly_unknown(), configs())
def test_the_range_holds_for_every_possible_outcome_of_the_unknown_calls(rows, config):
    check_all_ways(rows, config)


def check_all_ways(rows, config):
    calls = calls_of(rows)
    bound = evaluate(calls, config, horizon(calls), OUTAGES)
    assert bound.is_complete
    for truth in resolved(rows):
        known = calls_of(truth)
        exact = evaluate(known, config, horizon(known), OUTAGES)
        for name in FIGURES:
            value, span = getattr(exact.figures, name), getattr(bound.figures, name)
            assert value.exact
            assert span.low <= value.low <= span.high, name
        for delays, bounds in (
            (exact.detection, bound.detection),
            (exact.recovery, bound.recovery),
        ):
            for delay, possible in zip(delays, bounds, strict=True):
                assert delay.low == delay.high
                assert lies_in(delay.low, possible)


@settings(max_examples=100)
@given(partly_unknown(), st.integers(1, 4), st.sampled_from([0.2, 1, 3]), st.integers(1, 3))
def test_with_consecutive_failures_alone_each_bound_of_a_range_is_reached(
    rows, threshold, cooldown, successes
):
    config = CircuitBreakerConfig(
        failure_threshold=threshold,
        recovery_timeout_seconds=cooldown,
        half_open_success_threshold=successes,
    )
    calls = calls_of(rows)
    bound = evaluate(calls, config, horizon(calls), []).figures
    exact = [
        evaluate(known, config, horizon(known), []).figures
        for known in map(calls_of, resolved(rows))
    ]
    for name in FIGURES:
        values = [getattr(figures, name).low for figures in exact]
        assert (min(values), max(values)) == (getattr(bound, name).low, getattr(bound, name).high)


@st.composite
def quiet(draw, codes):
    """Draw mostly good calls one after another, and settings whose only rule is a window."""
    gaps = draw(st.lists(st.sampled_from([0, 100, 300, 900]), min_size=20, max_size=60))
    ends = draw(st.lists(st.sampled_from(codes), min_size=len(gaps), max_size=len(gaps)))
    rows = [
        (sum(gaps[: n + 1]) * MS, took * MS, code)
        for n, (took, code) in enumerate(zip(gaps, ends, strict=True))
    ]
    slow = draw(st.booleans())
    windows_ = (windows(CountWindow, "size", slow), windows(TimeWindow, "seconds", slow))
    config = CircuitBreakerConfig(
        failure_threshold=None,
        window=draw(st.one_of(*windows_)),
        slow_call_seconds=0.5 if slow else None,
        recovery_timeout_seconds=draw(st.sampled_from([0.2, 3])),
        half_open_success_threshold=1,
    )
    return rows, config


@settings(max_examples=200)
@given(quiet([SUCCEEDED] * 4 + [FAILED] * 2 + [IGNORED]))
def test_a_window_trips_a_simulation_where_it_trips_a_live_breaker(drawn):
    rows, config = drawn
    _, edges, refused = driven(rows, config)
    its_edges, _, its_refused = simulated(rows, config)
    assert (its_edges, its_refused) == (edges, refused)


@settings(max_examples=150)
@given(quiet([SUCCEEDED] * 8 + [FAILED] * 3 + [UNKNOWN]))
def test_a_window_with_unknown_outcomes_gives_a_range_of_trips(drawn):
    rows, config = drawn
    assume(sum(code == UNKNOWN for _, _, code in rows) <= 6)
    check_all_ways(rows, config)


@settings(max_examples=100)
@given(rows_with(KNOWN), configs())
def test_each_rejected_call_is_saved_or_lost_by_its_own_outcome(rows, config):
    calls = calls_of(rows)
    refused = set(simulated(rows, config)[1])
    ended = [calls.outcomes[n] for n in refused]
    let_through = [calls.outcomes[n] for n in range(len(calls)) if n not in refused]
    figures = figures_of(rows, config)
    assert figures.saved.low == ended.count(FAILED)
    assert figures.lost.low == ended.count(SUCCEEDED)
    assert figures.let_through.low == let_through.count(FAILED)


TOOK = 300 * MS


@st.composite
def apart(draw):
    """Draw calls of one duration with different starts, so that only outcomes can be unknown."""
    bursts = st.tuples(st.booleans(), st.lists(st.integers(1, 9), min_size=1, max_size=8))
    at, rows = 0, []
    for failed, gaps in draw(st.lists(bursts, min_size=1, max_size=6)):
        for gap in gaps:
            at += gap * 100 * MS
            rows.append((at, TOOK, FAILED if failed else SUCCEEDED))
    return rows


@settings(max_examples=150)
@given(apart(), configs(), configs())
def test_the_true_figures_lie_in_the_ranges_of_a_recorded_log(rows, recorded, other):
    """The recorded breaker rejects some calls, whose outcomes only this test knows."""
    log = MemoryLog(tick_seconds=None)
    drive(trace_of(rows), recorded, log)
    traffic = read_traffic(log)
    assert traffic.recorded
    assert traffic.total == len(rows)
    (bound,) = what_if(traffic, lambda _name: other).values()
    truth = calls_of(rows)
    exact = evaluate(truth, other, traffic.horizon, [])
    for name in FIGURES:
        value, span = getattr(exact.figures, name).low, getattr(bound.figures, name)
        assert span.low <= value <= span.high, name


def test_delays_run_from_the_first_failure_and_from_the_first_success_after_it():
    second = 10**9
    codes = [FAILED] * 4 + [SUCCEEDED] * 30
    calls = calls_of([(n * second, 0, code) for n, code in enumerate(codes)])
    config = CircuitBreakerConfig(
        failure_threshold=3, recovery_timeout_seconds=10, half_open_success_threshold=2
    )
    verdict = evaluate(calls, config, 33 * second, outages_of(calls, 4))
    assert (verdict.detection[0].low, verdict.recovery[0].low) == (2 * second, (13 - 4) * second)
    assert verdict.figures.open_ns.low == 11 * second
    patient = CircuitBreakerConfig(failure_threshold=5)
    verdict = evaluate(calls, patient, 33 * second, outages_of(calls, 4))
    assert (verdict.detection[0].low, verdict.recovery[0].low) == (None, 0)
    assert summarize_delays(verdict.detection).ended.high == 0


def test_too_many_unknown_outcomes_give_bounds_that_always_hold():
    calls = calls_of([(n * MS, 0, UNKNOWN if n % 2 else FAILED) for n in range(40)])
    config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=0.003)
    bound = evaluate(calls, config, horizon(calls), OUTAGES, max_branches=10)
    assert not bound.is_complete
    exact = evaluate(calls, config, horizon(calls), OUTAGES)
    assert exact.is_complete
    for name in FIGURES:
        assert getattr(bound.figures, name).low <= getattr(exact.figures, name).low
        assert getattr(bound.figures, name).high >= getattr(exact.figures, name).high


@pytest.mark.parametrize(
    ("unknown", "window"),
    [
        (2000, None),
        (100, CountWindow(20, failure_rate=0.5)),
        (100, TimeWindow(10, failure_rate=0.5)),
    ],
)
def test_a_long_run_of_unknown_outcomes_is_evaluated_completely(unknown, window):
    """Simulations that reach the same state are merged, so their number does not double per call."""
    codes = [SUCCEEDED] * 50 + [FAILED] * 5 + [UNKNOWN] * unknown + [SUCCEEDED] * 200
    calls = calls_of([(n * 10 * MS, 5 * MS, code) for n, code in enumerate(codes)])
    config = CircuitBreakerConfig(failure_threshold=8, window=window, recovery_timeout_seconds=2)
    assert evaluate(calls, config, horizon(calls), []).is_complete
