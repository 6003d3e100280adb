"""OpenTelemetry: metrics of breakers and logs, and events on the current span."""

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
    """A listener that provides metrics and adds events to spans.

    Pass it to the breakers as a listener, and then register the breakers with it::

        telemetry = BreakerTelemetry()
        breakers = Breakers(log=log, listeners=[telemetry])
        telemetry.register(breakers, logs=[log])

    The instruments: ``recloser.state``, ``recloser.calls``, ``recloser.rejected``,
    ``recloser.trips``, ``recloser.retry_after``, ``recloser.log.waiting``, ``recloser.log.lag``,
    ``recloser.log.lost`` and ``recloser.log.gaps``.

    When a breaker changes its state or rejects a call, the current span gets the event
    ``recloser.state_changed`` or ``recloser.call_rejected``. For that it is an inline listener, called
    in the thread of the call. If several threads report at the same moment, the listener may be called
    in another one of them, and the event is added to the span of that thread.
    """

    hears_refusals = True  # for events on the span of the call

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
        """Provide metrics of breakers and logs; by default to the global meter provider."""
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
            "recloser.log.waiting",
            [self._observe_logs(lambda health: health.waiting)],
            unit="{event}",
        )
        meter.create_observable_gauge(
            "recloser.log.lag",
            [self._observe_logs(lambda health: health.lag_ns / NS_PER_SECOND)],
            unit="s",
        )
        meter.create_observable_counter(
            "recloser.log.lost", [self._observe_logs(lambda health: health.lost)], unit="{event}"
        )
        meter.create_observable_counter(
            "recloser.log.gaps", [self._observe_logs(lambda health: health.gaps)], unit="{gap}"
        )

    def on_event(self, event: BreakerEvent) -> None:
        """Count an event, and add a rejected call to the current span."""
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
        """Add a change of state to the current span."""
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

    def _observe_logs(self, figure: Callable[[LogHealth], float]) -> _Observe:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            for log in self._logs:
                yield Observation(figure(log.health()), {"recloser.log": str(log.path)})

        return observe


def _observe(counts: Callable[[], Mapping[tuple[str, str], int]], label: str) -> _Observe:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        for (breaker, value), count in counts().items():
            yield Observation(count, {"recloser.breaker": breaker, f"recloser.{label}": value})

    return observe
