"""The vocabulary: what can have happened, and nothing of what it means.

Every event is immutable. ``seq`` counts from 1 without a hole within a log; ``at`` is nanoseconds
elapsed since the log's first anchor, read from the monotonic hand of the clock. ``kind`` is the
event's name on the wire, ``breaker`` the name of the breaker that it is about; events without
``breaker`` are about the whole log. All numbers are natural numbers, all durations nanoseconds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import ClassVar, Final, Literal, TypeAlias, TypeGuard, get_args

from attrs import Attribute, field, frozen

from recloser.core.limits import are_in_range

FORMAT_VERSION = 2
"""The version of the log's format that this library writes; it reads all up to this one."""

RULES_VERSION = 1
"""The version of the decision rules that this library writes; it replays all up to this one."""

REFUSED = "refused"
"""The label of an observed call that another breaker refused, so that its outcome is unknown."""

GENESIS = "0" * 64
"""What stands for the previous digest where nothing has been sealed yet."""


class CircuitBreakerState(Enum):
    """The three states of a circuit breaker; the values are the names in logs and digests."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Trigger(Enum):
    """What can move a breaker along an edge, as named in ``recloser.core.state_machine``."""

    TRIP = "trip"
    COOL = "cool"
    RECOVER = "recover"
    RELAPSE = "relapse"
    FORCE_OPEN = "force_open"
    FORCE_CLOSED = "force_closed"
    RESET = "reset"


class Rule(Enum):
    """The rules that can fire an edge."""

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
    """How a call ended, as far as a breaker is concerned."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IGNORED = "ignored"


class Reason(Enum):
    """Why a call was allowed or refused."""

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
        rule: Which rule fired.
        observed: What was counted, or for a rule of time the nanoseconds that had passed.
        threshold: What ``observed`` had to reach; 0 where ``rate`` says it.
        seqs: The ``seq`` of each outcome that the rule rests on, in order, where there are at most
            ``limits.MAX_SEQS``.
        calls: For a window, how many outcomes were in it; where ``seqs`` would be too many, how many
            they are.
        rate: For a rate, the share of ``calls`` that ``observed`` had to reach.
        span: For a window, the ``seq`` of the first and the last outcome in it; those of the first
            and the last one where ``seqs`` would be too many.
        actor: Who gave the command, for ``command``.
        reason: Why it was given, for ``command``.
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
    """A segment begins: the first event of every segment.

    Attributes:
        format: Version of the log's format.
        rules: Version of the decision rules that the events were decided under.
        session: Counts the openings of the log from 1; a segment begun in mid-session repeats it.
        wall: The wall clock at ``at``.
        monotonic: The monotonic hand at ``at``.
        boot_id: Names the boot that the monotonic hand counts from; empty where unknown.
        host: Name of the machine.
        pid: The writing process; 0 where many share the log.
        library: Version of recloser.
        chain: Digest of all that stands before this segment.
        unsealed: How many events after the last seal of the segment before were kept.
        torn: How many bytes at the end of the segment before are not part of the log: a line that
            was not written whole, or what could not be made sure of.
        checkpoints: How many checkpoints follow, each in one line or several, with which a fold can
            start here.
        detail: Whether it has every outcome (``full``), or runs of like ones as one event each
            (``runs``).
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
    """A breaker is first named, or its settings change: the whole configuration, as data."""

    kind: ClassVar[Literal["breaker_configured"]] = "breaker_configured"
    seq: int
    at: int
    breaker: str
    config: Mapping[str, object] = field(validator=_in_range)


@frozen
class CallSucceeded:
    """A permitted call came back well.

    ``epoch`` is its permit's, as is ``probe``, the number of the probe that it was, or 0. ``count``
    is how many like outcomes this stands for, all within one whole second of ``at`` and none of
    them slow; ``at`` is then when they were recorded, or their second ended, and ``took`` what the
    first of them took.
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
    """A permitted call failed; ``error`` is the type of its exception."""

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
    """A permitted call ended in a way that says nothing about the dependency."""

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
    """``count`` calls were refused; ``retry_after`` is in nanoseconds, None where unknown."""

    kind: ClassVar[Literal["call_rejected"]] = "call_rejected"
    seq: int
    at: int
    breaker: str
    reason: Reason
    retry_after: int | None = None
    count: int = 1


@frozen
class ProbeAdmitted:
    """A half-open breaker let a call through; ``probe`` counts from 1 within the epoch."""

    kind: ClassVar[Literal["probe_admitted"]] = "probe_admitted"
    seq: int
    at: int
    breaker: str
    epoch: int
    probe: int


@frozen
class ClockTicked:
    """Both hands of the clock, read together."""

    kind: ClassVar[Literal["clock_ticked"]] = "clock_ticked"
    seq: int
    at: int
    wall: datetime = field(validator=_aware_utc)
    monotonic: int


@frozen
class ForcedOpen:
    """An operator opened the breaker until further notice."""

    kind: ClassVar[Literal["forced_open"]] = "forced_open"
    seq: int
    at: int
    breaker: str
    actor: str | None = None
    reason: str | None = None


@frozen
class ForcedClosed:
    """An operator closed the breaker; it trips again by its rules."""

    kind: ClassVar[Literal["forced_closed"]] = "forced_closed"
    seq: int
    at: int
    breaker: str
    actor: str | None = None
    reason: str | None = None


@frozen
class Reset:
    """An operator put the breaker back to where it began."""

    kind: ClassVar[Literal["reset"]] = "reset"
    seq: int
    at: int
    breaker: str
    actor: str | None = None
    reason: str | None = None


@frozen
class ModeChanged:
    """An operator changed what the breaker does with its decisions."""

    kind: ClassVar[Literal["mode_changed"]] = "mode_changed"
    seq: int
    at: int
    breaker: str
    mode: Literal["enforce", "shadow", "disabled"]
    actor: str | None = None
    reason: str | None = None


@frozen
class StateChanged:
    """An edge was taken: a witness, which replay must reproduce.

    ``at`` is the time of the event that fired it, ``epoch`` the one that the edge begins.
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
"""An edge as the fold takes it is the very event that witnesses it in the log."""


@frozen
class Checkpoint:
    """The complete fold state of one breaker, from which a fold can start.

    Attributes:
        state: The state; where it takes several lines, this part of it: see
            ``recloser.core.checkpoint_parts``.
        part: Which part it is, from 1.
        parts: How many there are, all of which are needed.
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
    """``lost`` events could not be written, or read again; checkpoints of every breaker follow.

    It is the one event whose ``seq`` may leave a hole behind the one before it.

    Attributes:
        lost: How many events these are; of bytes that can't be read, how many there may have been.
        error: Why.
        chain: Where this event was put at the end of a segment for the rest of it, which was
            damaged, or for segments that are gone: the digest that the next segment's header says
            it continues. None elsewhere.
        unsealed: How many unsealed events that header says it continues, likewise.
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
    """Traffic recorded by something else: it drives a breaker, but is none's history.

    Attributes:
        at: When the call ended.
        start: When it started, on the same scale as ``at``.
        took: ``at - start``.
        outcome: How it ended.
        error: The failure's type or status, where known.
        labels: What else was recorded of it, such as its route.
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
    """``count`` events since the last seal are whole; ``digest`` chains over their bytes."""

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
    """Whether an event of a log that breakers wrote is about one of them."""
    return event.kind not in _ABOUT_ALL
