"""Many logs: each history equals that of a replay of the log alone."""

from unittest import mock

import pyarrow.parquet as pq
import pytest
from attrs import evolve
from breaker_calls import fail
from hypothesis import given, settings
from hypothesis import strategies as st
from log_files import write_traffic
from runners import Here

from conftest import RECORDED_LOGS
from recloser import CircuitBreaker, CircuitBreakerConfig, ManualClock, MemoryLog, replay
from recloser.cluster import jobs
from recloser.cluster.dataset import urls_of
from recloser.cluster.many_logs import WITNESSED, replay_many, sources_of
from recloser.errors import ConfigError, DamagedLogError
from recloser.history.history import digest_of
from recloser.log import parquet
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader
from recloser.testing import strategies as rst

FIXTURES = RECORDED_LOGS


def replayed(dataset, **more):
    return replay_many(sources_of(urls_of(str(dataset)), Here()), Here(), **more)


def exported(folder, logs):
    for number, events in enumerate(logs):
        write_parquet(events, folder / f"{number:02}.parquet")
    return folder


def assert_same(found, alone):
    assert found.digest == alone.digest
    assert found.edges == alone.edges
    assert found.snapshots == alone.snapshots
    assert found.witnesses == alone.witnesses
    assert list(found.differences) == list(alone.differences)
    assert found.count == alone.count


def test_history_of_every_recording_equals_its_replay(tmp_path):
    found = replayed(exported(tmp_path, map(LogReader, FIXTURES)))
    for path, history in zip(FIXTURES, found.histories, strict=True):
        assert_same(history, replay(path))
        assert history.engine == "columns"
        alone = replay(path).timeline
        assert [history.timeline.text(e.at) for e in history.edges] == [
            alone.text(e.at) for e in history.edges
        ]


@settings(max_examples=20, deadline=None)
@given(
    logs=st.lists(rst.logs().map(list), min_size=1, max_size=3),
    row_group=st.sampled_from([1, 5, 1 << 20]),
    at_once=st.sampled_from([1, 7, 1 << 17]),
)
def test_histories_of_any_logs_equal_their_replays(tmp_path_factory, logs, row_group, at_once):
    folder = tmp_path_factory.mktemp("many")
    with (
        mock.patch.object(parquet, "ROW_GROUP", row_group),
        mock.patch.object(jobs, "ROWS_AT_ONCE", at_once),
    ):
        found = replayed(exported(folder, logs))
    for events, history in zip(logs, found.histories, strict=True):
        assert_same(history, replay(events))


@settings(max_examples=30, deadline=None)
@given(
    traces=st.lists(rst.traces(), min_size=1, max_size=2),
    config=rst.configurations(),
    row_group=st.sampled_from([3, 1 << 20]),
)
def test_imported_calls_drive_the_same_edges(tmp_path_factory, traces, config, row_group):
    folder = tmp_path_factory.mktemp("traffic")
    with mock.patch.object(parquet, "ROW_GROUP", row_group):
        found = replayed(exported(folder, traces), config=config)
    for events, history in zip(traces, found.histories, strict=True):
        alone = replay(events, config=config)
        assert history.digest == alone.digest
        assert history.edges == alone.edges
        for name, snapshot in alone.snapshots.items():
            assert history.snapshots[name].totals == snapshot.totals
            assert history.snapshots[name].state is snapshot.state


def test_breakers_of_the_same_name_get_distinct_names(tmp_path):
    found = replayed(exported(tmp_path, map(LogReader, FIXTURES[:3])))
    assert found.names == [
        {"quotes": "quotes @ 00.parquet"},
        {"quotes": "quotes @ 01.parquet"},
        {"redis": "redis"},
    ]


def test_digest_of_logs_equals_that_of_one_log_with_all_breakers(tmp_path):
    """Breakers do not influence one another, so the digest does not depend on the split into logs."""
    events = list(LogReader(FIXTURES[2]))
    renamed = [
        evolve(event, breaker="a") if getattr(event, "breaker", None) is not None else event
        for event in events
        if event.kind != "checkpoint"
    ]
    one, other = replay(events), replay(renamed)
    found = replayed(exported(tmp_path, [events, renamed]))
    both = evolve(one, edges=[*one.edges, *other.edges])
    assert found.digest == both.digest


def test_log_with_a_differing_witness_is_folded_event_by_event(tmp_path):
    logs = [list(LogReader(path)) for path in FIXTURES[:2]]
    index = next(n for n, event in enumerate(logs[0]) if event.kind == "state_changed")
    logs[0][index] = evolve(logs[0][index], at=logs[0][index].at + 1)
    logs[0] = [
        evolve(e, at=max(e.at, logs[0][index].at)) if n > index else e
        for n, e in enumerate(logs[0])
    ]
    found = replayed(exported(tmp_path, logs))
    alone = replay(logs[0])
    assert alone.differences
    assert_same(found.histories[0], alone)
    assert found.histories[0].engine == "events"
    assert "differ from the computed ones" in found.histories[0].engine_reason
    assert_same(found.histories[1], replay(logs[1]))


def test_each_log_with_a_differing_witness_of_any_breaker_is_folded_anew(tmp_path):
    logs = [altered(name) for name in "abc"]
    with mock.patch.object(parquet, "ROW_GROUP", 1):
        found = replayed(exported(tmp_path, logs))
    assert all(len(source.row_groups) > 3 for source in found.sources)
    for events, history in zip(logs, found.histories, strict=True):
        assert_same(history, replay(events))
        assert history.engine_reason == WITNESSED
    assert len({history.differences[0].seq for history in found.histories}) == 3


def altered(breaker):
    """Write a log in which one of three breakers has a witness of an edge that did not happen."""
    log = MemoryLog(clock=ManualClock())
    for name in "abc":
        fail(CircuitBreaker(name, CircuitBreakerConfig(failure_threshold=2), log=log), 2)
    return [
        evolve(event, to_state=event.from_state)
        if event.kind == "state_changed" and event.breaker == breaker
        else event
        for event in log
    ]


def test_digest_orders_breakers_of_the_same_name_by_log(tmp_path):
    one, other = (replay(path).edges for path in FIXTURES[:2])
    found = replayed(exported(tmp_path, map(LogReader, FIXTURES[:2])))
    assert {edge.breaker for edge in [*one, *other]} == {"quotes"}
    assert found.digest == digest_of([*one, *other]) != digest_of([*other, *one])


def test_settings_for_a_recorded_log_are_refused(tmp_path):
    exported(tmp_path, [LogReader(FIXTURES[0])])
    write_parquet(LogReader(write_traffic(tmp_path / "log", "..FF")), tmp_path / "01.parquet")
    with pytest.raises(ConfigError, match=r"00\.parquet was written by breakers"):
        replayed(f"{tmp_path}/*.parquet", config=CircuitBreakerConfig(failure_threshold=2))


def test_witness_at_another_seq_does_not_match_its_edge(tmp_path):
    path = exported(tmp_path, [LogReader(FIXTURES[2])]) / "00.parquet"
    table = pq.read_table(path)
    index = table.column("event").to_pylist().index("state_changed")
    lines = table.column("line").to_pylist()
    seq = table.column("seq")[index].as_py()
    lines[index] = lines[index].replace(f'"seq":{seq}', f'"seq":{seq + 1}')
    index = table.schema.get_field_index("line")
    pq.write_table(table.set_column(index, table.schema.field(index), [lines]), path)
    for engine in (replay, replayed):
        with pytest.raises(DamagedLogError, match=f"event {seq + 1} .* must follow"):
            engine(path)
