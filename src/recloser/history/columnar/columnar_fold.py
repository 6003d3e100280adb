"""The histories of all breakers of an exported log, from edge to edge."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Final

from attrs import field, frozen

from recloser.core.events import ClockTicked, Edge, Event, LogOpened
from recloser.core.moments import after
from recloser.core.snapshot import Snapshot, take_snapshot
from recloser.errors import FoldError, RecloserError
from recloser.history.columnar.breaker_fold import BreakerFold, Times, in_order, times_of
from recloser.history.columnar.event_columns import Rows
from recloser.history.columnar.exported_log import rows_of, whole_log_events
from recloser.log.codec import full
from recloser.log.parquet import ParquetLog

_seq_of: Final = attrgetter("seq")


class NeedsEventsError(RecloserError):
    """A log has to be folded event by event; the message says why."""


@frozen
class ColumnHistory:
    """What the columns of a log fold to.

    Attributes:
        edges: Every edge of every breaker, in the order of the log.
        snapshots: Each breaker as it was after the last event.
        witnesses: How many witnesses were compared; all are equal.
        readings: The readings of both hands of the clock, in their order.
    """

    edges: Sequence[Edge]
    snapshots: Mapping[str, Snapshot]
    witnesses: int
    readings: Sequence[LogOpened | ClockTicked] = field(repr=False)


def fold_columns(log: ParquetLog) -> ColumnHistory:
    """Fold an exported log that breakers wrote.

    Raises:
        NeedsEventsError: It has to be folded event by event: it tells of a gap or of a witness that
            differs, or an event in it can't have happened.
        LogError: It can't be read.
    """
    about_all = whole_log_events(log)
    check_foldable(about_all)
    folds = list(folds_of(rows_of(log), times_of(about_all)))
    edges = in_order(taken for fold in folds for taken in fold.lean_taken)
    witnesses = sorted((w for fold in folds for w in fold.lean_witnesses), key=_seq_of)
    if edges != witnesses or any(fold.is_parted for fold in folds):
        raise NeedsEventsError("what it witnessed differs from what comes of it")
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
    """Refuse what has to be folded event by event, as the events about the whole log tell.

    Raises:
        NeedsEventsError: It has to be.
    """
    if not about_all or about_all[0].kind != "log_opened":
        raise NeedsEventsError("it does not begin with log_opened")
    if any(event.kind == "log_gap" for event in about_all):
        raise NeedsEventsError("events are missing in it")


def folds_of(parts: Iterable[Rows], times: Times) -> Iterator[BreakerFold]:
    """The folds of breakers, whose rows come one breaker after the other.

    Raises:
        NeedsEventsError: An event can't have happened.
    """
    for breaker, rows in groupby(parts, key=lambda part: part.breaker):
        fold = BreakerFold(breaker, times)
        try:
            for part in rows:
                fold.take(part)
            fold.finish()
        except FoldError as error:
            raise NeedsEventsError(str(error)) from error
        yield fold
