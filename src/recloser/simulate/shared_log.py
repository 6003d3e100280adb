"""Simulate several breakers that share one log.

In a shared log, any event ends each cooldown that is over by then. So a breaker's cooldown ends at
the first of these: a call of any breaker starts, or a call that was let through ends.

Between such times the breakers do not affect each other. Each one therefore runs alone until one of
its own starts or ends finds its cooldown over. Of all breakers that wait for the end of a cooldown,
the one whose cooldown ends first continues first.
"""

import bisect
import heapq
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recloser.core.edges import TakenEdge, take_edges
from recloser.core.kernel import (
    IS_DUE,
    NEVER,
    NO_RULE,
    advance,
    is_let_through,
    simulate,
)
from recloser.simulate.call_table import Calls
from recloser.simulate.simulation import Simulation


class _StartsAndEnds:
    """The starts and ends of all breakers' calls, ranked by when they happen.

    Args:
        tables: The calls of each breaker.

    Attributes:
        times: When each start or end happens, in nanoseconds of the log's time, by rank.
        end_ranks: For each breaker, the rank of each call's end, by end index.
    """

    def __init__(self, tables: Sequence[Calls]) -> None:
        starts = np.concatenate([_int64(calls.starts) for calls in tables])
        ends = np.concatenate([_int64(calls.ends) for calls in tables])
        seqs = np.concatenate([_int64(calls.seqs) for calls in tables])
        size = len(starts)
        order = np.empty(size, np.int64)
        order[np.lexsort((seqs, starts))] = np.arange(size)
        has_no_duration = starts == ends
        # At the same nanosecond the ends come first, in the order of the log. Then come the
        # starts, each followed directly by its own end if the call has no duration.
        times = np.concatenate((ends, starts))
        kinds = np.concatenate((has_no_duration, np.ones(size, np.bool_)))
        within = np.concatenate((np.where(has_no_duration, 2 * order + 1, seqs), 2 * order))
        by_rank = np.lexsort((within, kinds, times))
        self.times: Sequence[int] = times[by_rank].data
        self._size = size
        self._by_rank: Sequence[int] = by_rank.data
        self._bounds = np.cumsum([0, *map(len, tables)]).tolist()
        ranks = np.empty(2 * size, np.int64)
        ranks[by_rank] = np.arange(2 * size)
        parts = [slice(first, end) for first, end in pairwise(self._bounds)]
        self.end_ranks: list[Sequence[int]] = [
            ranks[:size][part][_int64(calls.by_end)].data
            for part, calls in zip(parts, tables, strict=True)
        ]

    def next_rank(self, at: int, rank: int) -> int:
        """The first rank after ``rank`` whose time is at or after ``at``."""
        return bisect.bisect_left(self.times, at, rank + 1)

    def ended_call(self, rank: int) -> tuple[int, int] | None:
        """The position of the breaker and the start index of a call that ends.

        None if the rank is that of a start.
        """
        row = self._by_rank[rank]
        if row >= self._size:
            return None
        breaker = bisect.bisect_right(self._bounds, row) - 1
        return breaker, row - self._bounds[breaker]


def _int64(column: Sequence[int]) -> NDArray[np.int64]:
    return np.asarray(column, np.int64)


def simulate_shared(
    tables: Sequence[Calls], simulations: Sequence[Simulation]
) -> Sequence[Sequence[TakenEdge]]:
    """Run the simulations of breakers that share a log to their end.

    Args:
        tables: The calls of each breaker, with their ``seqs``.
        simulations: The simulation of each breaker, made with ``is_shared``.

    Returns:
        The edges of each breaker.
    """
    ranked = _StartsAndEnds(tables)
    edges: list[list[TakenEdge]] = [[] for _ in tables]
    # A heap of breakers in a cooldown: the next rank that may end it, and the breaker's position.
    waiting: list[tuple[int, int]] = []

    def run_alone(breaker: int, rank: int) -> None:
        """Run one breaker until its cooldown is over.

        ``rank`` is the last start or end that the breaker has seen.
        """
        state, progress = simulations[breaker].state, simulations[breaker].progress
        while (rule := simulate(state, progress)) not in (NO_RULE, IS_DUE):
            # Only an outcome of this breaker fires a rule here: the one just before `place`.
            rank = ranked.end_ranks[breaker][progress.next_end - 1]
            edges[breaker].extend(take_edges(state, rule, progress.at))
        wait(breaker, rank)

    def wait(breaker: int, rank: int) -> None:
        """Wait for the first start or end after ``rank`` at which the cooldown is over."""
        deadline = simulations[breaker].state.deadline
        if deadline != NEVER:
            following = ranked.next_rank(deadline, rank)
            if following < len(ranked.times):
                heapq.heappush(waiting, (following, breaker))

    for breaker in range(len(tables)):
        run_alone(breaker, -1)
    while waiting:
        # The heap yields the lowest rank, so every breaker has already passed all lower ranks,
        # and it is known which of the calls that end here were let through.
        rank, breaker = heapq.heappop(waiting)
        ended = ranked.ended_call(rank)
        if ended is not None and not is_let_through(simulations[ended[0]].progress, ended[1]):
            wait(breaker, rank)
            continue
        state, at = simulations[breaker].state, ranked.times[rank]
        while (rule := advance(state, rank, at)) != NO_RULE:
            edges[breaker].extend(take_edges(state, rule, at))
        run_alone(breaker, rank)
    return edges
