"""An exported log is read as columns, using the statistics of its row groups."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recloser import CircuitBreakerConfig, EventLog, ManualClock
from recloser.core.events import BreakerConfigured, CallSucceeded
from recloser.errors import DamagedLogError
from recloser.history.columnar.exported_log import columns_in, columns_of
from recloser.live.registry import Breakers
from recloser.log.arrow_table import table_of
from recloser.log.parquet import ParquetLog, write_parquet
from recloser.log.reader import LogReader


def exported(folder, names, calls=50):
    with EventLog(folder / "log", clock=ManualClock(), host="") as log:
        breakers = Breakers(log=log)
        for _ in range(calls):
            for name in names:
                breakers[name].call(int)
    write_parquet(LogReader(folder / "log"), folder / "log.parquet")
    return folder / "log.parquet"


def columns_read(log, monkeypatch):
    """The columns, and the names of those that were read from each row group."""
    read = []
    for name in ("read", "batches"):
        of_file = getattr(ParquetLog, name)
        monkeypatch.setattr(
            ParquetLog,
            name,
            lambda self, group, columns, *rest, of_file=of_file: (
                read.append(columns) or of_file(self, group, columns, *rest)
            ),
        )
    parts = list(columns_of(log))
    return parts, read


def test_negative_epoch_is_kept_as_it_is():
    table = table_of("b", [CallSucceeded(seq, seq, "b", 0, 0) for seq in (1, 2)])
    column_index = table.column_names.index("epoch")
    changed = table.set_column(column_index, table.field("epoch"), pa.array([255, -1], pa.int64()))
    assert columns_in(changed, "b").epochs.tolist() == [255, -1]


def test_breaker_names_of_a_row_group_with_one_breaker_are_not_read(tmp_path, monkeypatch):
    log = ParquetLog(exported(tmp_path, ["payments"]))
    parts, read = columns_read(log, monkeypatch)
    assert [(part.breaker, len(part)) for part in parts] == [("payments", 51)]
    assert len(read) == 1  # the group before it is about the whole log
    assert "breaker" not in read[0]


def test_constant_column_is_not_read(tmp_path, monkeypatch):
    log = ParquetLog(exported(tmp_path, ["payments"]))
    [rows], [read] = columns_read(log, monkeypatch)
    assert read == ["event", "line", "seq", "at"]
    assert rows.epochs.tolist() == rows.probes.tolist() == [0] * 51
    assert rows.counts.tolist() == [1] * 51


def test_rows_of_several_breakers_are_split(tmp_path, monkeypatch):
    log = ParquetLog(exported(tmp_path, ["a", "b"]))
    parts, read = columns_read(log, monkeypatch)
    assert [(part.breaker, len(part)) for part in parts] == [("a", 51), ("b", 51)]
    assert all("breaker" in columns for columns in read)


def test_breaker_is_split_from_events_about_the_whole_log(tmp_path):
    path = exported(tmp_path, ["payments"])
    pq.write_table(pq.read_table(path), path)  # all in one row group
    log = ParquetLog(path)
    assert log.breakers(0) == ("payments", "payments")
    assert log.constants(0, ["breaker"]) == {}
    assert [(part.breaker, len(part)) for part in columns_of(log)] == [("payments", 51)]


def test_unreadable_event_is_an_error():
    configured = BreakerConfigured(1, 0, "b", CircuitBreakerConfig().to_mapping())
    table = table_of("b", [configured])
    column_index = table.column_names.index("line")
    for line in ("{", None):
        changed = table.set_column(column_index, "line", pa.array([line], pa.string()))
        with pytest.raises(DamagedLogError, match="no event can be read here"):
            columns_in(changed, "b")


def test_unreadable_event_is_reported_with_its_row_group(tmp_path):
    path = exported(tmp_path, ["payments"])
    table = pq.read_table(path)
    lines = table.column("line").to_pylist()
    broken = [line and line.replace('"config":', '"config"') for line in lines]
    column_index = table.column_names.index("line")
    changed = table.set_column(column_index, table.field("line"), pa.array(broken, pa.string()))
    pq.write_table(changed, path)
    with pytest.raises(DamagedLogError, match=r"log.parquet, row group 0: no event can be read"):
        list(columns_of(ParquetLog(path)))


def test_more_kinds_of_events_than_a_log_can_have_are_an_error():
    events = [CallSucceeded(seq, seq, "b", 0, 0) for seq in range(1, 301)]
    table = table_of("b", events)
    column_index = table.column_names.index("event")
    changed = table.set_column(column_index, "event", pa.array([f"kind {n}" for n in range(300)]))
    with pytest.raises(
        DamagedLogError, match="it has events of 300 kinds, more than a log can have"
    ):
        columns_in(changed, "b")


def test_kinds_are_read_from_any_number_of_chunks():
    events = [CallSucceeded(seq, seq, "b", 0, 0) for seq in range(1, 9)]
    table = pa.concat_tables([table_of("b", events[:3]), table_of("b", events[3:])])
    assert columns_in(table, "b").kinds.tolist() == [0] * 8
