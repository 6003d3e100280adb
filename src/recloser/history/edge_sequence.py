"""Edge sequences: each breaker's edges, in the form that a digest is made from."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from attrs import frozen

from recloser.core.events import Edge
from recloser.history.history import UNIT, canonical


@frozen
class Divergence:
    """The first point at which two histories differ.

    Attributes:
        seq: The ``seq`` of the event there; the last event's if they differ only at the end.
        breaker: The breaker that differs; empty if the difference is about all of them.
        expected: What happens there in the history of the log.
        got: What happens there in the other history.
    """

    seq: int
    breaker: str
    expected: str
    got: str

    def __str__(self) -> str:
        about = f", breaker {self.breaker!r}" if self.breaker else ""
        return f"seq {self.seq}{about}: expected {self.expected}; got {self.got}"


@frozen
class SequencedEdge:
    """One edge of a sequence.

    Attributes:
        seq: The ``seq`` of the event that fired it.
        line: Its canonical line, as UTF-8.
    """

    seq: int
    line: bytes

    @property
    def fields(self) -> Sequence[str]:
        """The fields of the line: breaker, epoch, at, from, to and trigger."""
        return self.line[:-1].decode().rsplit(UNIT, 5)

    @property
    def names(self) -> Sequence[str]:
        """The fields from, to and trigger, which do not depend on the time."""
        return self.fields[3:]

    def __str__(self) -> str:
        breaker, epoch, at, left, to, trigger = self.fields
        return f"{trigger} of {breaker!r} from {left} to {to} (epoch {epoch}) at {at} ns"


class EdgeSequence:
    """The edges of every breaker, as one way of computing a history finds them."""

    def __init__(self) -> None:
        self._edges: dict[str, list[SequencedEdge]] = {}

    def add(self, seq: int, edges: Iterable[Edge]) -> None:
        """Add the edges that an event fired.

        Args:
            seq: The event's ``seq``.
            edges: The edges, of one breaker or several.
        """
        for edge in edges:
            self.add_edge(edge.breaker, SequencedEdge(seq, canonical(edge)))

    def add_edge(self, breaker: str, edge: SequencedEdge) -> None:
        """Add the next edge of a breaker."""
        self._edges.setdefault(breaker, []).append(edge)

    def copy(self) -> "EdgeSequence":
        """Return a copy, which can be continued on its own."""
        copied = EdgeSequence()
        copied._edges = {breaker: list(edges) for breaker, edges in self._edges.items()}
        return copied

    def items(self) -> Iterable[tuple[str, Sequence[SequencedEdge]]]:
        """Return each breaker that has edges, with its edges."""
        return self._edges.items()

    def edges_of(self, breaker: str) -> Sequence[SequencedEdge]:
        """Return the edges of one breaker."""
        return self._edges.get(breaker, ())

    def __len__(self) -> int:
        return sum(len(edges) for edges in self._edges.values())

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical lines, in hex: equal to ``History.digest``."""
        digest = hashlib.sha256()
        for breaker in sorted(self._edges):
            for edge in self._edges[breaker]:
                digest.update(edge.line)
        return digest.hexdigest()

    def divergence(self, other: Self) -> Divergence | None:
        """Return where another sequence of the same log first differs; None if nowhere."""
        return min(self._divergences(other), key=lambda each: each.seq, default=None)

    def _divergences(self, other: Self) -> Iterator[Divergence]:
        for breaker in sorted(self._edges.keys() | other._edges.keys()):
            expected = self._edges.get(breaker, [])
            got = other._edges.get(breaker, [])
            first = _first_difference(expected, got)
            if first is None:
                continue
            edges = [edges[first] for edges in (expected, got) if first < len(edges)]
            seq = min(edge.seq for edge in edges)
            yield Divergence(seq, breaker, _text_at(expected, first), _text_at(got, first))


def divergence_of(seq: int, expected: Sequence[Edge], got: Sequence[Edge]) -> Divergence | None:
    """Compare the edges that one event fired in two histories; None if they are equal.

    Args:
        seq: The event's ``seq``.
        expected: The edges in the history of the log.
        got: The edges in the other history.
    """
    expected_edges = [SequencedEdge(seq, canonical(edge)) for edge in expected]
    got_edges = [SequencedEdge(seq, canonical(edge)) for edge in got]
    first = _first_difference(expected_edges, got_edges)
    if first is None:
        return None
    edge = expected[first] if first < len(expected) else got[first]
    return Divergence(
        seq, edge.breaker, _text_at(expected_edges, first), _text_at(got_edges, first)
    )


def _first_difference(
    expected: Sequence[SequencedEdge], got: Sequence[SequencedEdge]
) -> int | None:
    for index, pair in enumerate(zip(expected, got, strict=False)):
        if pair[0].line != pair[1].line:
            return index
    shorter = min(len(expected), len(got))
    return None if len(expected) == len(got) else shorter


def _text_at(edges: Sequence[SequencedEdge], index: int) -> str:
    return str(edges[index]) if index < len(edges) else "no edge"
