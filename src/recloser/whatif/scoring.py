"""Scoring: what many settings come to on the same calls, every outcome of which is known."""

import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final

from attrs import astuple, frozen

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Trigger
from recloser.core.kernel import needs_failures
from recloser.core.rules import rules_of
from recloser.core.state_machine import CLOSED
from recloser.process import child_python
from recloser.simulate.call_table import FAILED, SUCCEEDED, Calls
from recloser.simulate.simulation import Simulation

_SHARES: Final = 8  # so many pieces of work for each process


@frozen
class Score:
    """What one configuration came to on a part of the calls.

    Attributes:
        trips: How often breakers opened.
        lost: Refused calls that would have succeeded.
        let_through: Failures that were not refused.
        saved: Refused calls that would have failed.
        open_ns: How long breakers were not closed.
    """

    trips: int
    lost: int
    let_through: int
    saved: int
    open_ns: int

    def cost(self, failure_weight: int) -> int:
        """Lost calls, and failures let through for so many lost calls each."""
        return self.lost + failure_weight * self.let_through

    def __add__(self, other: "Score") -> "Score":
        return Score(*map(sum, zip(astuple(self), astuple(other), strict=True)))


def score_all(
    parts: Sequence[Sequence[Calls]],
    configs: Sequence[CircuitBreakerConfig],
    processes: int = 1,
    on_done: Callable[[int], None] | None = None,
) -> Sequence[Sequence[Score]]:
    """What each configuration comes to on each of several parts of some traffic.

    Args:
        parts: For each part, the calls of each breaker, all of known outcome.
        configs: The configurations.
        processes: How many to work with.
        on_done: Told how many configurations have been scored, as they are.
    """
    size = -(-len(configs) // (processes * _SHARES))
    work = [configs[first : first + size] for first in range(0, len(configs), size)]
    scores: list[Sequence[Score]] = []
    with ExitStack() as stack:
        if processes == 1:
            found: Iterator[Sequence[Sequence[Score]]] = map(_Worker(parts), work)
        else:
            found = stack.enter_context(_pool(parts, processes)).map(_score_share, work)
        for scored in found:
            scores += scored
            if on_done is not None:
                on_done(len(scores))
    return scores


class Scorer:
    """Scores settings on the calls of several breakers.

    Args:
        calls: The calls of each breaker, all of known outcome.
    """

    def __init__(self, calls: Sequence[Calls]) -> None:
        self._calls = [each for each in calls if len(each)]

    def score(self, config: CircuitBreakerConfig) -> Score:
        """Score a configuration; its mode is taken for ``enforce``."""
        only_failures = needs_failures(rules_of(config))
        scores = [
            _score(calls, config)
            for calls in self._calls
            if calls.count(FAILED) or not only_failures
        ]
        return sum(scores, Score(0, 0, 0, 0, 0))


def _score(calls: Calls, config: CircuitBreakerConfig) -> Score:
    """Score one breaker of these settings on its calls."""
    simulation = Simulation(calls, config, mode="enforce")
    trips = open_ns = 0
    for at, trigger, reached in simulation.edges():
        if trigger is Trigger.TRIP:
            trips += 1
            open_ns -= at
        elif reached is CLOSED:
            open_ns += at
    if simulation.state.state is not CLOSED:
        open_ns += calls.last_end
    rejected = simulation.rejected
    lost, saved = (
        sum(before[end] - before[first] for first, end in rejected)
        for before in map(calls.before, (SUCCEEDED, FAILED))
    )
    return Score(trips, lost, calls.count(FAILED) - saved, saved, open_ns)


class _Worker:
    def __init__(self, parts: Sequence[Sequence[Calls]]) -> None:
        self._scorers = [Scorer(part) for part in parts]

    def __call__(self, configs: Sequence[CircuitBreakerConfig]) -> Sequence[Sequence[Score]]:
        return [[scorer.score(config) for scorer in self._scorers] for config in configs]


_worker: list[_Worker] = []


@contextmanager
def _pool(parts: Sequence[Sequence[Calls]], processes: int) -> Iterator[ProcessPoolExecutor]:
    # A forked process has the calls already; elsewhere they are sent once to each.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with warnings.catch_warnings(), child_python.safe_environment():
        # The threads that are warned of are numpy's, which have nothing to do here.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        with ProcessPoolExecutor(
            processes, mp_context=context, initializer=_work_on, initargs=(parts,)
        ) as pool:
            yield pool


def _work_on(parts: Sequence[Sequence[Calls]]) -> None:
    _worker[:] = [_Worker(parts)]


def _score_share(configs: Sequence[CircuitBreakerConfig]) -> Sequence[Sequence[Score]]:
    return _worker[0](configs)
