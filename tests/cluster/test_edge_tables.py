"""One table in, one out: what any engine that hands over Arrow tables can call."""

import inspect

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings

from conftest import RECORDED_LOGS
from recloser import CircuitBreakerConfig, replay
from recloser.cluster.edge_tables import EDGES, edges_of
from recloser.errors import ConfigError, LogError
from recloser.log.arrow_table import SCHEMA, table_of
from recloser.log.reader import LogReader
from recloser.testing import strategies as rst

FIXTURES = RECORDED_LOGS


def table_in(events):
    own = {}
    for event in events:
        own.setdefault(getattr(event, "breaker", None), []).append(event)
    return pa.concat_tables([table_of(name, part) for name, part in own.items()])


def grouped(table, **more):
    """The edges of each breaker, as a group-by hands its rows over."""
    about_all = table.filter(pc.is_null(table["breaker"]))
    names = sorted(table["breaker"].drop_null().unique().to_pylist())
    return pa.concat_tables(
        [EDGES.empty_table()]
        + [
            edges_of(table.filter(pc.equal(table["breaker"], name)), about_all=about_all, **more)
            for name in names
        ]
    )


def fields(edges):
    return [
        (
            *(edge.breaker, edge.epoch, edge.at, edge.from_state.value, edge.to_state.value),
            *(edge.trigger.value, edge.cause.rule.value),
            *(edge.cause.observed, edge.cause.threshold),
        )
        for edge in sorted(edges, key=lambda edge: edge.breaker)
    ]


def rows(table):
    return [tuple(row.values())[:9] for row in table.to_pylist()]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
def test_every_recording_has_its_edges(path):
    found = grouped(table_in(LogReader(path)))
    assert found.schema == EDGES
    assert rows(found) == fields(replay(path).edges)
    assert found["witnessed"].to_pylist() == [True] * len(found)


@settings(max_examples=40, deadline=None)
@given(events=rst.logs().map(list))
def test_any_log_has_its_edges(events):
    assert rows(grouped(table_in(events))) == fields(replay(events).edges)


def test_the_order_and_the_types_of_the_rows_do_not_matter():
    """Engines shuffle rows, and have text in types of their own."""
    table = table_in(LogReader(FIXTURES[2]))
    shuffled = table.take(list(reversed(range(len(table))))).append_column("host", table["event"])
    large = shuffled.cast(
        pa.schema(
            pa.field(f.name, pa.large_string() if f.type == pa.string() else f.type)
            for f in shuffled.schema
        )
    )
    assert grouped(large) == grouped(table)


def test_an_edge_that_the_log_tells_otherwise_is_marked():
    table = table_in(LogReader(FIXTURES[2]))
    kept = table.filter(pc.not_equal(table["event"], "state_changed"))
    assert grouped(kept)["witnessed"].to_pylist() == [False] * 5


@settings(max_examples=20, deadline=None)
@given(trace=rst.traces(), config=rst.configurations())
def test_imported_traffic_is_driven(trace, config):
    names = {event.breaker for event in trace if event.kind == "call_observed"}
    for name in names:
        alone = [e for e in trace if getattr(e, "breaker", name) == name]
        expected = replay(
            [type(e)(n, *list(_fields(e))[1:]) for n, e in enumerate(alone, 1)], config=config
        )
        found = edges_of(table_of(name, alone[1:]), config=config)
        assert rows(found) == fields(expected.edges)
        assert found["witnessed"].to_pylist() == [None] * len(found)


def _fields(event):
    return (getattr(event, field.name) for field in event.__attrs_attrs__)


def test_it_is_called_with_one_table_as_spark_asks():
    assert len(inspect.getfullargspec(edges_of).args) == 1


def test_the_group_of_the_rows_about_the_whole_log_has_no_edges():
    """A group-by makes one of them: their breaker is null."""
    table = table_in(LogReader(FIXTURES[2]))
    about_all = table.filter(pc.is_null(table["breaker"]))
    assert len(about_all)
    assert edges_of(about_all) == EDGES.empty_table()


def test_what_is_no_table_of_one_breaker_is_refused():
    table = table_in(LogReader(FIXTURES[2]))
    with pytest.raises(LogError, match="expected the rows of one breaker"):
        edges_of(table)
    with pytest.raises(LogError, match="the column 'took' is missing"):
        edges_of(table.drop_columns(["took"]))
    own = table.filter(pc.is_valid(table["breaker"]))
    with pytest.raises(LogError, match=r"of 'redis' are from several logs, each with an event \d+"):
        edges_of(pa.concat_tables([own, own.slice(7, 1)]))
    with pytest.raises(ConfigError, match="the configuration of 'redis' is in its log"):
        edges_of(own, config=CircuitBreakerConfig())
    assert edges_of(SCHEMA.empty_table()) == EDGES.empty_table()
