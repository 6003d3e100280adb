"""Scans call by call, where numpy is not installed; each comes to what its namesake does."""

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate


def column(numbers: Iterable[int]) -> Sequence[int]:
    """Numbers as a column."""
    return array("q", numbers)


def order_of_starts(starts: Sequence[int]) -> Sequence[int]:
    """The rows of a log, put in the order of their starts."""
    return column(sorted(range(len(starts)), key=starts.__getitem__))


def order_of_ends(starts: Sequence[int], ends: Sequence[int]) -> Sequence[int]:
    """The rows in the order of their ends; at one instant, those without duration last."""
    return column(sorted(range(len(ends)), key=lambda row: (ends[row], starts[row] == ends[row])))


def inverse(order: Sequence[int]) -> Sequence[int]:
    """Where each number stands in an order of all of them."""
    found = array("q", bytes(8 * len(order)))
    for place, number in enumerate(order):
        found[number] = place
    return found


def taken(values: Sequence[int], order: Sequence[int]) -> Sequence[int]:
    """The values in that order."""
    return column(values[number] for number in order)


def kept(order: Sequence[int], numbers: Sequence[int]) -> Sequence[int]:
    """An order of all, with these numbers alone left in it, and counted anew."""
    anew = {number: index for index, number in enumerate(numbers)}
    return column(anew[number] for number in order if number in anew)


def codes_taken(outcomes: bytes, order: Sequence[int]) -> bytes:
    """The outcomes in that order."""
    return bytes(outcomes[number] for number in order)


def ended_before(
    starts: Sequence[int], ends: Sequence[int], by_end: Sequence[int]
) -> Sequence[int]:
    """How many calls have ended before each starts."""
    before, ended = array("q"), 0
    for number, start in enumerate(starts):
        while ended < number and ends[by_end[ended]] <= start:
            if by_end[ended] >= number:  # one without duration, which has not started
                break
            ended += 1
        before.append(ended)
    return before


def places_from(place: Sequence[int], number: int, ended: int) -> list[int]:
    """The places from ``ended`` on of the calls before ``number``, of which so many have ended."""
    found: list[int] = []
    wanted = number - ended
    while len(found) < wanted:
        number -= 1
        if place[number] >= ended:
            found.append(place[number])
    return sorted(found)


def highest_so_far(values: Sequence[int]) -> Sequence[int]:
    """The highest of all values up to each."""
    return column(accumulate(values, max))


def places_of(outcomes: bytes, codes: bytes) -> Sequence[int]:
    """Where the outcomes of these codes stand."""
    return column(place for place, code in enumerate(outcomes) if code in codes)


def count_before(outcomes: bytes, codes: bytes) -> Sequence[int]:
    """How many outcomes of these codes stand before each place; shape (n + 1,)."""
    return column(accumulate((code in codes for code in outcomes), initial=0))
