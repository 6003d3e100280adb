"""Erring: a history taken under wrong clocks, until it is another one."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush

from attrs import define, field, frozen

from recloser.core.events import CallObserved, Edge, Event
from recloser.core.fold import NO_EDGES, refusal_of
from recloser.core.log_fold import LogFold
from recloser.core.state import place
from recloser.errors import RecloserError
from recloser.history.edge_sequence import EdgeSequence, SequencedEdge
from recloser.history.history import canonical
from recloser.history.warping import mapper
from recloser.history.warps import MonotonicWarp
from recloser.proof.variants import DrivenLane, Lane


@frozen
class Moved:
    """The first edge that an error moves out of its place.

    Attributes:
        edge: The edge, as it is without the error; one more at the end, where the error adds it.
        seq: The event at which the history becomes another.
        got: What happens there instead.
    """

    edge: SequencedEdge
    seq: int
    got: str


class ErringLane(Lane):
    """A lane whose clocks err."""

    @abstractmethod
    def objection(self, event: Event) -> str | None:
        """Why the event, which was taken, can't have happened after all; None if it can."""


class PossibleFold(ErringLane):
    """The fold of a log, as long as each of its events can still have happened."""

    def __init__(self, warp: MonotonicWarp) -> None:
        self._fold = LogFold()
        self._change = mapper(warp)

    def take(self, event: Event) -> Sequence[Edge]:
        """Fold the event as the wrong clock would have timed it."""
        return self._fold.apply(self._change(event))

    def objection(self, event: Event) -> str | None:
        """A refusal by a breaker that lets calls through."""
        if event.kind == "call_rejected" and refusal_of(self._fold.breakers[event.breaker]) is None:
            return f"{place(event)}: the breaker lets this call through"
        return None


class RetimedDrive(ErringLane):
    """Driven breakers whose calls are timed by wrong clocks, which may change their order."""

    def __init__(self, driven: DrivenLane, warp: MonotonicWarp) -> None:
        self._driven = driven
        self._change = mapper(warp)
        self._slack = warp.slack_ns
        self._waiting: list[tuple[int, int, CallObserved]] = []

    def objection(self, event: Event) -> str | None:
        """None: whatever comes is what breakers decided."""
        del event
        return None

    def take(self, event: Event) -> Sequence[Edge]:
        """Drive the breakers with what now can't come in another order any more."""
        call = self._change(event)
        if self._slack is None:
            return self._driven.take(call)
        assert isinstance(call, CallObserved)
        assert isinstance(event, CallObserved)
        heappush(self._waiting, (call.start, call.seq, call))
        # No call that comes later in the right order can start before this in the wrong one.
        return self._drive_until(event.start - self._slack)

    def finish(self) -> Sequence[Edge]:
        """Drive them with what is left."""
        return [*self._drive_until(None), *self._driven.finish()]

    def _drive_until(self, start: int | None) -> Sequence[Edge]:
        edges: list[Edge] = []
        while self._waiting and (start is None or self._waiting[0][0] < start):
            edges += self._driven.take(heappop(self._waiting)[2])
        return edges or NO_EDGES


@define(eq=False)
class Trial:
    """One error on trial: its lane, compared with the course without it.

    Attributes:
        moved: What the error moves; None as long as it has moved nothing.
    """

    _lane: ErringLane
    _course: EdgeSequence
    moved: Moved | None = None
    _taken: Counter[str] = field(factory=Counter)

    def take(self, event: Event) -> None:
        """Take the next event."""
        try:
            edges = self._lane.take(event)
        except RecloserError as error:
            # Something that must have happened before it has not.
            self.moved = self._impossible(event, self._taken[_breaker_of(event)], str(error))
            return
        if edges:
            self._compare(event.seq, edges)
        objection = self._lane.objection(event)
        if objection is not None and self.moved is None:
            # Something has happened too early.
            self.moved = self._impossible(event, self._taken[_breaker_of(event)] - 1, objection)

    def finish(self, last: int) -> None:
        """Take what is left behind the last event."""
        self._compare(last, self._lane.finish())
        if self.moved is not None:
            return
        missing = [
            steps[self._taken[breaker]]
            for breaker, steps in self._course.items()
            if self._taken[breaker] < len(steps)
        ]
        if missing:
            first = min(missing, key=lambda step: step.seq)
            self.moved = Moved(first, last, "it does not come to it")

    def _compare(self, seq: int, edges: Sequence[Edge]) -> None:
        for edge in edges:
            steps = self._course.edges_of(edge.breaker)
            index = self._taken[edge.breaker]
            got = SequencedEdge(seq, canonical(edge))
            if index == len(steps):
                self.moved = Moved(got, seq, "one edge more")
                return
            if steps[index].names != got.names:
                self.moved = Moved(steps[index], seq, str(got))
                return
            self._taken[edge.breaker] += 1

    def _impossible(self, event: Event, index: int, why: str) -> Moved | None:
        steps = self._course.edges_of(_breaker_of(event))
        return Moved(steps[max(0, min(index, len(steps) - 1))], event.seq, why) if steps else None


def _breaker_of(event: Event) -> str:
    return getattr(event, "breaker", "")
