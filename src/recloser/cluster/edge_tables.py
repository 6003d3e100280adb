"""Compute the edges of one breaker from an Arrow table of its rows.

``edges_of`` has the form that Spark's ``applyInArrow`` expects, and a task of Ray can call it. It keeps
nothing between two calls. With Spark 4.0 or later::

    log = spark.read.parquet("redis.parquet")
    about_all = log.filter("breaker is null").toArrow()
    edges = log.groupBy("breaker").applyInArrow(
        lambda rows: edges_of(rows, about_all=about_all), from_arrow_schema(EDGES)
    )

``from_arrow_schema`` is in ``pyspark.sql.pandas.types``. Group several logs by ``input_file_name()`` as
well.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, TypeAlias

import pyarrow as pa
from attrs import evolve

from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.events import CallObserved, Edge, Event, LogOpened
from recloser.errors import ConfigError, LogError
from recloser.history.columnar.breaker_fold import BreakerFold, clock_events_of
from recloser.history.columnar.exported_log import columns_in
from recloser.history.live_driver import by_start
from recloser.log.arrow_table import SCHEMA, events_of
from recloser.proof.variants import DrivenVariant

_INTEGER: Final = pa.int64()
_TEXT: Final = pa.string()

_EdgeRow: TypeAlias = tuple[Edge, int | None, bool | None]
_UNDATED: Final = LogOpened(1, 0, 1, 1, 1, datetime(1970, 1, 1, tzinfo=UTC), 0, "", "", 0, "")

EDGES: Final = pa.schema(
    [
        pa.field("breaker", _TEXT, nullable=False),
        pa.field("epoch", _INTEGER, nullable=False),
        pa.field("at", _INTEGER, nullable=False),
        pa.field("from", _TEXT, nullable=False),
        pa.field("to", _TEXT, nullable=False),
        pa.field("trigger", _TEXT, nullable=False),
        # The cause, with the same fields as in ``state_changed``.
        pa.field("rule", _TEXT, nullable=False),
        pa.field("observed", _INTEGER, nullable=False),
        pa.field("threshold", _INTEGER, nullable=False),
        pa.field("calls", _INTEGER, nullable=False),
        pa.field("rate", _TEXT),
        pa.field("actor", _TEXT),
        pa.field("reason", _TEXT),
        # The ``seq`` of the event that fired the edge; null for imported calls.
        pa.field("fired_by", _INTEGER),
        # Whether the log records the same edge; null for imported calls.
        pa.field("witnessed", pa.bool_()),
    ]
)
"""The columns of a table of edges; ``at`` is in nanoseconds of the log, ``epoch`` the new epoch."""


def edges_of(
    rows: pa.Table,
    *,
    about_all: pa.Table | None = None,
    config: Settings | None = None,
) -> pa.Table:
    """Compute the edges of one breaker from all of its rows in one exported log.

    Args:
        rows: The rows, in any order, with at least the columns of ``recloser export``. Rows whose
            ``breaker`` is null, which a group-by passes as well, have no edges.
        about_all: The rows of the log whose ``breaker`` is null. They include the ticks of its clock:
            without them, an edge that a tick fired appears at the breaker's next event.
        config: Settings of a breaker driven by imported calls; by default ``CircuitBreakerConfig()``.

    Returns:
        A table with the columns of ``EDGES``, in the order of the edges. A breaker driven by imported
        calls ends its cooldown at its own next call. A replay of the whole log ends it at the next
        call of any breaker, and has an earlier ``at`` there.

    Raises:
        LogError: A column is missing, or the rows are not those of one breaker in one log.
        FoldError: An event is not possible in the state that it is applied to.
        ConfigError: ``config`` is given for a breaker that was recorded.
    """
    rows = _exported(rows)
    names = rows.column("breaker").unique().to_pylist()
    if names in ([], [None]):
        return EDGES.empty_table()
    if len(names) != 1:
        raise LogError(f"expected the rows of one breaker, and these are of {len(names)}")
    _check_one_log(rows.column("seq"), names[0])
    common = [] if about_all is None else list(events_of(_exported(about_all)))
    if "call_observed" in rows.column("event").unique().to_pylist():
        edges = _driven(
            rows, common, CircuitBreakerConfig() if config is None else as_config(config)
        )
        return _table((edge, None, None) for edge in edges)
    if config is not None:
        raise ConfigError(
            f"the configuration of {names[0]!r} is in its log; settings can be given only for "
            "imported traffic"
        )
    return _table(_folded(names[0], rows, common))


def _exported(table: pa.Table) -> pa.Table:
    """Return the rows sorted by ``seq`` and cast to the types of ``SCHEMA``."""
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise LogError(f"the column {missing[0]!r} is missing in this table")
    return table.select(SCHEMA.names).cast(SCHEMA).sort_by("seq")


def _check_one_log(seqs: pa.ChunkedArray, breaker: str) -> None:
    """Raise if a ``seq`` occurs twice: the rows are then from two logs."""
    numbers = seqs.to_numpy()
    again = numbers[1:][numbers[1:] == numbers[:-1]]
    if len(again):
        raise LogError(
            f"the rows of {breaker!r} are from several logs, each with an event {again[0]}; "
            "group them by the log too"
        )


def _folded(breaker: str, rows: pa.Table, about_all: list[Event]) -> Iterator[_EdgeRow]:
    fold = BreakerFold(breaker, clock_events_of(about_all))
    fold.fold_rows(columns_in(rows, breaker))
    fold.fold_rest()
    recorded = {witness.epoch: evolve(witness, seq=0) for witness in fold.witnesses}
    for ordered in fold.edges:
        edge = ordered.edge
        yield edge, ordered.seq, recorded.get(edge.epoch) == evolve(edge, seq=0)


def _driven(rows: pa.Table, about_all: list[Event], config: CircuitBreakerConfig) -> Iterator[Edge]:
    opening = next((event for event in about_all if isinstance(event, LogOpened)), _UNDATED)
    lane = DrivenVariant(opening, config)
    for call in by_start(e for e in events_of(rows) if isinstance(e, CallObserved)):
        yield from lane.apply(call)
    yield from lane.finish()


def _table(edges: Iterable[_EdgeRow]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "breaker": edge.breaker,
                "epoch": edge.epoch,
                "at": edge.at,
                "from": edge.from_state.value,
                "to": edge.to_state.value,
                "trigger": edge.trigger.value,
                "rule": edge.cause.rule.value,
                "observed": edge.cause.observed,
                "threshold": edge.cause.threshold,
                "calls": edge.cause.calls,
                "rate": edge.cause.rate,
                "actor": edge.cause.actor,
                "reason": edge.cause.reason,
                "fired_by": fired_by,
                "witnessed": witnessed,
            }
            for edge, fired_by, witnessed in edges
        ],
        schema=EDGES,
    )
