"""Compute what one shared breaker would have done with the calls of several hosts.

Each host's log has a breaker of its own, with its own epochs. Here the outcomes of all hosts are put in
the order of their corrected wall times (see ``recloser.cluster.host_clocks``) and drive one breaker, as
imported calls do. Calls that a host's own breaker rejected have no outcome and are left out.

The clocks of two hosts may differ by the sum of their uncertainties, so calls that are closer together
may have happened in the other order. To show whether that matters, the clock of each host in turn is
shifted ahead of all others and behind them, by parts of that sum and by all of it. Shifts that change
the edges are reported.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from attrs import frozen

from recloser.cluster.dataset import ROWS_AT_ONCE, Source, labels_of, opened
from recloser.cluster.executor import OnDone, Runner
from recloser.cluster.host_calls import HostCalls, LogOfBreaker, common_settings, merged_calls
from recloser.cluster.host_clocks import EPOCH
from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.events import (
    Edge,
    LogOpened,
)
from recloser.core.moments import after
from recloser.core.snapshot import Snapshot, take_snapshot
from recloser.core.state import BreakerState
from recloser.history.columnar.row_groups import chunks_of
from recloser.history.edge_sequence import EdgeSequence
from recloser.history.timeline import Timeline
from recloser.history.warps import host_offset
from recloser.proof.perturbation import MovedEdge, PerturbedDrive, Trial
from recloser.proof.variants import DrivenVariant

_SHIFTS_PER_DIRECTION: Final = 4
_OPENING: Final = LogOpened(1, 0, 1, 1, 1, EPOCH, 0, "", "", 0, "")


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
            HostCalls(stack.enter_context(opened(holder.url)), breaker, holder, uncertainty_ns)
            for holder in holders
        ]
        settings = common_settings(breaker, logs) if config is None else as_config(config)
        variant = DrivenVariant(_OPENING, settings)
        edges: list[Edge] = []
        edge_sequence = EdgeSequence()
        last = 0
        for call in merged_calls(logs):
            fired = variant.apply(call)
            if fired:
                edges += fired
                edge_sequence.add(call.seq, fired)
            last = max(last, call.at)
        fired = variant.finish()
        edge_sequence.add(last, fired)
        assert variant.states is not None
        state = variant.states.get(breaker) or BreakerState(breaker, settings)
        snapshot = take_snapshot(state, last, lambda ns: after(EPOCH, ns))
        shares = [
            HostShare(log.host, log.calls, log.rejected, log.clock.uncertainty_ns) for log in logs
        ]
        changes = _edge_changes(logs, settings, edge_sequence)
    return Merged(breaker, settings, shares, [*edges, *fired], snapshot, changes)


def _edge_changes(
    logs: Sequence[HostCalls], config: CircuitBreakerConfig, edge_sequence: EdgeSequence
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
                (sign * size, _trial(log.host, sign * size, config, edge_sequence))
                for size in sizes
            ]
    waiting = [trial for several in trials.values() for _, trial in several]
    last = 0
    for call in merged_calls(logs) if waiting else ():
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


def _trial(host: str, ns: int, config: CircuitBreakerConfig, edge_sequence: EdgeSequence) -> Trial:
    warp = host_offset(host, ns)
    return Trial(PerturbedDrive(DrivenVariant(_OPENING, config), warp), edge_sequence)
