"""The search for what may fire the rules of a window of the last outcomes."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from recloser.columns.block import Block
from recloser.columns.limits import Limit
from recloser.columns.rows import Places, Rows
from recloser.config import CountWindow
from recloser.state import BreakerState
from recloser.windows import CountedOutcomes


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
        nearest = min(
            (self._while_filling(limit, window, start, full, rank) for limit in self._limits),
            default=full + 1,
        )
        if nearest <= full or full == stop:
            return min(nearest, full)
        place = int(self._found.searchsorted(full))
        return min(stop, int(self._found[place])) if place < len(self._found) else stop

    def _while_filling(
        self, limit: Limit, window: CountedOutcomes, start: int, full: int, rank: int
    ) -> int:
        """While the window holds outcomes from before ``start``, or is not full.

        Returns:
            The first row at which the rule may fire, up to ``full``; the next one if none is.
        """
        if not limit.may_be_reached(window, start, full):
            return full + 1
        codes = np.array(window.codes(), np.int64)
        held = len(codes)
        old = rank - held + np.flatnonzero(codes >> limit.bit & 1)
        first, last = limit.bad.searchsorted((start, full))
        ranks = np.concatenate((old, limit.ranks[first:last]))
        places = np.arange(len(old), len(ranks))
        new = ranks[len(old) :]
        calls = np.minimum(self._size, held + new - rank + 1)
        bad = places + 1 - ranks.searchsorted(new - self._size, "right")
        fired = np.flatnonzero(limit.reached(bad, calls))
        nearest = int(limit.bad[first + fired[0]]) if len(fired) else full + 1
        if limit.number is None and held < limit.needed:
            filling = rank + limit.needed - held - 1
            if ranks.searchsorted(filling, "right") >= limit.least(limit.needed):
                nearest = min(nearest, self._rows.row_of(filling))
        return nearest

    def scan(self, block: Block) -> "CountScan":
        """The same for a block of them, to be looked at row by row."""
        return CountScan(block, self._size, self._limits)


class CountScan:
    """For a window of the last outcomes, row by row."""

    def __init__(self, block: Block, size: int, limits: Sequence[Limit]) -> None:
        self._block, self._size = block, size
        self._limits = [(limit, *_in_block(block, limit)) for limit in limits]

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire."""
        window = state.window
        assert isinstance(window, CountedOutcomes)
        codes = window.codes()
        oldest = self._block.rank(start) - len(codes)
        for limit, bad, ranks in self._limits:
            old = [rank for rank, code in enumerate(codes, oldest) if code >> limit.bit & 1]
            own = slice(bisect_left(bad, start), bisect_left(bad, stop))
            stop = min(stop, self._where_bad(limit, oldest, old, bad[own], ranks[own]))
            if limit.number is None and len(codes) < limit.needed:
                filling = oldest + limit.needed - 1
                held = len(old) + bisect_right(ranks, filling) - own.start
                if held >= limit.least(limit.needed):
                    stop = min(stop, self._block.row_of(filling))
        return stop

    def _where_bad(
        self, limit: Limit, oldest: int, old: Sequence[int], bad: Sequence[int], new: Sequence[int]
    ) -> int:
        """The first of the bad rows with which a limit is reached, or the end of the block.

        Args:
            limit: It.
            oldest: The rank of the oldest outcome in the window.
            old: The ranks of those in it that the limit counts.
            bad: The rows behind them that it counts.
            new: The rank of each.
        """
        ranks, gone = [*old, *new], 0
        for place, (row, rank) in enumerate(zip(bad, new, strict=True), len(old)):
            while ranks[gone] <= rank - self._size:
                gone += 1
            if limit.is_reached(place + 1 - gone, min(self._size, rank - oldest + 1)):
                return row
        return self._block.stop


def _in_block(block: Block, limit: Limit) -> tuple[list[int], list[int]]:
    """The rows that a limit counts, and their ranks."""
    own = slice(*limit.bad.searchsorted((block.start, block.stop)))
    return limit.bad[own].tolist(), limit.ranks[own].tolist()
