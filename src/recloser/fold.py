"""The fold: ``apply(state, event)``, the one place where a breaker's state changes.

The fold is pure. It reads no clock, draws no chance, does no I/O and decides in integers, so that
the same events lead to the same states wherever and whenever they are applied. ``apply`` changes
the state in place, because a copy per call would be the dearest part of a call.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from attrs import Factory, define

from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError, FoldError
from recloser.events import (
    BreakerConfigured,
    BreakerEvent,
    CallFailed,
    CallIgnored,
    CallSucceeded,
    Checkpoint,
    CircuitBreakerState,
    ClockTicked,
    Command,
    Edge,
    FiredRule,
    LogGap,
    LogOpened,
    ProbeAdmitted,
    Rule,
    Trigger,
)
from recloser.machine import CLOSED, HALF_OPEN, OPEN, fire

FoldedEvent: TypeAlias = BreakerEvent | ClockTicked | LogOpened
"""What ``apply`` takes: events about one breaker, and those about the whole log that carry time."""

_Outcome: TypeAlias = CallSucceeded | CallFailed | CallIgnored

NO_EDGES: Final[Sequence[Edge]] = ()


@define
class BreakerState:
    """All that is known of one breaker; a checkpoint carries just this.

    Attributes:
        state: Where it is.
        epoch: How many edges it has taken.
        forced: Held open by an operator.
        opened_at: When it last opened, in nanoseconds of the log; None unless OPEN.
        deadline: When the next timed edge is due; None where only a call or a command can move it.
        why_open: The rule that opened it; None once it is closed again.
        consecutive_failures: Length of the current run of failures in CLOSED.
        failure_seqs: The ``seq`` of each failure of that run, while the rule is on.
        probes_admitted: Probes let through in this epoch.
        probes_in_flight: Those of them that have not reported.
        probe_seqs: The ``seq`` of each probe of this epoch that succeeded.
        succeeded: Outcomes counted since the log began, as are the four below.
    """

    breaker: str
    config: CircuitBreakerConfig
    state: CircuitBreakerState = CLOSED
    epoch: int = 0
    forced: bool = False
    opened_at: int | None = None
    deadline: int | None = None
    why_open: FiredRule | None = None
    consecutive_failures: int = 0
    failure_seqs: list[int] = Factory(list)
    probes_admitted: int = 0
    probes_in_flight: int = 0
    probe_seqs: list[int] = Factory(list)
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    rejected: int = 0
    stale: int = 0


def dump(state: BreakerState) -> Mapping[str, object]:
    """The state as data for a checkpoint; ``restore`` is its inverse."""
    data: Mapping[str, object] = msgspec.to_builtins(state)
    return data


def restore(event: Checkpoint | LogGap) -> BreakerState:
    """The state that a checkpoint or a gap carries.

    Raises:
        FoldError: It is no complete and possible state; the message names the event.
    """
    try:
        state = msgspec.convert(event.state, BreakerState)
    except (msgspec.ValidationError, ValueError) as error:
        raise _fold_error(event, f"its state can't be used: {error}") from error
    if state.breaker != event.breaker:
        raise _fold_error(event, f"its state is that of {state.breaker!r}")
    _check_open(state, event)
    return state


def config_in(event: BreakerConfigured) -> CircuitBreakerConfig:
    """The configuration that the event carries.

    Raises:
        FoldError: It is none; the message names the event and the field.
    """
    try:
        return CircuitBreakerConfig.from_mapping(event.config)
    except ConfigError as error:
        raise _fold_error(event, str(error)) from error


def apply(state: BreakerState, event: FoldedEvent) -> Sequence[Edge]:
    """Apply the next event to the state of the breaker that it is about.

    First the timed edges that are due at ``event.at`` are taken, then the event itself is counted.

    Returns:
        The edges taken, as the witnesses that follow the event in the log: the first has
        ``event.seq + 1``.

    Raises:
        FoldError: The event can't have happened in this state; the message names its ``seq``.
    """
    edges: list[Edge] = []
    if state.state is OPEN:
        _check_open(state, event)
    if state.deadline is not None and event.at >= state.deadline:
        _cool(state, event, edges)
    if event.kind == "call_succeeded":
        _count_success(state, event, edges)
    elif event.kind == "call_failed":
        _count_failure(state, event, edges)
    elif event.kind == "call_rejected":
        state.rejected += event.count
    elif event.kind == "call_ignored":
        _count_ignored(state, event)
    elif event.kind == "probe_admitted":
        _admit(state, event)
    else:
        _apply_rare(state, event, edges)
    return edges


def _apply_rare(state: BreakerState, event: FoldedEvent, edges: list[Edge]) -> None:
    if event.kind in ("forced_open", "forced_closed", "reset"):
        _obey(state, event, edges)
    elif event.kind == "breaker_configured":
        _configure(state, event)
    elif event.kind in ("checkpoint", "log_gap"):
        _replace(state, restore(event))
    elif event.kind == "log_opened":
        # The permits of the session before died with its process.
        state.probes_in_flight = 0


def _count_success(state: BreakerState, event: CallSucceeded, edges: list[Edge]) -> None:
    if _is_stale(state, event):
        state.stale += event.count
        return
    state.succeeded += event.count
    if state.state is CLOSED:
        state.consecutive_failures = 0
        state.failure_seqs.clear()
        return
    _report_probe(state, event)
    state.probe_seqs.append(event.seq)
    _recover_if_due(state, event, edges)


def _count_failure(state: BreakerState, event: CallFailed, edges: list[Edge]) -> None:
    if _is_stale(state, event):
        state.stale += 1
        return
    state.failed += 1
    if state.state is CLOSED:
        _trip_if_due(state, event, edges)
        return
    _report_probe(state, event)
    cause = FiredRule(Rule.PROBE_FAILED, observed=1, threshold=1, seqs=(event.seq,))
    _take(state, Trigger.RELAPSE, cause, event, edges)


def _count_ignored(state: BreakerState, event: CallIgnored) -> None:
    if _is_stale(state, event):
        state.stale += 1
        return
    state.ignored += 1
    if state.state is HALF_OPEN:
        _report_probe(state, event)


def _is_stale(state: BreakerState, event: _Outcome) -> bool:
    """Whether the outcome's call began in an epoch that has passed."""
    if event.epoch < state.epoch:
        return True
    if event.epoch > state.epoch:
        raise _fold_error(event, f"its epoch {event.epoch} has not begun; it is {state.epoch}")
    if state.state is OPEN:
        raise _fold_error(event, f"no call was permitted in epoch {event.epoch}, which is OPEN")
    return False


def _report_probe(state: BreakerState, event: _Outcome) -> None:
    if state.probes_in_flight == 0:
        raise _fold_error(event, "it reports a probe that was not admitted")
    state.probes_in_flight -= 1


def _admit(state: BreakerState, event: ProbeAdmitted) -> None:
    if state.state is not HALF_OPEN or event.epoch != state.epoch:
        raise _fold_error(
            event, f"epoch {event.epoch} admits no probes; it is {state.epoch}, {state.state.value}"
        )
    if state.probes_in_flight >= state.config.half_open_max_probes:
        raise _fold_error(event, f"{state.probes_in_flight} probes are under way already")
    if event.probe != state.probes_admitted + 1:
        raise _fold_error(event, f"probe {event.probe} follows probe {state.probes_admitted}")
    state.probes_admitted += 1
    state.probes_in_flight += 1


def _trip_if_due(state: BreakerState, event: CallFailed, edges: list[Edge]) -> None:
    state.consecutive_failures += 1
    threshold = state.config.failure_threshold
    if threshold is None:
        return
    state.failure_seqs.append(event.seq)
    if state.consecutive_failures >= threshold:
        cause = FiredRule(
            Rule.CONSECUTIVE_FAILURES,
            observed=state.consecutive_failures,
            threshold=threshold,
            seqs=tuple(state.failure_seqs),
        )
        _take(state, Trigger.TRIP, cause, event, edges)


def _recover_if_due(state: BreakerState, event: FoldedEvent, edges: list[Edge]) -> None:
    threshold = state.config.half_open_success_threshold
    if len(state.probe_seqs) >= threshold:
        cause = FiredRule(
            Rule.PROBE_SUCCESSES,
            observed=len(state.probe_seqs),
            threshold=threshold,
            seqs=tuple(state.probe_seqs),
        )
        _take(state, Trigger.RECOVER, cause, event, edges)


def _cool(state: BreakerState, event: FoldedEvent, edges: list[Edge]) -> None:
    assert state.opened_at is not None
    assert state.deadline is not None
    cause = FiredRule(
        Rule.COOLDOWN,
        observed=event.at - state.opened_at,
        threshold=state.deadline - state.opened_at,
    )
    _take(state, Trigger.COOL, cause, event, edges)
    if state.config.half_open_success_threshold == 0:
        _recover_if_due(state, event, edges)


_COMMANDS: Final = {
    "forced_open": Trigger.FORCE_OPEN,
    "forced_closed": Trigger.FORCE_CLOSED,
    "reset": Trigger.RESET,
}


def _obey(state: BreakerState, event: Command, edges: list[Edge]) -> None:
    cause = FiredRule(Rule.COMMAND, actor=event.actor, reason=event.reason)
    _take(state, _COMMANDS[event.kind], cause, event, edges)


def _configure(state: BreakerState, event: BreakerConfigured) -> None:
    # A run counted under other settings is no evidence under these.
    state.config = config_in(event)
    state.consecutive_failures = 0
    state.failure_seqs.clear()


def _take(
    state: BreakerState,
    trigger: Trigger,
    cause: FiredRule,
    event: FoldedEvent,
    edges: list[Edge],
) -> None:
    """Take one edge: a new epoch begins, with the counters of the state left cleared."""
    left = state.state
    fire(state, trigger)
    state.epoch += 1
    state.forced = trigger is Trigger.FORCE_OPEN
    state.opened_at = state.deadline = None
    state.consecutive_failures = state.probes_admitted = state.probes_in_flight = 0
    state.failure_seqs.clear()
    state.probe_seqs.clear()
    if state.state is OPEN:
        state.why_open = cause
        state.opened_at = event.at
        if not state.forced:
            state.deadline = event.at + state.config.recovery_timeout_ns
    elif state.state is CLOSED:
        state.why_open = None
    edges.append(
        Edge(
            seq=event.seq + 1 + len(edges),
            at=event.at,
            breaker=state.breaker,
            epoch=state.epoch,
            from_state=left,
            to_state=state.state,
            trigger=trigger,
            cause=cause,
        )
    )


def _replace(state: BreakerState, other: BreakerState) -> None:
    for name in BreakerState.__slots__:
        if name != "__weakref__":
            setattr(state, name, getattr(other, name))


def _check_open(state: BreakerState, event: FoldedEvent) -> None:
    """An OPEN breaker must know when it opened and when to probe, or it would stay open for ever."""
    if state.state is not OPEN:
        return
    if state.opened_at is None:
        raise _fold_error(event, f"{state.breaker!r} is OPEN without an opening time")
    if state.deadline is None and not state.forced:
        raise _fold_error(event, f"{state.breaker!r} is OPEN without the end of its cooldown")


def _fold_error(event: FoldedEvent, what: str) -> FoldError:
    return FoldError(f"event {event.seq} ({event.kind}): {what}")
