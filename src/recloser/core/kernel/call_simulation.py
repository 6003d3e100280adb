# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Simulates a breaker on calls whose starts and ends are known, such as imported calls.

A closed breaker lets all calls through, so only the ends of calls matter to it, and many of them are
applied at once. A breaker that is not closed looks at starts and ends in the order of time.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from recloser.core.kernel.call_columns import Progress
from recloser.core.kernel.kernel_state import State
from recloser.core.kernel.rows import Rows
from recloser.core.kernel.window import Window

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.call_columns import (
        is_let_through,
        probe_of,
        reject_until,
        started_before,
    )
    from recloser.core.kernel.closed import run_closed, step_closed
    from recloser.core.kernel.codes import (
        ADMITTED,
        ASKS_ALL,
        ASKS_OUTCOME,
        ASKS_WINDOW,
        CLOSED,
        FAILED,
        HALF_OPEN,
        IGNORED,
        IS_DUE,
        NEVER,
        NO_RULE,
        OPEN,
        PROBE,
        SUCCEEDED,
        UNKNOWN,
    )
    from recloser.core.kernel.half_open import probe_index
    from recloser.core.kernel.ring import push_item
    from recloser.core.kernel.rows import first_from
    from recloser.core.kernel.steps import advance, decide, step
    from recloser.core.kernel.window import add_outcomes

_BLOCK = 2048  # ends at most at once, so that their columns stay in the nearest cache
_FEW = 64  # ends at first
_NUMBERS = array("q", range(_BLOCK))
_ZEROS = array("q", (0,)) * _BLOCK
_ONES = array("q", (1,)) * _BLOCK


def simulate(state: State, progress: Progress) -> int:
    """Ask the breaker at each call's start and report at its end, until a rule fires.

    Calls go in the order of time: at one instant ends before starts, except that a call without
    duration ends right after its own start.

    Args:
        state: The state, which is changed.
        progress: How far it has come, which is changed.

    Returns:
        The rule that fired, at ``progress.at``; call this again after its edge. ``NO_RULE`` at the
        end of the calls. ``ASKS_OUTCOME`` where it matters whether a call of unknown outcome failed,
        ``ASKS_ALL`` where it matters too whether that call was slow, and ``ASKS_WINDOW`` where
        unknown outcomes in the window decide; then answer by ``suppose``. ``IS_DUE`` at a start or
        end that finds the deadline passed, where ``progress.is_shared``.
    """
    if progress.epoch != state.epoch:
        progress.epoch = state.epoch
        progress.since = progress.next_start
        progress.before = progress.next_start - progress.next_end
        progress.probes.clear()
        progress.lower = None
        progress.upper = None
        progress.dated = 0
    state.fired = NO_RULE
    if state.where == CLOSED:
        return _simulate_closed(state, progress)
    return _simulate_not_closed(state, progress)


def suppose(state: State, progress: Progress, failed: bool, slow: bool) -> int:
    """Apply the unknown outcome at which ``simulate`` has stopped as if it were known.

    Args:
        state: The state, which is changed.
        progress: How far it has come, which is changed.
        failed: Whether the call failed.
        slow: Whether the call was slow; in the window of a closed breaker that stays unknown.

    Returns:
        The rule that fires then, ``NO_RULE`` or ``ASKS_WINDOW``.
    """
    calls = progress.calls
    end_index = progress.next_end
    kind = FAILED if failed else SUCCEEDED
    progress.at = calls.ends[end_index]
    progress.next_end = end_index + 1
    if state.where == HALF_OPEN:
        took = NEVER if slow else 0
        probe = probe_of(progress, calls.by_end[end_index])
        return step(state, kind, end_index, progress.at, took, state.epoch, probe, 1)
    if progress.lower is None and state.window is not None:
        progress.lower = state.window
        progress.upper = state.window.copy()
        state.window = None
    rule = step_closed(state, None, kind, end_index, progress.at, 0, 1)
    if rule == NO_RULE and progress.lower is not None and progress.upper is not None:
        rule = add_outcomes(progress.lower, end_index, progress.at, 1, False, False)
        if add_outcomes(progress.upper, end_index, progress.at, 1, True, True) and not rule:
            rule = ASKS_WINDOW
    if rule:
        progress.next_start = started_before(calls, end_index)
    return rule


def _simulate_closed(state: State, progress: Progress) -> int:
    calls = progress.calls
    while progress.next_end < calls.size:
        stop = _end_of_stretch(progress)
        end_index = progress.next_end
        if end_index == stop:
            continue
        if progress.lower is not None or state.is_disabled:
            end_index = _report_singly(state, progress, stop)
        else:
            end_index += run_closed(state, _rows_of(progress, stop), 0, stop - end_index)
        progress.next_end = end_index
        if state.fired:
            progress.at = calls.ends[end_index]
            progress.next_start = started_before(calls, end_index)
            progress.next_end = end_index + 1
            return state.fired
        if end_index < stop and calls.outcomes[end_index] == UNKNOWN:
            if state.rules.failure_threshold:
                # Release the rows: many copies of the progress may wait for answers.
                progress.rows = None
                progress.dated = 0
                return ASKS_OUTCOME
            state.fired = suppose(state, progress, False, False)
            if state.fired:
                return state.fired
    progress.next_start = calls.size
    return NO_RULE


def _end_of_stretch(progress: Progress) -> int:
    """The end index up to which the next ends are all of calls of this epoch.

    The ends of calls that started before this epoch are passed first: those calls were rejected, or
    their outcomes are stale.
    """
    calls = progress.calls
    end_index = progress.next_end
    stop = min(calls.size, end_index + max(_FEW, min(_BLOCK, 2 * progress.dated)))
    if progress.before == 0:
        return stop
    while end_index < stop and calls.by_end[end_index] < progress.since:
        end_index += 1
    progress.before -= end_index - progress.next_end
    progress.next_end = end_index
    while end_index < stop and calls.by_end[end_index] >= progress.since:
        end_index += 1
    return end_index


def _rows_of(progress: Progress, stop: int) -> Rows:
    """The ends from the next one up to ``stop``, as rows of this epoch."""
    calls = progress.calls
    end_index = progress.next_end
    rows = progress.rows
    if rows is None:
        progress.epochs = memoryview(array("q", (0,)) * _BLOCK)
        rows = Rows(b"", _NUMBERS, _ZEROS, _ZEROS, progress.epochs, _ZEROS, _ONES)
        progress.rows = rows
    while progress.dated < stop - end_index:
        progress.epochs[progress.dated] = progress.epoch
        progress.dated += 1
    rows.kind = calls.outcomes[end_index:stop]
    rows.at = calls.ends[end_index:stop]
    rows.took = calls.tooks[end_index:stop]
    return rows


def _report_singly(state: State, progress: Progress, stop: int) -> int:
    """Report the next outcomes, which are of this epoch, one by one.

    Returns:
        The end index up to ``stop`` at which a rule fires or an outcome is unknown, or from which on
        the window holds no unknown outcome.
    """
    calls = progress.calls
    for end_index in range(progress.next_end, stop):
        kind = calls.outcomes[end_index]
        at = calls.ends[end_index]
        took = calls.tooks[end_index]
        if state.is_disabled:
            if kind != UNKNOWN:
                step(state, kind, end_index, at, took, state.epoch, 0, 1)
            continue
        if kind == UNKNOWN:
            return end_index
        state.fired = step_closed(state, None, kind, end_index, at, took, 1)
        if state.fired == NO_RULE and kind != IGNORED:
            state.fired = _add_to_both(
                state, progress.lower, progress.upper, at, kind == FAILED, took
            )
            if state.window is not None:
                progress.lower = None
                progress.upper = None
        if state.fired:
            return end_index
        if progress.lower is None:
            return end_index + 1
    return stop


def _add_to_both(
    state: State, lower: Window | None, upper: Window | None, at: int, failed: bool, took: int
) -> int:
    """Add a known outcome to a window that holds unknown ones.

    Sets ``state.window`` where the window holds no unknown outcome any more.

    Returns:
        The rule that fires however the unknown outcomes were; ``ASKS_WINDOW`` if they decide; or
        ``NO_RULE``.
    """
    if lower is None or upper is None:
        return NO_RULE
    limits = lower.thresholds
    slow = took > state.rules.slow_ns
    before = lower.calls
    rule = add_outcomes(lower, 0, at, 1, failed, slow)
    is_possible = add_outcomes(upper, 0, at, 1, failed, slow) != NO_RULE
    if rule:
        return rule
    if lower.failures == upper.failures and lower.slow == upper.slow:
        state.window = lower
        return NO_RULE
    if not is_possible:
        return NO_RULE
    # The outcome before has tripped nothing, however the unknown ones were. So this one can trip only
    # if it raises a count, since it is bad, or a rate, since it completes the minimum of calls or since
    # older calls leave the window with it.
    is_bad = failed or (slow and limits.slow_den != 0)
    drops_others = limits.is_timed and lower.calls != before + 1
    if is_bad or (lower.calls >= limits.needed and (before < limits.needed or drops_others)):
        return ASKS_WINDOW
    return NO_RULE


def _simulate_not_closed(state: State, progress: Progress) -> int:
    calls = progress.calls
    while True:
        if state.where == OPEN:
            _pass_cooldown(state, progress)
        if progress.next_end == calls.size and progress.next_start == calls.size:
            return NO_RULE
        is_end = _is_end_next(progress)
        if is_end:
            progress.at = calls.ends[progress.next_end]
            if not _is_noticed(state, progress):
                progress.next_end += 1
                continue
        else:
            progress.at = calls.starts[progress.next_start]
        if progress.at >= state.deadline:
            state.fired = IS_DUE
            if not progress.is_shared:
                state.fired = advance(state, progress.next_end, progress.at)
            if state.fired:
                return state.fired
        state.fired = _end(state, progress) if is_end else _start(state, progress)
        if state.fired:
            return state.fired


def _is_end_next(progress: Progress) -> bool:
    """Whether the next end comes before the next start; there must be one of either."""
    calls = progress.calls
    if progress.next_start == calls.size:
        return True
    return (
        progress.next_end < calls.size
        and progress.next_end < calls.ended_before[progress.next_start]
    )


def _is_noticed(state: State, progress: Progress) -> bool:
    """Whether the next end can change anything: a probe's, or one that finds a deadline passed."""
    call = progress.calls.by_end[progress.next_end]
    if call < progress.since and progress.at < state.deadline:
        return False
    return is_let_through(progress, call)


def _pass_cooldown(state: State, progress: Progress) -> None:
    """Go on to the first start and the first end that find the cooldown over."""
    calls = progress.calls
    start_index = first_from(calls.starts, progress.next_start, calls.size, state.deadline)
    end_index = first_from(calls.ends, progress.next_end, calls.size, state.deadline)
    if start_index < calls.size:
        end_index = min(end_index, calls.ended_before[start_index])
    reject_until(progress, start_index)
    progress.next_end = end_index


def _start(state: State, progress: Progress) -> int:
    """Ask the breaker about the next call; nothing must be due."""
    calls = progress.calls
    start_index = progress.next_start
    if decide(state) == PROBE:
        probe = state.probes_admitted + 1
        step(state, ADMITTED, start_index, progress.at, 0, state.epoch, probe, 1)
        position = push_item(progress.probes)
        progress.probes.items[position] = start_index
        progress.next_start = start_index + 1
    else:
        # The breaker answers every start alike until the next end or the deadline.
        start_index += 1
        while (
            start_index < calls.size
            and calls.ended_before[start_index] <= progress.next_end
            and calls.starts[start_index] < state.deadline
        ):
            start_index += 1
        reject_until(progress, start_index)
    return NO_RULE


def _end(state: State, progress: Progress) -> int:
    """Report the end of the next call, which was let through; nothing must be due."""
    calls = progress.calls
    end_index = progress.next_end
    call = calls.by_end[end_index]
    kind = calls.outcomes[end_index]
    if call >= progress.since:
        probe = probe_of(progress, call)
        if kind != UNKNOWN:
            progress.next_end += 1
            took = calls.tooks[end_index]
            return step(state, kind, end_index, progress.at, took, state.epoch, probe, 1)
        if probe_index(state, probe) >= 0:
            window = state.probe_window
            can_be_slow = window is not None and window.thresholds.slow_den != 0
            return ASKS_ALL if can_be_slow else ASKS_OUTCOME
    progress.next_end += 1
    return NO_RULE
