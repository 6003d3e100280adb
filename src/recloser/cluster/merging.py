"""Compute what one shared breaker would have done with the calls of several hosts.

Each host's log has a breaker of its own, with its own epochs. Here the outcomes of all hosts are put in
the order of their corrected wall times (see ``recloser.cluster.host_clocks``) and drive one breaker, as
imported calls do. Calls that a host's own breaker rejected have no outcome and are left out.

The clocks of two hosts may differ by the sum of their uncertainties, so calls that are closer together
may have happened in the other order. To show whether that matters, the clock of each host in turn is
shifted ahead of all others and behind them, by parts of that sum and by all of it. Shifts that change
the edges are reported.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from attrs import define, field, frozen

from recloser.cluster.dataset import ROWS_AT_ONCE, Source, labels_of, opened
from recloser.cluster.executor import OnDone, Runner
from recloser.cluster.host_clocks import EPOCH, HostClock
from recloser.core.checkpoint_parts import is_part
from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallObserved,
    CallSucceeded,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    Outcome,
)
from recloser.core.moments import after
from recloser.core.snapshot import Snapshot, take_snapshot
from recloser.core.state import BreakerState
from recloser.errors import ConfigError
from recloser.history.columnar.exported_log import whole_log_events
from recloser.history.columnar.row_groups import chunks_of
from recloser.history.edge_sequence import EdgeSequence
from recloser.history.live_driver import by_start
from recloser.history.timeline import Timeline
from recloser.history.warps import host_offset
from recloser.log.arrow_table import events_of
from recloser.log.parquet import ParquetLog
from recloser.proof.perturbation import MovedEdge, PerturbedDrive, Trial
from recloser.proof.variants import DrivenVariant
from recloser.simulate.expansion_limit import ExpansionLimit

_SHIFTS_PER_DIRECTION: Final = 4
_OPENING: Final = LogOpened(1, 0, 1, 1, 1, EPOCH, 0, "", "", 0, "")


@frozen
class LogOfBreaker:
    """The place of a breaker's rows in the log of one host.

    Attributes:
        url: Path or URL of the log.
        host: Label of the host.
        groups: The row groups in which the breaker begins.
    """

    url: str
    host: str
    groups: range


@frozen
class HostShare:
    """The share of one host in a merged breaker.

    Attributes:
        host: Label of the host.
        calls: Number of outcomes.
        refused: Number of calls that the host's own breaker rejected, which are left out.
        uncertainty_ns: Greatest error of the host's wall clock, in nanoseconds.
    """

    host: str
    calls: int
    refused: int  # this name is a key of the JSON output
    uncertainty_ns: int


@frozen
class Change:
    """An error of a host's clock, within its uncertainty, that changes the edges.

    Attributes:
        host: Label of the host.
        ahead_ns: Nanoseconds by which its clock is ahead; negative if it is behind.
        moved: The first edge that differs.
    """

    host: str
    ahead_ns: int
    moved: MovedEdge


@frozen
class Merged:
    """The simulation of one shared breaker; times are nanoseconds since 1970 in UTC.

    Attributes:
        breaker: Its name.
        config: Its settings.
        hosts: The share of each host.
        edges: Its edges; ``seq`` in them and in their evidence numbers the breaker's own events.
        snapshot: The breaker after the last call.
        changes: For each host and direction, the smallest tried error that changes the edges.
    """

    breaker: str
    config: CircuitBreakerConfig
    hosts: Sequence[HostShare]
    edges: Sequence[Edge]
    snapshot: Snapshot
    changes: Sequence[Change]


def merge_many(
    sources: Sequence[Source],
    runner: Runner,
    *,
    config: Settings | None = None,
    uncertainty_ns: int = 0,
    on_done: OnDone | None = None,
) -> Sequence[Merged]:
    """Simulate one shared breaker of each name with the calls of all hosts.

    Args:
        sources: The logs of the hosts.
        runner: Runs the jobs.
        config: Settings of the shared breakers; by default those in the logs, or the defaults for
            imported calls.
        uncertainty_ns: The least error of each host's wall clock to assume, in nanoseconds.
        on_done: Called with the number of finished jobs and of all jobs.

    Raises:
        LogError: A log cannot be read or is damaged.
        ConfigError: No ``config`` is given, and the hosts have different settings.
    """
    jobs = [(source, groups) for source in sources for groups in source.row_groups]
    found = runner.run(breakers_in, [(source.url, groups) for source, groups in jobs])
    labels = {s.url: label for s, label in zip(sources, labels_of(sources), strict=True)}
    holders: dict[str, list[LogOfBreaker]] = {}
    for (source, groups), names in zip(jobs, found, strict=True):
        for name in names:
            holders.setdefault(name, []).append(
                LogOfBreaker(source.url, labels[source.url], groups)
            )
    return runner.run(
        merge,
        [(name, holders[name], config, uncertainty_ns) for name in sorted(holders)],
        on_done,
    )


def unix_timeline() -> Timeline:
    """Return a timeline whose times are nanoseconds since 1970 in UTC."""
    return Timeline([_OPENING])


def breakers_in(url: str, groups: range) -> Sequence[str]:
    """Return the names of the breakers that begin in some row groups, in their order."""
    with opened(url) as log:
        parts = chunks_of(log, ["breaker"], groups, ROWS_AT_ONCE)
        return list(dict.fromkeys(part.breaker for part in parts))


def merge(
    breaker: str,
    holders: Sequence[LogOfBreaker],
    config: Settings | None = None,
    uncertainty_ns: int = 0,
) -> Merged:
    """Simulate one breaker with the calls that the logs of several hosts have of it."""
    with ExitStack() as stack:
        logs = [
            _HostLog(stack.enter_context(opened(holder.url)), breaker, holder, uncertainty_ns)
            for holder in holders
        ]
        settings = _common_settings(breaker, logs) if config is None else as_config(config)
        lane = DrivenVariant(_OPENING, settings)
        edges: list[Edge] = []
        course = EdgeSequence()
        last = 0
        for call in _merged(logs):
            taken = lane.apply(call)
            if taken:
                edges += taken
                course.add(call.seq, taken)
            last = max(last, call.at)
        taken = lane.finish()
        course.add(last, taken)
        assert lane.states is not None
        state = lane.states.get(breaker) or BreakerState(breaker, settings)
        snapshot = take_snapshot(state, last, lambda ns: after(EPOCH, ns))
        shares = [
            HostShare(log.host, log.calls, log.rejected, log.clock.uncertainty_ns) for log in logs
        ]
        changes = _edge_changes(logs, settings, course)
    return Merged(breaker, settings, shares, [*edges, *taken], snapshot, changes)


@define
class _HostLog:
    """The calls of one breaker in one host's log.

    Attributes:
        clock: The clock of the host.
        calls: Number of outcomes yielded by the last ``observed``.
        rejected: Number of calls rejected by the host's own breaker, found by the last ``observed``.
    """

    _log: ParquetLog
    _breaker: str
    _holder: LogOfBreaker
    _uncertainty_ns: int
    clock: HostClock = field(init=False)
    calls: int = 0
    rejected: int = 0

    def __attrs_post_init__(self) -> None:
        readings = [
            event
            for event in whole_log_events(self._log)
            if isinstance(event, LogOpened | ClockTicked)
        ]
        self.clock = HostClock(readings, self._uncertainty_ns)

    @property
    def host(self) -> str:
        return self._holder.host

    def events(self) -> Iterator[Event]:
        for part in chunks_of(self._log, groups=self._holder.groups, at_once=ROWS_AT_ONCE):
            if part.breaker == self._breaker:
                yield from events_of(part.table)

    def settings(self) -> CircuitBreakerConfig | None:
        """Return the last settings in the log; None for imported calls."""
        settings: object = None
        for event in self.events():
            if isinstance(event, BreakerConfigured):
                settings = event.config
            elif isinstance(event, Checkpoint) and not is_part(event):
                settings = event.state.get("config")
        if not isinstance(settings, Mapping):
            return None
        return CircuitBreakerConfig.from_mapping(settings)

    def observed(self, number: int, hosts: int) -> Iterator[CallObserved]:
        """Yield the outcomes in common time; this is log ``number`` of ``hosts``."""
        self.calls = self.rejected = 0
        mode: object = "enforce"
        limit = ExpansionLimit()
        for event in self.events():
            if isinstance(event, BreakerConfigured):
                mode = event.config.get("mode")
            elif event.kind == "mode_changed":
                mode = event.mode
            elif (
                event.kind == "call_rejected" and mode != "shadow"
            ):  # in shadow mode the call was made and has an outcome
                self.rejected += event.count
            else:
                outcomes = _outcome_count(event)
                limit.add(event.seq, outcomes)
                for _ in range(outcomes):
                    self.calls += 1
                    # A ``seq`` that no other host uses, in the order of the log.
                    yield self._call(self.calls * hosts + number, event)

    def _call(self, seq: int, event: Event) -> CallObserved:
        assert isinstance(event, CallObserved | CallSucceeded | CallFailed | CallIgnored)
        end = max(0, self.clock.unix_ns(event.at))
        start = max(0, end - event.took)
        if isinstance(event, CallObserved):
            outcome = event.outcome
        else:
            outcome = Outcome(event.kind.removeprefix("call_"))
        error = None if event.kind == "call_succeeded" else event.error
        labels = {"host": self.host}
        return CallObserved(seq, end, self._breaker, start, end - start, outcome, error, labels)


def _outcome_count(event: Event) -> int:
    if event.kind == "call_succeeded":
        return event.count
    return int(isinstance(event, CallObserved | CallFailed | CallIgnored))


def _merged(logs: Sequence[_HostLog]) -> Iterator[CallObserved]:
    """Yield the calls of all hosts, in the order of their starts."""
    return heapq.merge(
        *(by_start(log.observed(number, len(logs))) for number, log in enumerate(logs)),
        key=lambda call: (call.start, call.seq),
    )


def _common_settings(breaker: str, logs: Iterable[_HostLog]) -> CircuitBreakerConfig:
    by_host = {log.host: log.settings() for log in logs}
    different = {repr(config) for config in by_host.values()}
    if len(different) > 1:
        raise ConfigError(
            f"the hosts {', '.join(by_host)} have different settings of {breaker!r}; "
            "give those of the shared breaker with --config or --set"
        )
    return next(iter(by_host.values())) or CircuitBreakerConfig()


def _edge_changes(
    logs: Sequence[_HostLog], config: CircuitBreakerConfig, course: EdgeSequence
) -> Sequence[Change]:
    """Find the errors of each host's clock that would change the edges.

    Errors are tried up to the uncertainty of the clock plus that of any other host.
    """
    trials: dict[tuple[str, int], list[tuple[int, Trial]]] = {}
    for log in logs:
        others = [other.clock.uncertainty_ns for other in logs if other is not log]
        reach = log.clock.uncertainty_ns + max(others) if others else 0
        sizes = sorted(
            {reach * part // _SHIFTS_PER_DIRECTION for part in range(1, _SHIFTS_PER_DIRECTION + 1)}
            - {0}
        )
        for sign in (1, -1) if sizes else ():
            trials[log.host, sign] = [
                (sign * size, _trial(log.host, sign * size, config, course)) for size in sizes
            ]
    waiting = [trial for several in trials.values() for _, trial in several]
    last = 0
    for call in _merged(logs) if waiting else ():
        last = call.seq
        for trial in waiting:
            trial.apply(call)
        waiting = [trial for trial in waiting if trial.moved is None]
        if not waiting:
            break
    for trial in waiting:
        trial.finish(last)
    changes = []
    for (host, _), several in trials.items():
        for ahead_ns, trial in several:
            if trial.moved is not None:
                changes.append(Change(host, ahead_ns, trial.moved))
                break
    return changes


def _trial(host: str, ns: int, config: CircuitBreakerConfig, course: EdgeSequence) -> Trial:
    warp = host_offset(host, ns)
    return Trial(PerturbedDrive(DrivenVariant(_OPENING, config), warp), course)
