# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Events about one breaker as columns, and sums and searches over parts of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import NEVER

Buffer: TypeAlias = "bytes | bytearray | memoryview | array[int]"
Column: TypeAlias = "Buffer | Sequence[int]"


class Rows:
    """Events about one breaker, as columns of equal length.

    Compiled, a column is a buffer: ``kind`` of 8-bit integers, all others of 64-bit integers.
    Interpreted, any sequence of integers will do.

    Args:
        kind: What each event says, as an ``OutcomeCode``.
        seq, at, took, epoch, probe, count: The arguments of ``step`` with these names.
    """

    __slots__ = ("at", "count", "epoch", "kind", "probe", "seq", "took")

    def __init__(
        self,
        kind: Column,
        seq: Column,
        at: Column,
        took: Column,
        epoch: Column,
        probe: Column,
        count: Column,
    ) -> None:
        self.kind = kind
        self.seq = seq
        self.at = at
        self.took = took
        self.epoch = epoch
        self.probe = probe
        self.count = count


def are_single_outcomes(rows: Rows, start: int, stop: int, epoch: int) -> bool:
    """Whether each row is one success or failure of this epoch."""
    if not cython.compiled:
        return start >= stop or (
            set(rows.epoch[start:stop]) == {epoch}
            and set(rows.count[start:stop]) == {1}
            and max(rows.kind[start:stop]) <= 1
        )
    # A loop without branches is compiled to instructions that look at several rows at a time.
    others = 0
    for row in range(start, stop):
        others |= rows.kind[row] >> 1
    for row in range(start, stop):
        others |= rows.epoch[row] ^ epoch
    for row in range(start, stop):
        others |= rows.count[row] ^ 1
    return others == 0


def count_failures(rows: Rows, start: int, stop: int) -> int:
    """Number of failures in rows that all are single outcomes."""
    if not cython.compiled:
        return sum(rows.kind[start:stop])
    failures = 0
    for row in range(start, stop):
        failures += rows.kind[row]
    return failures


def count_slow(rows: Rows, start: int, stop: int, slow_ns: int) -> int:
    """Number of rows whose call took longer than ``slow_ns`` nanoseconds."""
    slow = 0
    if slow_ns != NEVER:
        for row in range(start, stop):
            slow += rows.took[row] > slow_ns
    return slow


def first_from(times: Column, start: int, stop: int, at: int) -> int:
    """Index of the first of some ascending times that is ``at`` or later.

    The search widens from ``start``, so a near index is found sooner than a far one.

    Args:
        times: The times.
        start: The first index to look at.
        stop: One past the last.
        at: The time to look for.

    Returns:
        The index; ``stop`` if all times are earlier.
    """
    width = 1
    low = start
    while low + width <= stop and times[low + width - 1] < at:
        low += width
        width *= 2
    high = min(stop, low + width - 1)
    while low < high:
        middle = (low + high) // 2
        if times[middle] < at:
            low = middle + 1
        else:
            high = middle
    return low
