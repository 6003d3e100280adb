"""The search for the next event that may fire an edge of a closed breaker.

What is found is only a candidate: the fold decides on it. So a search may name an event too many,
but none too few. What may fire is known of each rule:

* Consecutive failures: a failure, with enough of them in a row.
* A window: a failed or slow call, which brings the share up; the outcome with which it holds as
  many as a rate asks for; and in a window of seconds, the first outcome of a second, with which
  those of an old second leave.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from attrs import frozen

from recloser.columns.rows import Places, Rows, Whole
from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.fold import Stretch
from recloser.state import BreakerState
from recloser.validation import NS_PER_SECOND, Rate, exact
from recloser.windows import CountedOutcomes, TimedOutcomes

_MOST: Final = 1 << 62


class Search(Protocol):
    """One rule's view of a stretch of rows."""

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire; ``stop`` if there is none.

        Args:
            state: The closed breaker as it is before ``start``.
            start: A row.
            stop: The end of rows that are all of the breaker's epoch.
        """


def searches_of(rows: Rows, config: CircuitBreakerConfig) -> list[Search] | None:
    """A search for each rule that is on; None where one can't be searched for."""
    searches: list[Search] = []
    if config.failure_threshold is not None:
        searches.append(RunSearch(rows, config.failure_threshold))
    if config.window is None:
        return searches
    limits = _limits_of(rows, config, config.window)
    if limits is None:
        return None
    if isinstance(config.window, CountWindow):
        searches.append(CountSearch(rows, config.window, limits))
    else:
        searches.append(TimeSearch(rows, config.window, limits))
    return searches


class RunSearch:
    """For consecutive failures."""

    def __init__(self, rows: Rows, threshold: int) -> None:
        failures, outside = rows.failures, rows.outside
        self._rows, self._threshold = rows, threshold
        gaps = np.diff(failures) - 1 - np.diff(np.searchsorted(outside, failures))
        begins = np.concatenate(([True], gaps > 0))[: len(failures)]
        self._begins = np.flatnonzero(begins)
        lengths = np.diff(self._begins, append=len(failures))
        reaching = self._begins[lengths >= threshold] + threshold - 1
        self._reaching = failures[reaching]

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire."""
        rows, failures = self._rows, self._rows.failures
        number = int(np.searchsorted(failures, start))
        if number == len(failures) or failures[number] >= stop:
            return stop
        following = int(np.searchsorted(self._begins, number, "right"))
        is_whole = following and self._begins[following - 1] == number
        if not is_whole or state.consecutive_failures:
            # The run under way, of which only what is counted in this epoch is a run.
            first = int(failures[number])
            is_unbroken = rows.rank(first) == rows.rank(start)
            before = state.consecutive_failures if is_unbroken else 0
            number += max(0, self._threshold - before - 1)
            bounds = self._begins[following : following + 1]
            if number < (bounds[0] if len(bounds) else len(failures)):
                return min(stop, int(failures[number]))
            if not len(bounds):
                return stop
            start = int(failures[bounds[0]])
        place = int(np.searchsorted(self._reaching, start))
        return min(stop, int(self._reaching[place])) if place < len(self._reaching) else stop


@frozen(eq=False)
class Limit:
    """One threshold of a window.

    Attributes:
        bad: The rows of what it counts, failures or slow calls.
        ranks: The rank of each.
        bit: Which bit of an outcome's code tells it; see ``CountedOutcomes``.
        number: So many fire it, however few calls there are; None for a rate.
        numerator, denominator: The rate.
        needed: So many calls must be there for a rate.
    """

    bad: Places
    ranks: Places
    bit: int
    number: int | None
    numerator: int
    denominator: int
    needed: int

    def reached(self, bad: Whole, calls: Whole) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether so many of so many calls reach it."""
        if self.number is not None:
            return bad >= self.number
        return (calls >= self.needed) & (bad * self.denominator >= self.numerator * calls)

    def least(self, calls: int) -> int:
        """How few of so many calls may reach it."""
        if self.number is not None:
            return self.number
        return max(1, -(-self.numerator * calls // self.denominator))


def _limits_of(
    rows: Rows, config: CircuitBreakerConfig, window: CountWindow | TimeWindow
) -> list[Limit] | None:
    """The thresholds of a window; None where integers of 64 bits or rows can't tell them."""
    limits = []
    failed = (rows.failures, rows.failure_ranks, 1)
    if window.failures is not None:
        limits.append(Limit(*failed, window.failures, 0, 1, 1))
    if window.failure_rate is not None:
        limits.append(Limit(*failed, None, *_parts(window.failure_rate), window.needed))
    if window.slow_call_rate is not None:
        assert config.slow_call_ns is not None
        slow = rows.slow(config.slow_call_ns)
        if (rows.counts[slow] != 1).any():
            return None
        limits.append(
            Limit(slow, rows.ranks(slow), 0, None, *_parts(window.slow_call_rate), window.needed)
        )
    most = rows.rank(len(rows)) + (window.size if isinstance(window, CountWindow) else _MOST >> 31)
    if any(max(limit.numerator, limit.denominator) * most >= _MOST for limit in limits):
        return None
    return limits


def _parts(rate: Rate) -> tuple[int, int]:
    share = exact(rate)
    return share.numerator, share.denominator


class CountSearch:
    """For a window of the last outcomes."""

    def __init__(self, rows: Rows, window: CountWindow, limits: Sequence[Limit]) -> None:
        self._rows, self._size, self._needed = rows, window.size, window.needed
        self._limits = limits
        found = [self._in_full(limit) for limit in limits]
        self._found = found[0] if len(found) == 1 else np.unique(np.concatenate(found))

    def _in_full(self, limit: Limit) -> Places:
        """The rows at which a window that is full of this epoch's outcomes reaches the limit."""
        back = limit.least(self._size) - 1
        ranks = limit.ranks
        near = ranks[back:] - ranks[: max(0, len(ranks) - back)] < self._size
        return limit.bad[back:][near]

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire."""
        window = state.window
        assert isinstance(window, CountedOutcomes)
        rank = self._rows.rank(start)
        full = min(stop, self._rows.row_of(rank + self._size))
        codes = np.array(window.to_data(), np.int64)
        nearest = min(
            (self._while_filling(limit, codes, start, full, rank) for limit in self._limits),
            default=full,
        )
        if nearest < full or full == stop:
            return nearest
        place = int(np.searchsorted(self._found, full))
        return min(stop, int(self._found[place])) if place < len(self._found) else stop

    def _while_filling(
        self, limit: Limit, codes: Whole, start: int, full: int, rank: int
    ) -> int:
        """While the window holds outcomes from before ``start``, or is not full."""
        held = len(codes)
        old = rank - held + np.flatnonzero(codes >> limit.bit & 1)
        first, last = np.searchsorted(limit.bad, (start, full))
        ranks = np.concatenate((old, limit.ranks[first:last]))
        places = np.arange(len(old), len(ranks))
        new = ranks[len(old) :]
        calls = np.minimum(self._size, held + new - rank + 1)
        bad = places + 1 - np.searchsorted(ranks, new - self._size, "right")
        fired = np.flatnonzero(limit.reached(bad, calls))
        nearest = int(limit.bad[first + fired[0]]) if len(fired) else full
        if limit.number is None and held < limit.needed and len(ranks):
            filling = self._rows.row_of(rank + limit.needed - held - 1)
            nearest = min(nearest, filling)
        return nearest


class TimeSearch:
    """For a window of the last seconds."""

    def __init__(self, rows: Rows, window: TimeWindow, limits: Sequence[Limit]) -> None:
        self._rows, self._span, self._limits = rows, window.seconds, limits
        self._seconds, self._starts = rows.seconds
        self._bounds = np.append(self._starts, len(rows))
        self._calls = rows.ranks(self._bounds)
        self._bad = [np.searchsorted(limit.bad, self._bounds) for limit in limits]
        oldest = np.searchsorted(self._seconds, self._seconds - self._span, "right")
        own = slice(1, None), slice(None, -1)
        before = self._calls[:-1] - self._calls[oldest]
        possible = np.zeros(len(self._seconds), np.bool_)
        for limit, bad in zip(limits, self._bad, strict=True):
            possible |= _possible(
                limit,
                before,
                self._calls[own[0]] - self._calls[own[1]],
                bad[:-1] - bad[oldest],
                bad[own[0]] - bad[own[1]],
            )
        self._found = np.flatnonzero(possible)

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire."""
        window = state.window
        assert isinstance(window, TimedOutcomes)
        if start == stop:
            return stop
        second = int(np.searchsorted(self._starts, start, "right")) - 1
        settled = int(np.searchsorted(self._seconds, self._seconds[second] + self._span))
        nearest = self._while_filling(window, second, settled, start, stop)
        if nearest < stop:
            return nearest
        place = int(np.searchsorted(self._found, settled))
        for number in self._found[place:].tolist():
            if self._starts[number] >= stop:
                break
            oldest = np.searchsorted(self._seconds, self._seconds[number] - self._span, "right")
            nearest = self._in_second(
                number,
                int(self._calls[number] - self._calls[oldest]),
                [int(bad[number] - bad[oldest]) for bad in self._bad],
                start,
                stop,
            )
            if nearest < stop:
                return nearest
        return stop

    def _while_filling(
        self, window: TimedOutcomes, first: int, last: int, start: int, stop: int
    ) -> int:
        """While the window may hold outcomes from before ``start``, or from before this epoch."""
        rows = self._rows
        held = np.array(window.to_data(), np.int64).reshape(-1, 6)
        bounds = self._bounds[first : last + 1].copy()
        bounds[0] = start
        seconds = np.concatenate((held[:, 0], self._seconds[first:last]))
        calls = _before(held[:, 3], np.diff(rows.ranks(bounds)))
        oldest = np.searchsorted(seconds, seconds - self._span, "right")
        new = slice(len(held), None)
        possible = np.zeros(last - first, np.bool_)
        bads = []
        for limit in self._limits:
            old = held[:, 4 if limit.bit else 5]
            bad = _before(old, np.diff(np.searchsorted(limit.bad, bounds)))
            bads.append(bad)
            possible |= _possible(
                limit,
                (calls[:-1] - calls[oldest])[new],
                np.diff(calls)[new],
                (bad[:-1] - bad[oldest])[new],
                np.diff(bad)[new],
            )
        for number in np.flatnonzero(possible).tolist():
            place = len(held) + number
            nearest = self._in_second(
                first + number,
                int(calls[place] - calls[oldest[place]]),
                [int(bad[place] - bad[oldest[place]]) for bad in bads],
                start,
                stop,
            )
            if nearest < stop:
                return nearest
        return stop

    def _in_second(
        self, number: int, calls: int, bads: Sequence[int], start: int, stop: int
    ) -> int:
        """The first row of one second that may fire.

        Args:
            number: Which of the seconds.
            calls: How many outcomes of the window stand before it.
            bads: How many of them each limit counts.
            start: Rows before this do not count.
            stop: Nor do those from this on.
        """
        rows = self._rows
        begin = max(start, int(self._bounds[number]))
        end = min(stop, int(self._bounds[number + 1]))
        if begin >= end:
            return stop
        rank = rows.rank(begin)
        nearest = stop
        for limit, bad in zip(self._limits, bads, strict=True):
            first, last = np.searchsorted(limit.bad, (begin, end))
            candidates = [limit.bad[first:last], [rows.row_of(rank)]]
            if limit.number is None and calls < limit.needed:
                candidates.append([rows.row_of(rank + limit.needed - calls - 1)])
            places = np.concatenate(candidates).astype(np.intp)
            places = np.sort(places[places < end])
            inside = calls + rows.ranks(places + 1) - rank
            counted = bad + np.searchsorted(limit.bad, places, "right") - first
            fired = np.flatnonzero(limit.reached(counted, inside))
            if len(fired):
                nearest = min(nearest, int(places[fired[0]]))
        return nearest


def _before(held: Whole, new: Places) -> Whole:
    """How many stand before each part, shape (parts + 1,)."""
    return np.concatenate(([0], np.cumsum(np.concatenate((held, new)))))


def _possible(
    limit: Limit, calls: Whole, own_calls: Whole, bad: Whole, own_bad: Whole
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether a limit may be reached at any outcome of a second.

    The share is never greater than if all that is bad in the second came first.
    """
    if limit.number is not None:
        return (bad + own_bad >= limit.number) & (own_calls > 0)
    least = np.maximum(limit.needed, calls + own_bad)
    return (
        (own_calls > 0)
        & (calls + own_calls >= limit.needed)
        & ((bad + own_bad) * limit.denominator >= limit.numerator * least)
    )


def stretch_of(rows: Rows, state: BreakerState, start: int, stop: int) -> Stretch:
    """Rows of the epoch of a closed breaker, none of which fires an edge, summed up."""
    first, last = np.searchsorted(rows.failures, (start, stop))
    failed = int(last - first)
    succeeded = rows.rank(stop) - rows.rank(start) - failed
    outside = rows.outside[slice(*np.searchsorted(rows.outside, (start, stop)))]
    kinds, counts = rows.kinds[outside], rows.counts[outside]
    run = _run_before(rows, int(first), int(last), stop)
    threshold = state.config.failure_threshold
    seqs = rows.seqs[rows.failures[last - run : last]].tolist() if threshold and run else ()
    return Stretch(
        succeeded=succeeded,
        failed=failed,
        ignored=int((kinds == 2).sum()),
        rejected=int(counts[kinds == 3].sum()),
        run=run,
        run_seqs=seqs,
        is_unbroken=succeeded == 0,
        codes=_codes(rows, state, start, stop) if isinstance(state.window, CountedOutcomes) else (),
        buckets=_buckets(rows, state, start, stop)
        if isinstance(state.window, TimedOutcomes)
        else (),
    )


def _run_before(rows: Rows, first: int, last: int, stop: int) -> int:
    """How many of the failures first..last-1 stand behind the last success before ``stop``."""
    # Looked at in blocks that double: a run is short, or else it would have tripped the breaker.
    size = 8
    ranks = rows.failure_ranks
    end = rows.rank(stop)
    while True:
        from_ = max(first, last - size)
        behind = ranks[from_:last]
        broken = np.flatnonzero(behind != end - np.arange(len(behind), 0, -1))
        if len(broken):
            return last - from_ - int(broken[-1]) - 1
        if from_ == first:
            return last - first
        size *= 4


def _codes(rows: Rows, state: BreakerState, start: int, stop: int) -> list[int]:
    assert isinstance(state.window, CountedOutcomes)
    size = state.window.size
    begin = max(start, rows.row_of(max(0, rows.rank(stop) - size)))
    kinds = rows.kinds[begin:stop]
    codes = rows.seqs[begin:stop] << 2 | (kinds == 1).astype(np.int64) << 1
    limit = state.config.slow_call_ns
    if limit is not None:
        codes |= rows.tooks[begin:stop] > limit
    counted = kinds <= 1
    many = np.minimum(rows.counts[begin:stop][counted], size)
    return np.repeat(codes[counted], many)[-size:].tolist()


def _buckets(rows: Rows, state: BreakerState, start: int, stop: int) -> list[list[int]]:
    assert isinstance(state.window, TimedOutcomes)
    end = rows.rank(stop)
    if end == rows.rank(start):
        return []
    newest = int(rows.ats[rows.row_of(end - 1)]) // NS_PER_SECOND
    oldest = (newest - state.window.seconds + 1) * NS_PER_SECOND
    begin = rows.first_at(oldest, start)
    seconds, starts = rows.seconds
    numbers = slice(
        int(np.searchsorted(starts, begin, "right")) - 1, int(np.searchsorted(starts, stop))
    )
    bounds = np.append(starts[numbers], stop)
    bounds[0] = begin
    calls = rows.ranks(bounds)
    failures = np.searchsorted(rows.failures, bounds)
    limit = state.config.slow_call_ns
    slow = np.zeros_like(bounds) if limit is None else _slow_before(rows, bounds, limit)
    return [
        [
            second,
            int(rows.seqs[rows.row_of(before)]),
            int(rows.seqs[rows.row_of(until - 1)]),
            until - before,
            failed,
            slowed,
        ]
        for second, before, until, failed, slowed in zip(
            seconds[numbers].tolist(),
            calls[:-1].tolist(),
            calls[1:].tolist(),
            np.diff(failures).tolist(),
            np.diff(slow).tolist(),
            strict=True,
        )
        if until > before
    ]


def _slow_before(rows: Rows, bounds: Places, limit: int) -> Places:
    """How many slow outcomes stand before each bound, from the first bound on."""
    part = slice(int(bounds[0]), int(bounds[-1]))
    is_slow = (rows.tooks[part] > limit) & (rows.kinds[part] <= 1)
    weighted = np.where(is_slow, rows.counts[part], 0)
    return np.concatenate(([0], np.cumsum(weighted)))[bounds - bounds[0]]
