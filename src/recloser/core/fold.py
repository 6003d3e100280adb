"""The fold of one breaker: ``apply(state, event)``, by which its state changes event by event.

The fold reads no clock, draws no random number and does no I/O, and it decides in integers. So the same
events lead to the same state wherever and whenever they are applied. The kernel decides; this module
passes events to it as rows, and makes edges with their evidence of the rules that fire.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from recloser.core import kernel
from recloser.core.config import CircuitBreakerConfig
from recloser.core.edges import STATES, take_edge, trigger_of
from recloser.core.events import (
    BreakerConfigured,
    BreakerEvent,
    ClockTicked,
    Command,
    Edge,
    FiredRule,
    LogOpened,
    ModeChanged,
    Reason,
    Rule,
    Trigger,
)
from recloser.core.limits import MAX_SEQS
from recloser.core.rules import rules_of
from recloser.core.state import (
    BreakerState,
    check_times,
    config_of,
    event_label,
    numbers_of,
    restore,
)
from recloser.core.validation import Rate
from recloser.errors import ConfigError, FoldError

FoldedEvent: TypeAlias = BreakerEvent | ClockTicked | LogOpened
"""Events that ``apply`` accepts: those about one breaker, and two about the whole log."""

NO_EDGES: Final[Sequence[Edge]] = ()


class Forms(NamedTuple):
    """The classes of which edges and their causes are made, or others with the same fields."""

    edge: type[Edge]
    cause: type[FiredRule]


FULL: Final = Forms(Edge, FiredRule)

FOREVER: Final = kernel.NEVER
"""A time later than any in a log, in nanoseconds."""


def apply(state: BreakerState, event: FoldedEvent) -> Sequence[Edge]:
    """Apply the next event to the state of its breaker.

    The timed edges that are due at ``event.at`` are taken first, and then the event is applied.

    Args:
        state: The state, which is changed.
        event: The event.

    Returns:
        The edges taken, as the events that follow this one in the log; the first has
        ``event.seq + 1``.

    Raises:
        FoldError: The event can't have happened in this state; the message names its ``seq``.
    """
    if event.kind == "checkpoint":
        # No edge of the old state is taken: after a gap in the log the old state may be wrong.
        state.assume(restore(event))
        return NO_EDGES
    if state.where != kernel.CLOSED:
        check_times(state, event)
    edges: Sequence[Edge] = NO_EDGES
    if event.at >= state.deadline:
        edges = take_due_edges(state, event)
    if event.kind == "clock_ticked":
        return edges
    rule = _apply_event(state, event)
    if rule == kernel.NO_RULE:
        return edges
    if rule < 0:
        raise impossible(state, rule, event)
    command = event if rule == _COMMAND else None
    return [*edges, *edges_of(state, rule, event.seq, event.at, len(edges), command=command)]


_REFUSALS: Final = {
    kernel.COOLING: Reason.COOLDOWN_ACTIVE,
    kernel.FORCED: Reason.FORCED_OPEN,
    kernel.EXHAUSTED: Reason.PROBES_EXHAUSTED,
}


def rejection_of(state: BreakerState) -> Reason | None:
    """Why the breaker would reject a call before the next event; None if it would let it through."""
    return _REFUSALS.get(kernel.decide(state))


def spare_calls(state: BreakerState) -> tuple[int, int]:
    """How many calls may fail or be slow before an edge is possible, and until what time.

    Any number of other calls may come between them. No deadline may be due, since that leads to an
    edge whatever the event is.

    Returns:
        The number of calls, below 0 if even a success could lead to an edge; and the time of the
        log in nanoseconds before which that holds, ``FOREVER`` if it always does.
    """
    spare = kernel.spare_calls(state, True)
    window = state.window
    if spare > 0 or window is None or not window.thresholds.is_timed:
        return spare, FOREVER
    for_now = kernel.spare_calls(state, False)
    return (for_now, kernel.keeps_until(window)) if for_now > spare else (spare, FOREVER)


def config_in(event: BreakerConfigured) -> CircuitBreakerConfig:
    """The configuration that an event holds.

    Raises:
        FoldError: A setting is not valid; the message names the event and the setting.
    """
    try:
        return config_of(event.config)
    except ConfigError as error:
        raise FoldError(f"{event_label(event)}: {error}") from error


def _apply_event(state: BreakerState, event: FoldedEvent) -> int:
    """Apply an event, and return the number that ``kernel.step`` returns, or ``_COMMAND``."""
    if event.kind == "call_succeeded":
        row = (kernel.SUCCEEDED, event.took, event.epoch, event.probe, event.count)
    elif event.kind == "call_failed":
        row = (kernel.FAILED, event.took, event.epoch, event.probe, 1)
    elif event.kind == "call_rejected":
        row = (kernel.REJECTED, 0, 0, 0, event.count)
    elif event.kind == "call_ignored":
        row = (kernel.IGNORED, event.took, event.epoch, event.probe, 1)
    elif event.kind == "probe_admitted":
        row = (kernel.ADMITTED, 0, event.epoch, event.probe, 1)
    else:
        return _apply_rare(state, event)
    kind, took, epoch, probe, count = row
    return kernel.step(state, kind, event.seq, event.at, took, epoch, probe, count)


def _apply_rare(state: BreakerState, event: FoldedEvent) -> int:
    if event.kind in _COMMANDS:
        return _COMMAND
    if event.kind == "mode_changed":
        _change_mode(state, event)
    elif event.kind == "breaker_configured":
        _configure(state, event)
    elif event.kind == "log_opened":
        # The process of the previous session has ended, so its permits are void.
        kernel.forget_probes(state)
    return kernel.NO_RULE


def _change_mode(state: BreakerState, event: ModeChanged) -> None:
    state.mode = event.mode
    state.is_disabled = event.mode == "disabled"
    if state.is_disabled:
        kernel.forget_probes(state)


def _configure(state: BreakerState, event: BreakerConfigured) -> None:
    config = config_in(event)
    state.config = config
    state.mode = config.mode
    kernel.reconfigure(state, rules_of(config), config.mode == "disabled")


def take_due_edges(state: BreakerState, event: FoldedEvent, forms: Forms = FULL) -> Sequence[Edge]:
    """Take the timed edges that are due at an event, before the event itself is applied.

    Args:
        state: The state, which is changed.
        event: The event.
        forms: Classes of the edges and causes.

    Returns:
        The edges taken; the first has ``event.seq + 1``.
    """
    edges: list[Edge] = []
    while rule := kernel.advance(state, event.seq, event.at):
        edges += edges_of(state, rule, event.seq, event.at, len(edges), forms=forms)
    return edges


# Edges.


_COMMAND: Final = 1 << 8
"""Stands for a rule where an operator's command leads to the edge."""

_COMMANDS: Final = {
    "forced_open": Trigger.FORCE_OPEN,
    "forced_closed": Trigger.FORCE_CLOSED,
    "reset": Trigger.RESET,
}


def edges_of(
    state: BreakerState,
    rule: int,
    seq: int,
    at: int,
    taken: int = 0,
    *,
    command: FoldedEvent | None = None,
    forms: Forms = FULL,
) -> list[Edge]:
    """Take the edge of a rule that fired, and the edges of rules that fire because of it.

    Args:
        state: The state, which is changed.
        rule: The rule.
        seq: Number of the event at which it fired.
        at: Time of that event, in nanoseconds of the log.
        taken: How many edges were taken at that event before.
        command: The event, if it is an operator's command.
        forms: Classes of the edges and causes.

    Returns:
        The edges, in their order.
    """
    edges: list[Edge] = []
    edge, fired_rule = forms
    while rule:
        where = state.where
        if rule == _COMMAND:
            trigger, cause = _edge_of_command(command, fired_rule)
        else:
            trigger, cause = trigger_of(state, rule), _cause_of(state, rule, seq, fired_rule)
        rule = take_edge(state, trigger, at)
        now = state.where
        if now == kernel.OPEN:
            state.opened_by = cause
        elif now == kernel.CLOSED:
            state.opened_by = None
        taken += 1
        edges.append(
            edge(
                seq + taken,
                at,
                state.breaker,
                state.epoch,
                STATES[where],
                STATES[now],
                trigger,
                cause,
            )
        )
    return edges


def _edge_of_command(
    event: FoldedEvent | None, cause_class: type[FiredRule]
) -> tuple[Trigger, FiredRule]:
    assert isinstance(event, Command)
    return _COMMANDS[event.kind], cause_class(Rule.COMMAND, actor=event.actor, reason=event.reason)


def _cause_of(state: BreakerState, rule: int, seq: int, cause_class: type[FiredRule]) -> FiredRule:
    """The cause of an edge that is about to be taken, made from the counters of the state."""
    if rule in _WINDOW_RULES:
        return _by_window(state, rule, cause_class)
    if rule == kernel.COOLDOWN:
        return cause_class(Rule.COOLDOWN, state.waited, state.deadline - state.opened_at)
    rules = state.rules
    if rule == kernel.CONSECUTIVE_FAILURES:
        observed, seqs = state.consecutive_failures, numbers_of(state.failure_seqs)
        return _by_outcomes(
            cause_class, Rule.CONSECUTIVE_FAILURES, observed, rules.failure_threshold, seqs
        )
    if rule == kernel.PROBE_SUCCESSES:
        seqs = numbers_of(state.probe_seqs)
        return _by_outcomes(
            cause_class, Rule.PROBE_SUCCESSES, len(seqs), rules.success_threshold, seqs
        )
    if rule == kernel.PROBE_FAILED:
        return cause_class(Rule.PROBE_FAILED, 1, 1, (seq,))
    timed, threshold = Rule.HALF_OPEN_TIMEOUT, rules.half_open_timeout_ns
    if rule == kernel.PROBE_TIMEOUT:
        timed, threshold = Rule.PROBE_TIMEOUT, rules.probe_timeout_ns
    return cause_class(timed, state.waited, threshold)


def _by_outcomes(
    cause_class: type[FiredRule], rule: Rule, observed: int, threshold: int, seqs: Sequence[int]
) -> FiredRule:
    """The cause of a rule with its outcomes as evidence: each one, or their span if they may be many."""
    if threshold > MAX_SEQS:
        span = (seqs[0], seqs[-1])
        return cause_class(rule, observed, threshold, calls=observed, span=span)
    return cause_class(rule, observed, threshold, tuple(seqs))


_WINDOW_RULES: Final = {
    kernel.WINDOW_FAILURES: Rule.WINDOW_FAILURES,
    kernel.FAILURE_RATE: Rule.FAILURE_RATE,
    kernel.SLOW_CALL_RATE: Rule.SLOW_CALL_RATE,
    kernel.PROBE_WINDOW: Rule.PROBE_WINDOW,
}


def _by_window(state: BreakerState, rule: int, cause_class: type[FiredRule]) -> FiredRule:
    is_closed = state.where == kernel.CLOSED
    window = state.window if is_closed else state.probe_window
    config = state.config.window if is_closed else state.config.half_open_window
    assert window is not None
    assert config is not None
    observed, threshold, rate = window.failures, 0, None
    if rule == kernel.WINDOW_FAILURES:
        threshold = window.thresholds.failures
    elif rule == kernel.FAILURE_RATE:
        rate = _text_of(config.failure_rate)
    elif rule == kernel.SLOW_CALL_RATE:
        observed, rate = window.slow, _text_of(config.slow_call_rate)
    else:
        observed, threshold = window.calls, window.thresholds.needed
    return cause_class(
        _WINDOW_RULES[rule], observed, threshold, (), window.calls, rate, window.span()
    )


@lru_cache(maxsize=64, typed=True)
def _text_of(rate: Rate | None) -> str:
    return str(rate)


def impossible(state: BreakerState, verdict: int, event: FoldedEvent) -> FoldError:
    """Make the error for an event that can't have happened.

    Args:
        state: The state before the event.
        verdict: The negative number that ``kernel.step`` returned for it.
        event: The event.
    """
    epoch, probe = getattr(event, "epoch", 0), getattr(event, "probe", 0)
    why = {
        kernel.FUTURE_EPOCH: f"its epoch {epoch} has not begun; it is {state.epoch}",
        kernel.ADMITS_NO_PROBE: (
            f"epoch {epoch} admits no probes; it is {state.epoch}, {state.state.value}"
        ),
        kernel.NO_PLACE_FOR_A_PROBE: (
            f"{len(numbers_of(state.probes)) // 2} probes are in flight already"
        ),
        kernel.WRONG_PROBE_NUMBER: f"probe {probe} follows probe {state.probes_admitted}",
    }
    return FoldError(f"{event_label(event)}: {why[verdict]}")
