"""The search, row by row, for what may fire the rules of a window of the last seconds."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from recloser.columns.block import Block
from recloser.columns.limits import Limit
from recloser.state import BreakerState
from recloser.windows import TimedOutcomes


class TimeScan:
    """For a window of the last seconds, row by row."""

    def __init__(self, block: Block, span: int, limits: Sequence[Limit]) -> None:
        self._block, self._span = block, span
        self._limits = [(limit, _flags(block, limit)) for limit in limits]

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire."""
        window = state.window
        assert isinstance(window, TimedOutcomes)
        held = window.to_data()
        for limit, flags in self._limits:
            stop = self._next_of(limit, flags, held, start, stop)
        return stop

    def _next_of(
        self, limit: Limit, flags: bytes, held: Sequence[Sequence[int]], start: int, stop: int
    ) -> int:
        # Of each second in the window, what was counted before it began.
        begun: deque[tuple[int, int, int]] = deque()
        calls = bad = gone = gone_bad = 0
        for second, _, _, n, *told in held:
            begun.append((second, calls, bad))
            calls += n
            bad += told[1 - limit.bit]
        newest = held[-1][0] if held else None
        first, ranks, seconds = self._block.start, self._block.ranks, self._block.seconds
        before = calls - ranks[start - first]
        is_filling = calls < limit.needed
        for place in range(start - first, stop - first):
            second = seconds[place]
            if second == newest and not flags[place] and not is_filling:
                continue
            if ranks[place] == ranks[place + 1]:
                continue
            if second != newest:
                newest = second
                begun.append((second, before + ranks[place], bad))
                while begun[0][0] <= second - self._span:
                    begun.popleft()
                _, gone, gone_bad = begun[0]
            bad += flags[place]
            calls = before + ranks[place + 1] - gone
            if limit.is_reached(bad - gone_bad, calls):
                return first + place
            is_filling = calls < limit.needed
        return stop


def _flags(block: Block, limit: Limit) -> bytes:
    """Whether the limit counts each row, a byte each."""
    flags = np.zeros(block.stop - block.start, np.uint8)
    flags[block.cut(limit.bad) - block.start] = 1
    return flags.tobytes()
