"""Counts of a breaker's events, for Prometheus and OpenTelemetry."""

from collections import defaultdict
from collections.abc import Mapping

from recloser.core.events import BreakerEvent, CircuitBreakerState
from recloser.live.listeners import Listener


class EventCounts(Listener):
    """Counts rejected calls by reason and trips by rule, as a listener."""

    inline = True  # counting is faster than passing the event to a thread
    hears_successes = hears_refusals = False

    def __init__(self) -> None:
        super().__init__()
        # Threads of several logs may count at the same time. There is no lock, because a signal
        # handler or a forked child could find it taken. Adding to an int in a defaultdict contains no
        # call of a Python function, so the interpreter does not switch threads in the middle.
        self._rejected: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._trips: defaultdict[tuple[str, str], int] = defaultdict(int)

    def on_event(self, event: BreakerEvent) -> None:
        """Count a rejected call or a trip; ignore other events."""
        if event.kind == "call_rejected":
            key, number = (event.breaker, event.reason.value), event.count
            self._rejected[key] += number
        elif event.kind == "state_changed" and event.to_state is CircuitBreakerState.OPEN:
            key = (event.breaker, event.cause.rule.value)
            self._trips[key] += 1

    def rejected(self) -> Mapping[tuple[str, str], int]:
        """Return the number of rejected calls, by breaker and reason."""
        return dict(self._rejected)

    def trips(self) -> Mapping[tuple[str, str], int]:
        """Return the number of trips, by breaker and rule."""
        return dict(self._trips)
