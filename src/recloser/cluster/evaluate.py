"""Other settings on the calls of many logs: each breaker where it stands, and the figures summed up.

It comes to what ``recloser.whatif.comparison`` and ``recloser.whatif.settings_search`` come to on each log. A worker
holds the calls of one breaker at a time, some sixty bytes each.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final, TypeAlias

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from recloser.cluster.dataset import AT_ONCE, Source, opened
from recloser.cluster.executor import OnDone, Runner
from recloser.cluster.many_logs import told_apart
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Event
from recloser.core.settings import configured, read_settings
from recloser.errors import ConfigError, NotALogError
from recloser.history.columnar.exported_log import whole_log_events
from recloser.history.columnar.row_groups import chunks_of
from recloser.log.arrow_table import events_of
from recloser.simulate.call_table import UNKNOWN
from recloser.simulate.recorded_calls import Traffic, read_traffic
from recloser.whatif.comparison import Verdict, what_did, what_if
from recloser.whatif.outages import OUTAGE_FAILURES
from recloser.whatif.settings_search import (
    HELD_OUT_PERCENT,
    Parted,
    Tuned,
    score_around,
    tuning_of,
)

_BUCKETS: Final = 4096
_CONFIGS_AT_ONCE: Final = 64

Asked: TypeAlias = CircuitBreakerConfig | tuple[str, ...]
"""Settings to try: all of them, or what to change about those that each breaker was recorded with."""


@frozen
class Tried:
    """What settings come to on one breaker.

    Attributes:
        breaker: Its name.
        calls: How many calls it has.
        unknown: How many of them have an unknown outcome.
        columns: What was, and then what each of the settings comes to.
    """

    breaker: str
    calls: int
    unknown: int
    columns: Sequence[Verdict]


@frozen
class TriedSpan:
    """What settings come to on a span of a log.

    Attributes:
        breakers: Its breakers that have calls.
        until: Until when the first of them was followed, in nanoseconds of the log.
        horizon: When the last event or call known of here ended, in nanoseconds of the log.
        lost: How many events the log could not hold.
    """

    breakers: Sequence[Tried]
    until: int
    horizon: int
    lost: int


@frozen
class Trying:
    """What settings come to on a dataset.

    Attributes:
        breakers: What was tried on each breaker, by what it is called.
        recorded: Whether breakers wrote the logs.
        lost: How many events the logs could not hold.
    """

    breakers: Mapping[str, Tried]
    recorded: bool
    lost: int


def try_many(
    sources: Sequence[Source],
    runner: Runner,
    asked: Sequence[Asked],
    *,
    breaker: str | None = None,
    failures: int = OUTAGE_FAILURES,
    on_done: OnDone | None = None,
) -> Trying:
    """What settings would have made of the calls of each breaker in each log.

    Args:
        sources: The logs, all imported traffic or all written by breakers.
        runner: Does the work.
        asked: The settings.
        breaker: One breaker only.
        failures: So many failures in a row are an outage.
        on_done: Told how far it is.

    Raises:
        LogError: A log can't be read, or there is no call in any.
        ConfigError: The logs are of both kinds.
    """
    if len({source.about.traffic for source in sources}) > 1:
        raise ConfigError("some of these logs are imported traffic, and some breakers wrote")
    jobs = [(number, span) for number, s in enumerate(sources) for span in s.spans]

    trying = partial(try_span, asked=tuple(asked), breaker=breaker, failures=failures)

    def run(some: Sequence[int], horizons: Sequence[int], done: OnDone | None) -> list[TriedSpan]:
        arguments = [
            (sources[jobs[j][0]].url, jobs[j][1], horizon)
            for j, horizon in zip(some, horizons, strict=True)
        ]
        return runner.run(trying, arguments, done)

    ends = [source.about.last_at for source in sources]
    found = run(range(len(jobs)), [ends[number] for number, _ in jobs], on_done)
    for (number, _), span in zip(jobs, found, strict=True):
        ends[number] = max(ends[number], span.horizon)
    # What is open at the end is open until the end of its whole log.
    early = [j for j, span in enumerate(found) if span.breakers and span.until < ends[jobs[j][0]]]
    for j, again in zip(early, run(early, [ends[jobs[j][0]] for j in early], None), strict=True):
        found[j] = again
    own: list[dict[str, Tried]] = [{} for _ in sources]
    for (number, _), span in zip(jobs, found, strict=True):
        own[number].update((tried.breaker, tried) for tried in span.breakers)
    names = told_apart(sources, own)
    breakers = {names[n][name]: tried for n, each in enumerate(own) for name, tried in each.items()}
    if not breakers:
        of = "" if breaker is None else f" of {breaker!r}"
        raise NotALogError(f"there is no call{of} in these logs")
    lost = sum(
        max(span.lost for (number, _), span in zip(jobs, found, strict=True) if number == n)
        for n in range(len(sources))
    )
    return Trying(breakers, recorded=not sources[0].about.traffic, lost=lost)


def try_span(
    url: str,
    groups: range,
    horizon: int,
    *,
    asked: Sequence[Asked],
    breaker: str | None,
    failures: int,
) -> TriedSpan:
    """What settings come to on the breakers of a span, whose log ends at ``horizon`` or later."""
    tried: list[Tried] = []
    lost = 0
    until: int | None = None
    for name, traffic in traffic_in(url, groups, None):
        horizon = max(horizon, traffic.horizon)  # a call of any breaker may end behind the log
        if breaker is not None and name != breaker:
            continue
        until = horizon if until is None else until
        lost = traffic.lost
        ended = evolve(traffic, horizon=horizon)
        columns = [what_did(ended, failures)]
        columns += [what_if(ended, _settings(ended, one), failures) for one in asked]
        calls = traffic.calls[name]
        verdicts = [column[name] for column in columns]
        tried.append(Tried(name, len(calls), calls.count(UNKNOWN), verdicts))
    return TriedSpan(tried, horizon if until is None else until, horizon, lost)


def traffic_in(url: str, groups: range, breaker: str | None) -> Iterator[tuple[str, Traffic]]:
    """The calls of each breaker of a span that has any, one breaker after the other.

    Raises:
        LogError: The log can't be read.
    """
    with opened(url) as log:
        about_all = whole_log_events(log)
        parts = chunks_of(log, groups=groups, at_once=AT_ONCE)
        for name, own in groupby(parts, key=attrgetter("breaker")):
            if breaker is not None and name != breaker:
                continue
            events = (event for part in own for event in events_of(part.table))
            traffic = _traffic(heapq.merge(about_all, events, key=attrgetter("seq")))
            if traffic is not None:
                yield name, traffic


def _traffic(events: Iterable[Event]) -> Traffic | None:
    """The calls of one breaker, whose events are numbered as if they were all; None without any."""
    numbered = (evolve(event, seq=seq) for seq, event in enumerate(events, start=1))
    try:
        return read_traffic(numbered)
    except NotALogError:
        return None


def _settings(traffic: Traffic, asked: Asked) -> Callable[[str], CircuitBreakerConfig]:
    if isinstance(asked, CircuitBreakerConfig):
        return lambda _name: asked
    configs = {
        name: read_settings(None, asked, traffic.configs[name].to_mapping())
        for name in traffic.calls
    }
    return configs.__getitem__


# Tuning


def tune_many(
    sources: Sequence[Source],
    runner: Runner,
    base: Mapping[str, object],
    grid: Sequence[Mapping[str, object]],
    *,
    breaker: str | None = None,
    failure_weight: int = 1,
    on_done: OnDone | None = None,
) -> Tuned:
    """Try every configuration of a grid on the calls of many logs whose outcome is known.

    In each log the last calls are held out, behind a moment of its own.

    Args:
        sources: The logs.
        runner: Does the work.
        base: The settings that the grid departs from.
        grid: What each configuration changes about them.
        breaker: One breaker only.
        failure_weight: A failure let through costs as much as so many lost calls.
        on_done: Told how far it is.

    Raises:
        LogError: A log can't be read.
        ConfigError: The grid is empty, or holds settings that there can't be; or no call has a known
            outcome.
    """
    if not grid:
        raise ConfigError("the grid holds no settings to try")
    configs = [configured(base, {}), *(configured(base, settings) for settings in grid)]
    cuts, calls, unknown = _cuts(sources, runner, breaker)
    first = range(0, len(configs), _CONFIGS_AT_ONCE)
    shares = [configs[number : number + _CONFIGS_AT_ONCE] for number in first]
    jobs = [
        (source.url, span, breaker, cut, share)
        for source, cut in zip(sources, cuts, strict=True)
        for span in source.spans
        for share in shares
    ]
    scored = runner.run(score_span, jobs, on_done)
    totals = [
        Parted.total(scored[number :: len(shares)], len(share))
        for number, share in enumerate(shares)
    ]
    parted = evolve(totals[0], scores=[both for total in totals for both in total.scores])
    return Tuned(tuning_of([{}, *grid], configs, parted, failure_weight), calls, unknown)


def score_span(
    url: str,
    groups: range,
    breaker: str | None,
    cut: int,
    configs: Sequence[CircuitBreakerConfig],
) -> Parted:
    """What configurations come to on the breakers of a span, before and behind a moment."""
    calls = (traffic.calls[name].known() for name, traffic in traffic_in(url, groups, breaker))
    return Parted.total((score_around([each], cut, configs) for each in calls), len(configs))


@frozen
class StartsIn:
    """How the starts of calls are spread over a stretch of time.

    Attributes:
        calls: How many calls there are, at whatever time.
        unknown: How many of them have an unknown outcome; these are not counted below.
        counts: How many start in each of as many equal parts of the stretch.
        starts: When each of them starts, where that was asked for.
    """

    calls: int
    unknown: int
    counts: NDArray[np.int64]
    starts: NDArray[np.int64]


def starts_in(
    url: str, groups: range, breaker: str | None, stretch: range, *, exactly: bool
) -> StartsIn:
    """How the starts of a span's calls of known outcome are spread over a stretch of time."""
    width = -(-len(stretch) // _BUCKETS)
    calls = unknown = 0
    counts = np.zeros(_BUCKETS, np.int64)
    told = [np.zeros(0, np.int64)]
    for name, traffic in traffic_in(url, groups, breaker):
        own = traffic.calls[name]
        calls, unknown = calls + len(own), unknown + own.count(UNKNOWN)
        starts = np.array(own.known().starts, np.int64)
        starts = starts[(starts >= stretch.start) & (starts < stretch.stop)]
        counts += np.bincount((starts - stretch.start) // width, minlength=_BUCKETS)
        if exactly:
            told.append(starts)
    return StartsIn(calls, unknown, counts, np.concatenate(told))


def _cuts(
    sources: Sequence[Source], runner: Runner, breaker: str | None
) -> tuple[Sequence[int], int, int]:
    """For each log, the moment from which on calls are held out; and how many calls there are."""
    whole = [range(source.about.last_at + 1) for source in sources]
    spread = _spread(sources, runner, breaker, whole, exactly=False)
    ranks, stretches = [], []
    for stretch, found in zip(whole, spread, strict=True):
        counts = np.cumsum(sum(each.counts for each in found))
        rank = int(counts[-1]) * (100 - HELD_OUT_PERCENT) // 100
        bucket = int(np.searchsorted(counts, rank, "right"))
        width = -(-len(stretch) // _BUCKETS)
        stretches.append(range(bucket * width, (bucket + 1) * width))
        ranks.append(rank - (int(counts[bucket - 1]) if bucket else 0))
    total = sum(each.calls for found in spread for each in found)
    unknown = sum(each.unknown for found in spread for each in found)
    if total == unknown:
        raise ConfigError("there is no call with a known outcome in these logs")
    near = _spread(sources, runner, breaker, stretches, exactly=True)
    cuts = []
    for rank, found in zip(ranks, near, strict=True):
        starts = np.sort(np.concatenate([each.starts for each in found]))
        cuts.append(int(starts[rank]) if rank < len(starts) else 0)
    return cuts, total, unknown


def _spread(
    sources: Sequence[Source],
    runner: Runner,
    breaker: str | None,
    stretches: Sequence[range],
    *,
    exactly: bool,
) -> Sequence[Sequence[StartsIn]]:
    jobs = [
        (source.url, span, breaker, stretch)
        for source, stretch in zip(sources, stretches, strict=True)
        for span in source.spans
    ]
    found = iter(runner.run(partial(starts_in, exactly=exactly), jobs))
    return [[next(found) for _ in source.spans] for source in sources]
