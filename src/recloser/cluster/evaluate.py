"""Evaluate other settings on the calls of many logs, breaker by breaker.

The results equal those of ``recloser.whatif.evaluation`` on each log. A worker holds the calls of one
breaker at a time, in some sixty bytes each.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

from attrs import evolve, frozen

from recloser.cluster.dataset import ROWS_AT_ONCE, Source, opened
from recloser.cluster.executor import OnDone, Runner
from recloser.cluster.many_logs import distinct_names
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Event
from recloser.core.settings import read_settings
from recloser.errors import ConfigError, NotALogError
from recloser.history.columnar.exported_log import whole_log_events
from recloser.history.columnar.row_groups import chunks_of
from recloser.log.arrow_table import events_of
from recloser.simulate.call_table import UNKNOWN
from recloser.simulate.recorded_calls import Traffic, read_traffic
from recloser.whatif.comparison import what_happened
from recloser.whatif.costs import OUTAGE_FAILURES
from recloser.whatif.evaluation import Evaluation, what_if

RequestedSettings: TypeAlias = CircuitBreakerConfig | tuple[str, ...]
"""Settings to try: complete ones, or changes to those that each breaker was recorded with."""


@frozen
class BreakerEvaluation:
    """The effect of settings on one breaker.

    Attributes:
        breaker: Its name.
        calls: Number of its calls.
        unknown: Number of calls whose outcome is unknown.
        columns: What happened, and then the effect of each of the settings.
    """

    breaker: str
    calls: int
    unknown: int
    columns: Sequence[Evaluation]


@frozen
class RowGroupsEvaluation:
    """The effect of settings on the breakers that begin in some row groups of a log.

    Attributes:
        breakers: The breakers that have calls.
        until: The end of the time over which the first breaker was followed, in nanoseconds of the log.
        horizon: The end of the last event or call known to the job, in nanoseconds of the log.
        lost: Number of events that the log has lost.
    """

    breakers: Sequence[BreakerEvaluation]
    until: int
    horizon: int
    lost: int


@frozen
class DatasetEvaluation:
    """The effect of settings on a dataset.

    Attributes:
        breakers: The effect on each breaker, by its distinct name.
        recorded: Whether the logs were recorded by breakers, instead of imported.
        lost: Number of events that the logs have lost.
    """

    breakers: Mapping[str, BreakerEvaluation]
    recorded: bool
    lost: int


def evaluate_many(
    sources: Sequence[Source],
    runner: Runner,
    asked: Sequence[RequestedSettings],
    *,
    breaker: str | None = None,
    failures: int = OUTAGE_FAILURES,
    on_done: OnDone | None = None,
) -> DatasetEvaluation:
    """Evaluate settings on the calls of each breaker in each log.

    Args:
        sources: The logs: all imported, or all recorded by breakers.
        runner: Runs the jobs.
        asked: The settings to try.
        breaker: The name of the only breaker to evaluate; None evaluates all.
        failures: Number of consecutive failures that count as an outage.
        on_done: Called with the number of finished jobs and of all jobs.

    Raises:
        LogError: A log cannot be read, or there are no calls.
        ConfigError: Some logs are imported and some recorded.
    """
    if len({source.about.traffic for source in sources}) > 1:
        raise ConfigError("some of these logs were imported, and some were recorded by breakers")
    jobs = [(number, groups) for number, s in enumerate(sources) for groups in s.row_groups]

    evaluate = partial(evaluate_row_groups, asked=tuple(asked), breaker=breaker, failures=failures)

    def run(
        chosen: Sequence[int], horizons: Sequence[int], done: OnDone | None
    ) -> list[RowGroupsEvaluation]:
        arguments = [
            (sources[jobs[j][0]].url, jobs[j][1], horizon)
            for j, horizon in zip(chosen, horizons, strict=True)
        ]
        return runner.run(evaluate, arguments, done)

    ends = [source.about.last_at for source in sources]
    found = run(range(len(jobs)), [ends[number] for number, _ in jobs], on_done)
    for (number, _), result in zip(jobs, found, strict=True):
        ends[number] = max(ends[number], result.horizon)
    # A breaker that is open at the end stays open until the end of its whole log, which another job
    # may have found to be later. Such jobs are repeated with the later end.
    early = [j for j, r in enumerate(found) if r.breakers and r.until < ends[jobs[j][0]]]
    for j, again in zip(early, run(early, [ends[jobs[j][0]] for j in early], None), strict=True):
        found[j] = again
    own: list[dict[str, BreakerEvaluation]] = [{} for _ in sources]
    for (number, _), result in zip(jobs, found, strict=True):
        own[number].update((tried.breaker, tried) for tried in result.breakers)
    names = distinct_names(sources, own)
    breakers = {names[n][name]: tried for n, each in enumerate(own) for name, tried in each.items()}
    if not breakers:
        of = "" if breaker is None else f" of {breaker!r}"
        raise NotALogError(f"there is no call{of} in these logs")
    lost = sum(
        max(result.lost for (number, _), result in zip(jobs, found, strict=True) if number == n)
        for n in range(len(sources))
    )
    return DatasetEvaluation(breakers, recorded=not sources[0].about.traffic, lost=lost)


def evaluate_row_groups(
    url: str,
    groups: range,
    horizon: int,
    *,
    asked: Sequence[RequestedSettings],
    breaker: str | None,
    failures: int,
) -> RowGroupsEvaluation:
    """Evaluate settings on the breakers that begin in some row groups.

    The log ends at ``horizon``, in nanoseconds of the log, or later.
    """
    tried: list[BreakerEvaluation] = []
    lost = 0
    until: int | None = None
    for name, traffic in calls_by_breaker(url, groups, None):
        horizon = max(horizon, traffic.horizon)  # calls may end after the last event of the log
        if breaker is not None and name != breaker:
            continue
        until = horizon if until is None else until
        lost = traffic.lost
        ended = evolve(traffic, horizon=horizon)
        columns = [what_happened(ended, failures)]
        columns += [what_if(ended, _settings(ended, one), failures) for one in asked]
        calls = traffic.calls[name]
        verdicts = [column[name] for column in columns]
        tried.append(BreakerEvaluation(name, len(calls), calls.count(UNKNOWN), verdicts))
    return RowGroupsEvaluation(tried, horizon if until is None else until, horizon, lost)


def calls_by_breaker(url: str, groups: range, breaker: str | None) -> Iterator[tuple[str, Traffic]]:
    """Yield each breaker that begins in some row groups and has calls, with its calls.

    Raises:
        LogError: The log cannot be read.
    """
    with opened(url) as log:
        about_all = whole_log_events(log)
        parts = chunks_of(log, groups=groups, at_once=ROWS_AT_ONCE)
        for name, own in groupby(parts, key=attrgetter("breaker")):
            if breaker is not None and name != breaker:
                continue
            events = (event for part in own for event in events_of(part.table))
            traffic = _traffic(heapq.merge(about_all, events, key=attrgetter("seq")))
            if traffic is not None:
                yield name, traffic


def _traffic(events: Iterable[Event]) -> Traffic | None:
    """Return the calls of one breaker, renumbered from 1; None if there are none."""
    numbered = (evolve(event, seq=seq) for seq, event in enumerate(events, start=1))
    try:
        return read_traffic(numbered)
    except NotALogError:
        return None


def _settings(traffic: Traffic, asked: RequestedSettings) -> Callable[[str], CircuitBreakerConfig]:
    if isinstance(asked, CircuitBreakerConfig):
        return lambda _name: asked
    configs = {
        name: read_settings(None, asked, traffic.configs[name].to_mapping())
        for name in traffic.calls
    }
    return configs.__getitem__
