"""Compare what members know with what reached the protected service."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import attrs

BREAKER: Final = "service"
"""The name of the shared breaker."""


@attrs.frozen
class Request:
    """A request that reached the service.

    Attributes:
        at_ms: Its time, in milliseconds since 1970.
        member: The name of the member that called.
        epoch: The epoch of its permit.
        probe: The number of its probe; 0 if it is not a probe.
        together: Number of probes in the service at the same time, including it.
    """

    at_ms: float
    member: str
    epoch: int
    probe: int
    together: int


@attrs.frozen
class Edge:
    """An edge as a member knows it.

    Attributes:
        entry: The id of the stream's entry that fired it.
        seq: Its ``seq``.
        at: Its time, in nanoseconds of the log.
        epoch: The epoch that it begins.
        trigger: Its trigger.
    """

    entry: str
    seq: int
    at: int
    epoch: int
    trigger: str


@attrs.frozen
class Report:
    """The state of a member, and the figures of its calls.

    Attributes:
        generation: The generation of the stream.
        position: The id of the last entry that it has read.
        degraded: Whether it is offline.
        state: The state of the breaker, as it knows it.
        edges: The edges that it knows.
        slowest_ms: The longest time to ask for a permit or to report an outcome, in milliseconds.
        calls: Number of admitted calls.
        rejected: Number of rejected calls.
        was_degraded: How often it was found offline.
        errors: Errors that its calls raised and must not raise.
    """

    generation: str
    position: str
    degraded: bool
    state: dict[str, Any]
    edges: tuple[Edge, ...]
    slowest_ms: float
    calls: int
    rejected: int
    was_degraded: int
    errors: tuple[str, ...] = ()


@attrs.define
class Verdict:
    """The result of a run.

    Attributes:
        violations: Descriptions of what must not happen.
        edges: Number of edges on which all members agree.
        probes: Number of probes that reached the service.
        together: The most probes in the service at the same time.
        late_ms: The longest time after a trip at which a call admitted before it arrived.
        slowest_ms: The longest wait of a call for the breaker, in milliseconds.
    """

    violations: list[str] = attrs.field(factory=list)
    edges: int = 0
    probes: int = 0
    together: int = 0
    late_ms: float = 0.0
    slowest_ms: float = 0.0


def judge(
    reports: Sequence[Report],
    requests: Sequence[Request],
    export: Path,
    *,
    since_ms: float = 0,
    allowed: int = 1,
) -> Verdict:
    """Compare what the members know, what reached the service, and the exported log.

    Args:
        reports: The reports of all members, after all of them have read the whole stream.
        requests: The requests that reached the service.
        export: The exported log of the stream.
        since_ms: Only requests from this time on are compared, in milliseconds since 1970.
        allowed: The most probes that may be in the service at the same time.
    """
    from recloser import replay
    from recloser.core.log_fold import LogFold
    from recloser.core.state import dump
    from recloser.log.reader import LogReader

    verdict = Verdict(slowest_ms=max(report.slowest_ms for report in reports))
    violate = verdict.violations.append
    if len({report.edges for report in reports}) > 1:
        violate("the members know different edges")
    if len({json.dumps(report.state, sort_keys=True) for report in reports}) > 1:
        violate("the members are in different states")
    history = replay(export)
    if history.differences:
        violate(f"the exported log differs from its witnesses: {history.differences[0]}")
    fold = LogFold()
    admitted: Counter[int] = Counter()
    for event in LogReader(export):
        fold.apply(event)
        if event.kind == "probe_admitted":
            admitted[event.epoch] += 1
    exported = json.loads(json.dumps(dump(fold.breakers[BREAKER])))
    if exported != reports[0].state:
        violate("the fold of the exported log differs from the members' state")
    known = [(e.seq, e.at, e.epoch, e.trigger) for e in reports[0].edges]
    exported_edges = [(e.seq, e.at, e.epoch, e.trigger.value) for e in history.edges]
    if known != exported_edges[len(exported_edges) - len(known) :]:
        violate("the edges of the exported log differ from those of the members")
    verdict.edges = len(known)
    recent = [request for request in requests if request.at_ms >= since_ms]
    _judge_requests(verdict, reports[0].edges, recent, admitted)
    if verdict.together > allowed:
        violate(f"{verdict.together} probes were in the service at once")
    return verdict


def _judge_requests(
    verdict: Verdict,
    edges: Sequence[Edge],
    requests: Sequence[Request],
    admitted: Counter[int],
) -> None:
    violate = verdict.violations.append
    ended = {edge.epoch - 1: int(edge.entry.split("-")[0]) for edge in edges}
    closed = {edge.epoch - (edge.trigger == "trip") for edge in edges}
    closed -= {edge.epoch for edge in edges if edge.trigger != "recover"}
    of_epoch: dict[int, set[int]] = {}
    for request in requests:
        if request.probe:
            verdict.probes += 1
            verdict.together = max(verdict.together, request.together)
            if request.probe in of_epoch.setdefault(request.epoch, set()):
                violate(f"probe {request.probe} of epoch {request.epoch} came twice")
            of_epoch[request.epoch].add(request.probe)
        elif request.epoch not in closed:
            violate(f"a call of epoch {request.epoch} came, which is not closed")
        elif request.epoch in ended:
            late = request.at_ms - ended[request.epoch]
            verdict.late_ms = max(verdict.late_ms, late)
    for epoch, probes in of_epoch.items():
        if len(probes) > admitted[epoch]:
            violate(f"{len(probes)} probes of epoch {epoch} came, {admitted[epoch]} were admitted")
