"""Offline periods: what a member did without the stream, and its report."""

from collections.abc import Iterable
from typing import Final

from recloser.core.events import Edge
from recloser.sharing.outbox import Batch, call_count
from recloser.sharing.stream_entry import OfflineReport
from recloser.sharing.stream_fold import StreamFold

PRIVATE_EPOCHS: Final = 1_000_000_000
"""Epochs that a member begins while offline are above this, and differ between offline periods."""

_MAX_EDGES: Final = 100


class OfflinePeriod:
    """A period in which one member could not reach the stream.

    Args:
        number: Number of the period within this process, from 1.
        since_ns: Monotonic time at which it began, in nanoseconds.
        lost_before: Calls that had been dropped before it.

    Attributes:
        epoch_offset: Added to the epochs that begin in the period, to keep them out of the stream's.
        private_calls: Outcomes of calls in such epochs, which the stream never receives.
    """

    def __init__(self, number: int, since_ns: int, lost_before: int) -> None:
        self.number = number
        self.epoch_offset = number * PRIVATE_EPOCHS
        self.private_calls = 0
        self._since_ns = since_ns
        self._lost_before = lost_before
        self._edges: list[str] = []
        self._sent = 0

    def note_sent(self, batch: Batch | None) -> None:
        """Count the calls of a batch that is sent before the period is over."""
        if batch is not None:
            self._sent += sum(map(call_count, batch.events))

    def note_edges(self, edges: Iterable[Edge]) -> None:
        """Note edges that this member's own calls fired."""
        for edge in edges:
            if len(self._edges) < _MAX_EDGES:
                self._edges.append(_edge_text(edge))

    def report(
        self,
        *,
        host: str,
        now_ns: int,
        unsent: int,
        lost: int,
        old: StreamFold | None,
        new: StreamFold,
    ) -> OfflineReport:
        """Build the report that the stream receives when the period is over.

        Args:
            host: Name of this process's machine.
            now_ns: Monotonic time at which the period ends, in nanoseconds.
            unsent: Calls that still wait to be sent.
            lost: Calls dropped by this process until now.
            old: The stream as it was known before the period; None if it was never read.
            new: The stream as it is now.
        """
        return OfflineReport(
            host=host,
            seconds=(now_ns - self._since_ns) / 1e9,
            sent=unsent + self._sent,
            lost=lost - self._lost_before + self.private_calls,
            edges=tuple([*map(_edge_text, _lost_edges(old, new)), *self._edges][:_MAX_EDGES]),
        )


def _edge_text(edge: Edge) -> str:
    return f"{edge.breaker} {edge.trigger.value}"


def _lost_edges(old: StreamFold | None, new: StreamFold) -> list[Edge]:
    """Return the edges of the old stream that the new one does not contain."""
    if old is None or old is new:
        return []
    if old.begin.generation != new.begin.generation:
        epochs = {name: state.epoch for name, state in new.fold.breakers.items()}
        return [edge for _, edge in old.edges if edge.epoch > epochs.get(edge.breaker, -1)]
    known = {(entry_id, edge.breaker, edge.epoch) for entry_id, edge in new.edges}
    return [
        edge
        for entry_id, edge in old.edges
        # Edges up to the start of the new fold are part of its checkpoint.
        if entry_id > new.start and (entry_id, edge.breaker, edge.epoch) not in known
    ]
