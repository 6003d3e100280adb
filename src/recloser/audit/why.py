"""Why a breaker opened: the rule, the outcomes that it rests on, and what it cost."""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from attrs import define, field, frozen

from recloser.config import CircuitBreakerConfig
from recloser.errors import RecloserError
from recloser.events import (
    CallFailed,
    CallSucceeded,
    CircuitBreakerState,
    Edge,
    Event,
    FiredRule,
    Rule,
    Trigger,
)
from recloser.replay.history import History


@frozen
class EvidenceCall:
    """One outcome that a rule rests on.

    Attributes:
        seq: Its event in the log.
        at_ns: When it ended, in nanoseconds of the log.
        utc: The same as wall time.
        took_ns: How long the call took.
        outcome: The event's kind.
        error: The type of the failure, where it was recorded.
    """

    seq: int
    at_ns: int
    utc: str
    took_ns: int
    outcome: str
    error: str | None


@frozen
class Cost:
    """What an incident cost, from the trip to the edge that closed the breaker again.

    Attributes:
        closed_utc: When it closed; None if it has not.
        closed_by: What closed it: ``recover``, or an operator's command.
        not_closed_ns: How long that took, or to the end of the log.
        rejected: Calls refused.
        probes: Probes let through.
        relapses: Probes that failed and opened it again.
    """

    closed_utc: str | None
    closed_by: Trigger | None
    not_closed_ns: int
    rejected: int
    probes: int
    relapses: int


@frozen
class Cause:
    """Why a breaker opened.

    Attributes:
        breaker: Its name.
        trip: Which of its trips this is, from 1.
        trips: How many there are.
        seq: The ``state_changed`` event of the trip.
        at_ns: When it opened, in nanoseconds of the log.
        utc: The same as wall time.
        rule: The rule that fired, with its figures.
        evidence: The outcomes that it rests on, in order.
        cost: What followed.
    """

    breaker: str
    trip: int
    trips: int
    seq: int
    at_ns: int
    utc: str
    rule: FiredRule
    evidence: Sequence[EvidenceCall]
    cost: Cost

    @property
    def headline(self) -> str:
        """The answer in one sentence."""
        if self.rule.rule is Rule.COMMAND:
            by = f" by {self.rule.actor}" if self.rule.actor else ""
            because = f": {self.rule.reason}" if self.rule.reason else ""
            return f"{self.breaker} was forced open{by} at {self.utc}{because}"
        return f"{self.breaker} opened at {self.utc}: {self.figures}"

    @property
    def figures(self) -> str:
        """The rule's figures against its threshold."""
        rule = self.rule
        if rule.rule is Rule.CONSECUTIVE_FAILURES:
            return f"{rule.observed} consecutive failures reached the threshold of {rule.threshold}"
        if rule.rule is Rule.WINDOW_FAILURES:
            return (
                f"{rule.observed} failures among the last {rule.calls} calls reached the threshold "
                f"of {rule.threshold}"
            )
        what = "were slow" if rule.rule is Rule.SLOW_CALL_RATE else "failed"
        return (
            f"{rule.observed} of the last {rule.calls} calls {what}, which reached the rate of "
            f"{rule.rate}"
        )

    def to_mapping(self) -> Mapping[str, object]:
        """The cause as data for JSON, schema ``recloser.why/1``."""
        cost = self.cost
        return {
            "schema": "recloser.why/1",
            "breaker": self.breaker,
            "trip": self.trip,
            "trips": self.trips,
            "seq": self.seq,
            "at_ns": self.at_ns,
            "utc": self.utc,
            "headline": self.headline,
            "rule": self.rule.rule.value,
            "observed": self.rule.observed,
            "threshold": self.rule.threshold,
            "calls": self.rule.calls,
            "rate": self.rule.rate,
            "span": list(self.rule.span),
            "actor": self.rule.actor,
            "reason": self.rule.reason,
            "evidence": [
                {
                    "seq": call.seq,
                    "at_ns": call.at_ns,
                    "utc": call.utc,
                    "took_ns": call.took_ns,
                    "outcome": call.outcome,
                    "error": call.error,
                }
                for call in self.evidence
            ],
            "cost": {
                "closed_utc": cost.closed_utc,
                "closed_by": cost.closed_by.value if cost.closed_by else None,
                "not_closed_ns": cost.not_closed_ns,
                "rejected": cost.rejected,
                "probes": cost.probes,
                "relapses": cost.relapses,
            },
        }


def why(history: History, breaker: str, trip: int = -1) -> Cause:
    """Why ``breaker`` opened.

    Args:
        history: The replayed log; its events are read again.
        breaker: Name of the breaker.
        trip: Which of its trips, counted from 1; negative numbers count from the last.

    Raises:
        RecloserError: There is no such breaker or trip in the history.
    """
    trips = history.trips(breaker)
    if breaker not in history.snapshots:
        raise RecloserError(f"there is no breaker {breaker!r} in this log")
    if not trips:
        raise RecloserError(f"{breaker!r} never opened in this log")
    index = trip - 1 if trip > 0 else len(trips) + trip
    if trip == 0 or not 0 <= index < len(trips):
        raise RecloserError(f"{breaker!r} has trips 1 to {len(trips)}; there is no trip {trip}")
    opened = trips[index]
    closed = _closing_edge(history, opened)
    found = _look_up(history, opened, closed)
    text = history.timeline.text
    return Cause(
        breaker=breaker,
        trip=index + 1,
        trips=len(trips),
        seq=opened.seq,
        at_ns=opened.at,
        utc=text(opened.at),
        rule=opened.cause,
        evidence=[
            EvidenceCall(
                seq=call.seq,
                at_ns=call.at,
                utc=text(call.at),
                took_ns=call.took,
                outcome=call.kind,
                error=call.error if call.kind == "call_failed" else None,
            )
            for call in found.evidence
        ],
        cost=Cost(
            closed_utc=text(closed.at) if closed else None,
            closed_by=closed.trigger if closed else None,
            not_closed_ns=(closed.at if closed else found.last_at) - opened.at,
            rejected=found.rejected,
            probes=found.probes,
            relapses=found.relapses,
        ),
    )


def _closing_edge(history: History, opened: Edge) -> Edge | None:
    for edge in history.edges:
        if (
            edge.breaker == opened.breaker
            and edge.epoch > opened.epoch
            and edge.to_state is CircuitBreakerState.CLOSED
        ):
            return edge
    return None


@define
class _Found:
    evidence: list[CallSucceeded | CallFailed] = field(factory=list)
    rejected: int = 0
    probes: int = 0
    relapses: int = 0
    last_at: int = 0


def _look_up(history: History, opened: Edge, closed: Edge | None) -> _Found:
    """One pass over the events: the evidence before the trip, and what it cost behind it."""
    found = _Found()
    slow_ns: int | None = None
    for event in history.events:
        found.last_at = event.at
        if closed is not None and event.seq > closed.seq:
            break
        if event.seq > opened.seq:
            _add_cost(found, event, opened.breaker)
        elif event.kind == "breaker_configured" and event.breaker == opened.breaker:
            slow_ns = CircuitBreakerConfig.from_mapping(event.config).slow_call_ns
        elif _is_evidence(event, opened, slow_ns):
            found.evidence.append(event)
    return found


def _is_evidence(
    event: Event, opened: Edge, slow_ns: int | None
) -> TypeGuard[CallSucceeded | CallFailed]:
    """Whether the edge rests on this outcome: it counted, and against the dependency."""
    if event.kind not in ("call_succeeded", "call_failed") or event.breaker != opened.breaker:
        return False
    cause = opened.cause
    if not cause.span:
        return event.seq in cause.seqs
    if event.epoch != opened.epoch - 1 or not cause.span[0] <= event.seq <= cause.span[1]:
        return False
    if cause.rule is Rule.SLOW_CALL_RATE:
        return slow_ns is not None and event.took > slow_ns
    return event.kind == "call_failed"


def _add_cost(found: _Found, event: Event, breaker: str) -> None:
    if event.kind == "call_rejected" and event.breaker == breaker:
        found.rejected += event.count
    elif event.kind == "probe_admitted" and event.breaker == breaker:
        found.probes += 1
    elif event.kind == "state_changed" and event.breaker == breaker:
        found.relapses += event.trigger is Trigger.RELAPSE
