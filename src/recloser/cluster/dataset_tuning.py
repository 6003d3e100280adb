"""Score a grid of settings on the calls of many logs.

The last calls of each log are held out. The scores equal those of ``recloser.whatif.settings_search`` on each log, added up.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from recloser.cluster.dataset import Source
from recloser.cluster.evaluate import calls_by_breaker
from recloser.cluster.executor import OnDone, Runner
from recloser.core.config import CircuitBreakerConfig
from recloser.core.settings import configured
from recloser.errors import ConfigError
from recloser.simulate.call_table import UNKNOWN
from recloser.whatif.settings_search import (
    HELD_OUT_PERCENT,
    SplitScores,
    TuneResult,
    choose_settings,
    score_split,
)

_BUCKETS: Final = 4096
_CONFIGS_PER_JOB: Final = 64


def tune_many(
    sources: Sequence[Source],
    runner: Runner,
    base: Mapping[str, object],
    grid: Sequence[Mapping[str, object]],
    *,
    breaker: str | None = None,
    failure_weight: int = 1,
    on_done: OnDone | None = None,
) -> TuneResult:
    """Score every configuration of a grid on the known outcomes of many logs.

    In each log the last calls are held out; each log is cut at a time of its own.

    Args:
        sources: The logs.
        runner: Runs the jobs.
        base: The current settings, which the grid changes.
        grid: The changes that each configuration makes to them.
        breaker: The name of the only breaker to score; None scores all.
        failure_weight: Number of lost calls that cost as much as one failure let through.
        on_done: Called with the number of finished jobs and of all jobs.

    Raises:
        LogError: A log cannot be read.
        ConfigError: The grid is empty or has settings that are not valid, or no call has a known
            outcome.
    """
    if not grid:
        raise ConfigError(
            "the grid holds no settings to try; a range is written from low to high, as 2..10"
        )
    configs = [configured(base, {}), *(configured(base, settings) for settings in grid)]
    cuts, calls, unknown = _cuts(sources, runner, breaker)
    first = range(0, len(configs), _CONFIGS_PER_JOB)
    shares = [configs[number : number + _CONFIGS_PER_JOB] for number in first]
    jobs = [
        (source.url, groups, breaker, cut, share)
        for source, cut in zip(sources, cuts, strict=True)
        for groups in source.row_groups
        for share in shares
    ]
    scored = runner.run(score_row_groups, jobs, on_done)
    totals = [
        SplitScores.total(scored[number :: len(shares)], len(share))
        for number, share in enumerate(shares)
    ]
    parted = evolve(totals[0], scores=[both for total in totals for both in total.scores])
    return TuneResult(choose_settings([{}, *grid], configs, parted, failure_weight), calls, unknown)


def score_row_groups(
    url: str,
    groups: range,
    breaker: str | None,
    cut: int,
    configs: Sequence[CircuitBreakerConfig],
) -> SplitScores:
    """Score configurations on some row groups, before and after a time."""
    calls = (
        traffic.calls[name].known() for name, traffic in calls_by_breaker(url, groups, breaker)
    )
    return SplitScores.total((score_split([each], cut, configs) for each in calls), len(configs))


@frozen
class StartDistribution:
    """The distribution of the starts of calls over a stretch of time.

    Attributes:
        calls: Number of calls at any time.
        unknown: Number of calls whose outcome is unknown; they are left out below.
        counts: Number of starts in each of 4096 equal parts of the stretch.
        starts: The time of each start in the stretch, if exact times were requested.
    """

    calls: int
    unknown: int
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]


def start_distribution(
    url: str, groups: range, breaker: str | None, stretch: range, *, exactly: bool
) -> StartDistribution:
    """Count the starts of calls with known outcomes, within a stretch of time."""
    width = -(-len(stretch) // _BUCKETS)
    calls = unknown = 0
    counts = np.zeros(_BUCKETS, np.int64)
    exact = [np.zeros(0, np.int64)]
    for name, traffic in calls_by_breaker(url, groups, breaker):
        own = traffic.calls[name]
        calls, unknown = calls + len(own), unknown + own.count(UNKNOWN)
        starts = np.array(own.known().starts, np.int64)
        starts = starts[(starts >= stretch.start) & (starts < stretch.stop)]
        counts += np.bincount((starts - stretch.start) // width, minlength=_BUCKETS)
        if exactly:
            exact.append(starts)
    return StartDistribution(calls, unknown, counts, np.concatenate(exact))


def _cuts(
    sources: Sequence[Source], runner: Runner, breaker: str | None
) -> tuple[Sequence[int], int, int]:
    """Return the time in each log from which calls are held out, and call counts.

    The time is a quantile of the starts. A first pass counts starts in parts of the log, and a second
    one reads only the part that has the quantile, so that no machine needs the starts of a whole log.
    """
    whole = [range(source.about.last_at + 1) for source in sources]
    distributions = _distributions(sources, runner, breaker, whole, exactly=False)
    ranks, stretches = [], []
    for stretch, found in zip(whole, distributions, strict=True):
        counts = np.cumsum(sum(each.counts for each in found))
        rank = int(counts[-1]) * (100 - HELD_OUT_PERCENT) // 100
        bucket = int(np.searchsorted(counts, rank, "right"))
        width = -(-len(stretch) // _BUCKETS)
        stretches.append(range(bucket * width, (bucket + 1) * width))
        ranks.append(rank - (int(counts[bucket - 1]) if bucket else 0))
    total = sum(each.calls for found in distributions for each in found)
    unknown = sum(each.unknown for found in distributions for each in found)
    if total == unknown:
        raise ConfigError("there is no call with a known outcome in these logs")
    near = _distributions(sources, runner, breaker, stretches, exactly=True)
    cuts = []
    for rank, found in zip(ranks, near, strict=True):
        starts = np.sort(np.concatenate([each.starts for each in found]))
        cuts.append(int(starts[rank]) if rank < len(starts) else 0)
    return cuts, total, unknown


def _distributions(
    sources: Sequence[Source],
    runner: Runner,
    breaker: str | None,
    stretches: Sequence[range],
    *,
    exactly: bool,
) -> Sequence[Sequence[StartDistribution]]:
    jobs = [
        (source.url, groups, breaker, stretch)
        for source, stretch in zip(sources, stretches, strict=True)
        for groups in source.row_groups
    ]
    found = iter(runner.run(partial(start_distribution, exactly=exactly), jobs))
    return [[next(found) for _ in source.row_groups] for source in sources]
