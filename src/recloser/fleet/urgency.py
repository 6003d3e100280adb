"""What has to be sent at once, because an edge may hang on it; all else can wait for company."""

from typing import Final

from recloser.core import kernel
from recloser.events import Event
from recloser.state import BreakerState, copied

_OUTCOMES: Final = frozenset(("call_succeeded", "call_failed", "call_ignored"))


def is_urgent(event: Event, state: BreakerState, waiting: int, at: int) -> bool:
    """Whether an event has to be sent at once.

    Args:
        event: What is to be sent.
        state: What is known of its breaker.
        waiting: How many such outcomes of the breaker are not sent yet, this one among them.
        at: What time it is, in nanoseconds of the log.
    """
    if event.kind == "call_rejected":
        return False
    if event.kind not in _OUTCOMES or getattr(event, "probe", 0) > 0:
        return True
    return is_bad(event, state) and _is_near_a_trip(event, state, waiting, at)


def is_bad(event: Event, state: BreakerState) -> bool:
    """Whether an event counts against its dependency: a failure or a slow call."""
    return event.kind == "call_failed" or is_slow(event, state)


def is_slow(event: Event, state: BreakerState) -> bool:
    """Whether an event tells of a slow call."""
    return getattr(event, "took", 0) > state.rules.slow_ns


def _is_near_a_trip(event: Event, state: BreakerState, waiting: int, at: int) -> bool:
    """Whether the outcomes that wait, and as many as others may have by now, trip the breaker.

    Others are taken to have as many as failed in a row, here and in what is known.
    """
    trial = copied(state)
    kind = kernel.FAILED if event.kind == "call_failed" else kernel.SUCCEEDED
    took, epoch = getattr(event, "took", 0), getattr(event, "epoch", 0)
    return any(
        kernel.step(trial, kind, 0, at, took, epoch, 0, 1) > kernel.NO_RULE
        for _ in range(2 * waiting + state.consecutive_failures)
    )
