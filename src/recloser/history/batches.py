"""Folds a log in batches, with the same result as event by event, but much faster.

Events are grouped by breaker, and the kernel runs over the rows of each. Breakers do not influence
one another, so folding one after the other gives the same edges. Afterwards these must be the edges
that the log recorded. Events after a gap, and lines out of order, are folded singly. If anything
else is wrong, the batch fold stops, and folding event by event finds out what it is.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Protocol

from recloser.core import kernel
from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import ClockTicked, Edge, Event, LogOpened
from recloser.errors import FoldError
from recloser.history.columnar.breaker_fold import (
    BreakerFold,
    ClockEvents,
    LeanOrderedEdge,
    clock_events_of,
    in_order,
)
from recloser.history.gathering import IS_COMPILED, EventGatherer, Gatherer, LineGatherer
from recloser.history.timeline import Timeline
from recloser.history.witnesses import WitnessedFold
from recloser.log.codec import full
from recloser.log.reader import PARQUET_SUFFIX, LogReader
from recloser.log.segment_reader import SegmentLines

_EVENTS_PER_BREAKER: Final = 32
"""Number of events per breaker from which the work done once per breaker pays off."""


class DivergedError(Exception):
    """A log does not continue as its events require."""


class EventBatches(Protocol):
    """Events that can be read many at a time."""

    def batches(self) -> Iterator[Sequence[Event]]:
        """Yield the events, lean or full, many at a time."""


def fold_log(log: LogReader | EventBatches) -> "BatchFold | None":
    """Fold a whole log; None if anything is wrong in it.

    Args:
        log: The log. One of segments is read by lines, which is fastest; any other by events.

    Raises:
        LogError: The log can't be read or is damaged.
    """
    fold = BatchFold()
    try:
        try:
            if isinstance(log, LogReader) and log.path.suffix != PARQUET_SUFFIX:
                for lines in log.line_batches():
                    fold.add_lines(lines)
            else:
                for batch in log.batches():
                    fold.add_events(batch)
        finally:
            # Also after a damaged line, so that an impossible event before it is reported first.
            fold.fold_gathered()
    except (DivergedError, FoldError):
        return None
    return fold


class BatchFold:
    """Folds the events of one log, and compares its witnesses.

    Attributes:
        witnessed: The fold, and the result of comparing the witnesses.
        edges: Every edge, in the order of the log.
        timeline: Converts times of the log to wall time.
        count: Number of events.
    """

    def __init__(self) -> None:
        self.witnessed = WitnessedFold()
        self.edges: list[Edge] = []
        self.timeline = Timeline()
        self.count = 0
        self._parts = CheckpointParts()
        self._line_gatherer = LineGatherer() if IS_COMPILED else None
        self._event_gatherer = EventGatherer()
        self._in_use: Gatherer | None = None

    def add_lines(self, lines: SegmentLines) -> None:
        """Add the next lines of the log, whose seals were checked.

        Raises:
            DivergedError: An edge lacks its witness, or a checkpoint differs.
            FoldError: An event can't have happened; it is not known which is the first.
            DamagedLogError: An event does not follow the one before it, or a line holds no event.
        """
        gatherer = self._line_gatherer
        if gatherer is not None and not self._must_fold_singly:
            self._use(gatherer)
            if gatherer.gather(lines.text):
                self.count += lines.count
                self._fold_if_many(gatherer)
                return
        for batch in lines.events():
            self.add_events(batch)

    def add_events(self, events: Sequence[Event]) -> None:
        """Add the next events of the log, lean or full.

        Raises:
            DivergedError: An edge lacks its witness, or a checkpoint differs.
            FoldError: An event can't have happened; it is not known which is the first.
            DamagedLogError: An event does not follow the one before it.
        """
        self.count += len(events)
        if not self._must_fold_singly:
            self._use(self._event_gatherer)
            if self._event_gatherer.gather(events):
                self._fold_if_many(self._event_gatherer)
                return
        self.fold_gathered()
        for event in events:
            self._fold_event(full(event))

    @property
    def _must_fold_singly(self) -> bool:
        # While witnesses are missing, or after a gap, each event may be treated differently.
        witnessed = self.witnessed
        return bool(witnessed.awaited) or witnessed.is_gap or witnessed.fold.is_joined

    def _use(self, gatherer: Gatherer) -> None:
        """Gather the next events with this gatherer."""
        if self._in_use is not gatherer:
            self.fold_gathered()
            fold = self.witnessed.fold
            gatherer.restart(-1 if fold.opened is None else fold.seq, fold.at)
            self._in_use = gatherer

    def _fold_if_many(self, gatherer: Gatherer) -> None:
        breakers = len(self.witnessed.fold.breakers)
        if gatherer.size > max(gatherer.capacity, _EVENTS_PER_BREAKER * breakers):
            self.fold_gathered()

    def fold_gathered(self) -> None:
        """Fold the events that were gathered and not yet folded.

        Raises:
            DivergedError: An edge lacks its witness, or a checkpoint differs.
            FoldError: An event can't have happened; it is not known which is the first.
        """
        gathered, self._in_use = self._in_use, None
        if gathered is None or gathered.seq < 0:
            return
        fold, witnessed = self.witnessed.fold, self.witnessed
        session = 0 if fold.opened is None else fold.opened.session
        edges = in_order(self._edges_of(gathered, clock_events_of(gathered.readings, session)))
        count = gathered.count_witnessed(edges)
        if count < 0:
            raise DivergedError
        # The witnesses of the last event may be in the lines to come; all others must be here.
        awaited = [full(edge) for edge in edges[count:]]
        if awaited and awaited[0].seq != gathered.seq + 1:
            raise DivergedError
        witnessed.witnesses += count
        witnessed.awaited.extend(awaited)
        self.edges += map(full, edges)
        for reading in gathered.readings:
            self.timeline.add(reading)
        fold.move_to(gathered.seq, gathered.at, gathered.readings)

    def _edges_of(self, gathered: Gatherer, clock_events: ClockEvents) -> Sequence[LeanOrderedEdge]:
        breakers = self.witnessed.fold.breakers
        edges: list[LeanOrderedEdge] = []
        folded = set()
        for rows in gathered.by_breaker():
            name = rows.breaker
            fold = BreakerFold(name, clock_events, breakers.get(name), self._parts)
            fold.fold_rows(rows)
            if fold.has_begun:
                fold.fold_rest()
                breakers[name] = fold.state
            if fold.has_diverged:
                raise DivergedError
            edges += fold.lean_edges
            folded.add(name)
        if clock_events.events:
            for name, state in breakers.items():
                if state.where != kernel.CLOSED and name not in folded:
                    fold = BreakerFold(name, clock_events, state, self._parts)
                    fold.fold_rest()
                    edges += fold.lean_edges
        return edges

    def _fold_event(self, event: Event) -> None:
        edges = self.witnessed.fold_event(event)
        self.edges += edges
        if isinstance(event, LogOpened | ClockTicked):
            self.timeline.add(event)
