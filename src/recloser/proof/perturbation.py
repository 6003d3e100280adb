"""Perturbation: compute a history under a wrong clock until it differs."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from heapq import heappop, heappush

from attrs import define, field, frozen

from recloser.core.events import CallObserved, Edge, Event
from recloser.core.fold import NO_EDGES, rejection_of
from recloser.core.log_fold import LogFold
from recloser.core.state import event_label
from recloser.errors import RecloserError
from recloser.history.edge_sequence import EdgeSequence, SequencedEdge
from recloser.history.history import canonical
from recloser.history.warping import mapper
from recloser.history.warps import MonotonicWarp
from recloser.proof.variants import DrivenVariant, Variant


@frozen
class MovedEdge:
    """The first edge that a clock error moves, removes or adds.

    Attributes:
        edge: The edge without the error; if the error adds an edge at the end, the added edge.
        seq: The event at which the history becomes different.
        got: What happens there instead.
    """

    edge: SequencedEdge
    seq: int
    got: str


class PerturbedVariant(Variant):
    """A variant whose clock is wrong."""

    @abstractmethod
    def contradiction(self, event: Event) -> str | None:
        """Say why an event that was just applied is impossible; None if it is possible."""


class PerturbedFold(PerturbedVariant):
    """Fold the events of a log that breakers wrote, at the times of a wrong clock."""

    def __init__(self, warp: MonotonicWarp) -> None:
        self._fold = LogFold()
        self._change = mapper(warp)

    def apply(self, event: Event) -> Sequence[Edge]:
        """Fold the event at the time that the wrong clock would have given it."""
        return self._fold.apply(self._change(event))

    def contradiction(self, event: Event) -> str | None:
        """Say that a rejected call is impossible while the breaker lets calls through."""
        if (
            event.kind == "call_rejected"
            and rejection_of(self._fold.breakers[event.breaker]) is None
        ):
            return f"{event_label(event)}: the breaker lets this call through"
        return None


class PerturbedDrive(PerturbedVariant):
    """Drive live breakers with calls at the times of a wrong clock.

    A wrong clock can change the order of the calls.
    """

    def __init__(self, driven: DrivenVariant, warp: MonotonicWarp) -> None:
        self._driven = driven
        self._change = mapper(warp)
        self._slack_ns = warp.slack_ns
        # A heap of calls whose order is not final: by wrong start, then by seq.
        self._waiting: list[tuple[int, int, CallObserved]] = []

    def contradiction(self, event: Event) -> str | None:
        """Return None: live breakers decide about each call, so any event is possible."""
        del event
        return None

    def apply(self, event: Event) -> Sequence[Edge]:
        """Drive the breakers with the calls whose order is final."""
        call = self._change(event)
        if self._slack_ns is None:
            return self._driven.apply(call)
        assert isinstance(call, CallObserved)
        assert isinstance(event, CallObserved)
        heappush(self._waiting, (call.start, call.seq, call))
        # Calls come by their right start, and an error moves a start by at most the slack. So no
        # later call can get a wrong start before this time.
        return self._drive_until(event.start - self._slack_ns)

    def finish(self) -> Sequence[Edge]:
        """Drive the breakers with the remaining calls."""
        return [*self._drive_until(None), *self._driven.finish()]

    def _drive_until(self, start: int | None) -> Sequence[Edge]:
        edges: list[Edge] = []
        while self._waiting and (start is None or self._waiting[0][0] < start):
            edges += self._driven.apply(heappop(self._waiting)[2])
        return edges or NO_EDGES


@define(eq=False)
class Trial:
    """One clock error: its variant, compared with the original history.

    Attributes:
        moved: The first edge that the error moves; None as long as it has moved none.
    """

    _variant: PerturbedVariant
    _original: EdgeSequence
    moved: MovedEdge | None = None
    _matched: Counter[str] = field(factory=Counter)

    def apply(self, event: Event) -> None:
        """Apply the next event and compare its edges."""
        try:
            edges = self._variant.apply(event)
        except RecloserError as error:
            # An edge that the event relies on has not happened yet: the next one is missing.
            self.moved = self._impossible(event, self._matched[_breaker_of(event)], str(error))
            return
        if edges:
            self._compare(event.seq, edges)
        contradiction = self._variant.contradiction(event)
        if contradiction is not None and self.moved is None:
            # An edge has happened too early: the last one.
            index = self._matched[_breaker_of(event)] - 1
            self.moved = self._impossible(event, index, contradiction)

    def finish(self, last_seq: int) -> None:
        """Compare the edges that remain after the last event, and look for missing ones."""
        self._compare(last_seq, self._variant.finish())
        if self.moved is not None:
            return
        missing = [
            steps[self._matched[breaker]]
            for breaker, steps in self._original.items()
            if self._matched[breaker] < len(steps)
        ]
        if missing:
            first = min(missing, key=lambda step: step.seq)
            self.moved = MovedEdge(first, last_seq, "this edge never happens")

    def _compare(self, seq: int, edges: Sequence[Edge]) -> None:
        for edge in edges:
            steps = self._original.edges_of(edge.breaker)
            index = self._matched[edge.breaker]
            got = SequencedEdge(seq, canonical(edge))
            if index == len(steps):
                self.moved = MovedEdge(got, seq, "an additional edge")
                return
            if steps[index].names != got.names:
                self.moved = MovedEdge(steps[index], seq, str(got))
                return
            self._matched[edge.breaker] += 1

    def _impossible(self, event: Event, index: int, reason: str) -> MovedEdge | None:
        steps = self._original.edges_of(_breaker_of(event))
        if not steps:
            return None
        return MovedEdge(steps[max(0, min(index, len(steps) - 1))], event.seq, reason)


def _breaker_of(event: Event) -> str:
    return getattr(event, "breaker", "")
