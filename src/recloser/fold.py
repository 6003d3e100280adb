"""The fold: ``apply(state, event)``, the one place where a breaker's state changes.

The fold is pure. It reads no clock, draws no chance, does no I/O and decides in integers, so that
the same events lead to the same states wherever and whenever they are applied. ``apply`` changes
the state in place, because a copy per call would be the dearest part of a call.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from attrs import frozen

from recloser.backoff import cooldown_ns
from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError, FoldError
from recloser.events import (
    BreakerConfigured,
    BreakerEvent,
    CallFailed,
    CallIgnored,
    CallSucceeded,
    ClockTicked,
    Command,
    Edge,
    FiredRule,
    LogOpened,
    ModeChanged,
    ProbeAdmitted,
    Reason,
    Rule,
    Trigger,
)
from recloser.limits import MAX_SEQS
from recloser.machine import CLOSED, HALF_OPEN, OPEN, fire
from recloser.state import (
    BreakerState,
    check_times,
    config_of,
    overwrite,
    place,
    restore,
    run_evidence,
)
from recloser.validation import NS_PER_SECOND
from recloser.windows import FOREVER, CountedOutcomes, end_of_second, new_window, reached

FoldedEvent: TypeAlias = BreakerEvent | ClockTicked | LogOpened
"""What ``apply`` takes: events about one breaker, and those about the whole log that carry time."""

_Outcome: TypeAlias = CallSucceeded | CallFailed | CallIgnored
_Recorded: TypeAlias = CallSucceeded | CallFailed

NO_EDGES: Final[Sequence[Edge]] = ()


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
    edges: list[Edge] = []
    if state.state is not CLOSED:
        check_times(state, event)
    while state.deadline is not None and event.at >= state.deadline:
        _pass_deadline(state, event, edges)
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


@frozen
class Stretch:
    """Events of one breaker in a row of which none fires an edge, summed up.

    Attributes:
        succeeded: How many outcomes of this epoch succeeded, and so on for the four below.
        run: How many failures there are behind the last success.
        run_seqs: The ``seq`` of each.
        is_unbroken: Whether there is no success among them, so that a run before goes on.
        codes: The last outcomes, for a ``CountedOutcomes``.
        buckets: The outcomes of the last seconds, for a ``TimedOutcomes``.
    """

    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    rejected: int = 0
    stale: int = 0
    run: int = 0
    run_seqs: Sequence[int] = ()
    is_unbroken: bool = True
    codes: Sequence[int] = ()
    buckets: Sequence[Sequence[int]] = ()


def pass_over(state: BreakerState, stretch: Stretch) -> None:
    """Apply a stretch, which is the same as to apply its events one after the other."""
    state.succeeded += stretch.succeeded
    state.failed += stretch.failed
    state.ignored += stretch.ignored
    state.rejected += stretch.rejected
    state.stale += stretch.stale
    if state.state is not CLOSED or state.mode == "disabled":
        return
    if not stretch.is_unbroken:
        state.consecutive_failures = 0
        state.failure_seqs.clear()
    state.consecutive_failures += stretch.run
    if state.config.failure_threshold is not None:
        state.failure_seqs = run_evidence(state.config, [*state.failure_seqs, *stretch.run_seqs])
    if isinstance(state.window, CountedOutcomes):
        state.window.extend(stretch.codes)
    elif state.window is not None:
        state.window.extend(stretch.buckets)


def apply_successes(state: BreakerState, events: Sequence[CallSucceeded]) -> Sequence[Edge]:
    """Apply successes of one breaker, in their order, up to the first that fires an edge.

    It is the same as ``apply`` on one after another, and takes a fraction of its time where the
    breaker is CLOSED: what can't fire an edge is counted together.

    Returns:
        The edges taken; the events behind the one that fired them are not applied.

    Raises:
        FoldError: As ``apply``.
    """
    if state.state is not CLOSED:
        return _apply_singly(state, events)
    first = 0
    for index in _unlike(state, events):
        edges = _apply_alike(state, events[first:index]) or apply(state, events[index])
        if edges:
            return edges
        first = index + 1
    return _apply_alike(state, events[first:] if first else events)


def may_probe(state: BreakerState) -> bool:
    """Whether a half-open breaker has a place for one more probe."""
    window = state.config.half_open_window
    if window is None or state.probe_window is None:
        return len(state.probes) < state.config.half_open_max_probes
    return len(state.probes) + state.probe_window.calls < window.size


def refusal_of(state: BreakerState) -> Reason | None:
    """Why the breaker refuses calls as long as no event comes; None where it lets one through."""
    if state.mode == "disabled" or state.state is CLOSED:
        return None
    if state.state is OPEN:
        return Reason.FORCED_OPEN if state.forced else Reason.COOLDOWN_ACTIVE
    return None if may_probe(state) else Reason.PROBES_EXHAUSTED


def steady_until(state: BreakerState) -> int:
    """Before what time of the log a success that is not slow can fire no edge; 0 where one can.

    In CLOSED only a window could fire one, and each of its thresholds asks for a failed or a slow
    call. Where the window has as many calls as its rates ask for, one more that is neither can't
    raise a rate either, as long as it makes the window let go of nothing but for the room. It is
    taken for granted that no deadline is due: that fires an edge whatever the event.
    """
    if state.mode == "disabled":
        return FOREVER
    if state.state is not CLOSED:
        return 0
    window, config = state.window, state.config.window
    if window is None or config is None or not (window.failures or window.slow):
        return FOREVER
    return window.keeps_until if window.calls >= config.needed else 0


def is_steady(state: BreakerState) -> bool:
    """Whether a success that comes next can fire no edge, whenever that is and however it came.

    What is slow is told by the time that the call took, so where that matters it isn't known
    beforehand.
    """
    return (
        state.state is CLOSED
        and state.mode != "disabled"
        and state.config.slow_call_ns is None
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


def _apply_rare(state: BreakerState, event: FoldedEvent, edges: list[Edge]) -> None:
    if event.kind in ("forced_open", "forced_closed", "reset"):
        _obey(state, event, edges)
    elif event.kind == "mode_changed":
        _change_mode(state, event)
    elif event.kind == "breaker_configured":
        _configure(state, event)
    elif event.kind == "log_opened":
        # The permits of the session before died with its process.
        _forget_probes(state)


def _count_success(state: BreakerState, event: CallSucceeded, edges: list[Edge]) -> None:
    if _is_stale(state, event):
        state.stale += event.count
        return
    state.succeeded += event.count
    if state.mode == "disabled":
        return
    if state.state is CLOSED:
        state.consecutive_failures = 0
        state.failure_seqs.clear()
        _add_to_window(state, event, edges)
        return
    del state.probes[event.probe]
    state.probe_seqs.append(event.seq)
    _judge_probe(state, event, edges, failed=False)


def _count_failure(state: BreakerState, event: CallFailed, edges: list[Edge]) -> None:
    if _is_stale(state, event):
        state.stale += 1
        return
    state.failed += 1
    if state.mode == "disabled":
        return
    if state.state is CLOSED:
        if not _trip_by_run(state, event, edges):
            _add_to_window(state, event, edges)
        return
    del state.probes[event.probe]
    _judge_probe(state, event, edges, failed=True)


def _count_ignored(state: BreakerState, event: CallIgnored) -> None:
    if _is_stale(state, event):
        state.stale += 1
        return
    state.ignored += 1
    if state.state is HALF_OPEN and state.mode != "disabled":
        del state.probes[event.probe]
        state.deadline = _half_open_deadline(state)


def _apply_singly(state: BreakerState, events: Sequence[CallSucceeded]) -> Sequence[Edge]:
    for event in events:
        edges = apply(state, event)
        if edges:
            return edges
    return NO_EDGES


def _unlike(state: BreakerState, events: Sequence[CallSucceeded]) -> Sequence[int]:
    """Which of the successes are slow, or not of this epoch."""
    epoch, limit = state.epoch, state.config.slow_call_ns
    if limit is not None:
        return [n for n, event in enumerate(events) if event.took > limit or event.epoch != epoch]
    if [event.epoch for event in events].count(epoch) == len(events):
        return ()
    return [n for n, event in enumerate(events) if event.epoch != epoch]


def _apply_alike(state: BreakerState, events: Sequence[CallSucceeded]) -> Sequence[Edge]:
    """As ``apply_successes``, of quick ones of this epoch, in CLOSED."""
    first = 0
    while first < len(events):
        last = _quiet_until(state, events, first)
        if last == first:
            edges = apply(state, events[first])
            if edges:
                return edges
            first += 1
            continue
        quiet = events if last - first == len(events) else events[first:last]
        counts = [event.count for event in quiet]
        state.succeeded += sum(counts)
        if state.mode != "disabled":
            state.consecutive_failures = 0
            state.failure_seqs.clear()
            if state.window is not None:
                state.window.add_successes(quiet, counts)
        first = last
    return NO_EDGES


def _quiet_until(state: BreakerState, events: Sequence[CallSucceeded], first: int) -> int:
    """Behind the last of the quick successes, from ``first`` on, that surely fire no edge.

    A success only lowers the rates of a window, unless it is the one that makes its outcomes enough
    for a rate to count, or lets go of a second before which there were more successes.
    """
    window, config = state.window, state.config.window
    if window is None or config is None or state.mode == "disabled":
        return len(events)
    if not window.failures and not window.slow:
        return len(events)
    if window.calls < config.needed or reached(config, window) is not None:
        return first
    if isinstance(window, CountedOutcomes):
        return len(events)
    if window.second != events[first].at // NS_PER_SECOND:
        return first
    return end_of_second(events, first)


def _is_stale(state: BreakerState, event: _Outcome) -> bool:
    """Whether the outcome is of a call that this epoch did not let through, or has given up."""
    if event.epoch > state.epoch:
        raise FoldError(
            f"{place(event)}: its epoch {event.epoch} has not begun; it is {state.epoch}"
        )
    if state.mode == "disabled":
        return False
    if event.epoch < state.epoch or state.state is OPEN:
        return True
    return state.state is HALF_OPEN and event.probe not in state.probes


def _trip_by_run(state: BreakerState, event: CallFailed, edges: list[Edge]) -> bool:
    state.consecutive_failures += 1
    threshold = state.config.failure_threshold
    if threshold is None:
        return False
    seqs = state.failure_seqs
    if len(seqs) > 1 and threshold > MAX_SEQS:
        seqs.pop()  # of so many, the first and the last are enough
    seqs.append(event.seq)
    if state.consecutive_failures < threshold:
        return False
    cause = _fired_by(Rule.CONSECUTIVE_FAILURES, state.consecutive_failures, threshold, seqs)
    _take(state, Trigger.TRIP, cause, event, edges)
    return True


def _fired_by(rule: Rule, observed: int, threshold: int, seqs: Sequence[int]) -> FiredRule:
    """A rule that rests on single outcomes: on each of them, or where they are many on a span."""
    if threshold > MAX_SEQS:
        span = (seqs[0], seqs[-1])
        return FiredRule(rule, observed, threshold, calls=observed, span=span)
    return FiredRule(rule, observed, threshold, seqs=tuple(seqs))


def _add_to_window(state: BreakerState, event: _Recorded, edges: list[Edge]) -> None:
    window, config = state.window, state.config.window
    if window is None or config is None:
        return
    failed = event.kind == "call_failed"
    count = event.count if event.kind == "call_succeeded" else 1
    window.add(event.seq, event.at, count, failed=failed, slow=_is_slow(state, event.took))
    cause = reached(config, window)
    if cause is not None:
        _take(state, Trigger.TRIP, cause, event, edges)


def _is_slow(state: BreakerState, took: int) -> bool:
    limit = state.config.slow_call_ns
    return limit is not None and took > limit


def _admit(state: BreakerState, event: ProbeAdmitted) -> None:
    if state.state is not HALF_OPEN or event.epoch != state.epoch:
        raise FoldError(
            f"{place(event)}: epoch {event.epoch} admits no probes; "
            f"it is {state.epoch}, {state.state.value}"
        )
    if not may_probe(state):
        raise FoldError(f"{place(event)}: {len(state.probes)} probes are under way already")
    if event.probe != state.probes_admitted + 1:
        raise FoldError(
            f"{place(event)}: probe {event.probe} follows probe {state.probes_admitted}"
        )
    state.probes_admitted += 1
    state.probes[event.probe] = event.at
    state.deadline = _half_open_deadline(state)


def _judge_probe(state: BreakerState, event: _Recorded, edges: list[Edge], *, failed: bool) -> None:
    """Decide what a probe that has reported means."""
    if state.probe_window is not None:
        slow = _is_slow(state, event.took)
        _judge_by_window(state, state.probe_window, event, edges, failed=failed, slow=slow)
    elif failed:
        cause = FiredRule(Rule.PROBE_FAILED, observed=1, threshold=1, seqs=(event.seq,))
        _take(state, Trigger.RELAPSE, cause, event, edges)
    else:
        _recover_if_due(state, event, edges)
    if state.state is HALF_OPEN:
        state.deadline = _half_open_deadline(state)


def _judge_by_window(
    state: BreakerState,
    probes: CountedOutcomes,
    event: FoldedEvent,
    edges: list[Edge],
    *,
    failed: bool,
    slow: bool,
) -> None:
    config = state.config.half_open_window
    assert config is not None
    probes.add(event.seq, event.at, 1, failed=failed, slow=slow)
    cause = reached(config, probes)
    if cause is not None:
        _take(state, Trigger.RELAPSE, cause, event, edges)
    elif probes.calls >= config.needed:
        cause = FiredRule(
            Rule.PROBE_WINDOW,
            observed=probes.calls,
            threshold=config.needed,
            calls=probes.calls,
            span=probes.span(),
        )
        _take(state, Trigger.RECOVER, cause, event, edges)


def _recover_if_due(state: BreakerState, event: FoldedEvent, edges: list[Edge]) -> None:
    threshold = state.config.half_open_success_threshold
    if len(state.probe_seqs) >= threshold:
        succeeded = len(state.probe_seqs)
        cause = _fired_by(Rule.PROBE_SUCCESSES, succeeded, threshold, state.probe_seqs)
        _take(state, Trigger.RECOVER, cause, event, edges)


def _pass_deadline(state: BreakerState, event: FoldedEvent, edges: list[Edge]) -> None:
    """Take what is due first, of the cooldown, a probe's timeout and the half-open one's."""
    assert state.deadline is not None
    if state.opened_at is not None:
        _cool(state, event, edges)
        return
    assert state.half_open_at is not None
    number = next(iter(state.probes), None)
    timeout = state.config.probe_timeout_ns
    if number is not None and state.probes[number] + timeout == state.deadline:
        _expire_probe(state, number, event, edges)
        return
    cause = FiredRule(
        Rule.HALF_OPEN_TIMEOUT,
        observed=event.at - state.half_open_at,
        threshold=state.deadline - state.half_open_at,
    )
    _take(state, Trigger.RELAPSE, cause, event, edges)


def _cool(state: BreakerState, event: FoldedEvent, edges: list[Edge]) -> None:
    assert state.opened_at is not None
    assert state.deadline is not None
    cause = FiredRule(
        Rule.COOLDOWN,
        observed=event.at - state.opened_at,
        threshold=state.deadline - state.opened_at,
    )
    _take(state, Trigger.COOL, cause, event, edges)
    if state.probe_window is None and state.config.half_open_success_threshold == 0:
        _recover_if_due(state, event, edges)


def _expire_probe(state: BreakerState, number: int, event: FoldedEvent, edges: list[Edge]) -> None:
    """A probe that has not reported in time counts as failed."""
    timeout = state.config.probe_timeout_ns
    waited = event.at - state.probes.pop(number)
    if state.probe_window is None:
        cause = FiredRule(Rule.PROBE_TIMEOUT, observed=waited, threshold=timeout)
        _take(state, Trigger.RELAPSE, cause, event, edges)
        return
    slow = _is_slow(state, timeout)
    _judge_by_window(state, state.probe_window, event, edges, failed=True, slow=slow)
    if state.state is HALF_OPEN:
        state.deadline = _half_open_deadline(state)


def _half_open_deadline(state: BreakerState) -> int | None:
    """When the first probe under way, or the half-open state itself, takes too long."""
    assert state.half_open_at is not None
    timeout = state.config.probe_timeout_ns
    deadlines = [at + timeout for at in state.probes.values()]
    if state.config.half_open_timeout_ns is not None:
        deadlines.append(state.half_open_at + state.config.half_open_timeout_ns)
    return min(deadlines, default=None)


_COMMANDS: Final = {
    "forced_open": Trigger.FORCE_OPEN,
    "forced_closed": Trigger.FORCE_CLOSED,
    "reset": Trigger.RESET,
}


def _obey(state: BreakerState, event: Command, edges: list[Edge]) -> None:
    cause = FiredRule(Rule.COMMAND, actor=event.actor, reason=event.reason)
    _take(state, _COMMANDS[event.kind], cause, event, edges)


def _change_mode(state: BreakerState, event: ModeChanged) -> None:
    state.mode = event.mode
    if event.mode == "disabled":
        _forget_probes(state)


def _configure(state: BreakerState, event: BreakerConfigured) -> None:
    # What was counted under other settings is no evidence under these.
    state.config = config_in(event)
    state.mode = state.config.mode
    state.consecutive_failures = 0
    state.failure_seqs.clear()
    _start_windows(state)
    if state.state is HALF_OPEN:
        _forget_probes(state)


def _forget_probes(state: BreakerState) -> None:
    state.probes.clear()
    if state.state is HALF_OPEN:
        state.deadline = _half_open_deadline(state)


def _start_windows(state: BreakerState) -> None:
    """Empty windows for the state that the breaker is in."""
    state.window = state.probe_window = None
    if state.state is CLOSED and state.config.window is not None:
        state.window = new_window(state.config.window)
    elif state.state is HALF_OPEN and state.config.half_open_window is not None:
        state.probe_window = CountedOutcomes(state.config.half_open_window.size)


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
    state.opened_at = state.half_open_at = state.deadline = None
    state.consecutive_failures = state.probes_admitted = 0
    state.failure_seqs.clear()
    state.probes.clear()
    state.probe_seqs.clear()
    _start_windows(state)
    if state.state is OPEN:
        state.why_open = cause
        state.opened_at = event.at
        if not state.forced:
            state.deadline = event.at + _next_cooldown(state)
    elif state.state is HALF_OPEN:
        state.half_open_at = event.at
        state.deadline = _half_open_deadline(state)
    else:
        state.why_open = None
        state.openings_in_a_row = 0
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


def _next_cooldown(state: BreakerState) -> int:
    state.openings += 1
    state.openings_in_a_row += 1
    return cooldown_ns(
        state.config.backoff,
        state.config.recovery_timeout_ns,
        state.breaker,
        opening=state.openings,
        in_a_row=state.openings_in_a_row,
    )
