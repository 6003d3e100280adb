"""Runs: which of them are open, in the order in which they end."""

import heapq
from collections.abc import Iterator
from itertools import count
from typing import Final

from recloser.gate import Gate
from recloser.validation import NS_PER_SECOND
from recloser.windows import FOREVER

SINGLY: Final = 100
"""Where every outcome is written, so many refusals of a second have an event each."""


def second_end(at: int) -> int:
    """The end of the whole second that holds ``at``."""
    return (at // NS_PER_SECOND + 1) * NS_PER_SECOND


class Runs:
    """The gates of which something may have been counted that is not to be written later than so."""

    def __init__(self) -> None:
        self._second_end_ns = 0
        self._ends: list[tuple[int, int, Gate]] = []
        self._opened = count()

    def __bool__(self) -> bool:
        return bool(self._ends)

    def __iter__(self) -> Iterator[Gate]:
        return iter([gate for _, _, gate in self._ends])

    @property
    def first_end_ns(self) -> int:
        """When the first of them ends, by the monotonic hand."""
        return self._ends[0][0] if self._ends else FOREVER

    def second_end_ns(self, at: int, origin: int) -> int:
        """What the monotonic hand shows at the end of the second that holds ``at``.

        It is one and the same object for all breakers of a second, each of which keeps it.

        Args:
            at: A time of the log, in nanoseconds.
            origin: What the monotonic hand shows at its time 0.
        """
        end_ns = second_end(at) + origin
        if end_ns != self._second_end_ns:
            self._second_end_ns = end_ns
        return self._second_end_ns

    def open(self, gate: Gate, ends_ns: int) -> None:
        """Have a gate looked at when its run ends."""
        gate.ends_ns = ends_ns
        heapq.heappush(self._ends, (ends_ns, next(self._opened), gate))

    def over(self, monotonic_ns: int) -> Iterator[tuple[Gate, int]]:
        """The gates whose run has ended, and when, in that order; they are looked at no longer."""
        while self.first_end_ns <= monotonic_ns:
            ends_ns, _, gate = heapq.heappop(self._ends)
            if gate.ends_ns == ends_ns:
                gate.ends_ns = FOREVER
                yield gate, ends_ns
