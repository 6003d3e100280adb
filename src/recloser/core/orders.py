# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, initializedcheck=False
"""The orders in which calls start and end, and what is found once over all calls of a breaker.

This file is compiled by Cython, with the types of ``orders.pxd``, and runs interpreted where there is
no compiler. A column is a buffer of whole numbers of 64 bits, such as an ``array`` or a numpy column
seen through a ``memoryview``; an outcome is a byte.
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

_RUN = 32


def numbers_from(first: int, stop: int) -> Numbers:
    """The whole numbers from one to before another."""
    found = array("q", bytes(8 * (stop - first)))
    items = memoryview(found)
    for number in range(first, stop):
        items[number - first] = number
    return found


def order_of(keys: Sequence[int]) -> Numbers:
    """The numbers of some keys in the order of the keys; those of equal keys in their own."""
    size = len(keys)
    order = numbers_from(0, size)
    if not cython.compiled:
        return array("q", sorted(order, key=keys.__getitem__))
    items = memoryview(order)
    spare = memoryview(array("q", bytes(8 * size)))
    width = _RUN
    for low in range(0, size, width):
        _insert(keys, items, low, min(low + width, size))
    while width < size:
        for middle in range(width, size, 2 * width):
            if keys[items[middle - 1]] > keys[items[middle]]:
                _merge(keys, items, spare, middle - width, middle, min(middle + width, size))
        width *= 2
    return order


def _insert(keys: Sequence[int], order: memoryview, low: int, high: int) -> None:
    """Sort a short run of an order."""
    for place in range(low + 1, high):
        number = order[place]
        key = keys[number]
        to = place
        while to > low and keys[order[to - 1]] > key:
            order[to] = order[to - 1]
            to -= 1
        order[to] = number


def _merge(  # noqa: PLR0917  # compiled, a call by position is a call of C
    keys: Sequence[int], order: memoryview, spare: memoryview, low: int, middle: int, high: int
) -> None:
    """Merge two neighbouring runs of an order; nothing is moved that stands where it belongs."""
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
    """Calls in the order of their ends; at one instant, those without duration last."""
    keys = array("q", bytes(8 * len(ends)))
    items = memoryview(keys)
    for number in range(len(ends)):
        items[number] = 2 * ends[number] + (starts[number] == ends[number])
    return order_of(keys)


def inverse(order: Sequence[int]) -> Numbers:
    """Where each number stands in an order of all of them."""
    found = array("q", bytes(8 * len(order)))
    items = memoryview(found)
    for place in range(len(order)):
        items[order[place]] = place
    return found


def taken(values: Sequence[int], order: Sequence[int]) -> Numbers:
    """The values in that order."""
    found = array("q", bytes(8 * len(order)))
    items = memoryview(found)
    for place in range(len(order)):
        items[place] = values[order[place]]
    return found


def codes_taken(outcomes: bytes, order: Sequence[int]) -> bytes:
    """The outcomes in that order."""
    found = bytearray(len(order))
    items = memoryview(found)
    for place in range(len(order)):
        items[place] = outcomes[order[place]]
    return bytes(found)


def kept(order: Sequence[int], numbers: Sequence[int]) -> Numbers:
    """An order of all, with these ascending numbers alone left in it, and counted anew."""
    anew = memoryview(array("q", (-1,)) * len(order))
    for index in range(len(numbers)):
        anew[numbers[index]] = index
    found = array("q", bytes(8 * len(numbers)))
    items = memoryview(found)
    index = 0
    for place in range(len(order)):
        if anew[order[place]] >= 0:
            items[index] = anew[order[place]]
            index += 1
    return found


def ended_before(starts: Sequence[int], ends: Sequence[int], by_end: Sequence[int]) -> Numbers:
    """How many calls have ended before each starts."""
    found = array("q", bytes(8 * len(starts)))
    items = memoryview(found)
    ended = 0
    for number in range(len(starts)):
        # One without duration that has not started has not ended either.
        while ended < number and by_end[ended] < number and ends[by_end[ended]] <= starts[number]:
            ended += 1
        items[number] = ended
    return found


def under_way(place: Sequence[int], number: int, ended: int, count: int) -> list[int]:
    """The places, in order, of the ``count`` calls before ``number`` with none before ``ended``."""
    found: list[int] = []
    while count:
        number -= 1
        if place[number] >= ended:
            found.append(place[number])
            count -= 1
    return sorted(found)


def highest_so_far(values: Sequence[int]) -> Numbers:
    """The highest of all values, which are from 0 up, up to each."""
    found = array("q", bytes(8 * len(values)))
    items = memoryview(found)
    highest = 0
    for place in range(len(values)):
        highest = max(highest, values[place])
        items[place] = highest
    return found


def places_of(outcomes: bytes, first: int, last: int) -> Numbers:
    """Where the outcomes of the codes from ``first`` to ``last`` stand."""
    found = array("q", bytes(8 * len(outcomes)))
    items = memoryview(found)
    count = 0
    for place in range(len(outcomes)):
        if first <= outcomes[place] <= last:
            items[count] = place
            count += 1
    return found[:count]


def count_before(outcomes: bytes, code: int) -> Numbers:
    """How many outcomes of a code stand before each place, and in all; shape (n + 1,)."""
    found = array("q", bytes(8 * (len(outcomes) + 1)))
    items = memoryview(found)
    count = 0
    for place in range(len(outcomes)):
        count += outcomes[place] == code
        items[place + 1] = count
    return found
