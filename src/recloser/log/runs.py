"""Runs: which of them are open, in the order in which their seconds end."""

from collections import deque
from collections.abc import Iterator
from typing import Final

from recloser.gate import Gate
from recloser.validation import NS_PER_SECOND

SINGLY: Final = 100
"""Where every outcome is written, so many refusals of a second have an event each."""


def second_end(at: int) -> int:
    """The end of the whole second that holds ``at``."""
    return (at // NS_PER_SECOND + 1) * NS_PER_SECOND


class Runs:
    """The gates of which something may have been counted in a second that is not over yet."""

    def __init__(self) -> None:
        self._open: deque[tuple[int, Gate]] = deque()

    def __bool__(self) -> bool:
        return bool(self._open)

    def __iter__(self) -> Iterator[Gate]:
        return iter([gate for _, gate in self._open])

    def open(self, gate: Gate, ends_ns: int) -> None:
        """Have a gate looked at when its second ends, by the monotonic hand."""
        gate.is_open = True
        self._open.append((ends_ns, gate))

    def over(self, monotonic_ns: int) -> Iterator[Gate]:
        """The gates whose second is over; they are then no longer open."""
        while self._open and self._open[0][0] <= monotonic_ns:
            _, gate = self._open.popleft()
            gate.is_open = False
            yield gate
