"""Scoring: what many settings come to on the same calls, every outcome of which is known."""

import multiprocessing
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Final, TypeAlias

from attrs import astuple, frozen

from recloser import child_python
from recloser.config import CircuitBreakerConfig
from recloser.replay.calls import FAILED, Calls
from recloser.replay.ledger import Ledger
from recloser.replay.lookout import Lookout
from recloser.replay.outages import Delays
from recloser.replay.passage import Passage
from recloser.replay.spells import (
    Openings,
    Spells,
    Visits,
    first_wait,
    spell_settings,
    visit_settings,
)
from recloser.replay.trips import Trips

_KEPT: Final = 500_000
_LOOK_EVERY: Final = 16
_SHARES: Final = 8  # so many pieces of work for each process

_Tally: TypeAlias = tuple[int, int, int, int]
"""Trips, calls lost and saved, and nanoseconds not closed."""


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


def scores_of(
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
    # Those that recover in the same way stand together, since that is what is dearest to find.
    order = sorted(range(len(configs)), key=lambda number: repr(spell_settings(configs[number])))
    size = -(-len(order) // (processes * _SHARES))
    shares = [order[first : first + size] for first in range(0, len(order), size)]
    work = [[configs[number] for number in share] for share in shares]
    scores: list[Sequence[Score]] = [()] * len(configs)
    done = 0
    with ExitStack() as stack:
        if processes == 1:
            found: Iterator[Sequence[Sequence[Score]]] = map(_Worker(parts), work)
        else:
            found = stack.enter_context(_pool(parts, processes)).map(_score_share, work)
        for share, scored in zip(shares, found, strict=True):
            for number, score in zip(share, scored, strict=True):
                scores[number] = score
            done += len(share)
            if on_done is not None:
                on_done(done)
    return scores


class Scorer:
    """Scores settings on the calls of several breakers; what some of them share is found once.

    Args:
        calls: The calls of each breaker, all of known outcome.
    """

    def __init__(self, calls: Sequence[Calls]) -> None:
        self._shared = [_Shared(Lookout(each)) for each in calls if len(each)]
        self._failures = sum(each.count(FAILED) for each in calls)
        self._scored = 0

    def score(self, config: CircuitBreakerConfig) -> Score:
        """What a configuration comes to."""
        window = config.window
        can_be_slow = window is not None and window.slow_call_rate is not None
        tallies = [
            shared.tally(config) for shared in self._shared if can_be_slow or shared.has_failures
        ]
        trips, lost, saved, open_ns = map(sum, zip((0, 0, 0, 0), *tallies, strict=True))
        self._scored += 1
        if self._scored % _LOOK_EVERY == 0 and sum(each.kept for each in self._shared) > _KEPT:
            for each in self._shared:
                each.forget()
        return Score(trips, lost, self._failures - saved, saved, open_ns)


class _Shared:
    """What settings share on the calls of one breaker."""

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self.has_failures = lookout.calls.count(FAILED) > 0
        self.forget()

    @property
    def kept(self) -> int:
        """How many things are kept."""
        shared = (self._trips, self._visits, self._spells)
        kept = sum(each.kept for several in shared for each in several.values())
        return self._lookout.kept + self._openings.kept + kept

    def forget(self) -> None:
        """Keep nothing of what was found."""
        self._lookout.forget()
        self._trips: dict[object, Trips] = {}
        self._openings = Openings(self._lookout.calls)
        self._visits: dict[object, Visits] = {}
        self._spells: dict[object, Spells] = {}

    def tally(self, config: CircuitBreakerConfig) -> _Tally:
        """What a configuration comes to on these calls."""
        if config.backoff.jitter != "none":
            return self._tally_alone(config)
        trips, spells = self._trips_of(config), self._spells_of(config)
        calls = self._lookout.calls
        end = len(calls)
        count = lost = saved = open_ns = since = place = 0
        out: Sequence[int] = ()
        while place < end and (trip := trips.after(since, place)) < end:
            count += 1
            if out:
                out = tuple(later for later in out if later > trip)
            spell = spells.of(trip, since, out)
            since, place, out = spell.since, spell.place, spell.out
            lost += spell.lost
            saved += spell.saved
            open_ns += spell.until - calls.end_of(trip)
        return count, lost, saved, open_ns

    def _tally_alone(self, config: CircuitBreakerConfig) -> _Tally:
        """With jitter a spell depends on how many went before, so that it can't be shared."""
        calls = self._lookout.calls
        ledger = Ledger(calls, Delays(()))
        Passage(self._lookout, config, ledger, calls.last_end).run()
        figures = ledger.figures()
        return figures.trips.low, figures.lost.low, figures.saved.low, figures.open_ns.low

    def _trips_of(self, config: CircuitBreakerConfig) -> Trips:
        key = config.failure_threshold, config.window, config.slow_call_ns
        trips = self._trips.get(key)
        if trips is None:
            trips = self._trips[key] = Trips(self._lookout, config)
        return trips

    def _spells_of(self, config: CircuitBreakerConfig) -> Spells:
        key = spell_settings(config)
        spells = self._spells.get(key)
        if spells is None:
            spells = Spells(self._lookout, config, self._openings, self._visits_of(config))
            self._spells[key] = spells
        return spells

    def _visits_of(self, config: CircuitBreakerConfig) -> Visits:
        key = visit_settings(config)
        if first_wait(self._lookout.calls, config) == 0:
            # What opens on a visit is half-open again at once, and it goes on.
            key = spell_settings(config)
        visits = self._visits.get(key)
        if visits is None:
            visits = self._visits[key] = Visits(self._lookout, config)
        return visits


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
