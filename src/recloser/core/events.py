"""The events of a log: immutable records of what has happened.

``seq`` numbers the events of a log from 1 without a hole. ``at`` is the time in nanoseconds since the
log began, by monotonic time. ``kind`` is the event's name in the log. ``breaker`` is
the name of the breaker that the event is about; an event without it is about the whole log. All
numbers are integers from 0, all durations are in nanoseconds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import ClassVar, Final, Literal, TypeAlias, TypeGuard, get_args

from attrs import Attribute, field, frozen

from recloser.core.limits import are_in_range

FORMAT_VERSION = 2
"""The version of the log's format that this library writes; it reads this one and all before."""

RULES_VERSION = 1
"""The version of the decision rules; this library replays logs of this one and of all before."""

REFUSED = "refused"
"""The label of an imported call that another breaker rejected, so its outcome is unknown."""

GENESIS = "0" * 64
"""The digest that the first seal of a log follows."""


class CircuitBreakerState(Enum):
    """The three states of a circuit breaker; their values are the names in logs and digests."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Trigger(Enum):
    """The names of the edges that ``recloser.core.state_machine`` declares."""

    TRIP = "trip"
    COOL = "cool"
    RECOVER = "recover"
    RELAPSE = "relapse"
    FORCE_OPEN = "force_open"
    FORCE_CLOSED = "force_closed"
    RESET = "reset"


class Rule(Enum):
    """The rules that lead to an edge when they fire."""

    CONSECUTIVE_FAILURES = "consecutive_failures"
    WINDOW_FAILURES = "window_failures"
    FAILURE_RATE = "failure_rate"
    SLOW_CALL_RATE = "slow_call_rate"
    COOLDOWN = "cooldown"
    PROBE_SUCCESSES = "probe_successes"
    PROBE_FAILED = "probe_failed"
    PROBE_TIMEOUT = "probe_timeout"
    PROBE_WINDOW = "probe_window"
    HALF_OPEN_TIMEOUT = "half_open_timeout"
    COMMAND = "command"


class Outcome(Enum):
    """How a breaker counts a call that has ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"


class Reason(Enum):
    """Why a call was let through or rejected."""

    CLOSED = "closed"
    PROBE = "probe"
    COOLDOWN_ACTIVE = "cooldown_active"
    PROBES_EXHAUSTED = "probes_exhausted"
    FORCED_OPEN = "forced_open"
    SHADOW = "shadow"
    DISABLED = "disabled"


@frozen
class FiredRule:
    """The cause of an edge: the rule that fired, its figures, and the evidence.

    Attributes:
        rule: The rule that fired.
        observed: What was counted; for a timed rule, the nanoseconds that had passed.
        threshold: What ``observed`` had to reach; 0 if that is given by ``rate``.
        seqs: The ``seq`` of each outcome that made the rule fire, in order; empty if there are more
            than ``limits.MAX_SEQS``.
        calls: How many outcomes the window held, or how many made the rule fire if ``seqs`` would
            be too long.
        rate: For a rate, the share of ``calls`` that ``observed`` had to reach.
        span: The ``seq`` of the first and of the last outcome in the window, or of those that made
            the rule fire if ``seqs`` would be too long.
        actor: Who gave the command, if the rule is ``command``.
        reason: Why it was given, if the rule is ``command``.
    """

    rule: Rule
    observed: int = 0
    threshold: int = 0
    seqs: tuple[int, ...] = ()
    calls: int = 0
    rate: str | None = None
    span: tuple[int, ...] = ()
    actor: str | None = None
    reason: str | None = None


def _aware_utc(_event: object, attribute: "Attribute[datetime]", value: datetime) -> None:
    if value.utcoffset() != timedelta(0):
        raise ValueError(f"{attribute.name} must be a time in UTC, not {value.isoformat()}")


def _in_range(
    _event: object, attribute: "Attribute[Mapping[str, object]]", value: Mapping[str, object]
) -> None:
    if not are_in_range(value):
        raise ValueError(f"{attribute.name} holds a number that is out of range")


@frozen
class LogOpened:
    """A segment begins; the first event of every segment.

    Attributes:
        format: Version of the log's format.
        rules: Version of the decision rules under which the events were decided.
        session: How often the log has been opened, from 1; further segments of a session repeat it.
        wall: The wall time at ``at``.
        monotonic: The monotonic time at ``at``, in nanoseconds.
        boot_id: Names the boot that the monotonic time counts from; empty if unknown.
        host: Name of the machine.
        pid: The writing process; 0 if several processes share the log.
        library: Version of recloser.
        chain: Digest of everything before this segment.
        unsealed: How many events of the previous segment were kept that no seal covers.
        torn: How many bytes at the end of the previous segment are not part of the log: a line that
            was not written whole, or bytes that may be damaged.
        checkpoints: How many checkpoints follow, each in one line or several; a fold can start with
            them.
        detail: ``full`` if the log has every outcome; ``runs`` if several equal outcomes may be one
            event.
    """

    kind: ClassVar[Literal["log_opened"]] = "log_opened"
    seq: int
    at: int
    format: int
    rules: int
    session: int
    wall: datetime = field(validator=_aware_utc)
    monotonic: int
    boot_id: str
    host: str
    pid: int
    library: str
    chain: str = GENESIS
    unsealed: int = 0
    torn: int = 0
    checkpoints: int = 0
    detail: Literal["full", "runs"] = "full"


@frozen
class BreakerConfigured:
    """A breaker was used for the first time, or its settings changed; ``config`` has all of them."""

    kind: ClassVar[Literal["breaker_configured"]] = "breaker_configured"
    seq: int
    at: int
    breaker: str
    config: Mapping[str, object] = field(validator=_in_range)


@frozen
class CallSucceeded:
    """A call that was let through succeeded, or several equal calls did.

    Attributes:
        epoch: The epoch in which the call was let through.
        took: How long it took; of several calls, how long the first of them took.
        probe: Which probe it was, from 1; 0 for none.
        count: How many calls the event stands for. Several calls ended within the same whole second
            of the log, and none of them was slow; ``at`` is when they were recorded, or the end of
            that second.
    """

    kind: ClassVar[Literal["call_succeeded"]] = "call_succeeded"
    seq: int
    at: int
    breaker: str
    epoch: int
    took: int
    probe: int = 0
    count: int = 1


@frozen
class CallFailed:
    """A call that was let through failed; ``error`` is the type of its exception."""

    kind: ClassVar[Literal["call_failed"]] = "call_failed"
    seq: int
    at: int
    breaker: str
    epoch: int
    took: int
    probe: int = 0
    error: str | None = None


@frozen
class CallIgnored:
    """A call that was let through ended in a way that says nothing about the dependency."""

    kind: ClassVar[Literal["call_ignored"]] = "call_ignored"
    seq: int
    at: int
    breaker: str
    epoch: int
    took: int
    probe: int = 0
    error: str | None = None


@frozen
class CallRejected:
    """Calls were rejected.

    Attributes:
        reason: Why.
        retry_after: How long the cooldown still lasted; None if it is unknown.
        count: How many calls the event stands for.
    """

    kind: ClassVar[Literal["call_rejected"]] = "call_rejected"
    seq: int
    at: int
    breaker: str
    reason: Reason
    retry_after: int | None = None
    count: int = 1


@frozen
class ProbeAdmitted:
    """A half-open breaker let a probe through; ``probe`` counts from 1 in each epoch."""

    kind: ClassVar[Literal["probe_admitted"]] = "probe_admitted"
    seq: int
    at: int
    breaker: str
    epoch: int
    probe: int


@frozen
class ClockTicked:
    """The monotonic time and the wall time were read together."""

    kind: ClassVar[Literal["clock_ticked"]] = "clock_ticked"
    seq: int
    at: int
    wall: datetime = field(validator=_aware_utc)
    monotonic: int


@frozen
class ForcedOpen:
    """An operator opened the breaker; it stays open until another command."""

    kind: ClassVar[Literal["forced_open"]] = "forced_open"
    seq: int
    at: int
    breaker: str
    actor: str | None = None
    reason: str | None = None


@frozen
class ForcedClosed:
    """An operator closed the breaker; its rules may open it again."""

    kind: ClassVar[Literal["forced_closed"]] = "forced_closed"
    seq: int
    at: int
    breaker: str
    actor: str | None = None
    reason: str | None = None


@frozen
class Reset:
    """An operator reset the breaker to CLOSED."""

    kind: ClassVar[Literal["reset"]] = "reset"
    seq: int
    at: int
    breaker: str
    actor: str | None = None
    reason: str | None = None


@frozen
class ModeChanged:
    """An operator changed the mode of the breaker."""

    kind: ClassVar[Literal["mode_changed"]] = "mode_changed"
    seq: int
    at: int
    breaker: str
    mode: Literal["enforce", "shadow", "disabled"]
    actor: str | None = None
    reason: str | None = None


@frozen
class StateChanged:
    """The breaker changed its state; replay must reproduce this event, which is called a witness.

    Attributes:
        at: The time of the event at which the rule fired.
        epoch: The epoch that begins with this edge.
        from_state: The state before.
        to_state: The state after.
        trigger: The name of the edge.
        cause: The rule that fired, with its evidence.
    """

    kind: ClassVar[Literal["state_changed"]] = "state_changed"
    seq: int
    at: int
    breaker: str
    epoch: int
    from_state: CircuitBreakerState
    to_state: CircuitBreakerState
    trigger: Trigger
    cause: FiredRule


Edge: TypeAlias = StateChanged
"""The fold returns each edge as the event that records it in the log."""


@frozen
class Checkpoint:
    """The complete state of one breaker, from which a fold can start.

    Attributes:
        state: The state, or a part of it; see ``recloser.core.checkpoint_parts``.
        part: Which part this is, from 1.
        parts: How many parts there are; a fold needs all of them.
    """

    kind: ClassVar[Literal["checkpoint"]] = "checkpoint"
    seq: int
    at: int
    breaker: str
    state: Mapping[str, object] = field(validator=_in_range)
    part: int = 1
    parts: int = 1


@frozen
class LogGap:
    """Events could not be written, or not be read again; checkpoints of every breaker follow.

    Only before this event may numbers be missing in ``seq``.

    Attributes:
        lost: How many events were lost; where bytes can't be read, how many there may have been.
        error: Why they were lost.
        chain: If this event replaces the damaged rest of a segment, or segments that are gone: the
            ``chain`` in the header of the next segment. Else None.
        unsealed: If this event replaces a part of the log: ``unsealed`` in that header.
    """

    kind: ClassVar[Literal["log_gap"]] = "log_gap"
    seq: int
    at: int
    lost: int
    error: str | None = None
    chain: str | None = None
    unsealed: int = 0


@frozen
class CallObserved:
    """A call that was imported from a trace, and that no breaker of this log has seen.

    Attributes:
        at: When the call ended.
        start: When it started, on the same scale as ``at``.
        took: ``at - start``.
        outcome: How it ended.
        error: The type or status of a failure; None if unknown.
        labels: Further facts about the call, such as its route.
    """

    kind: ClassVar[Literal["call_observed"]] = "call_observed"
    seq: int
    at: int
    breaker: str
    start: int
    took: int
    outcome: Outcome
    error: str | None = None
    labels: Mapping[str, str] = field(factory=dict)


@frozen
class LogSealed:
    """A seal: it proves that the events since the seal before are unchanged.

    Attributes:
        count: How many events these are.
        digest: Digest of their bytes and of the digest before.
    """

    kind: ClassVar[Literal["log_sealed"]] = "log_sealed"
    seq: int
    at: int
    count: int
    digest: str


Command: TypeAlias = ForcedOpen | ForcedClosed | Reset

LogEvent: TypeAlias = LogOpened | ClockTicked | LogSealed | LogGap
"""Events about the whole log."""

BreakerEvent: TypeAlias = (
    CallSucceeded
    | CallFailed
    | CallIgnored
    | CallRejected
    | ProbeAdmitted
    | Command
    | ModeChanged
    | StateChanged
    | BreakerConfigured
    | Checkpoint
)
"""Events about one breaker."""

Event: TypeAlias = LogEvent | BreakerEvent | CallObserved

_ABOUT_ALL: Final = frozenset(event_type.kind for event_type in get_args(LogEvent))


def is_about_a_breaker(event: Event) -> TypeGuard[BreakerEvent]:
    """Whether an event is about one breaker; it must not be a ``CallObserved``."""
    return event.kind not in _ABOUT_ALL
