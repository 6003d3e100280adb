"""Tune: score many settings on the same calls and recommend one.

A breaker trades failures let through against good calls lost. The settings for which no other
settings are better in both make up the Pareto front. Which of them is best depends on what a failure
costs compared to a lost call. To see whether the choice holds on other calls, the last calls of the
log are held out: the recommendation is not chosen by them, but it is scored on them.
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
"""The share of the calls, the last ones, that the recommendation is not chosen by."""

_SMALL: Final = 50_000_000  # calls times settings; with fewer, starting processes costs more time


@frozen
class SplitScores:
    """Scores of several configurations on the tuning calls and on the held-out calls.

    In each pair, the first item is about the tuning calls and the second about the held-out calls.

    Attributes:
        calls: How many calls each part has.
        failures: How many of them failed.
        scores: For each configuration, its score on each part.
    """

    calls: tuple[int, int]
    failures: tuple[int, int]
    scores: Sequence[tuple[Score, Score]]

    @classmethod
    def total(cls, several: Iterable["SplitScores"], configs: int) -> "SplitScores":
        """Sum the scores of several breakers for the same ``configs`` configurations."""
        zero = Score(0, 0, 0, 0, 0)
        total = cls((0, 0), (0, 0), [(zero, zero)] * configs)
        for one in several:
            total = cls(
                (total.calls[0] + one.calls[0], total.calls[1] + one.calls[1]),
                (total.failures[0] + one.failures[0], total.failures[1] + one.failures[1]),
                [
                    (tuned_on + own_tuned_on, held_out + own_held_out)
                    for (tuned_on, held_out), (own_tuned_on, own_held_out) in zip(
                        total.scores, one.scores, strict=True
                    )
                ],
            )
        return total


@frozen
class Candidate:
    """One configuration and its scores.

    Attributes:
        settings: The settings that the grid varies, with this configuration's values.
        config: The whole configuration.
        tuned_on: Its score on the calls by which the recommendation is chosen.
        held_out: Its score on the held-out calls.
    """

    settings: Mapping[str, object]
    config: CircuitBreakerConfig
    tuned_on: Score
    held_out: Score


@frozen
class Tuning:
    """The recommendation and everything it was chosen from.

    Attributes:
        candidates: All configurations of the grid, in its order.
        front: The Pareto front, sorted by lost calls.
        recommended: The configuration with the lowest cost.
        base: The current settings, which the grid varies.
        calls: How many calls the recommendation was chosen by, and how many were held out.
        failures: How many of each failed.
        warnings: Reasons not to trust the recommendation.
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
    """A tuning, and how many calls it had to leave out.

    Attributes:
        tuning: The recommendation.
        calls: How many calls the log has.
        unknown: How many of them have an unknown outcome and were left out.
    """

    tuning: Tuning
    calls: int
    unknown: int


def grid_of(
    axes: Mapping[str, Sequence[object]], budget: int | None = None
) -> list[dict[str, object]]:
    """List every combination of the given values.

    Args:
        axes: The values to try for each setting, by the setting's name.
        budget: If there are more combinations than this, only this many are listed. They are spread
            over the whole grid, and are always the same for the same grid.
    """
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
    # Numbers below `size` drawn by a hash, so that every run and platform draws the same.
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
    """Score every configuration of a grid and recommend one.

    Calls of unknown outcome are left out.

    Args:
        traffic: The calls.
        base: The current settings, which the grid varies; a configuration or a mapping.
        grid: For each configuration to try, the settings that differ from ``base``.
        failure_weight: How many lost calls a failure let through is as bad as.
        processes: How many processes to use; by default one per processor, or one for a small job.
        on_done: Called with the number of configurations scored so far.

    Raises:
        ConfigError: The grid is empty or holds invalid settings, or no call has a known outcome.
    """
    if not grid:
        raise ConfigError(
            "the grid holds no settings to try; a range is written from low to high, as 2..10"
        )
    configs = [configured(base, {}), *(configured(base, settings) for settings in grid)]
    parts = _split(traffic)
    sizes = tuple(sum(map(len, part)) for part in parts)
    if processes is None:
        small = sum(sizes) * len(configs) < _SMALL
        processes = 1 if small else os.cpu_count() or 1
    scores = score_all(parts, configs, processes, on_done)
    return choose_settings([{}, *grid], configs, _split_scores(parts, scores), failure_weight)


def _split_scores(
    parts: Sequence[Sequence[Calls]], scores: Sequence[Sequence[Score]]
) -> SplitScores:
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
    scored: SplitScores,
    failure_weight: int,
) -> Tuning:
    """Recommend the configuration with the lowest cost.

    Args:
        settings: For each configuration, the settings that the grid varies; the first, the current
            settings, has none.
        configs: The configurations.
        scored: Their scores.
        failure_weight: How many lost calls a failure let through is as bad as.
    """
    base, *candidates = [
        Candidate(varied, config, *scores)
        for varied, config, scores in zip(settings, configs, scored.scores, strict=True)
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
        calls=scored.calls,
        failures=scored.failures,
        warnings=_warnings(candidates, recommended, base, scored.failures, failure_weight),
    )


def score_split(
    tables: Sequence[Calls], cut: int, configs: Sequence[CircuitBreakerConfig]
) -> SplitScores:
    """Score configurations on the calls before and after a time, in this process.

    Args:
        tables: The calls of each breaker, all of known outcome.
        cut: When the first held-out call starts, in nanoseconds of the log's time.
        configs: The configurations.
    """
    parts = _split_at(tables, cut)
    return _split_scores(parts, score_all(parts, configs))


def pareto_front(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Find the candidates that no other beats in both costs.

    The costs are lost calls and failures let through.

    Of candidates that are equal in both, the first of those with the fewest trips is kept.
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
    """The calls of known outcome, split at one time for all breakers."""
    known = [calls.known() for calls in traffic.calls.values()]
    total = sum(map(len, known))
    if not total:
        raise ConfigError("there is no call with a known outcome in this log")
    cut = _start_of(known, total * (100 - HELD_OUT_PERCENT) // 100)
    return _split_at(known, cut)


def _split_at(known: Sequence[Calls], cut: int) -> tuple[list[Calls], list[Calls]]:
    first_held_out = [bisect.bisect_left(calls.starts, cut) for calls in known]
    return (
        [calls.until(first) for calls, first in zip(known, first_held_out, strict=True)],
        [calls.since(first) for calls, first in zip(known, first_held_out, strict=True)],
    )


def _start_of(tables: Sequence[Calls], position: int) -> int:
    """When a call starts, by its position among the calls of all breakers."""
    low, high = 0, max(calls.starts[-1] for calls in tables if len(calls))
    while low < high:
        middle = (low + high) // 2
        if sum(bisect.bisect_right(calls.starts, middle) for calls in tables) > position:
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
    """Reasons why the recommendation may fit only the calls that it was chosen by."""
    if not failures[0]:
        return ["no call failed among the calls used for tuning, so there is nothing to learn from"]
    if not failures[1]:
        return ["no call failed among the held-out calls, so the choice could not be checked"]
    warnings = []
    costs = sorted(candidate.held_out.cost(failure_weight) for candidate in candidates)
    own = recommended.held_out.cost(failure_weight)
    better = sum(cost < own for cost in costs)
    if better * 4 > len(costs):
        warnings.append(
            f"over-fitted: on the held-out calls, {better:,} of {len(costs):,} settings are better "
            f"(the lowest cost is {costs[0]:,}, that of the recommended settings {own:,})"
        )
    if own > base.held_out.cost(failure_weight):
        warnings.append(
            "over-fitted: on the held-out calls, the current settings are better "
            f"(their cost is {base.held_out.cost(failure_weight):,}, that of the recommended "
            f"settings {own:,})"
        )
    if len(candidates) > failures[0]:
        warnings.append(
            f"{len(candidates):,} settings were tried on only {failures[0]:,} failures: some look "
            "good by chance"
        )
    return warnings
