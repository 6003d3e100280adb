"""Scans call by call, where numpy is not installed; each comes to what its namesake does."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

from recloser.replay.limits import Limits
from recloser.validation import NS_PER_SECOND


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


def whole_seconds(ends: Sequence[int], order: Sequence[int]) -> Sequence[int]:
    """The whole second of each end, in that order."""
    return column(ends[number] // NS_PER_SECOND for number in order)


def longer_than(tooks: Sequence[int], order: Sequence[int], ns: int) -> Sequence[int]:
    """Where in that order the calls stand that took longer."""
    return column(place for place, number in enumerate(order) if tooks[number] > ns)


def run_lengths(outcomes: bytes, failed: int, ignored: int) -> Sequence[int]:
    """The number of each failure in its run, which all but failures and the ignored end."""
    lengths, run = array("q"), 0
    for code in outcomes:
        if code == failed:
            run += 1
            lengths.append(run)
        elif code != ignored:
            run = 0
    return lengths


def where_equal(values: Sequence[int], others: Sequence[int], wanted: int) -> Sequence[int]:
    """The values beside which ``wanted`` stands."""
    return column(v for v, other in zip(values, others, strict=True) if other == wanted)


def union(columns: Sequence[Sequence[int]]) -> Sequence[int]:
    """All values of several columns, in their order."""
    return column(sorted(set().union(*columns)))


def firsts_of(values: Sequence[int]) -> Sequence[int]:
    """Where each value stands for the first time, in a column that only rises."""
    return column(n for n, value in enumerate(values) if n == 0 or value != values[n - 1])


def dense(indexes: Sequence[int], size: int, needed: int) -> Sequence[int]:
    """The indexes that are, within ``size``, at least the ``needed``-th."""
    last = indexes[needed - 1 :]
    return column(
        index for first, index in zip(indexes, last, strict=False) if index - first < size
    )


def reaching_by_second(
    limits: Limits,
    seconds: int,
    occupied: tuple[Sequence[int], Sequence[int]],
    bad: tuple[Sequence[int], Sequence[int]],
    total: int,
) -> Sequence[int]:
    """The outcomes with which a window of so many whole seconds reaches a limit.

    Args:
        limits: The limits.
        seconds: How many seconds the window has.
        occupied: Each second with outcomes, and the index of the first of them.
        bad: The indexes of the failures, and of the slow calls.
        total: How many outcomes there are.

    Within a second a share can rise only at its first outcome, which lets older ones go, at a
    failed or slow one, or where the minimum is met.
    """
    return column(_reaching(limits, seconds, occupied, bad, total))


def _reaching(
    limits: Limits,
    seconds: int,
    occupied: tuple[Sequence[int], Sequence[int]],
    bad: tuple[Sequence[int], Sequence[int]],
    total: int,
) -> Iterator[int]:
    (whole, firsts), (failures, slow) = occupied, bad
    oldest = 0
    for second, (first, behind) in zip(whole, pairwise([*firsts, total]), strict=True):
        while whole[oldest] <= second - seconds:
            oldest += 1
        start = firsts[oldest]
        if not (_count(failures, start, behind) or _count(slow, start, behind)):
            continue
        found = {first, start + limits.needed - 1, *_between(failures, first, behind)}
        found.update(_between(slow, first, behind))
        for index in sorted(found):
            if first <= index < behind and limits.reached(
                index - start + 1,
                _count(failures, start, index + 1),
                _count(slow, start, index + 1),
            ):
                yield index


def _count(indexes: Sequence[int], first: int, behind: int) -> int:
    return bisect_left(indexes, behind) - bisect_left(indexes, first)


def _between(indexes: Sequence[int], first: int, behind: int) -> Sequence[int]:
    return indexes[bisect_left(indexes, first) : bisect_left(indexes, behind)]
