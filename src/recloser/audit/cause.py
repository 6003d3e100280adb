"""What is told of a trip: the data that ``recloser why`` prints, as text, Markdown and JSON.

``recloser why --json`` prints an ``Answer`` of just these fields and names; ``--json-schema`` prints
the JSON Schema that is derived from these classes. Times are UTC in ISO 8601 to the nanosecond,
``at_ns`` counts from the log's first anchor, and ``seq`` numbers are those of events in the log.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Final

import attrs
from attrs import frozen

from recloser.core.config import Mode
from recloser.core.events import CircuitBreakerState, FiredRule, Rule, Trigger

SCHEMA: Final = "recloser.why/1"

SettingValue = int | float | str | None


@frozen
class EvidenceCall:
    """One outcome that a rule rests on.

    Attributes:
        seq: Its event in the log.
        at_ns: When it ended.
        utc: The same as wall time.
        took_ns: How long the call took.
        outcome: The event's kind.
        error: The type of the failure, where it was recorded.
        route: The labels of imported traffic, as ``name=value``; None where it has none.
    """

    seq: int
    at_ns: int
    utc: str
    took_ns: int
    outcome: str
    error: str | None
    route: str | None = None


@frozen
class EvidenceGroup:
    """Outcomes of the evidence that have error and route in common.

    Attributes:
        error: The type of the failure; None where it was not recorded or the call was only slow.
        route: The labels of imported traffic.
        count: How many there are.
        first_seq: The first of them.
        last_seq: The last of them.
        shortest_ns: The duration of the quickest.
        longest_ns: That of the slowest.
    """

    error: str | None
    route: str | None
    count: int
    first_seq: int
    last_seq: int
    shortest_ns: int
    longest_ns: int


@frozen
class MinimalCause:
    """The smallest number of outcomes that, had they gone the other way, would have kept it closed.

    The other way is a success in time. That it would have been enough is checked by replay.

    Attributes:
        count: How many they are.
        seqs: One such choice, the latest.
        any_of: Outcomes of which any ``count`` would have been enough; empty where only some
            choices are, because several rules had been reached at once.
    """

    count: int
    seqs: Sequence[int]
    any_of: Sequence[int]


@frozen
class Change:
    """One setting, changed as little as keeps the breaker closed.

    Attributes:
        setting: Its name, with the window's as ``window.failure_rate``.
        was: Its value at the trip.
        value: The nearest value that would have kept it closed.
        step_back: The value one step nearer to ``was``, with which it trips.
    """

    setting: str
    was: SettingValue
    value: SettingValue
    step_back: SettingValue


@frozen
class Prevention:
    """Settings with which the same outcomes, replayed, do not trip the breaker up to this trip.

    What would have come next was never recorded: the breaker was open.

    Attributes:
        changes: What is changed, all of it at once; one setting but where several rules had been
            reached at the same outcome.
    """

    changes: Sequence[Change]


@frozen
class Cost:
    """What an incident cost, from the trip to the edge that closed the breaker again.

    Attributes:
        closed_utc: When it closed; None if it has not.
        closed_by: What closed it: ``recover``, or an operator's command.
        not_closed_ns: How long that took, or to the end of the log.
        rejected: Calls refused.
        probes: Probes let through.
        relapses: Times that it opened again from HALF_OPEN.
        late_failures: Calls let through before the trip that failed after it.
        late_successes: Calls let through before the trip that came back well after it.
    """

    closed_utc: str | None
    closed_by: Trigger | None
    not_closed_ns: int
    rejected: int
    probes: int
    relapses: int
    late_failures: int = 0
    late_successes: int = 0


@frozen
class BackoffStep:
    """Where the opening stands in the breaker's life, as the fold counts it.

    Attributes:
        opening: How often it had opened by its rules since the log began, relapses included.
        in_a_row: How often since it was last closed, which the backoff grows with.
        cooldown_ns: How long this opening cools, jitter included.
        cooldowns_ns: The same for this and each relapse until it closed.
    """

    opening: int
    in_a_row: int
    cooldown_ns: int
    cooldowns_ns: Sequence[int]


@frozen
class EarlierTrip:
    """A trip before this one.

    Attributes:
        seq: Its ``state_changed`` event.
        utc: When it was.
        rule: The rule that fired.
        before_ns: How long before this trip.
    """

    seq: int
    utc: str
    rule: Rule
    before_ns: int


@frozen
class Step:
    """The wall clock was stepped between two readings of both hands.

    Attributes:
        seq: The later reading.
        utc: Its wall time.
        by_ns: How far the wall hand went beyond the monotonic one; negative if it was set back.
    """

    seq: int
    utc: str
    by_ns: int


@frozen
class ClockHealth:
    """How the hands of the clock agreed from the evidence to the close.

    Attributes:
        readings: How often both hands were read.
        largest_skew_ns: The most that they parted between two readings, steps left out.
        steps: Where the wall hand was stepped.
        restarts: How often the process was started again.
        reboots: How often the machine was.
        verdict: Whether any of it could have mattered, and why not.
    """

    readings: int
    largest_skew_ns: int
    steps: Sequence[Step]
    restarts: int
    reboots: int
    verdict: str


@frozen
class OperatorAct:
    """What an operator did to the breaker.

    Attributes:
        seq: The event.
        utc: When it was.
        command: ``forced_open``, ``forced_closed``, ``reset``, ``mode_changed`` or
            ``breaker_configured``.
        detail: The mode, for ``mode_changed``.
        actor: Who gave the command.
        reason: Why.
    """

    seq: int
    utc: str
    command: str
    detail: str | None
    actor: str | None
    reason: str | None


@frozen
class Cause:
    """Why a breaker opened.

    Attributes:
        breaker: Its name.
        headline: The answer in one sentence.
        trip: Which of its trips this is, from 1; None where the log's beginning was not read.
        trips: How many there are; None likewise.
        seq: The ``state_changed`` event of the trip.
        at_ns: When it opened.
        utc: The same as wall time.
        epoch: The epoch that the trip ended.
        mode: ``shadow`` blocked nothing.
        rule: The rule that fired, with its figures.
        evidence: The outcomes that it rests on, in order.
        groups: The same by error and route, the largest first.
        minimal_cause: What would have kept it closed; None for an operator's command.
        preventions: The nearest settings that would not have tripped, each checked by replay.
        cost: What followed.
        backoff: Where the opening stands in its life; None for an operator's command.
        earlier: The trips before, the latest last, ten at the most.
        earlier_count: How many there are in what was read.
        unread_openings: How often it had opened by its rules before what was read.
        clock: The clock's health.
        operator: What operators did, from the end of the epoch before to the close.
    """

    breaker: str
    headline: str
    trip: int | None
    trips: int | None
    seq: int
    at_ns: int
    utc: str
    epoch: int
    mode: Mode
    rule: FiredRule
    evidence: Sequence[EvidenceCall]
    groups: Sequence[EvidenceGroup]
    minimal_cause: MinimalCause | None
    preventions: Sequence[Prevention]
    cost: Cost
    backoff: BackoffStep | None
    earlier: Sequence[EarlierTrip]
    earlier_count: int
    unread_openings: int
    clock: ClockHealth
    operator: Sequence[OperatorAct]

    @property
    def figures(self) -> str:
        """The rule's figures against its threshold."""
        return describe_rule(self.rule)

    def to_mapping(self) -> Mapping[str, object]:
        """The cause as data for JSON: one of the ``causes`` that ``recloser why --json`` prints."""
        return as_data(self)


@frozen
class Standing:
    """The state of a breaker at a moment, and why it is in it.

    Attributes:
        breaker: Its name.
        headline: The answer in one sentence.
        seq: The last event up to the moment.
        at_ns: The moment.
        utc: The same as wall time.
        state: Where it was.
        epoch: How many edges it had taken.
        mode: What it did with its decisions.
        since_utc: Since when it was there; None where that lies before what was read.
        since_seq: The edge that led there; None if none did in what was read.
        since_by: That edge's trigger.
        actor: Who gave the command that led there.
        reason: Why.
        retry_utc: When it would probe.
        figures: Each rule that could move it next, with its figures against the threshold.
    """

    breaker: str
    headline: str
    seq: int
    at_ns: int
    utc: str
    state: CircuitBreakerState
    epoch: int
    mode: Mode
    since_utc: str | None
    since_seq: int | None
    since_by: Trigger | None
    actor: str | None
    reason: str | None
    retry_utc: str | None
    figures: Sequence[str]


@frozen
class Extent:
    """What of the log was read for an answer.

    Attributes:
        first_seq: Its first event.
        events: How many were read.
        is_from_beginning: Whether that begins where the log did. If not, the fold began at
            checkpoints, and what came before is known by their counters only.
    """

    first_seq: int
    events: int
    is_from_beginning: bool


@frozen
class Answer:
    """What ``recloser why --json`` prints.

    Attributes:
        schema: Name and version of this form; a later version only adds fields or has another
            number.
        log: The log, as it was named.
        read: What of it was read.
        standing: The state at the moment asked for; None where none was.
        causes: The trips asked for, in their order; of a moment, the trip that the state rests on.
    """

    schema: str
    log: str
    read: Extent
    standing: Standing | None
    causes: Sequence[Cause]


def as_data(told: attrs.AttrsInstance) -> dict[str, object]:
    """What is told, as data for JSON, in the order of its fields."""
    return attrs.asdict(told, value_serializer=_as_plain)


def _as_plain(_told: object, _field: object, value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def describe_rule(rule: FiredRule) -> str:
    """A rule's figures against its threshold, in words."""
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


def headline_of(breaker: str, utc: str, rule: FiredRule, mode: Mode) -> str:
    """Why a breaker opened, in one sentence."""
    if rule.rule is Rule.COMMAND:
        by = f" by {rule.actor}" if rule.actor else ""
        because = f": {rule.reason}" if rule.reason else ""
        return f"{breaker} was forced open{by} at {utc}{because}"
    opened = "would have opened (shadow mode)" if mode == "shadow" else "opened"
    return f"{breaker} {opened} at {utc}: {describe_rule(rule)}"
