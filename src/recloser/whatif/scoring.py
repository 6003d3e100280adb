"""Score many settings on the same calls, in one or several processes."""

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

_JOBS_PER_PROCESS: Final = 8  # more than one, so that a slow job does not keep all others waiting


@frozen
class Score:
    """The result of one configuration on some calls, summed over their breakers.

    Attributes:
        trips: How often breakers tripped.
        lost: How many rejected calls would have succeeded.
        let_through: How many failures were not rejected.
        saved: How many rejected calls would have failed.
        open_ns: How long breakers were not closed, in nanoseconds.
    """

    trips: int
    lost: int
    let_through: int
    saved: int
    open_ns: int

    def cost(self, failure_weight: int) -> int:
        """The lost calls, plus ``failure_weight`` for each failure let through."""
        return self.lost + failure_weight * self.let_through

    def __add__(self, other: "Score") -> "Score":
        return Score(*map(sum, zip(astuple(self), astuple(other), strict=True)))


def score_all(
    parts: Sequence[Sequence[Calls]],
    configs: Sequence[CircuitBreakerConfig],
    processes: int = 1,
    on_done: Callable[[int], None] | None = None,
) -> Sequence[Sequence[Score]]:
    """Score each configuration on each of several sets of calls.

    Args:
        parts: The sets. Each holds the calls of several breakers, all of known outcome.
        configs: The configurations.
        processes: How many processes to use.
        on_done: Called with the number of configurations scored so far.

    Returns:
        For each configuration, its score on each set.
    """
    size = -(-len(configs) // (processes * _JOBS_PER_PROCESS))
    jobs = [configs[first : first + size] for first in range(0, len(configs), size)]
    scores: list[Sequence[Score]] = []
    with ExitStack() as stack:
        if processes == 1:
            results: Iterator[Sequence[Sequence[Score]]] = map(_Worker(parts), jobs)
        else:
            results = stack.enter_context(_pool(parts, processes)).map(_score_job, jobs)
        for scored in results:
            scores += scored
            if on_done is not None:
                on_done(len(scores))
    return scores


class Scorer:
    """Scores configurations on the calls of several breakers.

    Args:
        calls: The calls of each breaker, all of known outcome.
    """

    def __init__(self, calls: Sequence[Calls]) -> None:
        self._calls = [each for each in calls if len(each)]

    def score(self, config: CircuitBreakerConfig) -> Score:
        """Score one configuration; the mode is always taken as ``enforce``."""
        # Without a limit on slow calls, a breaker none of whose calls failed can't trip.
        only_failures = needs_failures(rules_of(config))
        scores = [
            _score(calls, config)
            for calls in self._calls
            if calls.count(FAILED) or not only_failures
        ]
        return sum(scores, Score(0, 0, 0, 0, 0))


def _score(calls: Calls, config: CircuitBreakerConfig) -> Score:
    simulation = Simulation(calls, config, mode="enforce")
    trips = open_ns = 0
    for at, trigger, to_state in simulation.edges():
        if trigger is Trigger.TRIP:
            trips += 1
            open_ns -= at
        elif to_state is CLOSED:
            open_ns += at
    if simulation.state.state is not CLOSED:
        open_ns += calls.last_end
    rejected = simulation.rejected
    lost, saved = (
        sum(before[end] - before[first] for first, end in rejected)
        for before in map(calls.counts_before, (SUCCEEDED, FAILED))
    )
    return Score(trips, lost, calls.count(FAILED) - saved, saved, open_ns)


class _Worker:
    def __init__(self, parts: Sequence[Sequence[Calls]]) -> None:
        self._scorers = [Scorer(part) for part in parts]

    def __call__(self, configs: Sequence[CircuitBreakerConfig]) -> Sequence[Sequence[Score]]:
        return [[scorer.score(config) for scorer in self._scorers] for config in configs]


_worker: list[_Worker] = []  # of a worker process; set once, at its start


@contextmanager
def _pool(parts: Sequence[Sequence[Calls]], processes: int) -> Iterator[ProcessPoolExecutor]:
    # A forked process already has the calls in memory. A spawned one gets them once, at its start.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with warnings.catch_warnings(), child_python.safe_environment():
        # Python warns of forking with other threads about. These are numpy's, which are idle here.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        with ProcessPoolExecutor(
            processes, mp_context=context, initializer=_start_worker, initargs=(parts,)
        ) as pool:
            yield pool


def _start_worker(parts: Sequence[Sequence[Calls]]) -> None:
    _worker[:] = [_Worker(parts)]


def _score_job(configs: Sequence[CircuitBreakerConfig]) -> Sequence[Sequence[Score]]:
    return _worker[0](configs)
