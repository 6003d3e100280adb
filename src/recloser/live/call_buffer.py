# cython: language_level=3, annotation_typing=False
# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""Buffer of fast-path calls that wait to be folded, and functions on its columns.

This file is compiled with the types of ``call_buffer.pxd``, and runs interpreted where there is no
compiler.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias, cast

if TYPE_CHECKING:
    import cython  # gives the compiler the name; this line never runs

    from recloser.live.call_tokens import CallToken
else:
    from recloser.core import interpreted as cython

BUFFER_LIMIT: Final = 4096
"""When more calls than this are buffered, the caller folds them."""

Columns: TypeAlias = "tuple[array[int], array[int], bytes, list[CallToken]]"
"""Columns of calls: end times and durations in nanoseconds, token codes, and the tokens by code."""

_WIDTH: Final = 3
_MAX_TOKENS: Final = 256  # a token's code is one byte
_SECOND = 1_000_000_000


def _do_nothing() -> None:
    pass


class CallBuffer:
    """Calls that were admitted or rejected without the lock, in the order in which they are folded.

    Callers append to the buffer without a lock; the sequencer reads and removes calls under its
    lock. ``record`` is one step: no other thread can split it, and no exception from a signal handler
    or another thread can interrupt it. Compiled, this holds because no Python code runs in it and the
    interpreter keeps its lock; interpreted, because a list is extended by one call of C code.

    Args:
        limit: How many calls may be buffered before a caller folds them.
        fold_buffered: Folds the buffered calls; by default nothing does.

    Attributes:
        limit: How many calls may be buffered before a caller folds them; 0 while no thread looks at
            the buffer, so that the next caller does.
        due_ns: Monotonic time in nanoseconds at which a tick or the deadline of any breaker is due.
        fold_buffered: Folds the buffered calls.
    """

    __slots__ = (
        "_capacity",
        "_flat",
        "_items",
        "_size",
        "_tokens",
        "due_ns",
        "fold_buffered",
        "limit",
    )

    _items: array[int]  # for each call, its end time and duration

    def __init__(
        self, limit: int = BUFFER_LIMIT, fold_buffered: Callable[[], None] = _do_nothing
    ) -> None:
        self.due_ns = 0
        self.limit = limit
        self.fold_buffered = fold_buffered
        if not cython.compiled:
            self._flat: list[int | CallToken] = []
        else:
            self._tokens: list[CallToken] = []
            self._size = self._capacity = 0

    def __dealloc__(self) -> None:
        if cython.compiled:
            PyMem_Free(self._items)  # type: ignore[name-defined]  # noqa: F821  # of call_buffer.pxd

    def __len__(self) -> int:
        if cython.compiled:
            return self._size
        return len(self._flat) // _WIDTH

    def record(self, at: int, took: int, token: CallToken) -> bool:
        """Append a call; takes no lock.

        Args:
            at: When the call ended, in nanoseconds of the log.
            took: How long the call took, in nanoseconds.
            token: The token that stands for the call.

        Returns:
            Whether the buffer now holds more calls than its limit.
        """
        if not cython.compiled:
            self._flat.extend((at, took, token))
            return len(self._flat) > self.limit * _WIDTH
        if self._size == self._capacity:
            self._grow()
        # From here on, nothing is called that could run Python code, so the thread keeps the
        # interpreter's lock until the call is complete.
        index = self._size
        self._tokens.append(token)
        self._items[2 * index] = at
        self._items[2 * index + 1] = took
        self._size = index + 1
        return self._size > self.limit

    def _grow(self) -> int:
        capacity = max(4, 2 * self._capacity)
        items = PyMem_Realloc(self._items, 16 * capacity)  # type: ignore[name-defined]  # noqa: F821
        if not items:
            raise MemoryError
        self._items = cython.cast("long long *", items)
        self._capacity = capacity
        return 0

    def columns(self) -> Columns:
        """Return a copy of the buffered calls, up to the first whose token has no code left.

        A code is one byte, so a copy has at most 256 different tokens.
        """
        if cython.compiled:
            # A call that another thread records while the copies are made comes after ``size``.
            size = self._size
            ats, tooks, tokens = _zeros(size), _zeros(size), self._tokens[:size]
            for index in range(size):
                ats.data.as_longlongs[index] = self._items[2 * index]  # type: ignore[attr-defined]
                tooks.data.as_longlongs[index] = self._items[2 * index + 1]  # type: ignore[attr-defined]
        else:
            flat = self._flat[:]
            ats = array("q", cast("list[int]", flat[0::_WIDTH]))
            tooks = array("q", cast("list[int]", flat[1::_WIDTH]))
            tokens = cast("list[CallToken]", flat[2::_WIDTH])
        codes, table = _coded(tokens)
        if len(codes) < len(tokens):
            ats, tooks = ats[: len(codes)], tooks[: len(codes)]
        return ats, tooks, codes, table

    def __delitem__(self, first: slice) -> None:
        """Remove the first calls, which are folded and recorded: ``del buffer[:count]``.

        This is not a named method because the sequencer's step that removes calls and notes their
        removal must not contain a call.
        """
        count: int = first.stop
        if not cython.compiled:
            del self._flat[: count * _WIDTH]
            return
        count = min(count, self._size)
        left = self._size - count
        for index in range(2 * left):
            self._items[index] = self._items[index + 2 * count]
        self._size = left
        if not left:
            PyMem_Free(self._items)  # type: ignore[name-defined]  # noqa: F821  # of call_buffer.pxd
            self._items = cython.NULL
            self._capacity = 0
        # Last: a token that leaves the list may run a finalizer that records a call, and the buffer
        # must be consistent by then.
        del self._tokens[:count]


def _zeros(size: int) -> array[int]:
    return array("q", bytes(8 * size))


def _coded(tokens: list[CallToken]) -> tuple[bytes, list[CallToken]]:
    """Encode tokens as indexes into a table of them; stop where a byte cannot hold the index."""
    codes = bytearray(len(tokens))
    table: list[CallToken] = []
    known: dict[int, int] = {}
    last = None
    code = 0
    for index, token in enumerate(tokens):
        if token is not last:
            last = token
            code = known.get(id(token), -1)
            if code < 0:
                code = len(table)
                if code == _MAX_TOKENS:
                    return bytes(codes[:index]), table
                known[id(token)] = code
                table.append(token)
        codes[index] = code
    return bytes(codes), table


def merged(
    ats: array[int], tooks: array[int], codes: bytes, limits: array[int], breakers: bytes
) -> tuple[array[int], array[int], bytes, array[int]]:
    """Merge calls of one token and second into one row, unless another call of the breaker is between.

    Args:
        ats: End times in nanoseconds of the log; a row has that of its first call.
        tooks: Durations in nanoseconds; a row has that of its first call.
        codes: Token codes.
        limits: By code, the longest duration in nanoseconds of a call that may be merged.
        breakers: By code, a number that identifies the breaker.

    Returns:
        The columns of the rows, and how many calls each row stands for.
    """
    size = len(codes)
    row_ats, row_tooks, counts = _zeros(size), _zeros(size), _zeros(size)
    row_codes = bytearray(size)
    last_rows = array("q", [-1]) * _MAX_TOKENS  # by breaker; -1 if its last row may not grow
    rows = 0
    for index in range(size):
        code = codes[index]
        breaker = breakers[code]
        row = last_rows[breaker]
        if tooks[index] > limits[code]:
            last_rows[breaker] = -1
        elif (
            row >= 0 and row_codes[row] == code and row_ats[row] // _SECOND == ats[index] // _SECOND
        ):
            counts[row] += 1
            continue
        else:
            last_rows[breaker] = rows
        row_ats[rows], row_tooks[rows] = ats[index], tooks[index]
        row_codes[rows], counts[rows] = code, 1
        rows += 1
    return row_ats[:rows], row_tooks[:rows], bytes(row_codes[:rows]), counts[:rows]


def count_from(first: int, size: int) -> array[int]:
    """Return an array of consecutive whole numbers.

    Args:
        first: The first number.
        size: How many numbers.
    """
    if not cython.compiled:
        return array("q", range(first, first + size))
    numbers = _zeros(size)
    items = numbers.data.as_longlongs  # type: ignore[attr-defined]  # of Cython
    for index in range(size):
        items[index] = first + index
    return numbers


def put_in_order(times: array[int], at: int) -> None:
    """Raise each time, in place, to the latest time before it, and to ``at`` at least.

    Args:
        times: Times in nanoseconds of the log.
        at: The earliest time that is allowed, in nanoseconds of the log.
    """
    if not cython.compiled:
        listed = times.tolist()
        if listed and (listed[0] < at or listed != sorted(listed)):
            times[:] = array("q", list(accumulate(listed, max, initial=at))[1:])
        return
    items = times.data.as_longlongs  # type: ignore[attr-defined]  # of Cython
    last = at
    for index in range(len(times)):
        last = max(last, items[index])
        items[index] = last
