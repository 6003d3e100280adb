"""A history: what a log folds to, and where it differs from what its writer witnessed."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from attrs import frozen

from recloser.core.events import CircuitBreakerState, Edge, Event, Trigger
from recloser.core.snapshot import Snapshot
from recloser.history.timeline import Timeline
from recloser.log.tail import Tail

UNIT: Final = "\x1f"
"""What stands between the fields of a canonical line."""


@frozen
class Difference:
    """Where the history and the log part.

    Attributes:
        seq: The event of the log at which they part.
        breaker: The breaker that it is about.
        expected: What the fold says should stand there.
        got: What stands there.
    """

    seq: int
    breaker: str
    expected: str
    got: str


@frozen
class Transition:
    """An edge as a digest takes it; its attributes are those of ``StateChanged``."""

    breaker: str
    epoch: int
    at: int
    from_state: CircuitBreakerState
    to_state: CircuitBreakerState
    trigger: Trigger


def canonical(edge: Transition | Edge) -> bytes:
    """The line of an edge that the digest of a history is made of."""
    fields = (
        edge.breaker,
        str(edge.epoch),
        str(edge.at),
        edge.from_state.value,
        edge.to_state.value,
        edge.trigger.value,
    )
    return f"{UNIT.join(fields)}\n".encode()


def digest_of(edges: Iterable[Transition | Edge]) -> str:
    """SHA-256 over the canonical edges, in hex; equal digests mean equal transitions.

    For each breaker in code-point order of its name, for each of its edges in order, the UTF-8
    line ``breaker US epoch US at US from US to US trigger LF`` is hashed, where US is 0x1F, LF
    is 0x0A, numbers are decimal and ``epoch`` is the one that the edge begins.
    """
    digest = hashlib.sha256()
    for edge in sorted(edges, key=lambda edge: edge.breaker):
        digest.update(canonical(edge))
    return digest.hexdigest()


@frozen
class History:
    """What a log folds to.

    Attributes:
        edges: Every edge of every breaker in the order of the log, as recomputed.
        snapshots: Each breaker as it was after the last event.
        witnesses: How many ``state_changed`` events of the log were compared.
        differences: Where they, or an event that can't have happened, part from the fold.
        timeline: Dates the moments of the log.
        events: The events that were folded, to be iterated again.
        count: How many there were.
        tail: How the log ended, where it was read from disk.
        engine: Whether every event was folded, or columns from edge to edge.
        because: Why columns were folded event by event, where they were.
    """

    edges: Sequence[Edge]
    snapshots: Mapping[str, Snapshot]
    witnesses: int
    differences: Sequence[Difference]
    timeline: Timeline
    events: Iterable[Event]
    count: int
    tail: Tail
    engine: Literal["events", "columns"] = "events"
    because: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical edges, in hex; see ``digest_of``."""
        return digest_of(self.edges)

    def trips(self, breaker: str | None = None) -> list[Edge]:
        """The edges that left CLOSED for OPEN, of one breaker or of all."""
        return [
            edge
            for edge in self.edges
            if edge.from_state is CircuitBreakerState.CLOSED
            and edge.to_state is CircuitBreakerState.OPEN
            and breaker in (None, edge.breaker)
        ]
