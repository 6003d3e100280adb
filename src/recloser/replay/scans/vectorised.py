"""Scans by numpy."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from recloser.replay.limits import Limits
from recloser.validation import NS_PER_SECOND

Ints: TypeAlias = npt.NDArray[np.int64]

_NEAR: Final = 256
_LARGEST: Final = 2**63 - 1


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


def whole_seconds(ends: Sequence[int], order: Sequence[int]) -> Sequence[int]:
    """The whole second of each end, in that order."""
    return column(ints(ends)[ints(order)] // NS_PER_SECOND)


def longer_than(tooks: Sequence[int], order: Sequence[int], ns: int) -> Sequence[int]:
    """Where in that order the calls stand that took longer."""
    return column(np.flatnonzero(ints(tooks)[ints(order)] > ns))


def run_lengths(outcomes: bytes, failed: int, ignored: int) -> Sequence[int]:
    """The number of each failure in its run, which all but failures and the ignored end."""
    codes = _codes(outcomes)
    failures = np.flatnonzero(codes == failed)
    ends = np.cumsum((codes != failed) & (codes != ignored))[failures]
    numbers = np.arange(len(failures))
    first = np.where(np.diff(ends, prepend=-1) > 0, numbers, 0)
    return column(numbers - np.maximum.accumulate(first) + 1)


def where_equal(values: Sequence[int], others: Sequence[int], wanted: int) -> Sequence[int]:
    """The values beside which ``wanted`` stands."""
    return column(ints(values)[ints(others) == wanted])


def union(columns: Sequence[Sequence[int]]) -> Sequence[int]:
    """All values of several columns, in their order."""
    return column(np.unique(np.concatenate([ints(values) for values in columns])))


def firsts_of(values: Sequence[int]) -> Sequence[int]:
    """Where each value stands for the first time, in a column that only rises."""
    return column(np.flatnonzero(np.diff(ints(values), prepend=-1)))


def dense(indexes: Sequence[int], size: int, needed: int) -> Sequence[int]:
    """The indexes that are, within ``size``, at least the ``needed``-th."""
    found = ints(indexes)
    last = found[needed - 1 :]
    return column(last[last - found[: len(last)] < size])


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
    whole, firsts = map(ints, occupied)
    failures, slow = map(ints, bad)
    seconds = min(seconds, _LARGEST // 2)
    told = _seconds_with(np.concatenate((failures, slow)), seconds, whole, firsts)
    starts = firsts[np.searchsorted(whole, whole[told] - seconds, "right")]
    behind = np.append(firsts[1:], total)[told]
    met = starts + min(limits.needed, total + 1) - 1
    met = met[(met >= firsts[told]) & (met < behind)]
    found = np.unique(np.concatenate((firsts[told], failures, slow, met)))
    start = starts[np.searchsorted(firsts[told], found, "right") - 1]
    failed, slowed = (_count(indexes, start, found) for indexes in (failures, slow))
    calls = found - start + 1
    reached = _at_share(failed, calls, limits.failed) | _at_share(slowed, calls, limits.slow)
    reached &= calls >= limits.needed
    if limits.failures is not None:
        reached |= failed >= limits.failures
    return column(found[reached])


def _seconds_with(bad: Ints, seconds: int, whole: Ints, firsts: Ints) -> Ints:
    """Which of the occupied seconds see one of these outcomes in a window of so many seconds."""
    begin = np.searchsorted(firsts, bad, "right") - 1
    end = np.searchsorted(whole, whole[begin] + seconds, "left")
    size = len(whole) + 1
    steps = np.bincount(begin, minlength=size) - np.bincount(end, minlength=size)
    return np.flatnonzero(np.cumsum(steps))


def _count(indexes: Ints, first: Ints, last: Ints) -> Ints:
    return np.searchsorted(indexes, last, "right") - np.searchsorted(indexes, first, "left")


def _at_share(count: Ints, calls: Ints, share: tuple[int, int] | None) -> npt.NDArray[np.bool_]:
    if share is None:
        return np.zeros(len(count), np.bool_)
    numerator, denominator = share
    most = int(calls.max(initial=0))
    if max(share) * most > _LARGEST:  # Python's whole numbers have no bound
        pairs = zip(count.tolist(), calls.tolist(), strict=True)
        return np.array([c * denominator >= numerator * n for c, n in pairs], np.bool_)
    return count * denominator >= numerator * calls
