"""Scans by numpy."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]

_NEAR: Final = 256


def ints(column: Sequence[int]) -> Ints:
    """The numbers of a column; those that stand in a buffer are not copied."""
    if isinstance(column, range):
        return np.arange(column.start, column.stop, dtype=np.int64)
    return np.asarray(column, np.int64)


def column(numbers: npt.NDArray[np.generic]) -> Sequence[int]:
    """Numbers as a column, which gives plain whole numbers."""
    return np.ascontiguousarray(numbers, np.int64).data


def _codes(outcomes: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(outcomes, np.uint8)


def order_of_starts(starts: Sequence[int]) -> Sequence[int]:
    """The rows of a log, put in the order of their starts."""
    return column(np.argsort(ints(starts), kind="stable"))


def order_of_ends(starts: Sequence[int], ends: Sequence[int]) -> Sequence[int]:
    """The rows in the order of their ends; at one instant, those without duration last."""
    ended = ints(ends)
    is_instant = ended == ints(starts)
    if not is_instant.any():
        return column(np.argsort(ended, kind="stable"))
    return column(np.lexsort((is_instant, ended)))


def inverse(order: Sequence[int]) -> Sequence[int]:
    """Where each number stands in an order of all of them."""
    found = np.empty(len(order), np.int64)
    found[ints(order)] = np.arange(len(order))
    return column(found)


def taken(values: Sequence[int], order: Sequence[int]) -> Sequence[int]:
    """The values in that order."""
    return column(ints(values)[ints(order)])


def kept(order: Sequence[int], numbers: Sequence[int]) -> Sequence[int]:
    """An order of all, with these numbers alone left in it, and counted anew."""
    anew = np.full(len(order), -1, np.int64)
    anew[ints(numbers)] = np.arange(len(numbers))
    found = anew[ints(order)]
    return column(found[found >= 0])


def codes_taken(outcomes: bytes, order: Sequence[int]) -> bytes:
    """The outcomes in that order."""
    return _codes(outcomes)[ints(order)].tobytes()


def ended_before(
    starts: Sequence[int], ends: Sequence[int], by_end: Sequence[int]
) -> Sequence[int]:
    """How many calls have ended before each starts."""
    started, ended = ints(starts), ints(ends)
    before = np.searchsorted(ended[ints(by_end)], started, "right")
    is_instant = started == ended
    if is_instant.any():
        # A call without duration has not ended before one that starts with it, or earlier.
        counts = np.concatenate(([0], np.cumsum(is_instant)))
        behind = np.searchsorted(started, started, "right")
        before -= counts[behind] - counts[:-1]
    return column(before)


def places_from(place: Sequence[int], number: int, ended: int) -> list[int]:
    """The places from ``ended`` on of the calls before ``number``, of which so many have ended."""
    places, wanted = ints(place), number - ended
    size = _NEAR
    while wanted:
        near = places[max(0, number - size) : number]
        found = near[near >= ended]
        if len(found) == wanted:
            return sorted(found.tolist())
        size *= 4
    return []


def highest_so_far(values: Sequence[int]) -> Sequence[int]:
    """The highest of all values up to each."""
    return column(np.maximum.accumulate(ints(values)))


def places_of(outcomes: bytes, codes: bytes) -> Sequence[int]:
    """Where the outcomes of these codes stand."""
    return column(np.flatnonzero(_is_one_of(outcomes, codes)))


def count_before(outcomes: bytes, codes: bytes) -> Sequence[int]:
    """How many outcomes of these codes stand before each place; shape (n + 1,)."""
    counts = np.zeros(len(outcomes) + 1, np.int64)
    np.cumsum(_is_one_of(outcomes, codes), out=counts[1:])
    return column(counts)


def _is_one_of(outcomes: bytes, codes: bytes) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, np.bool_)
    table[list(codes)] = True
    return table[_codes(outcomes)]
