"""Explain why a breaker opened: rule, evidence, cost, and prevention."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from attrs import evolve

from recloser.audit.cause import (
    BackoffStep,
    Cause,
    Cost,
    EarlierTrip,
    EvidenceCall,
    EvidenceGroup,
    OperatorAct,
    headline_of,
)
from recloser.audit.clock_health import clock_health
from recloser.audit.counterfactual import remedies
from recloser.audit.incident import Act, Incident, Outcome, gather_incident
from recloser.core.events import CallObserved, Edge, Event, Rule
from recloser.core.rules import rules_of
from recloser.errors import RecloserError
from recloser.history.history import History
from recloser.history.timeline import Timeline

_MAX_EARLIER: Final = 10

Routes = Mapping[tuple[int, int], str]
"""The labels of calls, by when each call ended and how long it took, both in nanoseconds."""


def why(
    history: History, breaker: str, trip: int = -1, *, traffic: Iterable[Event] | None = None
) -> Cause:
    """Explain why a breaker opened.

    Args:
        history: The replayed log; its events are read again.
        breaker: Name of the breaker.
        trip: The number of the trip, from 1; negative numbers count from the last trip.
        traffic: The imported traffic that drove the breakers, if any, for the labels of its calls.

    Raises:
        RecloserError: The history has no such breaker or trip.
    """
    trips = history.trips(breaker)
    if breaker not in history.snapshots:
        raise RecloserError(f"there is no breaker {breaker!r} in this log")
    if not trips:
        raise RecloserError(f"{breaker!r} never opened in this log")
    index = trip - 1 if trip > 0 else len(trips) + trip
    if trip == 0 or not 0 <= index < len(trips):
        raise RecloserError(f"{breaker!r} has trips 1 to {len(trips)}; there is no trip {trip}")
    return explain(history, trips[index], traffic=traffic)


def explain(history: History, opened: Edge, *, traffic: Iterable[Event] | None = None) -> Cause:
    """Explain why a breaker took the edge ``opened``, which is a trip in the history.

    Args:
        history: The replayed log; its events are read again.
        opened: The edge of the trip.
        traffic: The imported traffic that drove the breakers, if any, for the labels of its calls.
    """
    incident = gather_incident(history.events, opened)
    trips = history.trips(opened.breaker)
    number = 1 + next(i for i, edge in enumerate(trips) if edge.seq == opened.seq)
    is_whole = first_seq(history) == 1
    cause = cause_of(
        incident,
        history.timeline,
        earlier=trips[: number - 1],
        unread_openings=_unread_openings(history, incident),
        routes=_routes(traffic, incident),
    )
    if is_whole:
        cause = evolve(cause, trip=number, trips=len(trips))
    return cause


def cause_of(
    incident: Incident,
    timeline: Timeline,
    *,
    earlier: Sequence[Edge],
    unread_openings: int = 0,
    routes: Routes | None = None,
) -> Cause:
    """Make the explanation of a trip from the gathered incident.

    Args:
        incident: The events that belong to the trip.
        timeline: Converts the log's time to wall time.
        earlier: The earlier trips of the breaker that were read.
        unread_openings: How often the breaker had opened before the part that was read.
        routes: The labels of the calls.
    """
    opened, text = incident.opened, timeline.text
    minimal_cause, preventions = remedies(incident)
    evidence = [_evidence_call(call, text, routes or {}) for call in _evidence(incident)]
    return Cause(
        breaker=opened.breaker,
        headline=headline_of(opened.breaker, text(opened.at), opened.cause, incident.mode),
        trip=None,
        trips=None,
        seq=opened.seq,
        at_ns=opened.at,
        utc=text(opened.at),
        epoch=opened.epoch - 1,
        mode=incident.mode,
        rule=opened.cause,
        evidence=evidence,
        groups=_groups(evidence),
        minimal_cause=minimal_cause,
        preventions=preventions,
        cost=_cost(incident, text),
        backoff=_backoff(incident),
        earlier=_earlier(earlier, opened, text),
        earlier_count=len(earlier),
        unread_openings=unread_openings,
        clock=clock_health(incident, timeline),
        operator=[_operator_act(act, text) for act in incident.acts],
    )


def first_seq(history: History) -> int:
    """The ``seq`` of the first event that was read of a log."""
    return next(iter(history.events)).seq


def _evidence(incident: Incident) -> list[Outcome]:
    """The counted outcomes that made the rule fire: failures, or slow calls."""
    cause = incident.opened.cause
    counted = incident.run.counted if incident.run else []
    if not cause.span:
        wanted = set(cause.seqs)
        return [outcome for outcome in counted if outcome.seq in wanted]
    within = [o for o in counted if cause.span[0] <= o.seq <= cause.span[1]]
    if cause.rule is Rule.SLOW_CALL_RATE:
        slow_ns = rules_of(incident.config).slow_ns
        return [o for o in within if o.took > slow_ns]
    return [o for o in within if o.kind == "call_failed"]


def _evidence_call(call: Outcome, text: Callable[[int], str], routes: Routes) -> EvidenceCall:
    return EvidenceCall(
        seq=call.seq,
        at_ns=call.at,
        utc=text(call.at),
        took_ns=call.took,
        outcome=call.kind,
        error=call.error if call.kind == "call_failed" else None,
        route=routes.get((call.at, call.took)),
    )


def _routes(traffic: Iterable[Event] | None, incident: Incident) -> Routes:
    """The labels of the imported calls around the evidence."""
    if traffic is None or incident.run is None or not incident.run.counted:
        return {}
    first, last = incident.run.counted[0].at, incident.run.counted[-1].at
    return {
        (call.at, call.took): " ".join(f"{name}={value}" for name, value in call.labels.items())
        for call in traffic
        if isinstance(call, CallObserved)
        and call.labels
        and call.breaker == incident.opened.breaker
        and first <= call.at <= last
    }


def _groups(evidence: Sequence[EvidenceCall]) -> list[EvidenceGroup]:
    groups: dict[tuple[str | None, str | None], list[EvidenceCall]] = {}
    for call in evidence:
        groups.setdefault((call.error, call.route), []).append(call)
    summaries = [
        EvidenceGroup(
            error=error,
            route=route,
            count=len(calls),
            first_seq=calls[0].seq,
            last_seq=calls[-1].seq,
            shortest_ns=min(call.took_ns for call in calls),
            longest_ns=max(call.took_ns for call in calls),
        )
        for (error, route), calls in groups.items()
    ]
    return sorted(summaries, key=lambda group: (-group.count, group.first_seq))


def _cost(incident: Incident, text: Callable[[int], str]) -> Cost:
    closed = incident.closed
    return Cost(
        closed_utc=text(closed.at) if closed else None,
        closed_by=closed.trigger if closed else None,
        not_closed_ns=incident.last_at - incident.opened.at,
        rejected=incident.rejected,
        probes=incident.probes,
        relapses=incident.relapses,
        late_failures=sum(call.kind == "call_failed" for call in incident.late),
        late_successes=sum(c.count for c in incident.late if c.kind == "call_succeeded"),
    )


def _backoff(incident: Incident) -> BackoffStep | None:
    if incident.opened.cause.rule is Rule.COMMAND:
        return None
    return BackoffStep(
        opening=incident.opening,
        in_a_row=incident.in_a_row,
        cooldown_ns=incident.cooldowns_ns[0],
        cooldowns_ns=incident.cooldowns_ns,
    )


def _earlier(trips: Sequence[Edge], opened: Edge, text: Callable[[int], str]) -> list[EarlierTrip]:
    return [
        EarlierTrip(edge.seq, text(edge.at), edge.cause.rule, opened.at - edge.at)
        for edge in trips[-_MAX_EARLIER:]
    ]


def _unread_openings(history: History, incident: Incident) -> int:
    """How often rules had opened the breaker before the part that was read."""
    opened = incident.opened
    read = sum(
        edge.breaker == opened.breaker
        and edge.seq <= opened.seq
        and edge.to_state.value == "OPEN"
        and edge.cause.rule is not Rule.COMMAND
        for edge in history.edges
    )
    return incident.opening - read


def _operator_act(act: Act, text: Callable[[int], str]) -> OperatorAct:
    return OperatorAct(
        seq=act.seq,
        utc=text(act.at),
        command=act.kind,
        detail=getattr(act, "mode", None),
        actor=getattr(act, "actor", None),
        reason=getattr(act, "reason", None),
    )
