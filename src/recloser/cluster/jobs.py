"""Jobs: fold or drive the breakers in some row groups of one log.

A job depends on nothing but its arguments and files that are only read, so another worker can repeat
it with the same result.
"""

from collections.abc import Sequence

from attrs import evolve, frozen

from recloser.cluster.dataset import ROWS_AT_ONCE, opened
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Edge, Event
from recloser.core.moments import after
from recloser.core.snapshot import Snapshot, take_snapshot
from recloser.history.columnar.breaker_fold import BreakerFold, OrderedEdge, clock_events_of
from recloser.history.columnar.columnar_fold import NeedsEventsError, check_foldable, folds_of
from recloser.history.columnar.exported_log import columns_of_span, whole_log_events
from recloser.history.engine import fold_history
from recloser.history.history import History
from recloser.history.live_driver import read_trace
from recloser.history.timeline import Timeline
from recloser.log.parquet import ParquetLog
from recloser.proof.variants import DrivenVariant


@frozen
class FoldedBreaker:
    """The history of one breaker.

    Attributes:
        snapshot: The breaker after the last event of the log.
        edges: Its edges.
        witnesses: The ``seq`` of each recorded edge; the recorded edges are otherwise equal to ``edges``.
    """

    snapshot: Snapshot
    edges: Sequence[OrderedEdge]
    witnesses: Sequence[int]


@frozen
class FoldedRowGroups:
    """The result of folding some row groups.

    Attributes:
        breakers: The breakers that begin there, in the order of their names.
        reason: Why the whole log must be folded event by event; None if that is not necessary.
    """

    breakers: Sequence[FoldedBreaker]
    reason: str | None = None


def fold_row_groups(url: str, groups: range) -> FoldedRowGroups:
    """Fold the breakers that begin in some row groups, in bounded memory.

    Raises:
        LogError: The file cannot be read.
    """
    with opened(url) as log:
        about_all = whole_log_events(log)
        try:
            check_foldable(about_all)
            rows = columns_of_span(log, groups, ROWS_AT_ONCE)
            folds = [
                _folded(fold, log, about_all) for fold in folds_of(rows, clock_events_of(about_all))
            ]
        except NeedsEventsError as reason:
            return FoldedRowGroups((), str(reason))
    return FoldedRowGroups(folds)


def _folded(fold: BreakerFold, log: ParquetLog, about_all: Sequence[Event]) -> FoldedBreaker:
    recorded = [evolve(witness, seq=0) for witness in fold.witnesses]
    if fold.has_diverged or recorded != [evolve(ordered.edge, seq=0) for ordered in fold.edges]:
        raise NeedsEventsError("the recorded edges or states differ from the computed ones")
    last = [event for event in about_all if event.kind in ("log_opened", "clock_ticked")][-1]
    assert last.kind in ("log_opened", "clock_ticked")
    wall, at = last.wall, last.at
    return FoldedBreaker(
        take_snapshot(fold.state, log.about.last_at, lambda now: after(wall, now - at)),
        fold.edges,
        [witness.seq for witness in fold.witnesses],
    )


def fold_whole(url: str, reason: str) -> History:
    """Fold a log event by event, with its events in temporary files instead of memory.

    Args:
        url: The path or URL of the log.
        reason: Why its row groups cannot be folded separately.

    Raises:
        LogError: The file cannot be read.
    """
    with opened(url) as log:
        history = fold_history(log)
        return evolve(history, events=(), tail=log.about.tail, engine_reason=reason)


def drive_whole(url: str, config: CircuitBreakerConfig) -> History:
    """Drive breakers with the imported calls of a log, using temporary files.

    All breakers of the log are driven together: a call of one breaker advances the time of all, so
    that the cooldowns of others end at it.

    Raises:
        LogError: The file cannot be read.
    """
    with opened(url) as log:
        opening, calls = read_trace(log)
        lane = DrivenVariant(opening, config)
        edges: list[Edge] = []
        last = 0
        for call in calls:
            edges += lane.apply(call)
            last = max(last, call.at)
        edges += lane.finish()
        timeline = Timeline(whole_log_events(log))
        states = lane.states or {}
        return History(
            edges=edges,
            snapshots={
                name: take_snapshot(states[name], last, timeline.utc) for name in sorted(states)
            },
            witnesses=0,
            differences=(),
            timeline=timeline,
            events=(),
            count=log.about.events,
            tail=log.about.tail,
        )
