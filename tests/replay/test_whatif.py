"""What other settings would have made of the same calls: equal to a live breaker, or bounded."""

from array import array
from datetime import UTC, datetime
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    Exponential,
    ManualClock,
    MemoryLog,
    Outcome,
    TimeWindow,
)
from recloser.backoff import Constant
from recloser.events import CallObserved, LogOpened
from recloser.replay.passage import Passage
from recloser.replay.drive import drive
from recloser.replay.engine import replay
from recloser.replay.ledger import FIGURES, Ledger
from recloser.replay.lookout import Lookout
from recloser.replay.outages import Delays, Outage, outages_of
from recloser.replay.traffic import FAILED, IGNORED, SUCCEEDED, UNKNOWN, Calls, read_traffic
from recloser.replay.whatif import evaluate, timed, what_did, what_if

MS = 10**6
OPENED = LogOpened(1, 0, 1, 1, 1, datetime(2026, 1, 1, tzinfo=UTC), 0, "", "", 1, "0")
OUTCOMES = {
    Outcome.SUCCEEDED: SUCCEEDED,
    Outcome.FAILED: FAILED,
    Outcome.IGNORED: IGNORED,
}


def calls_of(rows):
    """Columns from (start, took, code), in the order in which a trace is driven."""
    rows = sorted(rows, key=lambda row: (row[0] + row[1]))
    rows = sorted(rows, key=lambda row: row[0])
    return Calls(
        "b",
        array("q", (start for start, _, _ in rows)),
        array("q", (start + took for start, took, _ in rows)),
        array("q", (took for _, took, _ in rows)),
        bytes(code for _, _, code in rows),
    )


def trace_of(rows):
    names = {code: outcome for outcome, code in OUTCOMES.items()}
    ends = sorted(rows, key=lambda row: row[0] + row[1])
    yield OPENED
    for seq, (start, took, code) in enumerate(ends, start=2):
        yield CallObserved(seq, start + took, "b", start, took, names[code])


def windows(kind, length, slow):
    sizes = st.integers(1, 8)
    rates = st.sampled_from([0.1, 0.3, 0.5, 0.8, 1, Fraction(1, 3)])
    return st.builds(
        lambda size, rate, least, failures, slow_rate: kind(
            **{length: size}, failure_rate=rate, minimum_calls=least, failures=failures,
            slow_call_rate=slow_rate,
        ),
        sizes, rates, st.integers(1, 9), st.one_of(st.none(), st.integers(1, 5)),
        st.one_of(st.none(), rates) if slow else st.none(),
    )  # fmt: skip


@st.composite
def configs(draw):
    slow = draw(st.booleans())
    threshold = draw(st.one_of(st.none(), st.integers(1, 5)))
    count = windows(CountWindow, "size", slow)
    window = draw(st.one_of(st.none(), count, windows(TimeWindow, "seconds", slow)))
    jitter = draw(st.sampled_from(["none", "full", "equal"]))
    backoff = draw(
        st.sampled_from([Constant(jitter=jitter), Exponential(factor=2, max_seconds=9, jitter=jitter)])
    )
    return CircuitBreakerConfig(
        failure_threshold=threshold,
        window=window,
        slow_call_seconds=draw(st.sampled_from([0, 0.3, 1])) if slow else None,
        recovery_timeout_seconds=draw(st.sampled_from([0, 0.2, 1, 3])),
        backoff=backoff,
        half_open_success_threshold=draw(st.integers(0, 3)),
        half_open_max_probes=draw(st.integers(1, 3)),
        half_open_window=draw(st.one_of(st.none(), st.none(), count)),
        half_open_timeout_seconds=draw(st.sampled_from([None, None, 0.5, 2])),
        probe_timeout_seconds=draw(st.sampled_from([0.2, 1, 60])),
    )  # fmt: skip


def rows_with(codes, size=60):
    """Calls close together, in bursts of like outcomes, on a grid coarse enough for ties."""
    call = st.tuples(
        st.sampled_from([0, 0, 1, 1, 2, 5, 20]), st.sampled_from([0, 0, 1, 2, 3, 8, 40])
    )
    burst = st.tuples(st.sampled_from(codes), st.lists(call, min_size=1, max_size=12))

    def laid_out(bursts):
        at, rows = 0, []
        for code, calls in bursts:
            for gap, took in calls:
                at += gap * 100 * MS
                rows.append((at, took * 100 * MS, code))
        return rows[:size]

    return st.lists(burst, min_size=1, max_size=12).map(laid_out)


KNOWN = [SUCCEEDED, FAILED, FAILED, IGNORED]


def course(rows, config):
    """The edges and refusals of the fast way through the calls."""
    calls = calls_of(rows)
    ledger = Ledger(calls, Delays([]))
    ledger.edges, ledger.refused = [], []
    assert not Passage(Lookout(calls), config, ledger, horizon(calls)).run()
    refused = [calls.starts[n] for first, behind in ledger.refused for n in range(first, behind)]
    return ledger, [(at, trigger) for at, trigger in ledger.edges], refused


def horizon(calls):
    return max(calls.ends)


def driven(rows, config):
    """The edges and refusals of a live breaker."""
    log = MemoryLog(tick_seconds=None)
    drive(trace_of(rows), config, log)
    history = replay(log)
    edges = [(edge.at, edge.trigger) for edge in history.edges]
    return history, edges, [event.at for event in log if event.kind == "call_rejected"]


@settings(max_examples=600)
@given(rows_with(KNOWN), configs())
def test_with_every_outcome_known_it_is_what_a_live_breaker_does(rows, config):
    history, edges, refused = driven(rows, config)
    ledger, its_edges, its_refused = course(rows, config)
    assert its_edges == edges
    assert its_refused == refused
    figures = ledger.figures()
    assert figures.trips.exact
    assert figures.trips.low == len(history.trips())
    totals = history.snapshots["b"].totals
    assert figures.rejected.low == totals.rejected == len(refused)
