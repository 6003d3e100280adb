"""The figures of a report equal a recount, and their number is limited."""

from itertools import pairwise

import long_log
import pytest
from breaker_calls import fail, succeed

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    CountWindow,
    ManualClock,
    MemoryLog,
    replay,
)
from recloser.audit import report_figures
from recloser.audit.explanation import why
from recloser.audit.report_figures import (
    FAILED,
    FAILURE_RATE,
    REJECTED,
    RUN,
    SLOW,
    SUCCEEDED,
    ReportFigures,
)
from recloser.log.reader import LogReader


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "log"
    long_log.write(path, 6_000, breakers=3, trips_every=700)
    return path


def figures_of(path_or_log):
    history = replay(path_or_log)
    last = history.edges[-1].at if history.edges else 0
    ends = max([event.at for event in history.events] or [last])
    return history, ReportFigures(iter(history.events), 0, ends, len(history.snapshots))


def test_bucket_counts_add_up_to_the_totals_of_the_fold(path):
    history, figures = figures_of(path)
    for breaker, snapshot in history.snapshots.items():
        rows = figures.lanes[breaker].buckets.values()
        totals = snapshot.totals
        assert sum(row[SUCCEEDED] for row in rows) == totals.succeeded
        assert sum(row[FAILED] for row in rows) == totals.failed
        assert sum(row[REJECTED] for row in rows) == totals.rejected
    assert figures.events == history.count


def test_stale_outcomes_are_in_no_bucket():
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1), log=log)
    late = [breaker.before_call().permit for _ in range(3)]
    fail(breaker)
    for permit in late:
        breaker.after_failure(permit)
    history, figures = figures_of(log)
    assert history.snapshots["b"].totals.stale == 3
    assert [row[FAILED] for row in figures.lanes["b"].buckets.values()] == [1]


def test_bands_span_the_times_between_edges(path):
    history, figures = figures_of(path)
    for breaker, lane in figures.lanes.items():
        edges = [edge for edge in history.edges if edge.breaker == breaker]
        expected = [
            (edge.to_state, edge.at, following.at)
            for edge, following in pairwise(edges)
            if edge.to_state is not CircuitBreakerState.CLOSED
        ]
        if edges[-1].to_state is not CircuitBreakerState.CLOSED:
            expected.append((edges[-1].to_state, edges[-1].at, figures.ends))
        assert [(band.state, band.start, band.end) for band in lane.bands] == expected
        assert lane.trips == len(history.trips(breaker))


def test_causes_equal_those_of_why(path):
    history, figures = figures_of(path)
    assert len(figures.causes) == len(history.trips())
    for cause in figures.causes:
        expected = why(history, cause.breaker, cause.trip)
        assert cause.headline == expected.headline
        assert (cause.trip, cause.trips) == (expected.trip, expected.trips)
        assert cause.preventions == expected.preventions
        assert cause.minimal_cause == expected.minimal_cause
        assert cause.cost == expected.cost
        assert (cause.earlier, cause.earlier_count) == (expected.earlier, expected.earlier_count)
        assert cause.evidence == expected.evidence


def test_rates_are_the_highest_of_each_bucket():
    clock = ManualClock()
    log = MemoryLog(clock=clock, tick_seconds=None)
    window = CountWindow(4, 0.75, minimum_calls=2)
    config = CircuitBreakerConfig(failure_threshold=4, window=window, slow_call_seconds=1)
    breaker = CircuitBreaker("b", config, log=log)
    succeed(breaker, 2)
    fail(breaker)
    breaker.after_success(breaker.before_call().permit, took_ns=2 * 10**9)
    clock.advance(seconds=1000)
    fail(breaker, 2)
    _, figures = figures_of(log)
    first, *_, last = (row for _, row in sorted(figures.lanes["b"].buckets.items()))
    assert (first[FAILURE_RATE], first[RUN], first[SLOW]) == (333, 250, 1)
    # The window's rate trips it at the second failure, 3 of 4.
    assert (last[FAILURE_RATE], last[RUN]) == (750, 250)
    assert figures.trips == 1


def test_bucket_widths_are_round_units_of_time():
    for span, breakers, width in (
        (3_865_000_000, 1, 20_000_000),
        (86_400 * 10**9, 1, 300 * 10**9),
        (86_400 * 10**9, 1000, 600 * 10**9),
        (400 * 86_400 * 10**9, 1, 2 * 86_400 * 10**9),
        (0, 1, 1),
    ):
        assert ReportFigures([], 0, span, breakers).width == width


def test_causes_and_bands_are_limited(path, monkeypatch):
    """Trips above the limit are still counted; short bands above theirs are drawn as one."""
    monkeypatch.setattr(report_figures, "CAUSES_KEPT", 2)
    monkeypatch.setattr(report_figures, "_MAX_BANDS", 1)
    history, figures = figures_of(path)
    assert figures.trips == len(history.trips()) > 2
    assert [cause.seq for cause in figures.causes] == [t.seq for t in history.trips()[-2:]]
    ends = figures.ends
    coarse = ReportFigures(LogReader(path), 0, ends * 1_000_000, 1)
    for lane in coarse.lanes.values():
        assert len(lane.bands) == 1
        assert (
            lane.bands[0].edges == len(figures.lanes[lane.breaker].bands) or lane.bands[0].edges > 1
        )
