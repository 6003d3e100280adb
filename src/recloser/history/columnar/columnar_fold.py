"""Folds an exported log by columns, breaker by breaker."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from attrs import field, frozen

from recloser.core.events import ClockTicked, Edge, Event, LogOpened
from recloser.core.moments import after
from recloser.core.snapshot import Snapshot, take_snapshot
from recloser.errors import FoldError, RecloserError
from recloser.history.columnar.breaker_fold import (
    BreakerFold,
    ClockEvents,
    clock_events_of,
    in_order,
)
from recloser.history.columnar.event_columns import EventColumns
from recloser.history.columnar.exported_log import columns_of, whole_log_events
from recloser.log.codec import full
from recloser.log.parquet import ParquetLog

WITNESSES_DIFFER: Final = "the recorded edges or states differ from the computed ones"
"""Message of ``NeedsEventsError`` if a witness or checkpoint differs."""

_seq_of: Final = attrgetter("seq")


class NeedsEventsError(RecloserError):
    """A log must be folded event by event; the message says why."""


@frozen
class ColumnHistory:
    """The result of folding the columns of a log.

    Attributes:
        edges: Every edge of every breaker, in the order of the log.
        snapshots: Each breaker after the last event.
        witnesses: Number of witnesses compared; all are equal to the computed edges.
        readings: The events with a reading of the clock, in order.
    """

    edges: Sequence[Edge]
    snapshots: Mapping[str, Snapshot]
    witnesses: int
    readings: Sequence[LogOpened | ClockTicked] = field(repr=False)


def fold_columns(log: ParquetLog) -> ColumnHistory:
    """Fold an exported log that breakers wrote.

    Raises:
        NeedsEventsError: The log must be folded event by event: it holds a gap, a witness that
            differs, or an event that can't have happened.
        LogError: The log can't be read.
    """
    about_all = whole_log_events(log)
    check_foldable(about_all)
    folds = list(folds_of(columns_of(log), clock_events_of(about_all)))
    edges = in_order(edge for fold in folds for edge in fold.lean_edges)
    witnesses = sorted((w for fold in folds for w in fold.lean_witnesses), key=_seq_of)
    if edges != witnesses or any(fold.has_diverged for fold in folds):
        raise NeedsEventsError(WITNESSES_DIFFER)
    readings = [event for event in about_all if event.kind in ("log_opened", "clock_ticked")]
    last = readings[-1]
    snapshots = {
        fold.breaker: take_snapshot(
            fold.state, log.about.last_at, lambda at: after(last.wall, at - last.at)
        )
        for fold in folds
    }
    return ColumnHistory(list(map(full, edges)), snapshots, len(witnesses), readings)


def check_foldable(about_all: Sequence[Event]) -> None:
    """Check that the events about the whole log allow folding by columns.

    Raises:
        NeedsEventsError: The log must be folded event by event.
    """
    if not about_all or about_all[0].kind != "log_opened":
        raise NeedsEventsError("it does not begin with log_opened")
    if any(event.kind == "log_gap" for event in about_all):
        raise NeedsEventsError("events are missing from it")


def folds_of(columns: Iterable[EventColumns], clock_events: ClockEvents) -> Iterator[BreakerFold]:
    """Fold breakers whose columns come one breaker after the other.

    Args:
        columns: The columns, consecutive for each breaker.
        clock_events: The events about the whole log that can move a breaker.

    Raises:
        NeedsEventsError: An event can't have happened.
    """
    for breaker, rows in groupby(columns, key=lambda each: each.breaker):
        fold = BreakerFold(breaker, clock_events)
        try:
            for each in rows:
                fold.fold_rows(each)
            fold.fold_rest()
        except FoldError as error:
            raise NeedsEventsError(str(error)) from error
        yield fold
