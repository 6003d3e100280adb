"""What a process does while it is without the stream, and what comes of it afterwards."""

from collections.abc import Iterable
from typing import Final

from recloser.core.events import Edge
from recloser.sharing.outbox import Batch, calls_in
from recloser.sharing.stream_entry import Away
from recloser.sharing.stream_fold import Course

OWN_EPOCHS: Final = 1_000_000_000
"""The epochs that a process begins on its own are above this, and differ with each absence."""

_EDGES: Final = 100


class Absence:
    """One time without the stream.

    Args:
        number: Which absence of this process it is, from 1.
        since_ns: When it began, by the monotonic hand.
        lost_before: How many calls had been given up before.

    Attributes:
        epochs: What the epochs that begin in it are raised by.
        kept_apart: How many calls belong to such epochs, so that the stream knows nothing of them.
    """

    def __init__(self, number: int, since_ns: int, lost_before: int) -> None:
        self.number = number
        self.epochs = number * OWN_EPOCHS
        self.kept_apart = 0
        self._since_ns = since_ns
        self._lost_before = lost_before
        self._edges: list[str] = []
        self._sent = 0

    def note_sent(self, batch: Batch | None) -> None:
        """Note what was sent before it ended."""
        if batch is not None:
            self._sent += sum(map(calls_in, batch.events))

    def note(self, edges: Iterable[Edge]) -> None:
        """Note edges that were taken alone."""
        for edge in edges:
            if len(self._edges) < _EDGES:
                self._edges.append(_told(edge))

    def ended(
        self, *, host: str, now_ns: int, sent: int, lost: int, old: Course | None, new: Course
    ) -> Away:
        """What the stream is told of it.

        Args:
            host: What this process is called.
            now_ns: When it ends, by the monotonic hand.
            sent: How many calls wait to be sent late, beside those that were sent before it ended.
            lost: How many calls have been given up until now.
            old: What the stream had come to before.
            new: What it comes to now.
        """
        return Away(
            host=host,
            seconds=(now_ns - self._since_ns) / 1e9,
            sent=sent + self._sent,
            lost=lost - self._lost_before + self.kept_apart,
            edges=tuple([*map(_told, _edges_lost(old, new)), *self._edges][:_EDGES]),
        )


def _told(edge: Edge) -> str:
    return f"{edge.breaker} {edge.trigger.value}"


def _edges_lost(old: Course | None, new: Course) -> list[Edge]:
    """The edges that a stream knows nothing of any more."""
    if old is None or old is new:
        return []
    if old.begin.generation != new.begin.generation:
        epochs = {name: state.epoch for name, state in new.fold.breakers.items()}
        return [edge for _, edge in old.edges if edge.epoch > epochs.get(edge.breaker, -1)]
    known = {(place, edge.breaker, edge.epoch) for place, edge in new.edges}
    return [
        edge
        for place, edge in old.edges
        if place > new.start and (place, edge.breaker, edge.epoch) not in known
    ]
