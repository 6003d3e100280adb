"""Edges of one breaker from an Arrow table, as other engines call it."""

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
    """Compute the edges of each breaker from its group of rows."""
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
def test_edges_of_every_recording_equal_its_replay(path):
    found = grouped(table_in(LogReader(path)))
    assert found.schema == EDGES
    assert rows(found) == fields(replay(path).edges)
    assert found["witnessed"].to_pylist() == [True] * len(found)


@settings(max_examples=40, deadline=None)
@given(events=rst.logs().map(list))
def test_edges_of_any_log_equal_its_replay(events):
    assert rows(grouped(table_in(events))) == fields(replay(events).edges)


def test_order_and_types_of_rows_do_not_matter():
    """Engines shuffle rows and change the types of text columns."""
    table = table_in(LogReader(FIXTURES[2]))
    shuffled = table.take(list(reversed(range(len(table))))).append_column("host", table["event"])
    large = shuffled.cast(
        pa.schema(
            pa.field(f.name, pa.large_string() if f.type == pa.string() else f.type)
            for f in shuffled.schema
        )
    )
    assert grouped(large) == grouped(table)


def test_edge_that_differs_from_the_log_is_marked():
    table = table_in(LogReader(FIXTURES[2]))
    kept = table.filter(pc.not_equal(table["event"], "state_changed"))
    assert grouped(kept)["witnessed"].to_pylist() == [False] * 5


@settings(max_examples=20, deadline=None)
@given(trace=rst.traces(), config=rst.configurations())
def test_imported_calls_drive_a_breaker(trace, config):
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


def test_edges_of_works_as_sparks_apply_in_arrow():
    assert len(inspect.getfullargspec(edges_of).args) == 1


def test_rows_without_a_breaker_have_no_edges():
    """A group-by makes a group of the rows whose breaker is null."""
    table = table_in(LogReader(FIXTURES[2]))
    about_all = table.filter(pc.is_null(table["breaker"]))
    assert len(about_all)
    assert edges_of(about_all) == EDGES.empty_table()


def test_table_that_is_not_of_one_breaker_is_refused():
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
