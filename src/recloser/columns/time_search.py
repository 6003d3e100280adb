"""The search for what may fire the rules of a window of the last seconds."""

from collections.abc import Sequence

import numpy as np

from recloser.columns.block import Block
from recloser.columns.limits import Limit
from recloser.columns.rows import Flags, Places, Rows, Whole
from recloser.columns.time_scan import TimeScan
from recloser.config import TimeWindow
from recloser.state import BreakerState
from recloser.windows import TimedOutcomes


class TimeSearch:
    """For a window of the last seconds."""

    def __init__(self, rows: Rows, window: TimeWindow, limits: Sequence[Limit]) -> None:
        self._rows, self._span, self._limits = rows, window.seconds, limits
        self._seconds, self._starts = rows.seconds
        self._bounds = np.append(self._starts, len(rows))
        self._calls = rows.ranks(self._bounds)
        self._bad = [limit.bad.searchsorted(self._bounds) for limit in limits]
        oldest = self._seconds.searchsorted(self._seconds - self._span, "right")
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
        second = int(self._starts.searchsorted(start, "right")) - 1
        settled = int(self._seconds.searchsorted(self._seconds[second] + self._span))
        until = int(self._bounds[settled])
        if any(limit.may_be_reached(window, start, until) for limit in self._limits):
            nearest = self._while_filling(window, second, settled, start, stop)
            if nearest < stop:
                return nearest
        place = int(self._found.searchsorted(settled))
        for number in self._found[place:].tolist():
            if self._starts[number] >= stop:
                break
            oldest = self._seconds.searchsorted(self._seconds[number] - self._span, "right")
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

    def scan(self, block: Block) -> TimeScan:
        """The same for a block of them, to be looked at row by row."""
        return TimeScan(block, self._span, self._limits)

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
        oldest = seconds.searchsorted(seconds - self._span, "right")
        new = slice(len(held), None)
        possible = np.zeros(last - first, np.bool_)
        bads = []
        for limit in self._limits:
            old = held[:, 4 if limit.bit else 5]
            bad = _before(old, np.diff(limit.bad.searchsorted(bounds)))
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
            first, last = limit.bad.searchsorted((begin, end))
            others = [rows.row_of(rank)]
            if limit.number is None and calls < limit.needed:
                others.append(rows.row_of(rank + limit.needed - calls - 1))
            places = np.concatenate((limit.bad[first:last], np.array(others, np.intp)))
            places = np.sort(places[places < end])
            inside = calls + rows.ranks(places + 1) - rank
            counted = bad + limit.bad.searchsorted(places, "right") - first
            fired = np.flatnonzero(limit.reached(counted, inside))
            if len(fired):
                nearest = min(nearest, int(places[fired[0]]))
        return nearest


def _before(held: Whole, new: Places) -> Whole:
    """How many stand before each part, shape (parts + 1,)."""
    return np.concatenate(([0], np.cumsum(np.concatenate((held, new)))))


def _possible(limit: Limit, calls: Whole, own_calls: Whole, bad: Whole, own_bad: Whole) -> Flags:
    """Whether a limit may be reached at any outcome of a second.

    The share is never greater than if all that is bad in the second came first.
    """
    if limit.number is not None:
        return (bad + own_bad >= limit.number) & (own_calls > 0)
    least = np.maximum(limit.needed, calls + own_bad)
    reached: Flags = (bad + own_bad) * limit.denominator >= limit.numerator * least
    return reached & (own_calls > 0) & (calls + own_calls >= limit.needed)
