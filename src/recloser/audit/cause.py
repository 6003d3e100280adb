"""The data of ``recloser why``: causes of trips, and states at a time.

``recloser why --json`` prints an ``Answer`` with exactly these fields, and ``--json-schema`` prints
the JSON Schema derived from these classes, so a field can't be renamed or removed. A field called
``utc`` is wall time in ISO 8601 with nanoseconds. A field called ``at_ns`` counts nanoseconds from
the beginning of the log. A ``seq`` is the number of an event in the log.
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
    """One of the calls that made a rule fire.

    Attributes:
        seq: The event that recorded its outcome.
        at_ns: When the call ended, in nanoseconds of the log's time.
        utc: When the call ended, as wall time.
        took_ns: How long the call took, in nanoseconds.
        outcome: The kind of the event: ``call_succeeded`` or ``call_failed``.
        error: The type of the error; None if it was not recorded or the call succeeded.
        route: The labels of a call of imported traffic, as ``name=value``; None if it has none.
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
    """Calls of the evidence that have the same error and route.

    Attributes:
        error: The type of the error; None if it was not recorded or the calls were only slow.
        route: The labels of calls of imported traffic; None if they have none.
        count: How many calls the group has.
        first_seq: The event of the first call.
        last_seq: The event of the last call.
        shortest_ns: The shortest duration, in nanoseconds.
        longest_ns: The longest duration, in nanoseconds.
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
    """The fewest calls whose success would have kept the breaker closed.

    That this number is enough is verified by folding the calls again.

    Attributes:
        count: The number of calls.
        seqs: The events of the latest such calls.
        any_of: The events of calls of which any ``count`` would have been enough. Empty if only
            some choices would have been enough, because several rules were reached at once.
    """

    count: int
    seqs: Sequence[int]
    any_of: Sequence[int]


@frozen
class Change:
    """The smallest change of one setting that would have kept the breaker closed.

    Attributes:
        setting: The name of the setting; a setting of the window is named ``window.failure_rate``.
        was: The value when the breaker tripped.
        value: The nearest value with which the breaker would have stayed closed.
        step_back: The value one step nearer to ``was``, with which the breaker still trips.
    """

    setting: str
    was: SettingValue
    value: SettingValue
    step_back: SettingValue


@frozen
class Prevention:
    """Settings with which the breaker would not have tripped here.

    This is verified by folding the outcomes up to this trip again. Nobody can know whether the
    breaker would have tripped later, because the outcomes of rejected calls are not recorded.

    Attributes:
        changes: The settings to change, all of them together. It is a single setting unless several
            rules were reached at the same call.
    """

    changes: Sequence[Change]


@frozen
class Cost:
    """The cost of an open period, from the trip until the breaker was closed again.

    Attributes:
        closed_utc: When the breaker was closed; None if it was still open at the end of the log.
        closed_by: The trigger that closed it: ``recover`` or an operator's command; None if it was
            still open at the end of the log.
        not_closed_ns: How long it was not closed, in nanoseconds, until the end of the log at most.
        rejected: How many calls were rejected.
        probes: How many probes were let through.
        relapses: How often it went from HALF_OPEN back to OPEN.
        late_failures: How many calls let through before the trip failed after it.
        late_successes: How many calls let through before the trip succeeded after it.
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
    """How often the breaker had opened, and the cooldowns that followed.

    Attributes:
        opening: How often its rules had opened it since the log began, with this trip and relapses.
        in_a_row: How often its rules had opened it since it was last closed; cooldowns grow with
            this number.
        cooldown_ns: The cooldown of this trip with its jitter, in nanoseconds.
        cooldowns_ns: The cooldowns of this trip and of each relapse until it was closed.
    """

    opening: int
    in_a_row: int
    cooldown_ns: int
    cooldowns_ns: Sequence[int]


@frozen
class EarlierTrip:
    """An earlier trip of the same breaker.

    Attributes:
        seq: The ``state_changed`` event of the earlier trip.
        utc: When the breaker tripped then, as wall time.
        rule: The rule that fired.
        before_ns: The time from the earlier trip to the explained one, in nanoseconds.
    """

    seq: int
    utc: str
    rule: Rule
    before_ns: int


@frozen
class Step:
    """A jump of the wall clock between two readings of both clocks.

    Attributes:
        seq: The event of the later reading.
        utc: The wall time of the later reading.
        by_ns: How far the wall clock jumped, in nanoseconds; negative if it was set back.
    """

    seq: int
    utc: str
    by_ns: int


@frozen
class ClockHealth:
    """How well the wall clock and the monotonic clock agreed around an open period.

    Attributes:
        readings: How often both clocks were read, from before the evidence to the end of the period.
        largest_skew_ns: The largest drift between two readings, in nanoseconds; jumps don't count.
        steps: The jumps of the wall clock.
        restarts: How often the process was restarted.
        reboots: How often the machine was rebooted.
        verdict: Whether the clocks can have affected the breaker, as a sentence.
    """

    readings: int
    largest_skew_ns: int
    steps: Sequence[Step]
    restarts: int
    reboots: int
    verdict: str


@frozen
class OperatorAct:
    """A command that an operator gave to the breaker.

    Attributes:
        seq: The event that recorded the command.
        utc: When the command was given, as wall time.
        command: ``forced_open``, ``forced_closed``, ``reset``, ``mode_changed`` or
            ``breaker_configured``.
        detail: The new mode, for ``mode_changed``; otherwise None.
        actor: Who gave the command, if recorded.
        reason: Why, if recorded.
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
        breaker: The name of the breaker.
        headline: The answer in one sentence.
        trip: The number of the trip, from 1; None if the log was not read from its beginning.
        trips: How many trips the breaker has; None if the log was not read from its beginning.
        seq: The ``state_changed`` event of the trip.
        at_ns: When the breaker opened, in nanoseconds of the log's time.
        utc: When the breaker opened, as wall time.
        epoch: The epoch that the trip ended.
        mode: The breaker's mode; in ``shadow`` and ``disabled`` mode it rejected no call.
        rule: The rule that fired, with its figures.
        evidence: The calls that made the rule fire, in order.
        groups: The evidence grouped by error and route, the largest group first.
        minimal_cause: The fewest calls that would have kept the breaker closed; None if an operator
            opened it.
        preventions: The nearest settings with which the breaker would have stayed closed.
        cost: What the open period cost.
        backoff: How often the breaker had opened, and its cooldowns; None if an operator opened it.
        earlier: The trips before this one, at most ten, the latest last.
        earlier_count: How many trips before this one were read.
        unread_openings: How often its rules had opened it before the part of the log that was read.
        clock: How well the clocks agreed.
        operator: What operators did to the breaker, from the epoch of the trip until it was closed.
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
        """The rule's figures and its threshold, as a clause."""
        return describe_rule(self.rule)

    def to_mapping(self) -> Mapping[str, object]:
        """The cause as JSON data, like an item of ``causes`` in ``why --json``."""
        return as_data(self)


@frozen
class Standing:
    """The state of a breaker at a time, and why it was in that state.

    Attributes:
        breaker: The name of the breaker.
        headline: The answer in one sentence.
        seq: The last event up to the time.
        at_ns: The time, in nanoseconds of the log's time.
        utc: The time, as wall time.
        state: The state of the breaker.
        epoch: How many edges the breaker had taken.
        mode: The mode of the breaker.
        since_utc: Since when it was in the state; None if since before the part that was read.
        since_seq: The event of the edge that led to the state; None if that was not read.
        since_by: The trigger of that edge; None if that was not read.
        actor: Who gave the command that led to the state, if a command did.
        reason: Why the command was given, if it was recorded.
        retry_utc: When the cooldown ends; None if the breaker is in none.
        figures: Each rule that could change the state next, with its figures and threshold.
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
    """The part of the log that was read for an answer.

    Attributes:
        first_seq: The first event that was read.
        events: How many events were read.
        is_from_beginning: Whether the log was read from its beginning. If not, reading began at
            checkpoints, which hold only counters of what happened before.
    """

    first_seq: int
    events: int
    is_from_beginning: bool


@frozen
class Answer:
    """The answer that ``recloser why --json`` prints.

    Attributes:
        schema: Name and version of this format. A later recloser only adds fields, or changes the
            version.
        log: The log, as it was named on the command line.
        read: The part of the log that was read.
        standing: The state at the time that was asked about; None if no time was given.
        causes: The trips that were asked about, in that order. For a time at which the breaker was
            not closed: the trip that began the open period.
    """

    schema: str
    log: str
    read: Extent
    standing: Standing | None
    causes: Sequence[Cause]


def as_data(record: attrs.AttrsInstance) -> dict[str, object]:
    """Convert an object of this module to JSON data, in the order of its fields."""
    return attrs.asdict(record, value_serializer=_enum_value)


def _enum_value(_record: object, _field: object, value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def describe_rule(rule: FiredRule) -> str:
    """Describe the figures of a rule that fired, and its threshold, as a clause."""
    if rule.rule is Rule.CONSECUTIVE_FAILURES:
        return f"{rule.observed} consecutive failures reached the threshold of {rule.threshold}"
    if rule.rule is Rule.WINDOW_FAILURES:
        return (
            f"{rule.observed} failures among the last {rule.calls} calls reached the threshold "
            f"of {rule.threshold}"
        )
    what = "were slow" if rule.rule is Rule.SLOW_CALL_RATE else "failed"
    return (
        f"{rule.observed} of the last {rule.calls} calls {what}, which reached the threshold of "
        f"{rule.rate}"
    )


def headline_of(breaker: str, utc: str, rule: FiredRule, mode: Mode) -> str:
    """Say in one sentence why a breaker opened."""
    if rule.rule is Rule.COMMAND:
        by = f" by {rule.actor}" if rule.actor else ""
        reason = f": {rule.reason}" if rule.reason else ""
        return f"{breaker} was forced open{by} at {utc}{reason}"
    opened = "would have opened (shadow mode)" if mode == "shadow" else "opened"
    return f"{breaker} {opened} at {utc}: {describe_rule(rule)}"
