"""OpenTelemetry: metrics of breakers and logs, and an event on the span that met a breaker."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from recloser.core.events import BreakerEvent, CircuitBreakerState, Edge
from recloser.core.snapshot import Snapshot
from recloser.core.validation import NS_PER_SECOND
from recloser.integrations import needs
from recloser.integrations.counts import EventCounts
from recloser.live.breaker import CircuitBreaker
from recloser.live.event_log import EventLog
from recloser.live.log_health import LogHealth
from recloser.version import __version__

with needs("opentelemetry", extra="otel"):
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

__all__ = ["BreakerTelemetry"]

_OUTCOMES: Final = ("succeeded", "failed", "ignored", "stale")
_Observe = Callable[[CallbackOptions], Iterable[Observation]]


class BreakerTelemetry(EventCounts):
    """Counts as a listener, tells the rest when metrics are read, and adds events to spans.

    Give it to the breakers as a listener, and then the breakers to it::

        telemetry = BreakerTelemetry()
        breakers = Breakers(log=log, listeners=[telemetry])
        telemetry.register(breakers, logs=[log])

    The instruments: ``recloser.state``, ``recloser.calls``, ``recloser.rejected``,
    ``recloser.trips``, ``recloser.retry_after``, ``recloser.log.waiting``, ``recloser.log.lag``,
    ``recloser.log.lost`` and ``recloser.log.gaps``.
    The span that is current when a breaker takes an edge or refuses a call gets the event
    ``recloser.state_changed`` or ``recloser.call_rejected``, for which it is an inline listener.
    Where threads report at the same moment, the listener may be called in another of them, whose
    span, if any, gets the event.
    """

    hears_refusals = True  # they are told to the span of their call

    def __init__(self) -> None:
        super().__init__()
        self._breakers: Mapping[str, CircuitBreaker] = {}
        self._logs: Sequence[EventLog] = ()

    def register(
        self,
        breakers: Mapping[str, CircuitBreaker],
        logs: Sequence[EventLog] = (),
        meter_provider: MeterProvider | None = None,
    ) -> None:
        """Tell of these breakers and logs; by default to the global meter provider."""
        self._breakers = breakers
        self._logs = tuple(logs)
        meter = metrics.get_meter("recloser", __version__, meter_provider)
        meter.create_observable_gauge("recloser.state", [self._states])
        meter.create_observable_counter("recloser.calls", [self._calls], unit="{call}")
        meter.create_observable_counter(
            "recloser.rejected", [_observe(self.rejected, "reason")], unit="{call}"
        )
        meter.create_observable_counter(
            "recloser.trips", [_observe(self.trips, "cause")], unit="{trip}"
        )
        meter.create_observable_gauge("recloser.retry_after", [self._waits], unit="s")
        meter.create_observable_gauge(
            "recloser.log.waiting", [self._of_logs(lambda health: health.waiting)], unit="{event}"
        )
        meter.create_observable_gauge(
            "recloser.log.lag",
            [self._of_logs(lambda health: health.lag_ns / NS_PER_SECOND)],
            unit="s",
        )
        meter.create_observable_counter(
            "recloser.log.lost", [self._of_logs(lambda health: health.lost)], unit="{event}"
        )
        meter.create_observable_counter(
            "recloser.log.gaps", [self._of_logs(lambda health: health.gaps)], unit="{gap}"
        )

    def on_event(self, event: BreakerEvent) -> None:
        """Count it, and tell the current span of a refusal."""
        super().on_event(event)
        if event.kind == "call_rejected":
            attributes: dict[str, str | float] = {
                "recloser.breaker": event.breaker,
                "recloser.reason": event.reason.value,
            }
            if event.retry_after is not None:
                attributes["recloser.retry_after"] = event.retry_after / NS_PER_SECOND
            trace.get_current_span().add_event("recloser.call_rejected", attributes)

    def on_transition(self, edge: Edge) -> None:
        """Tell the current span of it."""
        trace.get_current_span().add_event(
            "recloser.state_changed",
            {
                "recloser.breaker": edge.breaker,
                "recloser.from": edge.from_state.value,
                "recloser.to": edge.to_state.value,
                "recloser.trigger": edge.trigger.value,
                "recloser.cause": edge.cause.rule.value,
                "recloser.seq": edge.seq,
            },
        )

    def _snapshots(self) -> list[Snapshot]:
        return [breaker.snapshot() for breaker in self._breakers.values()]

    def _states(self, _options: CallbackOptions) -> Iterable[Observation]:
        for snapshot in self._snapshots():
            for state in CircuitBreakerState:
                attributes = {
                    "recloser.breaker": snapshot.breaker,
                    "recloser.state": state.value,
                }
                yield Observation(int(snapshot.state is state), attributes)

    def _calls(self, _options: CallbackOptions) -> Iterable[Observation]:
        for snapshot in self._snapshots():
            for outcome in _OUTCOMES:
                attributes = {"recloser.breaker": snapshot.breaker, "recloser.outcome": outcome}
                yield Observation(getattr(snapshot.totals, outcome), attributes)

    def _waits(self, _options: CallbackOptions) -> Iterable[Observation]:
        for snapshot in self._snapshots():
            if snapshot.retry_after is not None:
                yield Observation(snapshot.retry_after, {"recloser.breaker": snapshot.breaker})

    def _of_logs(self, figure: Callable[[LogHealth], float]) -> _Observe:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for log in self._logs:
                yield Observation(figure(log.health()), {"recloser.log": str(log.path)})

        return observe


def _observe(counts: Callable[[], Mapping[tuple[str, str], int]], label: str) -> _Observe:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for (breaker, value), count in counts().items():
            yield Observation(count, {"recloser.breaker": breaker, f"recloser.{label}": value})

    return observe
