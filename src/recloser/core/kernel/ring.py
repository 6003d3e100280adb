# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""A queue of 64-bit integers in one array, which grows with what is put in.

An item of a ring is a fixed count of numbers side by side. A *position* is the offset of an item's
first number in ``Ring.items``; an *index* counts items from the oldest, which has index 0.
"""

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

Numbers: TypeAlias = "array[int]"

_FIRST_CAPACITY = 8
_NO_NUMBERS = array("q")  # shared by all rings before their first item


class Ring:
    """A queue of items, each of them ``width`` integers of 64 bits.

    Args:
        width: Count of numbers per item.
        max_items: The most items that the ring will ever hold.

    Attributes:
        first: Slot of the oldest item, counted in items.
        length: Count of items, including those marked as removed.
        removed: Count of items marked as removed, whose last number is -1.
        capacity: Count of items that fit before the ring has to grow.
        items: The numbers, one item after another.
        numbers: The array that holds them.
    """

    __slots__ = ("capacity", "first", "items", "length", "max_items", "numbers", "removed", "width")
    width: int
    max_items: int
    first: int
    length: int
    removed: int
    capacity: int
    items: Numbers
    numbers: Numbers

    def __init__(self, width: int, max_items: int = NEVER) -> None:
        set_up_ring(self, width, max_items)

    def copy(self) -> Ring:
        """A ring of the same items that shares nothing with this one."""
        other = Ring(self.width, self.max_items)
        copy_items(self, other)
        return other

    def to_list(self) -> list[int]:
        """All numbers, from the oldest item to the newest, without removed items."""
        begin = self.first * self.width
        end = begin + self.length * self.width
        numbers = self.numbers[begin:end].tolist()
        numbers += self.numbers[: max(0, end - len(self.numbers))].tolist()
        if not self.removed:
            return numbers
        width = self.width
        items = [numbers[start : start + width] for start in range(0, len(numbers), width)]
        return [number for item in items if item[width - 1] >= 0 for number in item]

    def extend(self, numbers: Sequence[int]) -> None:
        """Append items, given as ``width`` numbers each, one after another."""
        for index, number in enumerate(numbers):
            if index % self.width == 0:
                position = push_item(self)
            self.items[position + index % self.width] = number

    def clear(self) -> None:
        """Drop all items."""
        self.first = 0
        self.length = 0
        self.removed = 0

    def __reduce__(self) -> tuple[object, ...]:
        return _ring, (self.width, self.max_items, self.to_list())


def _ring(width: int, max_items: int, numbers: list[int]) -> Ring:
    ring = Ring(width, max_items)
    ring.extend(numbers)
    return ring


def set_up_ring(ring: Ring, width: int, max_items: int) -> None:
    """Set the attributes of a ring without items; compiled, this is quicker than ``__init__``."""
    ring.width = width
    ring.max_items = max_items
    ring.first = 0
    ring.length = 0
    ring.removed = 0
    ring.capacity = 0
    store_in(ring, _NO_NUMBERS)


def store_in(ring: Ring, numbers: Numbers) -> None:
    """Make this array the storage of a ring; no other code may change the size of the array."""
    ring.numbers = numbers
    if cython.compiled:
        ring.items = ring.numbers.data.as_longlongs  # type: ignore[attr-defined]
    else:
        ring.items = numbers


def copy_items(ring: Ring, other: Ring) -> None:
    """Give ``other`` a copy of the items of a ring of the same width."""
    other.first = ring.first
    other.length = ring.length
    other.removed = ring.removed
    other.capacity = ring.capacity
    store_in(other, ring.numbers[:])


def _grow(ring: Ring) -> int:
    """Double the room of a full ring and move its oldest item to the front.

    Returns:
        The new capacity.
    """
    capacity = min(ring.max_items, ring.capacity * 2 if ring.capacity else _FIRST_CAPACITY)
    if capacity <= ring.capacity:
        # The ring holds more than its maximum. Never write past the end of its array.
        capacity = ring.capacity + _FIRST_CAPACITY
    begin = ring.first * ring.width
    numbers = array("q", (0,)) * (capacity * ring.width)
    at_end = len(ring.numbers) - begin
    numbers[:at_end] = ring.numbers[begin:]
    numbers[at_end : at_end + begin] = ring.numbers[:begin]
    store_in(ring, numbers)
    ring.first = 0
    ring.capacity = capacity
    return capacity


def push_item(ring: Ring) -> int:
    """Append an item whose numbers are not set yet, and return its position."""
    if ring.length == ring.capacity:
        _grow(ring)
    ring.length += 1
    return last_position(ring)


def pop_item(ring: Ring) -> int:
    """Drop the oldest item, and return the position at which it was."""
    slot = ring.first
    ring.first = slot + 1 if slot + 1 < ring.capacity else 0
    ring.length -= 1
    return slot * ring.width


def last_position(ring: Ring) -> int:
    """Position of the newest item."""
    return position_of(ring, ring.length - 1)


def position_of(ring: Ring, index: int) -> int:
    """Position of the item at an index."""
    slot = ring.first + index
    if slot >= ring.capacity:
        slot -= ring.capacity
    return slot * ring.width


def first_index(ring: Ring, column: int, at_least: int) -> int:
    """Index of the first item whose number in ``column`` is ``at_least`` or more.

    The numbers in that column must ascend from the oldest item to the newest.

    Returns:
        The index; ``ring.length`` if there is no such item.
    """
    low = 0
    high = ring.length
    while low < high:
        middle = (low + high) // 2
        if ring.items[position_of(ring, middle) + column] < at_least:
            low = middle + 1
        else:
            high = middle
    return low
