"""What Prometheus and OpenTelemetry both tell: counts out of a breaker's events."""

import threading
from collections import Counter
from collections.abc import Mapping

from recloser.events import BreakerEvent, CircuitBreakerState
from recloser.listeners import Listener


class EventCounts(Listener):
    """Counts refusals by their reason and openings by their rule, since it began to listen."""

    hears_successes = hears_refusals = False

    def __init__(self) -> None:
        super().__init__()
        self._counting = threading.Lock()
        self._rejected: Counter[tuple[str, str]] = Counter()
        self._trips: Counter[tuple[str, str]] = Counter()

    def on_event(self, event: BreakerEvent) -> None:
        """Count it."""
        if event.kind == "call_rejected":
            with self._counting:
                self._rejected[event.breaker, event.reason.value] += event.count
        elif event.kind == "state_changed" and event.to_state is CircuitBreakerState.OPEN:
            with self._counting:
                self._trips[event.breaker, event.cause.rule.value] += 1

    def rejected(self) -> Mapping[tuple[str, str], int]:
        """Refused calls, by breaker and reason."""
        with self._counting:
            return dict(self._rejected)

    def trips(self) -> Mapping[tuple[str, str], int]:
        """How often a breaker opened, by breaker and rule."""
        with self._counting:
            return dict(self._trips)
