"""Exporting to Parquet loses nothing, and a file that can't be read gives one line of error."""

from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import RECORDED_LOGS, ROOT
from recloser import replay
from recloser.errors import DamagedLogError, FutureVersionError, LogError, NotALogError
from recloser.log import parquet
from recloser.log.arrow_table import SCHEMA, events_of
from recloser.log.codec import encode
from recloser.log.parquet import ParquetLog, write_parquet
from recloser.log.reader import LogReader
from recloser.testing import strategies as rst

FIXTURES = [path.name for path in RECORDED_LOGS]


@pytest.mark.parametrize("name", FIXTURES)
def test_every_fixture_survives_the_export(name, tmp_path):
    log = LogReader(ROOT / "fixtures" / name)
    write_parquet(log, tmp_path / "log.parquet", lambda: log.tail)
    back = LogReader(tmp_path / "log.parquet")
    assert list(back) == list(log)
    assert back.tail == log.tail


@pytest.mark.parametrize("name", FIXTURES)
def test_columns_of_every_fixture_have_its_history(name, tmp_path):
    write_parquet(LogReader(ROOT / "fixtures" / name), tmp_path / "log.parquet")
    by_event, by_column = replay(ROOT / "fixtures" / name), replay(tmp_path / "log.parquet")
    assert (by_event.engine, by_column.engine) == ("events", "columns")
    assert by_column.digest == by_event.digest
    assert by_column.edges == by_event.edges
    assert by_column.snapshots == by_event.snapshots
    assert by_column.witnesses == by_event.witnesses
    assert [by_column.timeline.text(edge.at) for edge in by_event.edges] == [
        by_event.timeline.text(edge.at) for edge in by_event.edges
    ]


@settings(max_examples=40, deadline=None)
@given(
    events=st.one_of(rst.logs().map(list), rst.traces()),
    at_once=st.sampled_from([1, 7, 1 << 18]),
    row_group=st.sampled_from([1, 5, 1 << 20]),
)
def test_any_log_survives_the_export_with_any_memory_limit(
    tmp_path_factory, events, at_once, row_group
):
    path = tmp_path_factory.mktemp("parquet") / "log.parquet"
    with (
        mock.patch.object(parquet, "SORTED_AT_ONCE", at_once),
        mock.patch.object(parquet, "ROW_GROUP", row_group),
    ):
        write_parquet(events, path)
        assert list(map(encode, ParquetLog(path))) == list(map(encode, events))
    if events[-1].kind != "call_observed":
        assert replay(path).digest == replay(events).digest


def test_first_version_of_the_columns_is_read():
    log = LogReader(ROOT / "fixtures" / "redis-killed")
    assert list(LogReader(ROOT / "fixtures" / "redis-killed.parquet")) == list(log)


def test_file_is_sorted_by_breaker_and_seq(tmp_path):
    write_parquet(LogReader(ROOT / "fixtures" / "redis-killed"), tmp_path / "log.parquet")
    rows = pq.read_table(tmp_path / "log.parquet").select(["breaker", "seq"]).to_pylist()
    keys = [(row["breaker"] or "", row["seq"]) for row in rows]
    assert keys == sorted(keys)


def test_call_whose_duration_contradicts_its_times_survives(tmp_path):
    trace = [
        evolve(event, took=event.took + 1) if event.kind == "call_observed" else event
        for event in LogReader(ROOT / "fixtures" / "redis-killed")
    ]
    write_parquet(trace, tmp_path / "log.parquet")
    assert list(ParquetLog(tmp_path / "log.parquet")) == trace


@pytest.fixture
def exported(tmp_path):
    path = tmp_path / "log.parquet"
    write_parquet(LogReader(ROOT / "fixtures" / "redis-killed"), path)
    return path


def test_other_parquet_file_is_refused(tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(NotALogError, match="was not made by `recloser export`"):
        ParquetLog(path)
    path.write_bytes(b"PAR1 this is none")
    with pytest.raises(NotALogError, match="can't be read as Parquet"):
        ParquetLog(path)
    with pytest.raises(NotALogError, match="no such file"):
        ParquetLog(tmp_path / "nothing.parquet")


def test_later_version_of_the_columns_is_refused(exported):
    rewritten(exported, lambda about: about.replace(b'"columns":1', b'"columns":2'))
    with pytest.raises(FutureVersionError, match="version 2; this library reads up to 1"):
        ParquetLog(exported)


def test_missing_column_is_named(exported):
    table = pq.read_table(exported)
    pq.write_table(table.drop_columns(["took"]), exported)
    with pytest.raises(NotALogError, match="the column 'took' is missing"):
        ParquetLog(exported)


def test_damaged_row_group_is_reported_in_one_line(exported):
    data = bytearray(exported.read_bytes())
    data[40:400] = bytes(360)
    exported.write_bytes(data)
    with pytest.raises(DamagedLogError, match=r"row group 0: it can't be read"):
        list(ParquetLog(exported))


def test_events_out_of_order_are_reported(exported):
    table = pq.read_table(exported)
    first = table.column("breaker").null_count
    order = [*range(first), *reversed(range(first, len(table)))]
    pq.write_table(table.take(order), exported)
    with pytest.raises(DamagedLogError, match="are not in order"):
        replay(exported)


def test_partial_file_is_removed_after_a_failed_write(tmp_path):
    log = LogReader(ROOT / "fixtures" / "redis-killed")
    with pytest.raises(LogError, match="it can't be written"):
        write_parquet(log, tmp_path / "no folder" / "log.parquet")
    (tmp_path / "log.parquet").write_text("mine")
    with pytest.raises(LogError, match="it can't be written: File exists"):
        write_parquet(log, tmp_path / "log.parquet")
    assert (tmp_path / "log.parquet").read_text() == "mine"


def test_log_with_a_differing_witness_is_folded_event_by_event(tmp_path):
    events = list(LogReader(ROOT / "fixtures" / "redis-killed"))
    forged = [
        evolve(event, cause=evolve(event.cause, observed=9))
        if event.kind == "state_changed" and event.epoch == 1
        else event
        for event in events
    ]
    write_parquet(forged, tmp_path / "log.parquet")
    history = replay(tmp_path / "log.parquet")
    assert history.engine == "events"
    assert "edges or states differ" in history.engine_reason
    assert history.differences == replay(forged).differences
    assert len(history.differences) == 1


def test_impossible_event_is_reported_as_by_folding_events(tmp_path):
    events = [
        evolve(event, epoch=99) if event.kind == "call_failed" else event
        for event in LogReader(ROOT / "fixtures" / "redis-killed")
    ]
    write_parquet(events, tmp_path / "log.parquet")
    history = replay(tmp_path / "log.parquet")
    assert "its epoch 99 has not begun" in history.engine_reason
    assert history.differences == replay(events).differences


def rewritten(path, change):
    table = pq.read_table(path)
    metadata = {b"recloser": change(table.schema.metadata[b"recloser"])}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def test_events_can_be_read_from_any_table_of_the_schema():
    assert list(events_of(pa.Table.from_pylist([], schema=SCHEMA))) == []
