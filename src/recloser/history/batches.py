"""The fold of a log in batches: the same as event by event, in a fraction of the time.

Events are gathered by breaker, and the kernel runs over those of each: breakers do not influence one
another, so it makes no difference that the log has gone on meanwhile. Then the edges must be those
that the log recorded. Where a gap is, and where lines are in disorder, events are folded singly. A
log with anything else amiss is left to the fold of one event after another, which says what it is.
"""

from collections.abc import Sequence
from typing import Final

from recloser.core import kernel
from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import ClockTicked, Edge, Event, LogOpened
from recloser.history.columnar.breaker_fold import BreakerFold, LeanTaken, Times, in_order, times_of
from recloser.history.gathered_events import GatheredEvents
from recloser.history.gathered_lines import IS_COMPILED, GatheredLines
from recloser.history.gathering import Gathered
from recloser.history.timeline import Timeline
from recloser.history.witnesses import WitnessedFold
from recloser.log.codec import full
from recloser.log.reader import Stretch

_A_BREAKER: Final = 32
"""So many events of a breaker make the work that is done for each one once worth it."""


class OutOfStepError(Exception):
    """A log goes on in another way than its events lead to."""


class BatchFold:
    """Folds the events of one log and compares its witnesses.

    Attributes:
        witnessed: The fold, and what was found of the witnesses.
        edges: Every edge, in the order of the log.
        timeline: Dates its moments.
        count: How many events there were.
    """

    def __init__(self) -> None:
        self.witnessed = WitnessedFold()
        self.edges: list[Edge] = []
        self.timeline = Timeline()
        self.count = 0
        self._parts = CheckpointParts()
        self._lines = GatheredLines() if IS_COMPILED else None
        self._events = GatheredEvents()
        self._gathered: Gathered | None = None

    def take_lines(self, lines: Stretch) -> None:
        """Take the next lines of the log, which are as they were written.

        Raises:
            OutOfStepError, FoldError, DamagedLogError: As ``take``.
        """
        gathered = self._lines
        if gathered is not None and not self._is_singly:
            self._gather(gathered)
            if gathered.take(lines.text):
                self.count += lines.count
                self._settle_many(gathered)
                return
        for batch in lines.batches():
            self.take(batch)

    def take(self, events: Sequence[Event]) -> None:
        """Take the next events of the log, lean or full.

        Raises:
            OutOfStepError: An edge lacks its witness, or a checkpoint differs.
            FoldError: An event can't have happened; which is the first, is not known.
            DamagedLogError: An event does not follow the one before it.
        """
        self.count += len(events)
        if not self._is_singly:
            self._gather(self._events)
            if self._events.take(events):
                self._settle_many(self._events)
                return
        self.settle()
        for event in events:
            self._take_singly(full(event))

    @property
    def _is_singly(self) -> bool:
        """Whether what comes next has to be taken event by event."""
        witnessed = self.witnessed
        return bool(witnessed.awaited) or witnessed.is_gap or witnessed.fold.is_joined

    def _gather(self, into: Gathered) -> None:
        """Have the next events be gathered so."""
        if self._gathered is not into:
            self.settle()
            fold = self.witnessed.fold
            into.begin(-1 if fold.opened is None else fold.seq, fold.at)
            self._gathered = into

    def _settle_many(self, gathered: Gathered) -> None:
        if gathered.size > max(gathered.most, _A_BREAKER * len(self.witnessed.fold.breakers)):
            self.settle()

    def settle(self) -> None:
        """Fold what is gathered.

        Raises:
            OutOfStepError, FoldError: As ``take``.
        """
        gathered, self._gathered = self._gathered, None
        if gathered is None or gathered.seq < 0:
            return
        fold, witnessed = self.witnessed.fold, self.witnessed
        times = times_of(gathered.readings, 0 if fold.opened is None else fold.opened.session)
        edges = in_order(self._taken(gathered, times))
        count = gathered.witnessed(edges)
        if count < 0:
            raise OutOfStepError
        awaited = [full(edge) for edge in edges[count:]]
        if awaited and awaited[0].seq != gathered.seq + 1:
            raise OutOfStepError
        witnessed.witnesses += count
        witnessed.awaited.extend(awaited)
        self.edges += map(full, edges)
        for reading in gathered.readings:
            self.timeline.add(reading)
        fold.stand_at(gathered.seq, gathered.at, gathered.readings)

    def _taken(self, gathered: Gathered, times: Times) -> Sequence[LeanTaken]:
        breakers = self.witnessed.fold.breakers
        taken: list[LeanTaken] = []
        moved = set()
        for rows in gathered.by_breaker():
            name = rows.breaker
            fold = BreakerFold(name, times, breakers.get(name), self._parts)
            fold.take(rows)
            if fold.has_begun:
                fold.finish()
                breakers[name] = fold.state
            if fold.is_parted:
                raise OutOfStepError
            taken += fold.lean_taken
            moved.add(name)
        if times.events:
            for name, state in breakers.items():
                if state.where != kernel.CLOSED and name not in moved:
                    fold = BreakerFold(name, times, state, self._parts)
                    fold.finish()
                    taken += fold.lean_taken
        return taken

    def _take_singly(self, event: Event) -> None:
        edges = self.witnessed.take(event)
        self.edges += edges
        if isinstance(event, LogOpened | ClockTicked):
            self.timeline.add(event)
