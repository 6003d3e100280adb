"""The calls of several hosts, put into one order, and what one shared breaker would have done.

Each host's log has a breaker of its own, with its own epochs. The question here is another: what
would one breaker over all these calls have done? So the outcomes of all hosts are put in the order of
their corrected wall time (see ``recloser.cluster.host_clocks``), and drive a breaker as imported traffic
does. Calls that a host's own breaker refused have no outcome, and are left out.

Two hosts' clocks may be apart by the uncertainties of both, so calls closer together may have been
in the other order. Each host in turn is taken to be ahead of all others, and behind them, by parts of
that and by all of it; where the edges are not the same ones then, that is told.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from attrs import define, field, frozen

from recloser.cluster.dataset import AT_ONCE, Source, labels_of, opened
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
from recloser.proof.perturbation import Moved, RetimedDrive, Trial
from recloser.proof.variants import DrivenLane
from recloser.simulate.run_bound import RunBound

_PARTS: Final = 4
_OPENING: Final = LogOpened(1, 0, 1, 1, 1, EPOCH, 0, "", "", 0, "")


@frozen
class Holder:
    """A log that has the breaker.

    Attributes:
        url: Its path or URL.
        host: What its host is called.
        groups: The span of the log that the breaker stands in.
    """

    url: str
    host: str
    groups: range


@frozen
class HostShare:
    """What one host has of a merged breaker.

    Attributes:
        host: What it is called.
        calls: How many outcomes it reports.
        refused: How many calls its own breaker refused, which are left out.
        uncertainty_ns: How wrong its wall clock may be.
    """

    host: str
    calls: int
    refused: int
    uncertainty_ns: int


@frozen
class Change:
    """An error of a host's clock, within the uncertainty, that changes the edges.

    Attributes:
        host: The host whose clock is wrong.
        ahead_ns: By how much; negative where it is behind.
        moved: The first edge that is another.
    """

    host: str
    ahead_ns: int
    moved: Moved


@frozen
class Merged:
    """What one shared breaker would have done; its times are nanoseconds since 1970 in UTC.

    Attributes:
        breaker: Its name.
        config: Its settings.
        hosts: What each host has of it.
        edges: Its edges; their ``seq``, and those of their evidence, count its own events alone.
        snapshot: It, after the last call.
        changes: For each host and direction, the smallest error tried that changes the edges.
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
    """What one shared breaker of each name would have done with the calls of all hosts.

    Args:
        sources: The logs of the hosts.
        runner: Does the work.
        config: The settings of the shared breakers; by default those in the logs, or the defaults
            for imported traffic.
        uncertainty_ns: How wrong each host's wall clock may be, at least.
        on_done: Told how far it is.

    Raises:
        LogError: A log can't be read or is damaged.
        ConfigError: No ``config`` is given, and the hosts have different ones.
    """
    jobs = [(source, span) for source in sources for span in source.spans]
    found = runner.run(breakers_in, [(source.url, span) for source, span in jobs])
    labels = {s.url: label for s, label in zip(sources, labels_of(sources), strict=True)}
    holders: dict[str, list[Holder]] = {}
    for (source, span), names in zip(jobs, found, strict=True):
        for name in names:
            holders.setdefault(name, []).append(Holder(source.url, labels[source.url], span))
    return runner.run(
        merge,
        [(name, holders[name], config, uncertainty_ns) for name in sorted(holders)],
        on_done,
    )


def unix_timeline() -> Timeline:
    """Dates nanoseconds since 1970 in UTC."""
    return Timeline([_OPENING])


def breakers_in(url: str, groups: range) -> Sequence[str]:
    """The breakers of a span, in the order of their names."""
    with opened(url) as log:
        parts = chunks_of(log, ["breaker"], groups, AT_ONCE)
        return list(dict.fromkeys(part.breaker for part in parts))


def merge(
    breaker: str,
    holders: Sequence[Holder],
    config: Settings | None = None,
    uncertainty_ns: int = 0,
) -> Merged:
    """What one breaker would have done with the calls that several hosts' logs have of it."""
    with ExitStack() as stack:
        logs = [
            _HostLog(stack.enter_context(opened(holder.url)), breaker, holder, uncertainty_ns)
            for holder in holders
        ]
        settings = _common(breaker, logs) if config is None else as_config(config)
        lane = DrivenLane(_OPENING, settings)
        edges: list[Edge] = []
        course = EdgeSequence()
        last = 0
        for call in _merged(logs):
            taken = lane.take(call)
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
            HostShare(log.host, log.calls, log.refused, log.clock.uncertainty_ns) for log in logs
        ]
        changes = _changes(logs, settings, course)
    return Merged(breaker, settings, shares, [*edges, *taken], snapshot, changes)


@define
class _HostLog:
    """What one host's log has of a breaker.

    Attributes:
        calls: How many outcomes were read of it the last time.
        refused: How many calls its own breaker refused, likewise.
        clock: The clock of the host.
    """

    _log: ParquetLog
    _breaker: str
    _holder: Holder
    _uncertainty_ns: int
    clock: HostClock = field(init=False)
    calls: int = 0
    refused: int = 0

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
        for part in chunks_of(self._log, groups=self._holder.groups, at_once=AT_ONCE):
            if part.breaker == self._breaker:
                yield from events_of(part.table)

    def settings(self) -> CircuitBreakerConfig | None:
        """The last that the log tells of; None for imported traffic."""
        told: object = None
        for event in self.events():
            if isinstance(event, BreakerConfigured):
                told = event.config
            elif isinstance(event, Checkpoint) and not is_part(event):
                told = event.state.get("config")
        return CircuitBreakerConfig.from_mapping(told) if isinstance(told, Mapping) else None

    def observed(self, number: int, hosts: int) -> Iterator[CallObserved]:
        """The outcomes, in the time of all hosts; the log is number ``number`` of so many."""
        self.calls = self.refused = 0
        mode: object = "enforce"
        bound = RunBound()
        for event in self.events():
            if isinstance(event, BreakerConfigured):
                mode = event.config.get("mode")
            elif event.kind == "mode_changed":
                mode = event.mode
            elif event.kind == "call_rejected" and mode != "shadow":  # in shadow it is reported too
                self.refused += event.count
            else:
                outcomes = _outcomes_in(event)
                bound.take(event.seq, outcomes)
                for _ in range(outcomes):
                    self.calls += 1
                    # It is of no other host, and in the order of the log.
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


def _outcomes_in(event: Event) -> int:
    if event.kind == "call_succeeded":
        return event.count
    return int(isinstance(event, CallObserved | CallFailed | CallIgnored))


def _merged(logs: Sequence[_HostLog]) -> Iterator[CallObserved]:
    """The calls of all hosts, in the order of their starts."""
    return heapq.merge(
        *(by_start(log.observed(number, len(logs))) for number, log in enumerate(logs)),
        key=lambda call: (call.start, call.seq),
    )


def _common(breaker: str, logs: Iterable[_HostLog]) -> CircuitBreakerConfig:
    told = {log.host: log.settings() for log in logs}
    different = {repr(config) for config in told.values()}
    if len(different) > 1:
        raise ConfigError(
            f"the hosts {', '.join(told)} have different settings of {breaker!r}; "
            "give those of the shared breaker with --config or --set"
        )
    return next(iter(told.values())) or CircuitBreakerConfig()


def _changes(
    logs: Sequence[_HostLog], config: CircuitBreakerConfig, course: EdgeSequence
) -> Sequence[Change]:
    """What errors of each host's clock, up to its uncertainty and that of any other, change."""
    trials: dict[tuple[str, int], list[tuple[int, Trial]]] = {}
    for log in logs:
        others = [other.clock.uncertainty_ns for other in logs if other is not log]
        reach = log.clock.uncertainty_ns + max(others) if others else 0
        sizes = sorted({reach * part // _PARTS for part in range(1, _PARTS + 1)} - {0})
        for sign in (1, -1) if sizes else ():
            trials[log.host, sign] = [
                (sign * size, _trial(log.host, sign * size, config, course)) for size in sizes
            ]
    waiting = [trial for several in trials.values() for _, trial in several]
    last = 0
    for call in _merged(logs) if waiting else ():
        last = call.seq
        for trial in waiting:
            trial.take(call)
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
    return Trial(RetimedDrive(DrivenLane(_OPENING, config), warp), course)
