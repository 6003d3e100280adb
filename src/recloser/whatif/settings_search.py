"""Tune: many settings on the same calls, and which of them to take.

Two things can be had from a breaker, fewer failures let through and fewer good calls lost, and each
costs some of the other. The settings that nothing else beats in both are the Pareto front; which of
them to take is a matter of what a lost call is worth, and of whether it holds on calls that it was
not chosen by.
"""

import bisect
import hashlib
import itertools
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Final

from attrs import frozen

from recloser.core.config import CircuitBreakerConfig, Settings
from recloser.core.settings import configured
from recloser.errors import ConfigError
from recloser.simulate.call_table import FAILED, Calls
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.scoring import Score, score_all

HELD_OUT_PERCENT: Final = 30
"""So much of the calls, the last of them, is not looked at in choosing."""

_SMALL: Final = 50_000_000  # calls times settings below which no process is worth starting


@frozen
class SplitScores:
    """What configurations came to before and behind a moment, which parts the calls.

    Attributes:
        calls: How many calls there are in either part.
        failures: How many of these failed.
        scores: For each configuration, its score on either part.
    """

    calls: tuple[int, int]
    failures: tuple[int, int]
    scores: Sequence[tuple[Score, Score]]

    @classmethod
    def total(cls, several: Iterable["SplitScores"], configs: int) -> "SplitScores":
        """The sums over calls of several breakers, of so many configurations."""
        nothing = Score(0, 0, 0, 0, 0)
        total = cls((0, 0), (0, 0), [(nothing, nothing)] * configs)
        for one in several:
            total = cls(
                (total.calls[0] + one.calls[0], total.calls[1] + one.calls[1]),
                (total.failures[0] + one.failures[0], total.failures[1] + one.failures[1]),
                [
                    (first + more, last + later)
                    for (first, last), (more, later) in zip(total.scores, one.scores, strict=True)
                ],
            )
        return total


@frozen
class Candidate:
    """One configuration and its scores.

    Attributes:
        settings: What sets it apart from the others.
        config: All of it.
        chosen_by: Its score on the calls that settings are chosen by.
        held_out: Its score on those that are held out.
    """

    settings: Mapping[str, object]
    config: CircuitBreakerConfig
    chosen_by: Score
    held_out: Score


@frozen
class Tuning:
    """What came of trying many settings.

    Attributes:
        candidates: All that were tried, in the order of the grid.
        front: Those that no other beats in both lost calls and failures let through, by the first.
        recommended: The one to take.
        base: What it was compared with: the settings that the grid departs from.
        calls: How many calls settings were chosen by, and how many were held out.
        failures: How many of these failed.
        warnings: Why not to trust the recommendation.
    """

    candidates: Sequence[Candidate]
    front: Sequence[Candidate]
    recommended: Candidate
    base: Candidate
    calls: tuple[int, int]
    failures: tuple[int, int]
    warnings: Sequence[str]


@frozen
class TuneResult:
    """What came of trying many settings on some calls.

    Attributes:
        tuning: What to take.
        calls: How many calls there are.
        unknown: How many of them have an unknown outcome, and are left out.
    """

    tuning: Tuning
    calls: int
    unknown: int


def grid_of(
    axes: Mapping[str, Sequence[object]], budget: int | None = None
) -> list[dict[str, object]]:
    """Every combination of the values, or so many of them, evenly spread and always the same."""
    names, values = list(axes), [list(choices) for choices in axes.values()]
    size = prod(map(len, values))
    if budget is None or budget >= size:
        return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]
    return [_combination(names, values, index) for index in sorted(_drawn(size, budget))]


def _combination(
    names: Sequence[str], values: Sequence[Sequence[object]], index: int
) -> dict[str, object]:
    settings: dict[str, object] = {}
    for name, choices in zip(reversed(names), reversed(values), strict=True):
        index, choice = divmod(index, len(choices))
        settings[name] = choices[choice]
    return {name: settings[name] for name in names}


def _drawn(size: int, count: int) -> set[int]:
    drawn: set[int] = set()
    for number in itertools.count():
        if len(drawn) == count:
            return drawn
        digest = hashlib.sha256(str(number).encode()).digest()
        drawn.add(int.from_bytes(digest[:16], "big") % size)
    raise AssertionError


def tune(
    traffic: Traffic,
    base: Settings,
    grid: Sequence[Mapping[str, object]],
    *,
    failure_weight: int = 1,
    processes: int | None = None,
    on_done: Callable[[int], None] | None = None,
) -> Tuning:
    """Try every configuration of a grid on the calls whose outcome is known.

    Args:
        traffic: The calls.
        base: The settings that the grid departs from, as a configuration or a mapping.
        grid: What each configuration changes about them.
        failure_weight: A failure let through costs as much as so many lost calls.
        processes: How many to work with; by default one a processor, or one where there is little.
        on_done: Told how many configurations have been tried, as they are.

    Raises:
        ConfigError: The grid is empty, or holds settings that there can't be.
    """
    if not grid:
        raise ConfigError("the grid holds no settings to try")
    configs = [configured(base, {}), *(configured(base, settings) for settings in grid)]
    parts = _split(traffic)
    sizes = tuple(sum(map(len, part)) for part in parts)
    if processes is None:
        small = sum(sizes) * len(configs) < _SMALL
        processes = 1 if small else os.cpu_count() or 1
    scores = score_all(parts, configs, processes, on_done)
    return choose_settings([{}, *grid], configs, _parted(parts, scores), failure_weight)


def _parted(parts: Sequence[Sequence[Calls]], scores: Sequence[Sequence[Score]]) -> SplitScores:
    sizes = [sum(map(len, part)) for part in parts]
    failures = [sum(calls.count(FAILED) for calls in part) for part in parts]
    return SplitScores(
        (sizes[0], sizes[1]),
        (failures[0], failures[1]),
        [(both[0], both[1]) for both in scores],
    )


def choose_settings(
    settings: Sequence[Mapping[str, object]],
    configs: Sequence[CircuitBreakerConfig],
    parted: SplitScores,
    failure_weight: int,
) -> Tuning:
    """What to take, by what each configuration came to.

    Args:
        settings: What sets each configuration apart; the first is what the others depart from.
        configs: The configurations.
        parted: What they came to.
        failure_weight: A failure let through costs as much as so many lost calls.
    """
    base, *candidates = [
        Candidate(chosen, config, *scores)
        for chosen, config, scores in zip(settings, configs, parted.scores, strict=True)
    ]
    front = pareto_front(candidates)
    recommended = min(
        front, key=lambda one: (one.tuned_on.cost(failure_weight), one.tuned_on.trips)
    )
    return Tuning(
        candidates=candidates,
        front=front,
        recommended=recommended,
        base=base,
        calls=parted.calls,
        failures=parted.failures,
        warnings=_warnings(candidates, recommended, base, parted.failures, failure_weight),
    )


def score_split(
    several: Sequence[Calls], cut: int, configs: Sequence[CircuitBreakerConfig]
) -> SplitScores:
    """What configurations come to before and behind a moment, in this process alone.

    Args:
        several: The calls of each breaker, all of known outcome.
        cut: When the first call of the second part starts, in nanoseconds of the log.
        configs: The configurations.
    """
    parts = _split_at(several, cut)
    return _parted(parts, score_all(parts, configs))


def pareto_front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that none beats in lost calls without letting more failures through, or the reverse.

    Of several that come to the same, it is the first that trips least.
    """
    order = sorted(
        candidates, key=lambda c: (c.tuned_on.lost, c.tuned_on.let_through, c.tuned_on.trips)
    )
    front: list[Candidate] = []
    for candidate in order:
        if not front or candidate.tuned_on.let_through < front[-1].tuned_on.let_through:
            front.append(candidate)
    return front


def _split(traffic: Traffic) -> tuple[list[Calls], list[Calls]]:
    """Each breaker's known calls, before and behind one moment."""
    known = [calls.known() for calls in traffic.calls.values()]
    total = sum(map(len, known))
    if not total:
        raise ConfigError("there is no call with a known outcome in this log")
    cut = _start_of(known, total * (100 - HELD_OUT_PERCENT) // 100)
    return _split_at(known, cut)


def _split_at(known: Sequence[Calls], cut: int) -> tuple[list[Calls], list[Calls]]:
    numbers = [bisect.bisect_left(calls.starts, cut) for calls in known]
    return (
        [calls.until(number) for calls, number in zip(known, numbers, strict=True)],
        [calls.since(number) for calls, number in zip(known, numbers, strict=True)],
    )


def _start_of(several: Sequence[Calls], number: int) -> int:
    """When the call of this number starts, among those of several breakers."""
    low, high = 0, max(calls.starts[-1] for calls in several if len(calls))
    while low < high:
        middle = (low + high) // 2
        if sum(bisect.bisect_right(calls.starts, middle) for calls in several) > number:
            high = middle
        else:
            low = middle + 1
    return low


def _warnings(
    candidates: Sequence[Candidate],
    recommended: Candidate,
    base: Candidate,
    failures: Sequence[int],
    failure_weight: int,
) -> list[str]:
    """Why the recommendation may be no more than a fit to the calls that it was chosen by."""
    if not failures[0]:
        return ["no call failed in the part that settings are chosen by: nothing can be learned"]
    if not failures[1]:
        return ["no call failed in the part held out: whether the choice holds can't be told"]
    warnings = []
    costs = sorted(candidate.held_out.cost(failure_weight) for candidate in candidates)
    own = recommended.held_out.cost(failure_weight)
    better = sum(cost < own for cost in costs)
    if better * 4 > len(costs):
        warnings.append(
            f"over-fitted: on the calls held out, {better:,} of {len(costs):,} settings do better "
            f"(cost {own:,} against {costs[0]:,} at best)"
        )
    if own > base.held_out.cost(failure_weight):
        warnings.append(
            "over-fitted: on the calls held out, it does worse than the settings that were varied "
            f"(cost {own:,} against {base.held_out.cost(failure_weight):,})"
        )
    if len(candidates) > failures[0]:
        warnings.append(
            f"{len(candidates):,} settings were tried on {failures[0]:,} failures: some do well by "
            "chance"
        )
    return warnings
