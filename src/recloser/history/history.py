"""A history: the result of folding a log, and its differences to the log."""

import hashlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from attrs import frozen

from recloser.core.events import CircuitBreakerState, Edge, Event, Trigger
from recloser.core.snapshot import Snapshot
from recloser.history.timeline import Timeline
from recloser.log.tail import Tail

UNIT: Final = "\x1f"
"""The separator between the fields of a canonical line."""


@frozen
class Difference:
    """A difference between the computed history and the log.

    Attributes:
        seq: The ``seq`` of the event at which they differ.
        breaker: The breaker that the event is about; empty for the whole log.
        expected: What the fold says should be there.
        got: What is there.
    """

    seq: int
    breaker: str
    expected: str
    got: str


@frozen
class Transition:
    """The fields of an edge that a digest covers; see ``StateChanged`` for them."""

    breaker: str
    epoch: int
    at: int
    from_state: CircuitBreakerState
    to_state: CircuitBreakerState
    trigger: Trigger


def canonical(edge: Transition | Edge) -> bytes:
    """Return the line of an edge that the digest of a history is made from."""
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
    """Return the SHA-256 over the canonical lines of edges, in hex.

    Equal digests mean equal edges. The breakers are in code-point order of their names, and each
    breaker's edges in order. For each edge the UTF-8 line ``breaker US epoch US at US from US to US
    trigger LF`` is hashed, where US is 0x1F, LF is 0x0A, numbers are decimal, and ``epoch`` is the
    epoch that the edge begins.
    """
    digest = hashlib.sha256()
    for edge in sorted(edges, key=lambda edge: edge.breaker):
        digest.update(canonical(edge))
    return digest.hexdigest()


@frozen
class History:
    """The result of folding a log.

    Attributes:
        edges: Every edge of every breaker in the order of the log, as computed.
        snapshots: Each breaker after the last event, by name.
        witnesses: Number of ``state_changed`` events that were compared.
        differences: Where the log differs from the computed edges, or holds an event that can't
            have happened.
        timeline: Converts times of the log to wall time.
        events: The events that were folded, which can be iterated again.
        count: Number of events.
        tail: How the log ended, if it was read from disk.
        engine: ``columns`` if the columns of an exported log were folded, otherwise ``events``.
        engine_reason: Why an exported log was folded event by event; None if it was not.
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
    engine_reason: str | None = None

    @property
    def because(self) -> str | None:
        """Deprecated name of ``engine_reason``."""
        warnings.warn(
            "History.because is deprecated; use History.engine_reason",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.engine_reason

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical lines of the edges, in hex; see ``digest_of``."""
        return digest_of(self.edges)

    def trips(self, breaker: str | None = None) -> list[Edge]:
        """Return the edges from CLOSED to OPEN, of one breaker or of all."""
        return [
            edge
            for edge in self.edges
            if edge.from_state is CircuitBreakerState.CLOSED
            and edge.to_state is CircuitBreakerState.OPEN
            and breaker in (None, edge.breaker)
        ]
