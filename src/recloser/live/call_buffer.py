# cython: language_level=3, annotation_typing=False
# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Calls that went past the lock and wait to be folded.

This file is compiled with the types of ``pending.pxd``, and runs interpreted where there is no
compiler.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run

    from recloser.live.fast_path import Pass
else:
    from recloser.core import interpreted as cython

PENDING_LIMIT: Final = 4096
"""A caller that finds more calls waiting than this has them folded."""

Columns: TypeAlias = "tuple[array[int], array[int], bytes, list[Pass]]"
"""Of each call when it was recorded and how long it took, in nanoseconds of the log; the place of its
pass in the list; and the passes."""

_WIDTH: Final = 3
_MOST_PASSES: Final = 256
_SECOND = 1_000_000_000


def _do_nothing() -> None:
    """Fold nothing."""


class Pending:
    """Calls in the order in which they will be folded.

    To record a call is one step that no thread can split and no exception from outside can interrupt.
    Compiled, that is so because the interpreter keeps its lock; interpreted, because a list is
    extended by one call of the interpreter.

    Args:
        calls: How many calls may wait.
        relieve: Folds what waits; by default nothing does.

    Attributes:
        limit: The caller that has more calls wait than this has them folded; 0 while nobody looks.
        due_ns: What the monotonic hand shows when a tick is due, or a deadline of any breaker.
        relieve: As above.
    """

    __slots__ = ("_capacity", "_flat", "_items", "_number", "_passes", "due_ns", "limit", "relieve")

    _items: array[int]  # of each call when it ended and how long it took

    def __init__(
        self, calls: int = PENDING_LIMIT, relieve: Callable[[], None] = _do_nothing
    ) -> None:
        self.due_ns = 0
        self.limit = calls
        self.relieve = relieve
        if not cython.compiled:
            self._flat: list[int | Pass] = []
        else:
            self._passes: list[Pass] = []
            self._number = self._capacity = 0

    def __dealloc__(self) -> None:
        if cython.compiled:
            PyMem_Free(self._items)  # type: ignore[name-defined]  # noqa: F821  # of pending.pxd

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
        self._items[2 * place] = at
        self._items[2 * place + 1] = took
        self._number = place + 1
        return self._number > self.limit

    def _grow(self) -> int:
        capacity = max(4, 2 * self._capacity)
        items = PyMem_Realloc(self._items, 16 * capacity)  # type: ignore[name-defined]  # noqa: F821
        if not items:
            raise MemoryError
        self._items = cython.cast("long long *", items)
        self._capacity = capacity
        return 0

    def columns(self) -> Columns:
        """A copy of those that wait, up to the first that has one pass too many for a byte."""
        if cython.compiled:
            # A call that is recorded while the copies are made comes after the copied ones.
            number = self._number
            ats, tooks, passes = _times(number), _times(number), self._passes[:number]
            for place in range(number):
                ats.data.as_longlongs[place] = self._items[2 * place]  # type: ignore[attr-defined]
                tooks.data.as_longlongs[place] = self._items[2 * place + 1]  # type: ignore[attr-defined]
        else:
            flat = self._flat[:]
            ats = array("q", cast("list[int]", flat[0::_WIDTH]))
            tooks = array("q", cast("list[int]", flat[1::_WIDTH]))
            passes = cast("list[Pass]", flat[2::_WIDTH])
        codes, table = _coded(passes)
        if len(codes) < len(passes):
            ats, tooks = ats[: len(codes)], tooks[: len(codes)]
        return ats, tooks, codes, table

    def __delitem__(self, first: slice) -> None:
        """Forget the first of them, which are folded and recorded.

        This is no method, as the step in which that is noted must hold no call.
        """
        number: int = first.stop
        if not cython.compiled:
            del self._flat[: number * _WIDTH]
            return
        number = min(number, self._number)
        left = self._number - number
        for place in range(2 * left):
            self._items[place] = self._items[place + 2 * number]
        self._number = left
        if not left:
            PyMem_Free(self._items)  # type: ignore[name-defined]  # noqa: F821  # of pending.pxd
            self._items = cython.NULL
            self._capacity = 0
        # The passes that leave the list may run finalizers that record: the list is whole by then.
        del self._passes[:number]


def _times(number: int) -> array[int]:
    return array("q", bytes(8 * number))


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


def merged(
    ats: array[int], tooks: array[int], codes: bytes, limits: array[int], breakers: bytes
) -> tuple[array[int], array[int], bytes, array[int]]:
    """Have the calls of one code and second be one row, unless others of the breaker are in between.

    Args:
        ats: When each ended, in nanoseconds of the log; a row has that of its first call.
        tooks: How long each took; a row has that of its first call.
        codes: Their codes.
        limits: By code, the longest that a call may take which is merged with others.
        breakers: By code, a number of its breaker.

    Returns:
        The columns of the rows, and how many calls each stands for.
    """
    number = len(codes)
    made_ats, made_tooks, counts = _times(number), _times(number), _times(number)
    made_codes = bytearray(number)
    last_rows = array("q", [-1]) * _MOST_PASSES  # by breaker; -1 where it can't have one more call
    rows = 0
    for place in range(number):
        code = codes[place]
        breaker = breakers[code]
        row = last_rows[breaker]
        if tooks[place] > limits[code]:
            last_rows[breaker] = -1
        elif (
            row >= 0
            and made_codes[row] == code
            and made_ats[row] // _SECOND == ats[place] // _SECOND
        ):
            counts[row] += 1
            continue
        else:
            last_rows[breaker] = rows
        made_ats[rows], made_tooks[rows] = ats[place], tooks[place]
        made_codes[rows], counts[rows] = code, 1
        rows += 1
    return made_ats[:rows], made_tooks[:rows], bytes(made_codes[:rows]), counts[:rows]


def count_from(first: int, number: int) -> array[int]:
    """Whole numbers, one after another."""
    if not cython.compiled:
        return array("q", range(first, first + number))
    numbers = _times(number)
    items = numbers.data.as_longlongs  # type: ignore[attr-defined]  # of Cython
    for place in range(number):
        items[place] = first + place
    return numbers


def put_in_order(times: array[int], at: int) -> None:
    """Have no time fall, nor be before ``at``: each is raised to the latest before it."""
    if not cython.compiled:
        listed = times.tolist()
        if listed and (listed[0] < at or listed != sorted(listed)):
            times[:] = array("q", list(accumulate(listed, max, initial=at))[1:])
        return
    items = times.data.as_longlongs  # type: ignore[attr-defined]  # of Cython
    last = at
    for place in range(len(times)):
        last = max(last, items[place])
        items[place] = last
