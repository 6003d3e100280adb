# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The rules of a half-open breaker: which probes it admits, and what their outcomes lead to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.core.kernel.kernel_state import State
from recloser.core.kernel.ring import Ring

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import (
        ADMITS_NO_PROBE,
        FAILED,
        HALF_OPEN,
        IGNORED,
        NEVER,
        NO_PLACE_FOR_A_PROBE,
        NO_RULE,
        PROBE_FAILED,
        PROBE_SUCCESSES,
        PROBE_TIMEOUT,
        PROBE_WINDOW,
        SUCCEEDED,
        WRONG_PROBE_NUMBER,
    )
    from recloser.core.kernel.kernel_state import count_outcomes
    from recloser.core.kernel.ring import first_index, pop_item, position_of, push_item
    from recloser.core.kernel.window import add_outcomes


def may_probe(state: State, asked: int = 0) -> bool:
    """Whether a half-open breaker has a place for another probe.

    Args:
        state: The state of the breaker.
        asked: Probes that were asked for and are not in the state yet; they take places too.
    """
    reclosing = state.reclosing
    if reclosing is None:
        return False
    in_flight = asked
    if reclosing.probes is not None:
        in_flight += reclosing.probes.length - reclosing.probes.removed
    if reclosing.probe_window is None:
        return in_flight < state.rules.max_probes
    return in_flight + reclosing.probe_window.calls < reclosing.probe_window.thresholds.size


def admit(state: State, at: int, epoch: int, probe: int) -> int:
    """Record that a probe was let through.

    Args:
        state: The state, which is changed.
        at: When it was let through, in nanoseconds of the log.
        epoch: In which epoch.
        probe: Its number in this epoch, from 1.

    Returns:
        ``NO_RULE``, or a negative number where that cannot have happened.
    """
    if state.where != HALF_OPEN or epoch != state.epoch:
        return ADMITS_NO_PROBE
    if not may_probe(state):
        return NO_PLACE_FOR_A_PROBE
    reclosing = state.reclosing
    assert reclosing is not None  # else it would have no place
    if probe != reclosing.probes_admitted + 1:
        return WRONG_PROBE_NUMBER
    reclosing.probes_admitted += 1
    if reclosing.probes is None:
        reclosing.probes = Ring(2)
    probes = reclosing.probes
    position = push_item(probes)
    probes.items[position] = probe
    probes.items[position + 1] = at
    set_half_open_deadline(state)
    return NO_RULE


def probe_index(state: State, probe: int) -> int:
    """Index of a probe among those in flight; -1 if it is not in flight."""
    reclosing = state.reclosing
    if reclosing is None:
        return -1
    probes = reclosing.probes
    if probes is None:
        return -1
    index = first_index(probes, 0, probe)
    if index == probes.length:
        return -1
    position = position_of(probes, index)
    if probes.items[position] != probe or probes.items[position + 1] < 0:
        return -1
    return index


def _remove(probes: Ring, index: int) -> None:
    """Mark a probe as no longer in flight; O(1) amortised."""
    position = position_of(probes, index)
    probes.items[position + 1] = -1
    probes.removed += 1
    _drop_removed(probes)


def _drop_removed(probes: Ring) -> None:
    """Drop removed probes so that the oldest item is in flight, and so are most of the others."""
    while probes.length and probes.items[probes.first * 2 + 1] < 0:
        pop_item(probes)
        probes.removed -= 1
    if probes.removed * 2 <= probes.length:
        return
    in_flight = 0
    for index in range(probes.length):
        position = position_of(probes, index)
        if probes.items[position + 1] >= 0:
            to = position_of(probes, in_flight)
            probes.items[to] = probes.items[position]
            probes.items[to + 1] = probes.items[position + 1]
            in_flight += 1
    probes.length = in_flight
    probes.removed = 0


def step_half_open(
    state: State, kind: int, seq: int, at: int, took: int, probe: int, count: int
) -> int:
    """Apply the outcome of a call of this epoch to a half-open breaker.

    Args:
        state: The state, which is changed.
        kind: ``SUCCEEDED``, ``FAILED`` or ``IGNORED``.
        seq: Number of the event in the log.
        at: Its time, in nanoseconds of the log.
        took: How long the call took, in nanoseconds.
        probe: Which probe it was; an outcome of no probe in flight is stale.
        count: How many calls the event stands for.

    Returns:
        The rule that fired, or ``NO_RULE``.
    """
    index = probe_index(state, probe)
    if index < 0:
        state.stale += count
        return NO_RULE
    reclosing = state.reclosing
    assert reclosing is not None
    assert reclosing.probes is not None
    _remove(reclosing.probes, index)
    count_outcomes(state, kind, count)
    rule = NO_RULE
    if kind == SUCCEEDED:
        if reclosing.probe_seqs is None:
            reclosing.probe_seqs = Ring(1)
        position = push_item(reclosing.probe_seqs)
        reclosing.probe_seqs.items[position] = seq
    if kind != IGNORED:
        rule = _rule_after_probe(state, kind, seq, at, took)
    if not rule:
        set_half_open_deadline(state)
    return rule


def _rule_after_probe(state: State, kind: int, seq: int, at: int, took: int) -> int:
    """The rule that the outcome of a probe makes fire, or ``NO_RULE``."""
    reclosing = state.reclosing
    assert reclosing is not None
    window = reclosing.probe_window
    if window is not None:
        rule = add_outcomes(window, seq, at, 1, kind == FAILED, took > state.rules.slow_ns)
        if rule == NO_RULE and window.calls >= window.thresholds.needed:
            return PROBE_WINDOW
        return rule
    if kind == FAILED:
        return PROBE_FAILED
    assert reclosing.probe_seqs is not None
    if reclosing.probe_seqs.length >= state.rules.success_threshold:
        return PROBE_SUCCESSES
    return NO_RULE


def is_probe_overdue(state: State) -> bool:
    """Whether the deadline is that of the oldest probe, and not that of the half-open state."""
    reclosing = state.reclosing
    if reclosing is None:
        return False
    probes = reclosing.probes
    if probes is None or probes.length == 0:
        return False
    began_at = probes.items[probes.first * 2 + 1]
    return began_at + state.rules.probe_timeout_ns == state.deadline


def expire_probe(state: State, seq: int, at: int) -> int:
    """Count the oldest probe as failed, since it has not reported in time.

    Args:
        state: The state, which is changed.
        seq: Number of the event at which that is noticed.
        at: Its time, in nanoseconds of the log.

    Returns:
        The rule that fired, or ``NO_RULE``.
    """
    reclosing = state.reclosing
    assert reclosing is not None
    probes = reclosing.probes
    assert probes is not None
    position = pop_item(probes)
    reclosing.waited = at - probes.items[position + 1]
    _drop_removed(probes)
    if reclosing.probe_window is None:
        return PROBE_TIMEOUT
    rule = _rule_after_probe(state, FAILED, seq, at, state.rules.probe_timeout_ns)
    if not rule:
        set_half_open_deadline(state)
    return rule


def set_half_open_deadline(state: State) -> None:
    """Set the deadline to when the oldest probe in flight or the half-open state times out."""
    reclosing = state.reclosing
    assert reclosing is not None
    state.deadline = NEVER
    if state.rules.half_open_timeout_ns != NEVER:
        state.deadline = reclosing.half_open_at + state.rules.half_open_timeout_ns
    probes = reclosing.probes
    if probes is not None and probes.length:
        overdue_at = probes.items[probes.first * 2 + 1] + state.rules.probe_timeout_ns
        state.deadline = min(state.deadline, overdue_at)


def forget_probes(state: State) -> None:
    """Wait no longer for the probes in flight: their permits are void."""
    if state.reclosing is not None:
        state.reclosing.probes = None
    if state.where == HALF_OPEN:
        set_half_open_deadline(state)
