"""Lines and events are gathered into the same rows, all of a batch or none."""

from datetime import UTC, datetime
from itertools import pairwise

import attrs
import pytest
from breaker_calls import fail
from hypothesis import given
from hypothesis import strategies as st

from recloser import CircuitBreaker, FoldError, MemoryLog
from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallObserved,
    CallRejected,
    CallSucceeded,
    ClockTicked,
    LogGap,
    LogOpened,
    LogSealed,
    Outcome,
    ProbeAdmitted,
    Reset,
)
from recloser.history.gathering import IS_COMPILED, EventGatherer, LineGatherer
from recloser.log.checkpoint_line import CheckpointLine
from recloser.log.codec import as_lean, decode_lines, encode, full
from recloser.testing import strategies as rst

WALL = datetime(2026, 1, 1, tzinfo=UTC)
OPENED = LogOpened(1, 0, 2, 1, 1, WALL, 0, "", "", 1, "0")
OUTCOMES = (CallSucceeded, CallFailed, CallIgnored, CallRejected, ProbeAdmitted)


class FromLines(LineGatherer):
    def gather(self, events):
        return super().gather(b"".join(map(encode, events)))


class FromEvents(EventGatherer):
    def gather(self, events):
        lean = decode_lines(b"".join(map(encode, events)), len(events))
        return super().gather(lean)


@pytest.fixture(params=[FromLines, FromEvents])
def gathered(request):
    if request.param is FromLines and not IS_COMPILED:
        pytest.skip("recloser.log.outcome_rows is missing: pip had no C compiler")
    return request.param()


def gathered_rows(gathered):
    """Return everything that was gathered, by breaker."""
    found = {}
    for rows in gathered.by_breaker():
        columns = rows.columns
        one = []
        for row in range(rows.start, rows.stop):
            other = rows.others.get(row)
            if isinstance(other, CheckpointLine):
                other = other.read()
            kind, at, count = columns.kind[row], rows.at(row), columns.count[row]
            numbers = (columns.epoch[row], columns.probe[row], count)
            if other is not None:
                numbers = other
            took = columns.took[row] if kind < 3 else 0
            one.append((kind, rows.seq(row), at, numbers, took))
        found[rows.breaker] = one
    return found, gathered.seq, gathered.at, gathered.readings


@pytest.mark.skipif(not IS_COMPILED, reason="pip had no C compiler")
@given(rst.logs(), st.lists(st.integers(0, 200), max_size=3))
def test_lines_and_events_give_the_same_rows(log, cuts):
    events = list(log)
    lines, plain = FromLines(), FromEvents()
    places = [0, *sorted(min(cut, len(events)) for cut in cuts), len(events)]
    for start, stop in pairwise(places):
        if start < stop:
            assert lines.gather(events[start:stop])
            assert plain.gather(events[start:stop])
    assert gathered_rows(lines) == gathered_rows(plain)


@given(rst.logs())
def test_each_row_is_an_event_of_its_breaker(log):
    events = [event for event in log if hasattr(event, "breaker")]
    events = [event for event in events if event.kind != "state_changed"]
    gathered = FromEvents()
    assert gathered.gather(list(log))
    found, *_ = gathered_rows(gathered)
    seqs = {name: [seq for _, seq, *_ in rows] for name, rows in found.items()}
    for name, those in seqs.items():
        assert those == [event.seq for event in events if event.breaker == name]
    assert sum(map(len, seqs.values())) == len(events)


def test_readings_are_kept_but_not_seals_and_imported_calls(gathered):
    tick = ClockTicked(2, 1, WALL, 1)
    call = CallObserved(3, 1, "b", 0, 1, Outcome.FAILED)
    seal = LogSealed(4, 1, 3, "0" * 64)
    assert gathered.gather([OPENED, tick, call, seal])
    assert gathered_rows(gathered) == ({}, 4, 1, [OPENED, tick])
    assert gathered.size == 4


def good(seq):
    return CallSucceeded(seq, 5, "b", 0, 1)


@pytest.mark.parametrize(
    "events",
    [
        [good(3), good(5)],
        [good(2)],
        [attrs.evolve(good(3), at=4)],
        [good(3), Reset(4, 4, "b")],
        [good(3), Reset(5, 5, "b")],
        [good(3), LogGap(4, 5, 1)],
        [LogGap(9, 5, 1)],
        [good(3), CallObserved(4, 4, "b", 0, 1, Outcome.FAILED)],
        [good(3), LogSealed(3, 5, 1, "0" * 64)],
    ],
)
def test_events_out_of_order_or_with_a_gap_are_not_gathered(gathered, events):
    assert gathered.gather([OPENED, good(2)])
    before = gathered_rows(gathered)
    assert not gathered.gather(events)
    assert gathered_rows(gathered) == before
    assert gathered.gather([good(3)])


def test_gathering_no_events_succeeds():
    gathered = EventGatherer()
    assert gathered.gather([])
    assert gathered.seq == -1


@pytest.mark.parametrize(("name", "is_taken"), [("b", True), ('say "b"', False)])
@pytest.mark.skipif(not IS_COMPILED, reason="pip had no C compiler")
def test_many_lines_that_msgspec_must_read_are_not_gathered(name, is_taken):
    calls = [attrs.evolve(good(seq), breaker=name) for seq in range(2, 200)]
    assert FromLines().gather([OPENED, *calls[:20]])
    assert FromLines().gather([OPENED, *calls]) == is_taken
    assert FromEvents().gather([OPENED, *calls])


def test_log_begins_with_log_opened_at_any_seq(gathered):
    assert not gathered.gather([good(1)])
    assert gathered.gather([attrs.evolve(OPENED, seq=70), good(71)])
    assert gathered.seq == 71


def test_gathering_continues_after_a_given_seq(gathered):
    gathered.restart(7, 5)
    assert not gathered.gather([good(7)])
    assert gathered.gather([good(8)])
    assert [*gathered_rows(gathered)[0]] == ["b"]


@pytest.mark.skipif(not IS_COMPILED, reason="pip had no C compiler")
@pytest.mark.parametrize(
    "line",
    [
        encode(Reset(3, 5, "b")).replace(b'"b"', b'"b","seq":4'),
        encode(Reset(3, 5, "b")).replace(b"reset", b"unset"),
        encode(good(3)).replace(b'"took":1', b'"took":1.0'),
        encode(good(3)).replace(b'"took":1', b'"took":-1'),
        b"\n",
    ],
)
def test_line_that_is_not_the_event_it_seems_is_not_gathered(line):
    gathered = LineGatherer()
    assert gathered.gather(encode(OPENED) + encode(good(2)))
    before = gathered_rows(gathered)
    assert not gathered.gather(line)
    assert gathered_rows(gathered) == before


def test_row_of_an_outcome_has_no_event(gathered):
    assert gathered.gather([OPENED, good(2)])
    (rows,) = gathered.by_breaker()
    with pytest.raises(FoldError, match="event 2"):
        rows.event(rows.start)


def trip(clock):
    """A log with two edges, and the edges."""
    log = MemoryLog(clock=clock, tick_seconds=None)
    for name in "ab":
        fail(CircuitBreaker(name, log=log), 5)
    events = list(log)
    return events, [as_lean(event) for event in events if event.kind == "state_changed"]


def changed(edge, **fields):
    return as_lean(attrs.evolve(full(edge), **fields))


def test_edges_are_compared_with_their_witnesses(gathered, clock):
    events, edges = trip(clock)
    assert gathered.gather(events)
    assert gathered.count_witnessed(edges) == 2
    assert gathered.count_witnessed([*edges, changed(edges[0], seq=99)]) == 2
    assert gathered.count_witnessed([changed(edges[0], epoch=7), edges[1]]) == -1
    assert gathered.count_witnessed(edges[:1]) == -1
    assert gathered.count_witnessed([]) == -1


@pytest.mark.skipif(not IS_COMPILED, reason="pip had no C compiler")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_unreadable_witness_matches_no_edge(clock, count):
    events, edges = trip(clock)
    text = b"".join(map(encode, events)).replace(b'"epoch":1,"from":', b'"epoch":1."from":', 1)
    gathered = LineGatherer()
    assert gathered.gather(text)
    assert gathered.count_witnessed(edges[:count]) == -1


@pytest.mark.skipif(not IS_COMPILED, reason="pip had no C compiler")
def test_witness_in_another_spelling_matches(clock):
    events, edges = trip(clock)
    text = b"".join(map(encode, events)).replace(b'"epoch":1,"from":', b'"epoch": 1,"from":')
    gathered = LineGatherer()
    assert gathered.gather(text)
    assert gathered.count_witnessed(edges) == 2
