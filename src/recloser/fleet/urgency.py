"""What has to be sent at once, because an edge may hang on it; all else can wait for company."""

from typing import Final

from recloser.events import Event
from recloser.machine import CLOSED
from recloser.state import BreakerState
from recloser.validation import exact

_OUTCOMES: Final = frozenset(("call_succeeded", "call_failed", "call_ignored"))


def is_urgent(event: Event, state: BreakerState, waiting: int) -> bool:
    """Whether an event has to be sent at once.

    Args:
        event: What is to be sent.
        state: What is known of its breaker.
        waiting: How many failures of the breaker are not sent yet, this one among them.
    """
    if event.kind == "call_rejected":
        return False
    if event.kind not in _OUTCOMES or getattr(event, "probe", 0) > 0:
        return True
    is_bad = event.kind == "call_failed" or is_slow(event, state)
    return is_bad and is_near_a_limit(state, waiting)


def is_slow(event: Event, state: BreakerState) -> bool:
    """Whether an event tells of a slow call."""
    limit = state.config.slow_call_ns
    return limit is not None and getattr(event, "took", 0) > limit


def is_near_a_limit(state: BreakerState, waiting: int) -> bool:
    """Whether about as many failures are there as it takes to open a breaker.

    Half a run will do, as others may have the other half; of a window it is nine tenths, for one
    that is filled as far as usual would be near all the time.

    Args:
        state: What is known of the breaker.
        waiting: Failures that are not in it yet.
    """
    if state.state is not CLOSED:
        return False
    config = state.config
    threshold = config.failure_threshold
    if threshold is not None and 2 * (state.consecutive_failures + waiting) >= threshold:
        return True
    window = state.window
    if window is None or config.window is None:
        return False
    limit = config.window.failures
    if limit is not None and 10 * (window.failures + waiting) >= 9 * limit:
        return True
    bad = max(window.failures, window.slow) + waiting
    calls = max(window.calls, config.window.needed)
    rates = [config.window.failure_rate, config.window.slow_call_rate]
    return any(
        10 * bad * exact(rate).denominator >= 9 * exact(rate).numerator * calls
        for rate in rates
        if rate is not None
    )
