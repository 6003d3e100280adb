# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""The orders in which calls start and end, and facts computed once over all calls of a breaker.

This file is compiled by Cython, with the types of ``orders.pxd``, and runs interpreted where there is
no compiler. A column is a buffer of 64-bit integers, such as an ``array``, or a column of numpy seen
through a ``memoryview``; an outcome is a byte. The *start index* of a call is its index in the order of
the starts, from 0; its *end index* is that in the order of the ends.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run

    from recloser.core.kernel import Numbers
else:
    from recloser.core import interpreted as cython

IS_COMPILED: bool = cython.compiled

_RUN = 32  # keys that are sorted by insertion before runs are merged


def index_range(first: int, stop: int) -> Numbers:
    """The integers from ``first`` to before ``stop``."""
    found = array("q", bytes(8 * (stop - first)))
    items = memoryview(found)
    for index in range(first, stop):
        items[index - first] = index
    return found


def order_of(keys: Sequence[int]) -> Numbers:
    """The indexes of some keys, sorted by key; equal keys stay in their order."""
    size = len(keys)
    order = index_range(0, size)
    if not cython.compiled:
        return array("q", sorted(order, key=keys.__getitem__))
    items = memoryview(order)
    spare = memoryview(array("q", bytes(8 * size)))
    width = _RUN
    for low in range(0, size, width):
        _sort_run(keys, items, low, min(low + width, size))
    while width < size:
        for middle in range(width, size, 2 * width):
            if keys[items[middle - 1]] > keys[items[middle]]:
                _merge(keys, items, spare, middle - width, middle, min(middle + width, size))
        width *= 2
    return order


def _sort_run(keys: Sequence[int], order: memoryview, low: int, high: int) -> None:
    """Sort a short run of an order by insertion."""
    for start in range(low + 1, high):
        index = order[start]
        key = keys[index]
        to = start
        while to > low and keys[order[to - 1]] > key:
            order[to] = order[to - 1]
            to -= 1
        order[to] = index


def _merge(  # noqa: PLR0917  # compiled, a call by position is a call of C
    keys: Sequence[int], order: memoryview, spare: memoryview, low: int, middle: int, high: int
) -> None:
    """Merge two neighbouring sorted runs of an order; items already in their place do not move."""
    first = middle
    least = keys[order[middle]]
    while first > low and keys[order[first - 1]] > least:
        first -= 1
    count = middle - first
    for index in range(count):
        spare[index] = order[first + index]
    index = 0
    right = middle
    while index < count:
        if right < high and keys[order[right]] < keys[spare[index]]:
            order[first] = order[right]
            right += 1
        else:
            order[first] = spare[index]
            index += 1
        first += 1


def order_of_ends(starts: Sequence[int], ends: Sequence[int]) -> Numbers:
    """Start indexes of calls in the order of their ends; at one time, calls without duration last."""
    order = order_of(ends)
    items = memoryview(order)
    first = 0
    while first < len(order):
        stop = first + 1
        while stop < len(order) and ends[items[stop]] == ends[items[first]]:
            stop += 1
        if stop - first > 1:
            _put_instant_calls_last(starts, ends, items, first, stop)
        first = stop
    return order


def _put_instant_calls_last(
    starts: Sequence[int], ends: Sequence[int], order: memoryview, first: int, stop: int
) -> None:
    """Move the calls without duration to the end of a part of an order; else it stays as it is."""
    instant = array("q", bytes(8 * (stop - first)))
    held = memoryview(instant)
    count = 0
    place = first
    for position in range(first, stop):
        index = order[position]
        if starts[index] == ends[index]:
            held[count] = index
            count += 1
        else:
            order[place] = index
            place += 1
    for position in range(count):
        order[place + position] = held[position]


def inverse_order(order: Sequence[int]) -> Numbers:
    """The position of each index in an order that has all of them."""
    found = array("q", bytes(8 * len(order)))
    items = memoryview(found)
    for position in range(len(order)):
        items[order[position]] = position
    return found


def reordered(values: Sequence[int], order: Sequence[int]) -> Numbers:
    """The values at the indexes of an order, which may leave some out."""
    found = array("q", bytes(8 * len(order)))
    items = memoryview(found)
    for position in range(len(order)):
        items[position] = values[order[position]]
    return found


def reordered_codes(outcomes: bytes, order: Sequence[int]) -> bytes:
    """The outcomes at the indexes of an order, which may leave some out."""
    found = bytearray(len(order))
    items = memoryview(found)
    for position in range(len(order)):
        items[position] = outcomes[order[position]]
    return bytes(found)


def restricted_order(order: Sequence[int], chosen: Sequence[int]) -> Numbers:
    """An order of some of its indexes only, which are counted anew from 0.

    Args:
        order: An order of all indexes.
        chosen: The indexes that stay, ascending.
    """
    new_index = memoryview(array("q", (-1,)) * len(order))
    for index in range(len(chosen)):
        new_index[chosen[index]] = index
    found = array("q", bytes(8 * len(chosen)))
    items = memoryview(found)
    index = 0
    for position in range(len(order)):
        if new_index[order[position]] >= 0:
            items[index] = new_index[order[position]]
            index += 1
    return found


def ended_before(starts: Sequence[int], ends: Sequence[int], by_end: Sequence[int]) -> Numbers:
    """How many calls have ended before each call starts, by start index.

    Args:
        starts: When each call started, by start index.
        ends: When each call ended, by start index.
        by_end: The start index of each call, by end index.
    """
    found = array("q", bytes(8 * len(starts)))
    items = memoryview(found)
    ended = 0
    for call in range(len(starts)):
        # A call without duration that has not started has not ended either.
        while ended < call and by_end[ended] < call and ends[by_end[ended]] <= starts[call]:
            ended += 1
        items[call] = ended
    return found


def ends_in_flight(
    end_indexes: Sequence[int], start_index: int, ended: int, count: int
) -> list[int]:
    """The end indexes, ascending, of calls that have started and have not ended.

    Args:
        end_indexes: The end index of each call, by start index.
        start_index: Calls with a lower start index have started.
        ended: How many calls have ended.
        count: How many calls are in flight.
    """
    found: list[int] = []
    while count:
        start_index -= 1
        if end_indexes[start_index] >= ended:
            found.append(end_indexes[start_index])
            count -= 1
    return sorted(found)


def running_maximum(values: Sequence[int]) -> Numbers:
    """For each of some values from 0 up, the highest value up to it."""
    found = array("q", bytes(8 * len(values)))
    items = memoryview(found)
    highest = 0
    for index in range(len(values)):
        highest = max(highest, values[index])
        items[index] = highest
    return found


def indexes_of(outcomes: bytes, first: int, last: int) -> Numbers:
    """The indexes of outcomes whose code is from ``first`` to ``last``."""
    found = array("q", bytes(8 * len(outcomes)))
    items = memoryview(found)
    count = 0
    for index in range(len(outcomes)):
        if first <= outcomes[index] <= last:
            items[count] = index
            count += 1
    return found[:count]


def count_before(outcomes: bytes, code: int) -> Numbers:
    """How many outcomes have a code, before each index and in all; the result has n + 1 items."""
    found = array("q", bytes(8 * (len(outcomes) + 1)))
    items = memoryview(found)
    count = 0
    for index in range(len(outcomes)):
        count += outcomes[index] == code
        items[index + 1] = count
    return found
