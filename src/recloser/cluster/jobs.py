"""The work on one span of a log: what a worker does, and hands back; it is pure, and so can be redone."""

from collections.abc import Sequence

from attrs import evolve, frozen

from recloser.cluster.dataset import AT_ONCE, opened
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
from recloser.proof.variants import DrivenLane


@frozen
class FoldedBreaker:
    """What came of one breaker.

    Attributes:
        snapshot: It, after the last event of the log.
        taken: Its edges.
        witnesses: The ``seq`` of each witness; they are equal to the edges but for that.
    """

    snapshot: Snapshot
    taken: Sequence[OrderedEdge]
    witnesses: Sequence[int]


@frozen
class FoldedSpan:
    """What came of a span.

    Attributes:
        breakers: Its breakers, in the order of their names.
        because: Why the whole log has to be folded event by event; None if it has not.
    """

    breakers: Sequence[FoldedBreaker]
    because: str | None = None


def fold_span(url: str, groups: range) -> FoldedSpan:
    """Fold the breakers of a span from edge to edge, a bounded number of rows at a time.

    Raises:
        LogError: It can't be read.
    """
    with opened(url) as log:
        about_all = whole_log_events(log)
        try:
            check_foldable(about_all)
            rows = columns_of_span(log, groups, AT_ONCE)
            folds = [
                _folded(fold, log, about_all) for fold in folds_of(rows, clock_events_of(about_all))
            ]
        except NeedsEventsError as reason:
            return FoldedSpan((), str(reason))
    return FoldedSpan(folds)


def _folded(fold: BreakerFold, log: ParquetLog, about_all: Sequence[Event]) -> FoldedBreaker:
    told = [evolve(witness, seq=0) for witness in fold.witnesses]
    if fold.has_diverged or told != [evolve(taken.edge, seq=0) for taken in fold.edges]:
        raise NeedsEventsError("the recorded edges or states differ from the computed ones")
    last = [event for event in about_all if event.kind in ("log_opened", "clock_ticked")][-1]
    assert last.kind in ("log_opened", "clock_ticked")
    wall, at = last.wall, last.at
    return FoldedBreaker(
        take_snapshot(fold.state, log.about.last_at, lambda now: after(wall, now - at)),
        fold.edges,
        [witness.seq for witness in fold.witnesses],
    )


def fold_whole(url: str, because: str) -> History:
    """Fold a log event by event; its events go through files, and not through memory.

    Raises:
        LogError: It can't be read.
    """
    with opened(url) as log:
        history = fold_history(log)
        return evolve(history, events=(), tail=log.about.tail, because=because)


def drive_whole(url: str, config: CircuitBreakerConfig) -> History:
    """Drive breakers of these settings with the imported calls of a log; these go through files.

    All of its breakers are driven together: what a call of one finds due moves the others too.

    Raises:
        LogError: It can't be read.
    """
    with opened(url) as log:
        opening, calls = read_trace(log)
        lane = DrivenLane(opening, config)
        edges: list[Edge] = []
        last = 0
        for call in calls:
            edges += lane.take(call)
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
