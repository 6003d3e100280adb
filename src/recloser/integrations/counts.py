"""Counts of a breaker's events, for Prometheus and OpenTelemetry."""

from collections import defaultdict
from collections.abc import Mapping

from recloser.core.events import BreakerEvent, CircuitBreakerState
from recloser.live.listeners import Listener


class EventCounts(Listener):
    """Counts refusals by their reason and openings by their rule, since it began to listen."""

    inline = True  # counting is quicker than handing the event to a thread
    hears_successes = hears_refusals = False

    def __init__(self) -> None:
        super().__init__()
        # No lock, which a signal handler or a fork could find taken: the threads of several logs may
        # count here, and adding to an int in a defaultdict is not interrupted by another thread.
        self._rejected: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._trips: defaultdict[tuple[str, str], int] = defaultdict(int)

    def on_event(self, event: BreakerEvent) -> None:
        """Count the event."""
        if event.kind == "call_rejected":
            key, number = (event.breaker, event.reason.value), event.count
            self._rejected[key] += number
        elif event.kind == "state_changed" and event.to_state is CircuitBreakerState.OPEN:
            key = (event.breaker, event.cause.rule.value)
            self._trips[key] += 1

    def rejected(self) -> Mapping[tuple[str, str], int]:
        """Refused calls, by breaker and reason."""
        return dict(self._rejected)

    def trips(self) -> Mapping[tuple[str, str], int]:
        """How often a breaker opened, by breaker and rule."""
        return dict(self._trips)
