# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The rules of a closed breaker: one outcome after another, or many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.core.kernel.kernel_state import State
from recloser.core.kernel.ring import Ring
from recloser.core.kernel.rows import Rows
from recloser.core.kernel.window import Window
from recloser.core.limits import MAX_SEQS

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.bulk_window import add_singles
    from recloser.core.kernel.codes import CONSECUTIVE_FAILURES, FAILED, IGNORED, NO_RULE
    from recloser.core.kernel.ring import last_position, push_item
    from recloser.core.kernel.rows import are_single_outcomes, count_failures, first_from
    from recloser.core.kernel.window import add_outcomes, keeps_until

_FEWEST_AT_ONCE = 16  # rows
_MOST_AT_ONCE = 1024
_MAX_SEQS = MAX_SEQS


def step_closed(
    state: State, window: Window | None, kind: int, seq: int, at: int, took: int, count: int
) -> int:
    """Apply the outcome of a call of this epoch to a closed breaker.

    Args:
        state: The state, which is changed.
        window: The window that the outcome is added to; None to add it to none.
        kind: ``SUCCEEDED``, ``FAILED`` or ``IGNORED``.
        seq: Number of the event in the log.
        at: Its time, in nanoseconds of the log.
        took: How long the call took, in nanoseconds.
        count: How many calls the event stands for.

    Returns:
        The rule that fired, or ``NO_RULE``.
    """
    if kind == IGNORED:
        state.ignored += count
        return NO_RULE
    # Products instead of branches: in an outage a processor predicts many of these branches wrong.
    failed = kind == FAILED
    state.failed += count * failed
    state.succeeded += count * (not failed)
    state.consecutive_failures = (state.consecutive_failures + 1) * failed
    threshold = state.rules.failure_threshold
    if threshold:
        if failed:
            _record_failure(state, seq)
            if state.consecutive_failures >= threshold:
                return CONSECUTIVE_FAILURES
        elif state.failure_seqs is not None:
            state.failure_seqs.length = 0
    if window is None:
        return NO_RULE
    return add_outcomes(window, seq, at, count, failed, took > state.rules.slow_ns)


def _record_failure(state: State, seq: int) -> None:
    """Record a failure as evidence for the rule of consecutive failures."""
    if state.failure_seqs is None:
        state.failure_seqs = Ring(1)
    seqs = state.failure_seqs
    # Where the threshold is above the limit, only the first and the last are recorded.
    if seqs.length > 1 and state.rules.failure_threshold > _MAX_SEQS:
        position = last_position(seqs)
    else:
        position = push_item(seqs)
    seqs.items[position] = seq


def run_closed(state: State, rows: Rows, start: int, stop: int) -> int:
    """Apply rows to a closed breaker, as long as they are outcomes of this epoch.

    Args:
        state: The state, which is changed.
        rows: The rows.
        start: The first row.
        stop: One past the last row.

    Returns:
        The first row that was not applied; or the row at which a rule fired, which is in
        ``state.fired`` then.
    """
    epoch = state.epoch
    ahead = _FEWEST_AT_ONCE if cython.compiled else stop - start
    row = start
    while row < stop:
        applied = _apply_outcomes(state, rows, row, min(stop, row + ahead))
        if applied > row:
            ahead = min(max(2 * (applied - row), _FEWEST_AT_ONCE), _MOST_AT_ONCE)
            row = applied
            continue
        # A row that may make a rule fire is often followed by more of them.
        singly = min(stop, row + _FEWEST_AT_ONCE)
        while row < singly:
            kind = rows.kind[row]
            if kind > IGNORED or rows.epoch[row] != epoch:
                return row
            rule = step_closed(
                state,
                state.window,
                kind,
                rows.seq[row],
                rows.at[row],
                rows.took[row],
                rows.count[row],
            )
            if rule:
                state.fired = rule
                return row
            row += 1
    return row


def _apply_outcomes(state: State, rows: Rows, start: int, stop: int) -> int:
    """Apply single outcomes at once, as far as they surely make no rule fire.

    The result is the same as if ``step_closed`` applied each row in turn.

    Returns:
        The row after those that were applied.
    """
    window = state.window
    if window is not None:
        until = keeps_until(window)
        if rows.at[stop - 1] >= until:
            stop = first_from(rows.at, start, stop, until)
    stop = _end_without_trip(state, rows, start, stop)
    failures = count_failures(rows, start, stop)
    if window is not None and start < stop:
        added = add_singles(window, rows, start, stop, failures, state.rules.slow_ns)
        if added < stop:
            stop = added
            failures = count_failures(rows, start, stop)
    state.failed += failures
    state.succeeded += stop - start - failures
    # The failures at the end of the rows.
    run = 0
    while run < stop - start and rows.kind[stop - 1 - run] == FAILED:
        run += 1
    if run < stop - start:
        state.consecutive_failures = 0
        if state.failure_seqs is not None:
            state.failure_seqs.length = 0
    state.consecutive_failures += run
    if state.rules.failure_threshold:
        for row in range(stop - run, stop):
            _record_failure(state, rows.seq[row])
    return stop


def _end_without_trip(state: State, rows: Rows, start: int, stop: int) -> int:
    """The first row that is no single outcome, or with which consecutive failures trip the breaker.

    Returns:
        The row; ``stop`` if there is none.
    """
    epoch = state.epoch
    if not are_single_outcomes(rows, start, stop, epoch):
        row = start
        while rows.kind[row] <= FAILED and rows.epoch[row] == epoch and rows.count[row] == 1:
            row += 1
        stop = row
    threshold = state.rules.failure_threshold
    if not threshold:
        return stop
    # The breaker trips at a row if the `threshold` rows up to it are all failures. The search looks at
    # the row where the current failures could be enough, and goes back from there. A row that is no
    # failure rules out the rows after it, up to one less than the threshold.
    first = start - state.consecutive_failures
    row = first + threshold - 1
    while row < stop:
        before = row
        while before >= start and rows.kind[before] == FAILED:
            before -= 1
        if before < first or before < start:
            return row
        first = before + 1
        row = before + threshold
    return stop
