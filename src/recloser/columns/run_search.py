"""The search for what may fire the rule of consecutive failures."""

import numpy as np

from recloser.columns.block import Block
from recloser.columns.rows import FAILED, SUCCEEDED, Rows
from recloser.state import BreakerState


class RunSearch:
    """For consecutive failures."""

    def __init__(self, rows: Rows, threshold: int) -> None:
        failures, gaps = rows.failures, rows.failure_gaps
        self._rows, self._threshold = rows, threshold
        self._begins = np.flatnonzero(np.diff(gaps, prepend=-1))
        lengths = np.diff(self._begins, append=len(failures))
        reaching = self._begins[lengths >= threshold] + threshold - 1
        self._reaching = failures[reaching]

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire."""
        rows, failures = self._rows, self._rows.failures
        number = int(failures.searchsorted(start))
        if number == len(failures) or failures[number] >= stop:
            return stop
        following = int(self._begins.searchsorted(number, "right"))
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
        place = int(self._reaching.searchsorted(start))
        return min(stop, int(self._reaching[place])) if place < len(self._reaching) else stop

    def scan(self, block: Block) -> "RunScan":
        """The same for a block of them, to be looked at row by row."""
        return RunScan(block, self._threshold)


class RunScan:
    """For consecutive failures, row by row."""

    def __init__(self, block: Block, threshold: int) -> None:
        self._letters, self._threshold = block.letters, threshold

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule fires."""
        run = state.consecutive_failures
        for row, kind in enumerate(self._letters[start:stop], start):
            if kind == SUCCEEDED:
                run = 0
            elif kind == FAILED:
                run += 1
                if run >= self._threshold:
                    return row
        return stop
