"""A few rows in the form in which Python is quick to look at them one by one."""

from bisect import bisect_right
from functools import cached_property
from typing import cast

import numpy as np

from recloser.columns.rows import FAILED, Places, Rows, Whole
from recloser.validation import NS_PER_SECOND


class Block:
    """A few rows as lists, each made when it is first asked for; its places begin at ``start``.

    Attributes:
        rows: All rows of the part.
        letters: Their kinds, a byte each.
        start: The first row of the block.
        stop: The row behind its last.
        is_single: Whether each row of the part stands for one outcome or refusal.
    """

    def __init__(self, rows: Rows, start: int, stop: int) -> None:
        self.rows, self.letters, self.start, self.stop = rows, rows.letters, start, stop
        self.is_single = rows.counts.strides == (0,) and rows.counts.item(0) == 1
        self._breaks = self.cut(rows.breaks).tolist()
        self._codes: tuple[int | None, list[int]] | None = None

    def cut(self, places: Places) -> Places:
        """Those of some rows, in their order, that are in the block."""
        first, last = places.searchsorted((self.start, self.stop))
        return places[first:last]

    def next_break(self, row: int) -> int:
        """The next row behind this that is other than the one before, or the end of the block."""
        place = bisect_right(self._breaks, row)
        return self._breaks[place] if place < len(self._breaks) else self.stop

    @cached_property
    def ranks(self) -> list[int]:
        """How many outcomes that count stand before each row and the end, shape (n + 1,)."""
        rows, start, stop = self.rows, self.start, self.stop
        if rows.weights is not None:
            return cast("list[int]", rows.weights[start : stop + 1].tolist())
        before = rows.rank(start)
        counted = np.cumsum(rows.kinds[start:stop] <= FAILED)
        return [before, *(before + counted).tolist()]

    def rank(self, row: int) -> int:
        """How many outcomes that count stand before a row, start <= row <= stop."""
        return self.ranks[row - self.start]

    def row_of(self, rank: int) -> int:
        """The row of the outcome of this rank, which is none before the block; or ``stop``."""
        return self.start - 1 + bisect_right(self.ranks, rank)

    @cached_property
    def seconds(self) -> list[int]:
        """The whole second of each row."""
        return cast("list[int]", self._seconds.tolist())

    @cached_property
    def counted_seconds(self) -> list[int]:
        """The whole second of each success and failure."""
        counted = self.rows.kinds[self.start : self.stop] <= FAILED
        return cast("list[int]", self._seconds[counted].tolist())

    @cached_property
    def _seconds(self) -> Whole:
        return self.rows.ats[self.start : self.stop] // NS_PER_SECOND

    def outcomes(self, start: int, stop: int) -> slice:
        """Which of the successes and failures stand in some rows, if each stands for one."""
        return slice(self.rank(start) - self.ranks[0], self.rank(stop) - self.ranks[0])

    def codes(self, slow_ns: int | None) -> list[int]:
        """Each success and failure as ``CountedOutcomes`` has it, whatever it stands for.

        Args:
            slow_ns: What takes longer is slow; None where nothing is.
        """
        if self._codes is None or self._codes[0] != slow_ns:
            part = slice(self.start, self.stop)
            self._codes = slow_ns, self.rows.codes(part, slow_ns).tolist()
        return self._codes[1]
