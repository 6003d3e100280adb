# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The steps that change a breaker: events, deadlines, the begin of an epoch, other settings.

Times and durations are in nanoseconds of the log; times never decrease from one event to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.core.kernel.kernel_state import Reclosing, State
from recloser.core.kernel.rows import Rows
from recloser.core.kernel.thresholds import Rules

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.closed import run_closed, step_closed
    from recloser.core.kernel.codes import (
        ADMITTED,
        ALLOWED,
        CLOSED,
        COOLDOWN,
        COOLING,
        DISABLED,
        EXHAUSTED,
        FORCED,
        FUTURE_EPOCH,
        HALF_OPEN,
        HALF_OPEN_TIMEOUT,
        NEVER,
        NO_RULE,
        OPEN,
        PROBE,
        PROBE_SUCCESSES,
        REJECTED,
    )
    from recloser.core.kernel.half_open import (
        admit,
        expire_probe,
        forget_probes,
        is_probe_overdue,
        may_probe,
        set_half_open_deadline,
        step_half_open,
    )
    from recloser.core.kernel.kernel_state import count_outcomes, start_windows

IS_COMPILED: bool = cython.compiled


def decide(state: State) -> int:
    """The answer of a breaker to any call before the next event or deadline.

    Returns:
        ``ALLOWED``, ``PROBE`` or ``DISABLED`` where it lets the call through; ``COOLING``, ``FORCED``
        or ``EXHAUSTED`` where it rejects the call.
    """
    if state.is_disabled:
        return DISABLED
    if state.where == CLOSED:
        return ALLOWED
    if state.where == OPEN:
        reclosing = state.reclosing
        return FORCED if reclosing is not None and reclosing.is_forced else COOLING
    return PROBE if may_probe(state) else EXHAUSTED


def advance(state: State, seq: int, at: int) -> int:
    """Let time pass up to ``at``: expire what is due, until a rule fires.

    Args:
        state: The state, which is changed.
        seq: Number of the event at which that is noticed.
        at: Its time.

    Returns:
        The rule that fired, or ``NO_RULE``. After the edge of a rule, call this again.
    """
    while at >= state.deadline:
        reclosing = state.reclosing
        assert reclosing is not None  # a closed breaker has no deadline
        if state.where == OPEN:
            reclosing.waited = at - reclosing.opened_at
            return COOLDOWN
        if is_probe_overdue(state):
            rule = expire_probe(state, seq, at)
            if rule:
                return rule
        else:
            reclosing.waited = at - reclosing.half_open_at
            return HALF_OPEN_TIMEOUT
    return NO_RULE


def step(
    state: State, kind: int, seq: int, at: int, took: int, epoch: int, probe: int, count: int
) -> int:
    """Apply one event to a breaker that ``advance`` has brought to the time of the event.

    Args:
        state: The state, which is changed.
        kind: ``SUCCEEDED``, ``FAILED``, ``IGNORED``, ``REJECTED`` or ``ADMITTED``.
        seq: Number of the event in the log.
        at: Its time.
        took: How long the call took.
        epoch: In which epoch the call was let through.
        probe: Which probe it is; 0 for none.
        count: How many equal calls the event stands for; 1 unless they succeeded or were rejected.

    Returns:
        The rule that fired, ``NO_RULE``, or a negative number where the event cannot have happened.
    """
    if kind == REJECTED:
        state.rejected += count
        return NO_RULE
    if kind == ADMITTED:
        return admit(state, at, epoch, probe)
    if epoch > state.epoch:
        return FUTURE_EPOCH
    if state.is_disabled:
        count_outcomes(state, kind, count)
        return NO_RULE
    if epoch < state.epoch or state.where == OPEN:
        state.stale += count
        return NO_RULE
    if state.where == CLOSED:
        return step_closed(state, state.window, kind, seq, at, took, count)
    return step_half_open(state, kind, seq, at, took, probe, count)


def run(state: State, rows: Rows, start: int, stop: int) -> int:
    """Apply rows of one breaker until a rule fires, as ``advance`` and ``step`` would in turn.

    Args:
        state: The state, which is changed. ``state.is_timed`` says whether the rule that fired is
            a timed one; then the row that is returned has not been applied.
        rows: The rows, in their order; those of kinds that ``step`` does not know are passed over.
        start: The first row to apply.
        stop: One past the last.

    Returns:
        The row at which a rule fired, which is in ``state.fired``; ``stop`` if none did.
    """
    state.fired = NO_RULE
    state.is_timed = False
    row = start
    while row < stop:
        if state.where == CLOSED and not state.is_disabled:
            row = run_closed(state, rows, row, stop)
            if state.fired or row == stop:
                return row
        if rows.kind[row] > ADMITTED:
            row += 1
            continue
        if rows.at[row] >= state.deadline:
            state.fired = advance(state, rows.seq[row], rows.at[row])
            if state.fired:
                state.is_timed = True
                return row
        state.fired = step(
            state,
            rows.kind[row],
            rows.seq[row],
            rows.at[row],
            rows.took[row],
            rows.epoch[row],
            rows.probe[row],
            rows.count[row],
        )
        if state.fired:
            return row
        row += 1
    return stop


def enter(state: State, at: int, wait_ns: int) -> int:
    """Begin an epoch, after the state machine has set ``state.where``.

    Args:
        state: The state, which is changed.
        at: When the edge was taken.
        wait_ns: Cooldown of a breaker that opens; -1 where an operator forces it open.

    Returns:
        The rule that fires at once, or ``NO_RULE``.
    """
    state.epoch += 1
    state.deadline = NEVER
    state.consecutive_failures = 0
    state.failure_seqs = None
    state.reclosing = None
    if state.where == OPEN:
        state.reclosing = Reclosing(at)
        state.reclosing.is_forced = wait_ns < 0
        if wait_ns >= 0:
            state.deadline = at + wait_ns
    elif state.where == HALF_OPEN:
        state.reclosing = Reclosing(-1, at)
    start_windows(state)
    if state.where == HALF_OPEN:
        set_half_open_deadline(state)
        if state.rules.probe_window is None and state.rules.success_threshold == 0:
            return PROBE_SUCCESSES
    return NO_RULE


def reconfigure(state: State, rules: Rules, is_disabled: bool) -> None:
    """Put other settings in force; outcomes counted under the old ones do not count under these."""
    state.rules = rules
    state.is_disabled = is_disabled
    state.consecutive_failures = 0
    state.failure_seqs = None
    start_windows(state)
    if state.where == HALF_OPEN:
        forget_probes(state)


def judge_by(state: State, rules: Rules) -> None:
    """Put other thresholds in force, with a window of the same size, and keep all counts."""
    state.rules = rules
    state.is_disabled = False
    if rules.window is None:
        state.window = None
    elif state.window is not None:
        state.window.thresholds = rules.window
