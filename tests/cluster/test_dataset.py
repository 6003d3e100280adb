"""Datasets at paths and URLs, split into jobs so that each breaker is in one job."""

from unittest import mock

import fsspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import ROOT
from recloser.cluster.dataset import describe, labels_of, opened, urls_of
from recloser.errors import LogError, MissingLibraryError, NotALogError
from recloser.history.columnar.row_groups import chunks_of
from recloser.log import parquet
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader
from recloser.testing import strategies as rst

RECORDING = ROOT / "fixtures" / "redis-killed"


@pytest.fixture
def folder(tmp_path):
    for name in ("b.parquet", "a.parquet"):
        write_parquet(LogReader(RECORDING), tmp_path / name)
    (tmp_path / "notes.txt").write_text("no log")
    return tmp_path


@pytest.mark.parametrize("form", ["{}", "{}/*.parquet", "file://{}/*.parquet"])
def test_folder_or_pattern_lists_its_files_in_order(folder, form):
    found = urls_of(form.format(folder))
    assert found == [f"{folder}/a.parquet", f"{folder}/b.parquet"]


def test_fsspec_memory_store_is_read(folder):
    store = fsspec.filesystem("memory")
    store.pipe("/logs/a.parquet", (folder / "a.parquet").read_bytes())
    (url,) = urls_of("memory://logs/*.parquet")
    assert url == "memory:///logs/a.parquet"
    with opened(url) as log:
        assert list(log) == list(LogReader(RECORDING))


def test_describe_reads_host_and_clock_readings(folder):
    source = describe(str(folder / "a.parquet"))
    assert source.about.events == 397
    assert source.readings[0].kind == "log_opened"
    assert source.row_groups == [range(1), range(1, 2)]


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("{}/nothing.parquet", NotALogError, "nothing.parquet: there is no such file"),
        ("{}/none*.parquet", NotALogError, "there is no such file"),
        ("{}/notes.txt", NotALogError, "can't be read as Parquet"),
        ("nowhere://a.parquet", LogError, "cannot read it: Protocol not known: nowhere"),
        ("s3://bucket/a.parquet", MissingLibraryError, "s3fs"),
    ],
)
def test_unreadable_dataset_is_refused_in_one_line(folder, url, error, message):
    with pytest.raises(error, match=message) as raised:
        list(map(describe, urls_of(url.format(folder))))
    assert "\n" not in str(raised.value)


def test_logs_are_labelled_by_host_if_hosts_differ(folder):
    one, other = (describe(url) for url in urls_of(str(folder)))
    assert labels_of([one, other]) == ["a.parquet", "b.parquet"]  # the recording has no host
    evolved = [mock.Mock(host=host, url=one.url) for host in ("x", "y")]
    assert labels_of(evolved) == ["x", "y"]
    assert labels_of([one, one]) == [one.url, one.url]


@settings(max_examples=60, deadline=None)
@given(
    events=st.one_of(rst.logs().map(list), rst.traces()),
    row_group=st.integers(1, 9),
    at_once=st.sampled_from([1, 3, 1 << 17]),
)
def test_each_breaker_is_in_exactly_one_job(tmp_path_factory, events, row_group, at_once):
    path = tmp_path_factory.mktemp("spans") / "log.parquet"
    with mock.patch.object(parquet, "ROW_GROUP", row_group):
        write_parquet(events, path)
    source = describe(str(path))
    found = []
    with opened(source.url) as log:
        for groups in source.row_groups:
            parts = list(chunks_of(log, ["breaker", "seq"], groups, at_once))
            assert all(len(part.table) <= at_once for part in parts)
            found += [
                (part.breaker, seq)
                for part in parts
                for seq in part.table.column("seq").to_pylist()
            ]
    expected = [(e.breaker, e.seq) for e in events if getattr(e, "breaker", None) is not None]
    assert found == sorted(expected)


def test_file_without_statistics_is_one_job(tmp_path):
    import pyarrow.parquet as pq

    write_parquet(LogReader(RECORDING), tmp_path / "log.parquet")
    table = pq.read_table(tmp_path / "log.parquet")
    pq.write_table(table, tmp_path / "bare.parquet", write_statistics=False, row_group_size=50)
    source = describe(str(tmp_path / "bare.parquet"))
    assert source.row_groups == [range(8)]
    with opened(source.url) as log:
        rows = sum(len(part.table) for part in chunks_of(log, groups=source.row_groups[0]))
    assert rows == table.num_rows - table.column("breaker").null_count
