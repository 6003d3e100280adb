"""A course: the edges that each breaker takes, in the form that a digest is made of."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from attrs import frozen

from recloser.core.events import Edge
from recloser.history.history import UNIT, canonical


@frozen
class Parting:
    """The first event where two histories part.

    Attributes:
        seq: The event after which they are no longer the same; that of the last where it is the end
            that they differ in.
        breaker: The breaker that it is about; empty where it is about all.
        expected: What happens there in the history that the log tells.
        got: What happens in the other.
    """

    seq: int
    breaker: str
    expected: str
    got: str

    def __str__(self) -> str:
        about = f", breaker {self.breaker!r}" if self.breaker else ""
        return f"seq {self.seq}{about}: expected {self.expected}; got {self.got}"


@frozen
class Step:
    """One edge of a course: the event that was read when it was taken, and its canonical line."""

    seq: int
    line: bytes

    @property
    def fields(self) -> Sequence[str]:
        """The fields of the line: breaker, epoch, at, from, to and trigger."""
        return self.line[:-1].decode().rsplit(UNIT, 5)

    @property
    def names(self) -> Sequence[str]:
        """From, to and trigger: the edge, whenever it is taken."""
        return self.fields[3:]

    def __str__(self) -> str:
        breaker, epoch, at, left, to, trigger = self.fields
        return f"{trigger} of {breaker!r} from {left} to {to} (epoch {epoch}) at {at} ns"


class Course:
    """The edges of every breaker, as one way of taking a history finds them."""

    def __init__(self) -> None:
        self._steps: dict[str, list[Step]] = {}

    def add(self, seq: int, edges: Iterable[Edge]) -> None:
        """Add the edges that were taken when the event was read."""
        for edge in edges:
            self.add_step(edge.breaker, Step(seq, canonical(edge)))

    def add_step(self, breaker: str, step: Step) -> None:
        """Add the next edge of a breaker."""
        self._steps.setdefault(breaker, []).append(step)

    def copy(self) -> "Course":
        """The same course, to be gone on with otherwise."""
        copied = Course()
        copied._steps = {breaker: list(steps) for breaker, steps in self._steps.items()}
        return copied

    def items(self) -> Iterable[tuple[str, Sequence[Step]]]:
        """Each breaker that takes edges, with them."""
        return self._steps.items()

    def steps(self, breaker: str) -> Sequence[Step]:
        """The edges of one breaker."""
        return self._steps.get(breaker, ())

    def __len__(self) -> int:
        return sum(len(steps) for steps in self._steps.values())

    @property
    def digest(self) -> str:
        """As that of a ``History``."""
        digest = hashlib.sha256()
        for breaker in sorted(self._steps):
            for step in self._steps[breaker]:
                digest.update(step.line)
        return digest.hexdigest()

    def parting(self, other: Self) -> Parting | None:
        """Where another course, of the same log, first parts from this one; None if it does not."""
        return min(self._partings(other), key=lambda parting: parting.seq, default=None)

    def _partings(self, other: Self) -> Iterator[Parting]:
        for breaker in sorted(self._steps.keys() | other._steps.keys()):
            expected = self._steps.get(breaker, [])
            got = other._steps.get(breaker, [])
            first = _first_difference(expected, got)
            if first is None:
                continue
            steps = [steps[first] for steps in (expected, got) if first < len(steps)]
            yield Parting(
                min(step.seq for step in steps), breaker, _told(expected, first), _told(got, first)
            )


def parting_of(seq: int, expected: Sequence[Edge], got: Sequence[Edge]) -> Parting | None:
    """Where the edges of two lanes for the same event part; None if they are the same ones."""
    expected_steps = [Step(seq, canonical(edge)) for edge in expected]
    got_steps = [Step(seq, canonical(edge)) for edge in got]
    first = _first_difference(expected_steps, got_steps)
    if first is None:
        return None
    edge = expected[first] if first < len(expected) else got[first]
    return Parting(seq, edge.breaker, _told(expected_steps, first), _told(got_steps, first))


def _first_difference(expected: Sequence[Step], got: Sequence[Step]) -> int | None:
    for index, pair in enumerate(zip(expected, got, strict=False)):
        if pair[0].line != pair[1].line:
            return index
    shorter = min(len(expected), len(got))
    return None if len(expected) == len(got) else shorter


def _told(steps: Sequence[Step], index: int) -> str:
    return str(steps[index]) if index < len(steps) else "no edge"
