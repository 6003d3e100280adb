"""Calls read from the columns of an exported log equal those read from its lines."""

from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser import CircuitBreaker, DamagedLogError, ManualClock, MemoryLog, NotALogError
from recloser.core.events import REFUSED, CallObserved, LogOpened, Outcome
from recloser.log import parquet
from recloser.log.reader import LogReader
from recloser.simulate.call_table import IGNORED, UNKNOWN
from recloser.simulate.parquet_calls import calls_in_parquet
from recloser.simulate.recorded_calls import read_traffic

OPENED = LogOpened(1, 0, 1, 1, 1, datetime(2026, 1, 1, tzinfo=UTC), 0, "", "", 1, "0")
CALLS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 3),
        st.integers(0, 5),
        st.sampled_from(list(Outcome)),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


def trace_of(calls):
    """A trace with an event for each (breaker, gap, took, outcome, rejected); times in nanoseconds."""
    events, at = [OPENED], 10
    for seq, (breaker, gap, took, outcome, rejected) in enumerate(calls, start=2):
        at += gap
        labels = {REFUSED: "x"} if rejected and outcome is Outcome.IGNORED else {"route": "/a"}
        events.append(CallObserved(seq, at, breaker, at - took, took, outcome, None, labels))
    return events


def exported(tmp_path, events):
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
    parquet.write_parquet(events, path)
    return LogReader(path)


def as_lists(calls):
    columns = (calls.starts, calls.ends, calls.durations, calls.by_end)
    return calls.breaker, calls.outcomes, [list(column) for column in columns]


@pytest.mark.parametrize("group", [5, 1 << 19])
def test_columns_and_lines_give_the_same_calls(tmp_path_factory, monkeypatch, group):
    monkeypatch.setattr(parquet, "ROW_GROUP", group)

    @settings(max_examples=30)
    @given(CALLS)
    def check(calls):
        events = trace_of(calls)
        by_line = read_traffic(events)
        by_column = read_traffic(exported(tmp_path_factory.mktemp("log"), events))
        assert list(map(as_lists, by_column.calls.values())) == list(
            map(as_lists, by_line.calls.values())
        )
        for name in ("recorded", "configs", "lost", "horizon"):
            assert getattr(by_column, name) == getattr(by_line, name)
        assert by_column.timeline.text(7) == by_line.timeline.text(7)

    check()


def test_a_rejected_call_is_unknown_or_has_the_outcome_that_the_caller_chooses(tmp_path):
    log = exported(tmp_path, trace_of([("a", 0, 2, Outcome.IGNORED, True)])).columns()
    assert calls_in_parquet(log)["a"].outcomes == bytes((UNKNOWN,))
    assert calls_in_parquet(log, rejected_as=IGNORED)["a"].outcomes == bytes((IGNORED,))


def test_a_log_that_the_columns_do_not_hold_whole_is_read_event_by_event(tmp_path):
    log = MemoryLog(clock=ManualClock(), tick_seconds=None)
    CircuitBreaker("b", log=log)
    mixed = [*log, CallObserved(len(list(log)) + 1, 9, "b", 5, 4, Outcome.FAILED)]
    at_odds = [OPENED, CallObserved(2, 9, "b", 5, 3, Outcome.FAILED)]
    for events in (mixed, at_odds):
        reader = exported(tmp_path, events)
        assert calls_in_parquet(reader.columns()) is None
        assert read_traffic(reader).total == 1


def changed(tmp_path, events, **columns):
    """An exported log with some of its columns replaced."""
    reader = exported(tmp_path, events)
    table = pq.read_table(reader.path)
    for name, values in columns.items():
        field = table.schema.field(name)
        index = table.schema.get_field_index(name)
        table = table.set_column(index, field, pa.array(values, field.type))
    path = tmp_path / "changed.parquet"
    pq.write_table(table, path)
    return LogReader(path)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"took": [0, 3, -3]}, "not in order"),
        ({"took": [0, 3, 10**15]}, "not in order"),
        ({"at": [0, 12, 11]}, "not in order"),
        ({"outcome": [None, "succeeded", None]}, "no valid outcome"),
        ({"outcome": [None, "succeeded", "maybe"]}, "no valid outcome"),
        ({"outcome": [None, "ignored", "failed"], "labels": [None, "{", "{}"]}, "labels can't"),
    ],
)
def test_invalid_columns_are_damage(tmp_path, columns, why):
    calls = [("a", 1, 3, Outcome.SUCCEEDED, False), ("a", 1, 3, Outcome.FAILED, False)]
    with pytest.raises(DamagedLogError, match=why):
        read_traffic(changed(tmp_path, trace_of(calls), **columns))


def test_traffic_without_a_call_is_not_a_log_of_calls(tmp_path):
    with pytest.raises(NotALogError, match="no call in this log"):
        read_traffic(exported(tmp_path, [OPENED]))
