# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Moves a state to other times, for proofs that replay a log under other clocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from recloser.core.kernel.kernel_state import State
from recloser.core.kernel.window import Window

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import BUCKET, NEVER, SECOND
    from recloser.core.kernel.half_open import set_half_open_deadline
    from recloser.core.kernel.ring import last_position, position_of


def retime(state: State, moved: Callable[[int], int]) -> None:
    """Change all times in a state, as if everything had happened at other times.

    Args:
        state: The state, which is changed.
        moved: Returns the new time for a time, both in nanoseconds of the log.
    """
    if state.opened_at >= 0:
        wait_ns = state.deadline - state.opened_at
        state.opened_at = moved(state.opened_at)
        if state.deadline != NEVER:
            state.deadline = state.opened_at + min(wait_ns, NEVER - state.opened_at)
    if state.half_open_at >= 0:
        state.half_open_at = moved(state.half_open_at)
        probes = state.probes
        if probes is not None:
            for index in range(probes.length):
                position = position_of(probes, index) + 1
                if probes.items[position] >= 0:
                    probes.items[position] = moved(probes.items[position])
        set_half_open_deadline(state)
    if state.window is not None and state.window.thresholds.is_timed:
        _retime_window(state.window, moved)


def _retime_window(window: Window, moved: Callable[[int], int]) -> None:
    """Move each bucket to the second in which its own second now begins."""
    numbers = window.to_list()
    window.clear()
    for start in range(0, len(numbers), BUCKET):
        second = moved(numbers[start] * SECOND) // SECOND
        if window.length and window.items[last_position(window)] == second:
            position = last_position(window)
            window.items[position + 2] = numbers[start + 2]
            for index in range(3, BUCKET):
                window.items[position + index] += numbers[start + index]
        else:
            window.extend((second, *numbers[start + 1 : start + BUCKET]))
