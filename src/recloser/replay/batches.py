"""The fold of a log in batches: the same as event by event, in a fraction of the time.

Successes of a closed breaker wait until something else is told of it, and are then applied together:
breakers do not influence one another, so it makes no difference that the log has gone on meanwhile.
Only a log that is as its writer left it is folded so. Of any other this fold says so, and leaves it
to the fold of one event after another to tell what is wrong with it.
"""

from collections.abc import Sequence
from typing import Final

from recloser.events import CallSucceeded, ClockTicked, Edge, Event, LogOpened
from recloser.log.codec import full, lean
from recloser.machine import CLOSED
from recloser.replay.timeline import Timeline
from recloser.replay.witnesses import WitnessedFold

_Succeeded: Final = lean(CallSucceeded)
_MOST_WAITING: Final = 1024
"""So many events, and the text that they were, fit into the cache of a processor."""

_A_BREAKER: Final = 32


class OutOfStepError(Exception):
    """An edge was taken where the log goes on without it."""


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
        self._waiting: dict[str, list[CallSucceeded]] = {}
        self._taken = 0
        self._waited = 0

    def take(self, events: Sequence[Event]) -> None:
        """Take the next events of the log, lean or full.

        Raises:
            OutOfStepError: An edge lacks its witness.
            FoldError: An event can't have happened; which is the first, is not known.
            DamagedLogError: An event does not follow the one before it.
        """
        self.count += len(events)
        rest: Sequence[Event] = events
        while rest:
            rest = self._take_neighbours(rest)
        self._waited += len(events)
        if self._waited > max(_MOST_WAITING, _A_BREAKER * len(self._waiting)):
            self.settle()

    def _take_neighbours(self, events: Sequence[Event]) -> Sequence[Event]:
        """Take events up to a gap of the log; those behind it."""
        fold, succeeded = self.witnessed.fold, _Succeeded
        waiting = self._now_waiting()
        first, at = fold.seq + 1, fold.at
        for seq, event in enumerate(events, first):
            if type(event) is succeeded and event.seq == seq and (now := event.at) >= at:
                at = now
                try:
                    waiting[event.breaker].append(event)
                except KeyError:
                    pass
                else:
                    continue
            fold.seq, fold.at = seq - 1, at
            self._take_singly(full(event))
            if fold.seq != seq:
                return events[seq + 1 - first :]
            at = fold.at
            waiting = self._now_waiting()
        fold.seq, fold.at = first + len(events) - 1, at
        return ()

    def _now_waiting(self) -> dict[str, list[CallSucceeded]]:
        """The breakers whose successes wait: none where a witness must come first."""
        return {} if self.witnessed.awaited else self._waiting

    def settle(self) -> None:
        """Apply what waits.

        Raises:
            OutOfStepError, FoldError: As ``take``.
        """
        for breaker in [breaker for breaker, waiting in self._waiting.items() if waiting]:
            self._apply_waiting(breaker)
        self._waited = 0

    def _take_singly(self, event: Event) -> None:
        witnessed = self.witnessed
        if witnessed.fold.seq != self._taken:
            witnessed.pass_successes()
        if event.kind == "log_opened":
            self.settle()
        breaker = getattr(event, "breaker", None)
        if breaker is not None and self._waiting.get(breaker):
            self._apply_waiting(breaker)
        edges = witnessed.take(event)
        self._taken = witnessed.fold.seq
        self.edges += edges
        if isinstance(event, LogOpened | ClockTicked):
            self.timeline.add(event)
        for edge in edges:
            self._sort(edge.breaker)
        if breaker is not None:
            self._sort(breaker)

    def _apply_waiting(self, breaker: str) -> None:
        waiting = self._waiting[breaker]
        edges = self.witnessed.fold.apply_waiting(breaker, waiting)
        if edges:
            if edges[0].seq != self.witnessed.fold.seq + 1:
                raise OutOfStepError(edges[0])
            self.witnessed.pass_successes(edges)
            self.edges += edges
        waiting.clear()
        self._sort(breaker)

    def _sort(self, breaker: str) -> None:
        """Let successes of a breaker wait from now on, or no longer."""
        state = self.witnessed.fold.breakers.get(breaker)
        if state is not None and state.state is CLOSED:
            self._waiting.setdefault(breaker, [])
        else:
            self._waiting.pop(breaker, None)
