# cython: language_level=3, annotation_typing=False
# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Calls that went past the lock and wait to be folded.

This file is compiled with the types of ``pending.pxd``, and runs interpreted where there is no
compiler.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run

    from recloser.gate import Pass
else:
    from recloser.core import interpreted as cython

PENDING_LIMIT: Final = 4096
"""A caller that finds more calls waiting than this has them folded."""

Columns: TypeAlias = "tuple[array[int], array[int], bytes, list[Pass]]"
"""Of each call when it was recorded and how long it took, in nanoseconds of the log; the place of its
pass in the list; and the passes."""

_WIDTH: Final = 3
_MOST_PASSES: Final = 256
_EMPTY = array("q")


class Pending:
    """Calls in the order in which they will be folded.

    To record a call is one step that no thread can split and no exception from outside can interrupt.
    Compiled, that is so because the interpreter keeps its lock; interpreted, because a list is
    extended by one call of the interpreter.

    Args:
        calls: How many calls may wait.

    Attributes:
        limit: The caller that has more calls wait than this has them folded; 0 while nobody looks.
        due_ns: What the monotonic hand shows when a tick is due, or a deadline of any breaker.
    """

    __slots__ = (
        "_at_items",
        "_ats",
        "_capacity",
        "_flat",
        "_number",
        "_passes",
        "_took_items",
        "_tooks",
        "due_ns",
        "limit",
    )

    _at_items: array[int]
    _took_items: array[int]

    def __init__(self, calls: int = PENDING_LIMIT) -> None:
        self.due_ns = 0
        self.limit = calls
        if not cython.compiled:
            self._flat: list[int | Pass] = []
        else:
            self._ats = self._tooks = _EMPTY
            self._passes: list[Pass] = []
            self._number = self._capacity = 0

    def __len__(self) -> int:
        if cython.compiled:
            return self._number
        return len(self._flat) // _WIDTH

    def record(self, at: int, took: int, passed: Pass) -> bool:
        """Have one more call wait.

        Args:
            at: When it ended, in nanoseconds of the log.
            took: How long it took, in nanoseconds.
            passed: What it was let past on, or refused on, or what it ended with.

        Returns:
            Whether more wait now than may.
        """
        if not cython.compiled:
            self._flat.extend((at, took, passed))
            return len(self._flat) > self.limit * _WIDTH
        if self._number == self._capacity:
            self._grow()
        # From here on nothing is called that could run any Python code.
        place = self._number
        self._passes.append(passed)
        self._at_items[place] = at
        self._took_items[place] = took
        self._number = place + 1
        return self._number > self.limit

    def _grow(self) -> int:
        capacity = max(64, 2 * self._capacity)
        ats, tooks = array("q", bytes(8 * capacity)), array("q", bytes(8 * capacity))
        # The garbage collector may have run a finalizer that recorded, and made room, meanwhile.
        if capacity > self._capacity:
            old_ats, old_tooks = self._at_items, self._took_items
            kept = self._ats, self._tooks
            self._ats, self._tooks = ats, tooks
            self._at_items = ats.data.as_longlongs  # type: ignore[attr-defined]  # of Cython
            self._took_items = tooks.data.as_longlongs  # type: ignore[attr-defined]  # of Cython
            self._capacity = capacity
            for place in range(self._number):
                self._at_items[place] = old_ats[place]
                self._took_items[place] = old_tooks[place]
            del kept
        return 0

    def columns(self) -> Columns:
        """A copy of those that wait, up to the first that has one pass too many for a byte."""
        if cython.compiled:
            number = self._number
            ats, tooks, passes = self._ats[:number], self._tooks[:number], self._passes[:number]
        else:
            flat = self._flat[:]
            ats, tooks = (array("q", cast("list[int]", flat[n::_WIDTH])) for n in range(2))
            passes = cast("list[Pass]", flat[2::_WIDTH])
        codes, table = _coded(passes)
        if len(codes) < len(passes):
            ats, tooks = ats[: len(codes)], tooks[: len(codes)]
        return ats, tooks, codes, table

    def drop(self, number: int) -> None:
        """Forget the first of them, which are folded and recorded; one step."""
        if not cython.compiled:
            del self._flat[: number * _WIDTH]
            return
        left = self._number - number
        for place in range(left):
            self._at_items[place] = self._at_items[place + number]
            self._took_items[place] = self._took_items[place + number]
        self._number = left
        # The passes that leave the list may run finalizers that record: the list is whole by then.
        del self._passes[:number]


def _coded(passes: list[Pass]) -> tuple[bytes, list[Pass]]:
    """Each pass by its place in a list of them; no further than there are bytes for."""
    codes = bytearray(len(passes))
    table: list[Pass] = []
    known: dict[int, int] = {}
    last = None
    code = 0
    for place, passed in enumerate(passes):
        if passed is not last:
            last = passed
            code = known.get(id(passed), -1)
            if code < 0:
                code = len(table)
                if code == _MOST_PASSES:
                    return bytes(codes[:place]), table
                known[id(passed)] = code
                table.append(passed)
        codes[place] = code
    return bytes(codes), table


def put_in_order(times: array[int], at: int) -> None:
    """Have no time fall, nor be before ``at``: each is raised to the latest before it."""
    if not cython.compiled:
        listed = times.tolist()
        if listed and listed[0] >= at and listed == sorted(listed):
            return
    last = at
    for place in range(len(times)):
        if times[place] < last:
            times[place] = last
        else:
            last = times[place]
