"""Driving breakers that share a log, by columns.

Whatever happens in a log finds the deadlines of all its breakers passed. So a cooldown ends with
the first call of any of them that starts, or is let through and ends, when it is over. Which ends
there are depends on what each breaker refuses, and that on the ends: all are driven again until they
refuse the same as before. Since nothing depends on what comes later, that is then what happens.
"""

import bisect
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError
from recloser.machine import CLOSED
from recloser.replay.calls import Calls
from recloser.replay.ledger import Tape
from recloser.replay.lookout import Lookout
from recloser.replay.passage import Answer, Passage

_MOST_ROUNDS: Final = 1000


def _ints(column: Sequence[int]) -> NDArray[np.int64]:
    return np.asarray(column, np.int64)


class _Moments:
    """All starts and ends of several breakers' calls in the order in which they happen.

    Args:
        several: The calls of each breaker.

    Attributes:
        times: When each moment is, by its rank.
        of_starts: For each breaker, the rank of each start, by the number of the call.
        of_ends: The rank of each end, by its place.
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
        ranks = np.empty(2 * size, np.int64)
        ranks[by_rank] = np.arange(2 * size)
        self.times: Sequence[int] = times[by_rank].data
        bounds = np.cumsum([0, *map(len, several)])
        parts = [slice(first, behind) for first, behind in pairwise(bounds.tolist())]
        self.of_starts: list[Sequence[int]] = [ranks[size:][part].data for part in parts]
        self.of_ends: list[Sequence[int]] = [
            ranks[:size][part][_ints(calls.by_end)].data
            for part, calls in zip(parts, several, strict=True)
        ]

    def happening(self, several: Sequence[Calls], tapes: Sequence[Tape]) -> Sequence[int]:
        """The ranks of all starts, and of the ends of the calls that are not refused."""
        happens = np.ones(len(self.times), np.bool_)
        for calls, ends, tape in zip(several, self.of_ends, tapes, strict=True):
            ranks, place = _ints(ends), _ints(calls.place)
            for first, behind in tape.refused or ():
                happens[ranks[place[first:behind]]] = False
        return np.flatnonzero(happens).data


class _SharedPassage(Passage[Tape]):
    """One breaker's way through its calls, among the moments of all."""

    def __init__(
        self,
        lookout: Lookout,
        config: CircuitBreakerConfig,
        moments: tuple[Sequence[int], Sequence[int]],
        ranks: tuple[Sequence[int], Sequence[int]],
    ) -> None:
        super().__init__(lookout, config, Tape(), lookout.calls.last_end)
        self._times, self._happening = moments
        self._start_ranks, self._end_ranks = ranks
        self._rank = self._own = -1

    def _trip(self, place: int) -> None:
        self._rank = self._end_ranks[place]
        super()._trip(place)

    def _start(self, number: int) -> None:
        self._own = self._start_ranks[number]
        super()._start(number)

    def _end(self, place: int) -> bool:
        self._own = self._end_ranks[place]
        return super()._end(place)

    def _pass_open(self) -> Sequence[Answer]:
        super()._pass_open()
        if self._state is not CLOSED:
            self._pass_others(len(self._times), len(self._calls))
        return ()

    def _pass_deadlines(self, at: int, place: int) -> None:
        self._pass_others(self._own, place)
        super()._pass_deadlines(at, place)
        self._rank = self._own

    def _pass_others(self, until: int, place: int) -> None:
        """Take the timed edges that moments before one of its own find due."""
        while self.deadline is not None:
            due = bisect.bisect_left(self._times, self.deadline, self._rank + 1)
            index = bisect.bisect_left(self._happening, due)
            if index == len(self._happening) or self._happening[index] >= until:
                return
            self._rank = self._happening[index]
            super()._pass_deadlines(self._times[self._rank], place)


def drive_together(several: Sequence[Calls], config: CircuitBreakerConfig) -> Sequence[Tape]:
    """What comes of the calls of breakers that share a log, breaker by breaker.

    Args:
        several: The calls of each breaker, which know their ``seqs``.
        config: The settings of each breaker.

    Raises:
        ConfigError: It is not found out in a thousand rounds.
    """
    moments = _Moments(several)
    lookouts = [Lookout(calls) for calls in several]
    tapes: list[Tape] = [Tape() for _ in several]
    for _ in range(_MOST_ROUNDS):
        happening = moments.happening(several, tapes)
        found = []
        for lookout, *ranks in zip(lookouts, moments.of_starts, moments.of_ends, strict=True):
            passage = _SharedPassage(
                lookout, config, (moments.times, happening), (ranks[0], ranks[1])
            )
            passage.run()
            found.append(passage.ledger)
        if [tape.refused for tape in found] == [tape.refused for tape in tapes]:
            return found
        tapes = found
    raise ConfigError("what these breakers do together can't be found out by columns")
