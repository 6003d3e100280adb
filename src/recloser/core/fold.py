"""The fold: ``apply(state, event)``, the one place where a breaker's state changes.

The fold is pure. It reads no clock, draws no random number, does no I/O and decides in integers, so
that the same events lead to the same states wherever and whenever they are applied. The kernel
decides; this file turns events into its rows, and the rules that fire into edges with their evidence.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from recloser.core import kernel
from recloser.core.config import CircuitBreakerConfig
from recloser.core.edges import STATES, take, trigger_of
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
    numbers_of,
    place,
    restore,
)
from recloser.core.validation import Rate
from recloser.errors import ConfigError, FoldError

FoldedEvent: TypeAlias = BreakerEvent | ClockTicked | LogOpened
"""What ``apply`` takes: events about one breaker, and those about the whole log that carry time."""

NO_EDGES: Final[Sequence[Edge]] = ()


class Forms(NamedTuple):
    """The classes of edges and their causes, or such that are made of the same fields."""

    edge: type[Edge]
    cause: type[FiredRule]


FULL: Final = Forms(Edge, FiredRule)

FOREVER: Final = kernel.NEVER
"""Later than any time of a log."""


def apply(state: BreakerState, event: FoldedEvent) -> Sequence[Edge]:
    """Apply the next event to the state of the breaker that it is about.

    First the timed edges that are due at ``event.at`` are taken, then the event itself is counted.

    Returns:
        The edges taken, as the witnesses that follow the event in the log: the first has
        ``event.seq + 1``.

    Raises:
        FoldError: The event can't have happened in this state; the message names its ``seq``.
    """
    if event.kind == "checkpoint":
        # Time has no say in what is replaced: behind a gap it is not what it was.
        state.assume(restore(event))
        return NO_EDGES
    if state.where != kernel.CLOSED:
        check_times(state, event)
    edges: Sequence[Edge] = NO_EDGES
    if event.at >= state.deadline:
        edges = pass_deadlines(state, event)
    if event.kind == "clock_ticked":
        return edges
    rule = _count(state, event)
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


def refusal_of(state: BreakerState) -> Reason | None:
    """Why the breaker refuses calls as long as no event comes; None where it lets one through."""
    return _REFUSALS.get(kernel.decide(state))


def to_spare(state: BreakerState) -> tuple[int, int]:
    """How many calls that fail or are slow can come without an edge, and before what time.

    Others may come between them, as many as there are and in any order. It is taken for granted that
    no deadline is due: that fires an edge whatever the event.

    Returns:
        Their number, below 0 where even a success could fire an edge; and the time of the log in
        nanoseconds up to which that is so, ``FOREVER`` where time makes no difference.
    """
    spare = kernel.to_spare(state, True)
    window = state.window
    if spare > 0 or window is None or not window.thresholds.is_timed:
        return spare, FOREVER
    for_now = kernel.to_spare(state, False)
    return (for_now, kernel.keeps_until(window)) if for_now > spare else (spare, FOREVER)


def config_in(event: BreakerConfigured) -> CircuitBreakerConfig:
    """The configuration that the event carries.

    Raises:
        FoldError: It is none; the message names the event and the field.
    """
    try:
        return config_of(event.config)
    except ConfigError as error:
        raise FoldError(f"{place(event)}: {error}") from error


def _count(state: BreakerState, event: FoldedEvent) -> int:
    """Apply an event after all that is due; the rule that fired, or a negative number."""
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
        # The permits of the session before died with its process.
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


def pass_deadlines(state: BreakerState, event: FoldedEvent, forms: Forms = FULL) -> Sequence[Edge]:
    """Take the timed edges that are due at an event, before it is counted."""
    edges: list[Edge] = []
    while rule := kernel.advance(state, event.seq, event.at):
        edges += edges_of(state, rule, event.seq, event.at, len(edges), forms=forms)
    return edges


# Edges


_COMMAND: Final = 1 << 8
"""In the place of a rule: an operator's command, whose trigger is that of its event."""

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
    """Take the edge of a rule that fired, and of those that fire because of it.

    Args:
        state: The state, which is changed.
        rule: The rule.
        seq: Number of the event at which it fired.
        at: Its time, in nanoseconds of the log.
        taken: How many edges were taken at that event before.
        command: The event, where it is an operator's command.
        forms: Classes of what is made.
    """
    edges: list[Edge] = []
    edge, fired_rule = forms
    while rule:
        where = state.where
        if rule == _COMMAND:
            trigger, cause = _commanded(command, fired_rule)
        else:
            trigger, cause = trigger_of(state, rule), _cause_of(state, rule, seq, fired_rule)
        rule = take(state, trigger, at)
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


def _commanded(event: FoldedEvent | None, made: type[FiredRule]) -> tuple[Trigger, FiredRule]:
    assert isinstance(event, Command)
    return _COMMANDS[event.kind], made(Rule.COMMAND, actor=event.actor, reason=event.reason)


def _cause_of(state: BreakerState, rule: int, seq: int, made: type[FiredRule]) -> FiredRule:
    """What a rule rests on, while the counters of the state that is left are still there."""
    if rule in _WINDOW_RULES:
        return _by_window(state, rule, made)
    if rule == kernel.COOLDOWN:
        return made(Rule.COOLDOWN, state.waited, state.deadline - state.opened_at)
    rules = state.rules
    if rule == kernel.CONSECUTIVE_FAILURES:
        observed, seqs = state.consecutive_failures, numbers_of(state.failure_seqs)
        return _by_outcomes(
            made, Rule.CONSECUTIVE_FAILURES, observed, rules.failure_threshold, seqs
        )
    if rule == kernel.PROBE_SUCCESSES:
        seqs = numbers_of(state.probe_seqs)
        return _by_outcomes(made, Rule.PROBE_SUCCESSES, len(seqs), rules.success_threshold, seqs)
    if rule == kernel.PROBE_FAILED:
        return made(Rule.PROBE_FAILED, 1, 1, (seq,))
    timed, threshold = Rule.HALF_OPEN_TIMEOUT, rules.half_open_timeout_ns
    if rule == kernel.PROBE_TIMEOUT:
        timed, threshold = Rule.PROBE_TIMEOUT, rules.probe_timeout_ns
    return made(timed, state.waited, threshold)


def _by_outcomes(
    made: type[FiredRule], rule: Rule, observed: int, threshold: int, seqs: Sequence[int]
) -> FiredRule:
    """A rule that rests on single outcomes: on each of them, or where they are many on a span."""
    if threshold > MAX_SEQS:
        span = (seqs[0], seqs[-1])
        return made(rule, observed, threshold, calls=observed, span=span)
    return made(rule, observed, threshold, tuple(seqs))


_WINDOW_RULES: Final = {
    kernel.WINDOW_FAILURES: Rule.WINDOW_FAILURES,
    kernel.FAILURE_RATE: Rule.FAILURE_RATE,
    kernel.SLOW_CALL_RATE: Rule.SLOW_CALL_RATE,
    kernel.PROBE_WINDOW: Rule.PROBE_WINDOW,
}


def _by_window(state: BreakerState, rule: int, made: type[FiredRule]) -> FiredRule:
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
    return made(_WINDOW_RULES[rule], observed, threshold, (), window.calls, rate, window.span())


@lru_cache(maxsize=64, typed=True)
def _text_of(rate: Rate | None) -> str:
    return str(rate)


def impossible(state: BreakerState, verdict: int, event: FoldedEvent) -> FoldError:
    """Why an event can't have happened, by the negative number that the kernel gave for it."""
    epoch, probe = getattr(event, "epoch", 0), getattr(event, "probe", 0)
    why = {
        kernel.FUTURE_EPOCH: f"its epoch {epoch} has not begun; it is {state.epoch}",
        kernel.ADMITS_NO_PROBE: (
            f"epoch {epoch} admits no probes; it is {state.epoch}, {state.state.value}"
        ),
        kernel.NO_PLACE_FOR_A_PROBE: (
            f"{len(numbers_of(state.probes)) // 2} probes are under way already"
        ),
        kernel.WRONG_PROBE_NUMBER: f"probe {probe} follows probe {state.probes_admitted}",
    }
    return FoldError(f"{place(event)}: {why[verdict]}")
