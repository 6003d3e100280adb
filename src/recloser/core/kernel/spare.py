# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""How many bad calls a closed breaker can take before a rule may fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.core.kernel.kernel_state import State

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import CLOSED, FITS


def spare_calls(state: State, is_for_ever: bool) -> int:
    """How many calls that fail or are slow can come without any rule firing.

    Any number of other calls may come before, between and after them.

    Args:
        state: The state, which is not changed.
        is_for_ever: Whether that is to hold at any time of the log; else it holds before
            ``keeps_until`` of the window.

    Returns:
        Their number; below 0 where even a success could make a rule fire.
    """
    if state.is_disabled:
        return FITS
    if state.where != CLOSED:
        return -1
    spare = FITS
    if state.rules.failure_threshold:
        spare = state.rules.failure_threshold - 1 - state.consecutive_failures
    window = state.window
    if window is None:
        return spare
    limits = window.thresholds
    # No rate counts in a window with fewer calls than needed. A call leaves a window of outcomes only
    # when another one takes its place, and a window of seconds only when another second begins.
    calls = limits.needed
    if window.calls > calls and not (is_for_ever and limits.is_timed):
        calls = min(window.calls, FITS)
    if limits.failures:
        spare = min(spare, limits.failures - 1 - window.failures)
    if limits.failure_den:
        most = _most_below(limits.failure_num, limits.failure_den, calls)
        spare = min(spare, most - window.failures)
    if limits.slow_den:
        spare = min(spare, _most_below(limits.slow_num, limits.slow_den, calls) - window.slow)
    return spare


def _most_below(num: int, den: int, calls: int) -> int:
    """The most of ``calls`` that are a smaller share than ``num / den``; at most 2^31 calls."""
    return (num * calls - 1) // den if num else -1
