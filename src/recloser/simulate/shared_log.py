"""Driving breakers that share a log, by columns.

Whatever happens in a log finds the deadlines of all its breakers passed. So a cooldown ends with
the first call of any of them that starts, or that was let through and ends, when it is over. Between
such moments breakers do not depend on one another: each goes on alone until a start or end of its own
finds its deadline passed, and of all that wait so, the one whose moment is first is looked at next.
"""

import bisect
import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recloser.core.kernel import (
    IS_DUE,
    NEVER,
    NO_RULE,
    advance,
    is_let_through,
    simulate,
)
from recloser.simulate.call_table import Calls
from recloser.simulate.simulation import Simulation, SimulatedEdge, taken


class _Moments:
    """All starts and ends of several breakers' calls in the order in which they happen.

    Args:
        several: The calls of each breaker.

    Attributes:
        times: When each moment is, by its rank.
        of_ends: For each breaker, the rank of each end, by its place.
    """

    def __init__(self, several: Sequence[Calls]) -> None:
        starts = np.concatenate([_ints(calls.starts) for calls in several])
        ends = np.concatenate([_ints(calls.ends) for calls in several])
        seqs = np.concatenate([_ints(calls.seqs) for calls in several])
        size = len(starts)
        order = np.empty(size, np.int64)
        order[np.lexsort((seqs, starts))] = np.arange(size)
        is_instant = starts == ends
        # At one instant: the ends in the order of the log, then each start, and behind it the end
        # of a call without duration.
        times = np.concatenate((ends, starts))
        kinds = np.concatenate((is_instant, np.ones(size, np.bool_)))
        within = np.concatenate((np.where(is_instant, 2 * order + 1, seqs), 2 * order))
        by_rank = np.lexsort((within, kinds, times))
        self.times: Sequence[int] = times[by_rank].data
        self._size = size
        self._by_rank: Sequence[int] = by_rank.data
        self._bounds = np.cumsum([0, *map(len, several)]).tolist()
        ranks = np.empty(2 * size, np.int64)
        ranks[by_rank] = np.arange(2 * size)
        parts = [slice(first, end) for first, end in pairwise(self._bounds)]
        self.of_ends: list[Sequence[int]] = [
            ranks[:size][part][_ints(calls.by_end)].data
            for part, calls in zip(parts, several, strict=True)
        ]

    def next_rank(self, at: int, rank: int) -> int:
        """The first moment after ``rank`` that is at ``at`` or later."""
        return bisect.bisect_left(self.times, at, rank + 1)

    def end_at(self, rank: int) -> tuple[int, int] | None:
        """Of which breaker and call a moment is the end; None if it is a start."""
        row = self._by_rank[rank]
        if row >= self._size:
            return None
        breaker = bisect.bisect_right(self._bounds, row) - 1
        return breaker, row - self._bounds[breaker]


def _ints(column: Sequence[int]) -> NDArray[np.int64]:
    return np.asarray(column, np.int64)


def simulate_shared(
    several: Sequence[Calls], simulations: Sequence[Simulation]
) -> Sequence[Sequence[SimulatedEdge]]:
    """Take the edges of breakers that share a log, breaker by breaker.

    Args:
        several: The calls of each breaker, which know their ``seqs``.
        simulations: The shared simulation of each, which is run to its end.
    """
    moments = _Moments(several)
    edges: list[list[SimulatedEdge]] = [[] for _ in several]
    waiting: list[tuple[int, int]] = []  # the next moment that may find a deadline passed, of whom

    def go_on(number: int, rank: int) -> None:
        """Go on up to where a deadline is due; ``rank`` is the last moment that was noticed."""
        state, progress = simulations[number].state, simulations[number].progress
        while (found := simulate(state, progress)) not in (NO_RULE, IS_DUE):
            # Only an outcome of its own fires a rule: the one that was looked at last.
            rank = moments.of_ends[number][progress.place - 1]
            edges[number].extend(taken(state, found, progress.at))
        wait(number, rank)

    def wait(number: int, rank: int) -> None:
        deadline = simulations[number].state.deadline
        if deadline != NEVER:
            following = moments.next_rank(deadline, rank)
            if following < len(moments.times):
                heapq.heappush(waiting, (following, number))

    for number in range(len(several)):
        go_on(number, -1)
    while waiting:
        # All breakers have passed the moments before this one, so that it is known who refused.
        rank, number = heapq.heappop(waiting)
        ended = moments.end_at(rank)
        if ended is not None and not is_let_through(simulations[ended[0]].progress, ended[1]):
            wait(number, rank)
            continue
        state, at = simulations[number].state, moments.times[rank]
        while (rule := advance(state, rank, at)) != NO_RULE:
            edges[number].extend(taken(state, rule, at))
        go_on(number, rank)
    return edges
