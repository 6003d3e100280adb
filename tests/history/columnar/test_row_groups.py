"""Row groups of an exported log are read ahead in threads."""

import threading

import pytest
from test_exported_log import exported

from recloser.history.columnar import row_groups
from recloser.history.columnar.exported_log import COLUMNS
from recloser.history.columnar.row_groups import map_ahead
from recloser.log import parquet
from recloser.log.parquet import ParquetLog


@pytest.fixture
def log(tmp_path, monkeypatch):
    """A log of 51 events of one breaker, ten per row group, decoded two at a time."""
    monkeypatch.setattr(parquet, "ROW_GROUP", 10)
    monkeypatch.setattr(row_groups, "_AT_ONCE", 2)
    monkeypatch.setattr(row_groups, "_TABLES", 1)
    return ParquetLog(exported(tmp_path, ["payments"]))


def seqs_of(part):
    return part.table.column("seq").to_pylist()


@pytest.mark.parametrize("threads", [1, 2])
def test_results_are_in_order(log, threads, monkeypatch):
    monkeypatch.setattr(row_groups, "_THREADS", threads)
    found = list(map_ahead(log, COLUMNS, seqs_of))
    assert max(map(len, found)) == 2
    assert [seq for seqs in found for seq in seqs] == [*range(2, 53)]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_end_when_the_consumer_stops(log, threads, monkeypatch):
    monkeypatch.setattr(row_groups, "_THREADS", threads)
    before = set(threading.enumerate())
    ahead = map_ahead(log, COLUMNS, seqs_of)
    assert next(ahead) == [2, 3]
    ahead.close()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("threads", [1, 2])
def test_error_in_a_thread_is_raised_after_the_results_before_it(log, threads, monkeypatch):
    monkeypatch.setattr(row_groups, "_THREADS", threads)

    def use(part):
        if part.group == 2 and part.start == 4:
            raise ValueError("no such part")
        return part.group, part.start

    found = []
    with pytest.raises(ValueError, match="no such part"):
        found.extend(map_ahead(log, COLUMNS, use))
    assert found[-1] == (2, 2)
