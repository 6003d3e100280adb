# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The settings of a breaker in integers, and whether counts of calls reach them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.codes import (
        FAILURE_RATE,
        FITS,
        NO_RULE,
        SLOW_CALL_RATE,
        WINDOW_FAILURES,
    )


class Thresholds:
    """Size of a window, and the numbers at which its outcomes make a rule fire.

    Attributes:
        size: How many outcomes the window holds, or how many seconds if ``is_timed``.
        is_timed: Whether the window is one of seconds.
        needed: How many outcomes the window must hold before a rate counts.
        failures: Number of failures at which the breaker trips; 0 for none.
        failure_num, failure_den: Failure rate as a fraction; ``failure_den`` is 0 for none.
        slow_num, slow_den: Rate of slow calls as a fraction; ``slow_den`` is 0 for none.
    """

    __slots__ = (
        "failure_den",
        "failure_num",
        "failures",
        "is_timed",
        "needed",
        "size",
        "slow_den",
        "slow_num",
    )

    def __init__(
        self,
        size: int,
        is_timed: bool,
        needed: int,
        failures: int,
        failure_num: int,
        failure_den: int,
        slow_num: int,
        slow_den: int,
    ) -> None:
        self.size = size
        self.is_timed = is_timed
        self.needed = needed
        self.failures = failures
        self.failure_num = failure_num
        self.failure_den = failure_den
        self.slow_num = slow_num
        self.slow_den = slow_den


class Rules:
    """Settings of a breaker in integers; durations in nanoseconds.

    Attributes:
        failure_threshold: Consecutive failures that open the breaker; 0 for none.
        window: Thresholds of its window; None without one.
        slow_ns: A call that took longer is slow; ``NEVER`` if no call is.
        success_threshold: Successful probes that close the breaker.
        max_probes: How many probes may be in flight.
        probe_window: Thresholds of the window of probes; None without one.
        half_open_timeout_ns: A breaker half-open for this long opens again; ``NEVER`` for none.
        probe_timeout_ns: A probe that has not reported after this counts as failed.
    """

    __slots__ = (
        "failure_threshold",
        "half_open_timeout_ns",
        "max_probes",
        "probe_timeout_ns",
        "probe_window",
        "slow_ns",
        "success_threshold",
        "window",
    )

    def __init__(
        self,
        failure_threshold: int,
        window: Thresholds | None,
        slow_ns: int,
        success_threshold: int,
        max_probes: int,
        probe_window: Thresholds | None,
        half_open_timeout_ns: int,
        probe_timeout_ns: int,
    ) -> None:
        self.failure_threshold = failure_threshold
        self.window = window
        self.slow_ns = slow_ns
        self.success_threshold = success_threshold
        self.max_probes = max_probes
        self.probe_window = probe_window
        self.half_open_timeout_ns = half_open_timeout_ns
        self.probe_timeout_ns = probe_timeout_ns


def needs_failures(rules: Rules) -> bool:
    """Whether only failures, and no slow calls, trip a closed breaker of these settings."""
    return rules.window is None or rules.window.slow_den == 0


def rule_reached(thresholds: Thresholds, calls: int, failures: int, slow: int) -> int:
    """The first rule that a window with these counts makes fire, or ``NO_RULE``."""
    if thresholds.failures and failures >= thresholds.failures:
        return WINDOW_FAILURES
    if calls < thresholds.needed:
        return NO_RULE
    if thresholds.failure_den and _is_rate_reached(
        failures, calls, thresholds.failure_num, thresholds.failure_den
    ):
        return FAILURE_RATE
    if thresholds.slow_den and _is_rate_reached(
        slow, calls, thresholds.slow_num, thresholds.slow_den
    ):
        return SLOW_CALL_RATE
    return NO_RULE


def _is_rate_reached(part: int, whole: int, num: int, den: int) -> bool:
    """Whether ``part / whole >= num / den``, where ``num`` and ``den`` are below 2^31."""
    if whole < FITS:
        return part * den >= num * whole
    # The seconds of a window may have more calls than a window of outcomes can, and then the products
    # do not fit into 64 bits. num * whole = num * (whole // den) * den + num * (whole % den).
    left = part - num * (whole // den)
    return left >= den or (left >= 0 and left * den >= num * (whole % den))
