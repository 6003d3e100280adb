"""Decide which events must be sent at once, because an edge may depend on them."""

from typing import Final

from recloser.core import kernel
from recloser.core.events import Event
from recloser.core.state import BreakerState
from recloser.core.state_machine import CLOSED

_OUTCOMES: Final = frozenset(("call_succeeded", "call_failed", "call_ignored"))


def is_urgent(event: Event, state: BreakerState, waiting: int) -> bool:
    """Return whether an event must be sent at once.

    Failures and slow calls may wait while they cannot open the breaker, even if the other members
    hold as many unsent ones as this member and the last known calls were failures. Everything else
    that may fire an edge is urgent.

    Args:
        event: The event to send.
        state: The breaker's state as far as it is known here.
        waiting: Unsent events of this kind for this breaker, including this one.
    """
    if event.kind == "call_rejected":
        return False
    if event.kind not in _OUTCOMES or getattr(event, "probe", 0) > 0:
        return True
    is_bad = event.kind == "call_failed" or is_slow(event, state)
    if not is_bad or state.state is not CLOSED or getattr(event, "epoch", 0) != state.epoch:
        return False
    spare = kernel.spare_calls(state, is_for_ever=True)
    return 2 * waiting + state.consecutive_failures > spare


def is_slow(event: Event, state: BreakerState) -> bool:
    """Return whether an event reports a call slower than the breaker's limit."""
    return getattr(event, "took", 0) > state.rules.slow_ns
