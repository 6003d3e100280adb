"""What has to be sent at once, because an edge may hang on it; all else can wait for company."""

from typing import Final

from recloser.core import kernel
from recloser.core.events import Event
from recloser.core.state import BreakerState
from recloser.core.state_machine import CLOSED

_OUTCOMES: Final = frozenset(("call_succeeded", "call_failed", "call_ignored"))


def is_urgent(event: Event, state: BreakerState, waiting: int) -> bool:
    """Whether an event has to be sent at once.

    Other processes are taken to have as many such outcomes waiting as there are here, and as many
    more as failed in a row of late. Where all of them together may fire an edge, none is to wait.

    Args:
        event: What is to be sent.
        state: What is known of its breaker.
        waiting: How many such outcomes of the breaker are not sent yet, this one among them.
    """
    if event.kind == "call_rejected":
        return False
    if event.kind not in _OUTCOMES or getattr(event, "probe", 0) > 0:
        return True
    is_bad = event.kind == "call_failed" or is_slow(event, state)
    if not is_bad or state.state is not CLOSED or getattr(event, "epoch", 0) != state.epoch:
        return False
    spare = kernel.to_spare(state, is_for_ever=True)
    return 2 * waiting + state.consecutive_failures > spare


def is_slow(event: Event, state: BreakerState) -> bool:
    """Whether an event tells of a slow call."""
    return getattr(event, "took", 0) > state.rules.slow_ns
