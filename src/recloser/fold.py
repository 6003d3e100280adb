"""The fold: ``apply(state, event)``, the one place where a breaker's state changes.

The fold is pure. It reads no clock, draws no random number, does no I/O and decides in integers, so
that the same events lead to the same states wherever and whenever they are applied. The kernel
decides; this file turns events into its rows, and the rules that fire into edges with their evidence.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from recloser.config import CircuitBreakerConfig
from recloser.core import kernel
from recloser.core.edges import take, trigger_of
from recloser.core.rules import rules_of
from recloser.errors import ConfigError, FoldError
from recloser.events import (
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
from recloser.limits import MAX_SEQS
from recloser.state import (
    BreakerState,
    check_times,
    config_of,
    numbers_of,
    overwrite,
    place,
    restore,
)

FoldedEvent: TypeAlias = BreakerEvent | ClockTicked | LogOpened
"""What ``apply`` takes: events about one breaker, and those about the whole log that carry time."""

NO_EDGES: Final[Sequence[Edge]] = ()

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
        overwrite(state, restore(event))
        return NO_EDGES
    if state.where != kernel.CLOSED:
        check_times(state, event)
    edges: Sequence[Edge] = NO_EDGES
    if event.at >= state.deadline:
        edges = _pass_deadlines(state, event)
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


def steady_until(state: BreakerState) -> int:
    """Before what time of the log a success that is not slow can fire no edge; 0 where one can.

    In CLOSED only a window could fire one, and each of its thresholds asks for a failed or a slow
    call. Where the window has as many calls as its rates ask for, one more that is neither can't
    raise a rate either, as long as it makes the window let go of nothing but for the room. It is
    taken for granted that no deadline is due: that fires an edge whatever the event.
    """
    if state.is_disabled:
        return FOREVER
    if state.where != kernel.CLOSED:
        return 0
    window = state.window
    if window is None or not (window.failures or window.slow):
        return FOREVER
    return kernel.keeps_until(window) if window.calls >= window.thresholds.needed else 0


def is_steady(state: BreakerState) -> bool:
    """Whether a success that comes next can fire no edge, whenever that is and however it came.

    What is slow is told by the time that the call took, so where that matters it isn't known
    beforehand.
    """
    return (
        state.where == kernel.CLOSED
        and not state.is_disabled
        and state.rules.slow_ns == FOREVER
        and steady_until(state) == FOREVER
    )


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


def _pass_deadlines(state: BreakerState, event: FoldedEvent) -> Sequence[Edge]:
    edges: list[Edge] = []
    while rule := kernel.advance(state, event.seq, event.at):
        edges += edges_of(state, rule, event.seq, event.at, len(edges))
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
) -> list[Edge]:
    """Take the edge of a rule that fired, and of those that fire because of it.

    Args:
        state: The state, which is changed.
        rule: The rule.
        seq: Number of the event at which it fired.
        at: Its time, in nanoseconds of the log.
        taken: How many edges were taken at that event before.
        command: The event, where it is an operator's command.
    """
    edges: list[Edge] = []
    while rule:
        left = state.state
        if rule == _COMMAND:
            trigger, cause = _commanded(command)
        else:
            trigger, cause = trigger_of(state, rule), _cause_of(state, rule, seq)
        rule = take(state, trigger, at)
        if state.where == kernel.OPEN:
            state.why_open = cause
        elif state.where == kernel.CLOSED:
            state.why_open = None
        taken += 1
        edges.append(
            Edge(seq + taken, at, state.breaker, state.epoch, left, state.state, trigger, cause)
        )
    return edges


def _commanded(event: FoldedEvent | None) -> tuple[Trigger, FiredRule]:
    assert isinstance(event, Command)
    return _COMMANDS[event.kind], FiredRule(Rule.COMMAND, actor=event.actor, reason=event.reason)


def _cause_of(state: BreakerState, rule: int, seq: int) -> FiredRule:
    """What a rule rests on, while the counters of the state that is left are still there."""
    rules = state.rules
    if rule == kernel.CONSECUTIVE_FAILURES:
        return _by_outcomes(
            Rule.CONSECUTIVE_FAILURES,
            state.consecutive_failures,
            rules.failure_threshold,
            numbers_of(state.failure_seqs),
        )
    if rule in _WINDOW_RULES:
        return _by_window(state, rule)
    if rule == kernel.PROBE_FAILED:
        return FiredRule(Rule.PROBE_FAILED, observed=1, threshold=1, seqs=(seq,))
    if rule == kernel.PROBE_SUCCESSES:
        seqs = numbers_of(state.probe_seqs)
        return _by_outcomes(Rule.PROBE_SUCCESSES, len(seqs), rules.success_threshold, seqs)
    timed, threshold_of = _TIMED_RULES[rule]
    return FiredRule(timed, state.waited, threshold_of(state))


def _by_outcomes(rule: Rule, observed: int, threshold: int, seqs: Sequence[int]) -> FiredRule:
    """A rule that rests on single outcomes: on each of them, or where they are many on a span."""
    if threshold > MAX_SEQS:
        span = (seqs[0], seqs[-1])
        return FiredRule(rule, observed, threshold, calls=observed, span=span)
    return FiredRule(rule, observed, threshold, seqs=tuple(seqs))


_TIMED_RULES: Final[Mapping[int, tuple[Rule, Callable[[BreakerState], int]]]] = {
    kernel.COOLDOWN: (Rule.COOLDOWN, lambda state: state.deadline - state.opened_at),
    kernel.PROBE_TIMEOUT: (Rule.PROBE_TIMEOUT, lambda state: state.rules.probe_timeout_ns),
    kernel.HALF_OPEN_TIMEOUT: (
        Rule.HALF_OPEN_TIMEOUT,
        lambda state: state.rules.half_open_timeout_ns,
    ),
}
_WINDOW_RULES: Final = {
    kernel.WINDOW_FAILURES: Rule.WINDOW_FAILURES,
    kernel.FAILURE_RATE: Rule.FAILURE_RATE,
    kernel.SLOW_CALL_RATE: Rule.SLOW_CALL_RATE,
    kernel.PROBE_WINDOW: Rule.PROBE_WINDOW,
}


def _by_window(state: BreakerState, rule: int) -> FiredRule:
    is_closed = state.where == kernel.CLOSED
    window = state.window if is_closed else state.probe_window
    config = state.config.window if is_closed else state.config.half_open_window
    assert window is not None
    assert config is not None
    observed, threshold, rate = window.failures, 0, None
    if rule == kernel.WINDOW_FAILURES:
        threshold = window.thresholds.failures
    elif rule == kernel.FAILURE_RATE:
        rate = config.failure_rate
    elif rule == kernel.SLOW_CALL_RATE:
        observed, rate = window.slow, config.slow_call_rate
    else:
        observed, threshold = window.calls, window.thresholds.needed
    return FiredRule(
        _WINDOW_RULES[rule],
        observed=observed,
        threshold=threshold,
        calls=window.calls,
        rate=None if rate is None else str(rate),
        span=window.span(),
    )


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
