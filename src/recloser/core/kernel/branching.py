# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Copies of a state, and which states decide alike: for calls whose outcome is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.core.kernel.kernel_state import Reclosing, State
from recloser.core.kernel.thresholds import Rules
from recloser.core.kernel.window import Window

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import BUCKET, NEVER


def assume(state: State, other: State) -> None:
    """Make ``state`` a copy of ``other`` that shares nothing with it that changes."""
    state.rules = other.rules
    state.is_disabled = other.is_disabled
    state.where = other.where
    state.epoch = other.epoch
    state.is_shadow = other.is_shadow
    state.deadline = other.deadline
    state.consecutive_failures = other.consecutive_failures
    state.failure_seqs = None if other.failure_seqs is None else other.failure_seqs.copy()
    state.window = None if other.window is None else other.window.copy()
    state.reclosing = None if other.reclosing is None else other.reclosing.copy()
    state.fired = other.fired
    state.is_timed = other.is_timed
    state.succeeded = other.succeeded
    state.failed = other.failed
    state.ignored = other.ignored
    state.rejected = other.rejected
    state.stale = other.stale


def key_of(state: State) -> tuple[object, ...]:
    """A key that is equal for two states of the same rules if they decide alike from here on."""
    return (
        state.where,
        state.deadline,
        state.consecutive_failures if state.rules.failure_threshold else 0,
        window_key_of(state.window),
        None if state.reclosing is None else _reclosing_key(state.reclosing, state.rules),
    )


def _reclosing_key(reclosing: Reclosing, rules: Rules) -> tuple[object, ...]:
    probes = reclosing.probes
    has_timeout = rules.half_open_timeout_ns != NEVER
    return (
        reclosing.is_forced,
        reclosing.half_open_at if has_timeout else -1,
        () if probes is None else tuple(probes.to_list()[1::2]),
        0 if reclosing.probe_seqs is None else reclosing.probe_seqs.length,
        window_key_of(reclosing.probe_window),
    )


def window_key_of(window: Window | None) -> tuple[object, ...] | None:
    """A key that is equal for two windows of the same thresholds if they decide alike."""
    if window is None:
        return None
    if window.thresholds.is_timed:
        numbers = window.to_list()
        ends = range(BUCKET, len(numbers) + 1, BUCKET)
        return tuple([(numbers[end - BUCKET], *numbers[end - 3 : end]) for end in ends])
    codes: list[int] = []
    for entry in window.to_data():
        code, count = (entry, 1) if isinstance(entry, int) else entry
        codes += [code & 3] * count
    return tuple(codes)
