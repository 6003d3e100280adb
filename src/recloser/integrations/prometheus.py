"""A Prometheus collector of the state of breakers and logs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from recloser.core.events import CircuitBreakerState
from recloser.core.snapshot import Snapshot
from recloser.core.validation import NS_PER_SECOND
from recloser.integrations import needs
from recloser.integrations.counts import EventCounts
from recloser.live.breaker import CircuitBreaker
from recloser.live.event_log import EventLog
from recloser.live.log_health import LogHealth

with needs("prometheus_client", extra="prometheus"):
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
    from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

__all__ = ["BreakerCollector"]

_OUTCOMES: Final = ("succeeded", "failed", "ignored", "stale")


class BreakerCollector(EventCounts, Collector):
    """A listener and collector that provides metrics of breakers and logs.

    Pass it to the breakers as a listener, and then register the breakers with it::

        collector = BreakerCollector()
        breakers = Breakers(log=log, listeners=[collector])
        collector.register(breakers, logs=[log])

    Calls are counted since the log began. Rejected calls by reason and trips by cause are counted since
    this process started. The metrics: ``recloser_state``, ``recloser_calls_total``,
    ``recloser_rejected_total``, ``recloser_trips_total``, ``recloser_retry_after_seconds``,
    ``recloser_consecutive_failures``, ``recloser_log_waiting_events``, ``recloser_log_lag_seconds``,
    ``recloser_log_lost_events_total``, ``recloser_log_gaps_total`` and ``recloser_log_failing``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._breakers: Mapping[str, CircuitBreaker] = {}
        self._logs: Sequence[EventLog] = ()

    def register(
        self,
        breakers: Mapping[str, CircuitBreaker],
        logs: Sequence[EventLog] = (),
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """Provide metrics of breakers and logs in a registry."""
        self._breakers = breakers
        self._logs = tuple(logs)
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the present metrics; called by each scrape."""
        snapshots = [breaker.snapshot() for breaker in self._breakers.values()]
        yield _states(snapshots)
        yield _calls(snapshots)
        yield _counter("recloser_rejected", "Rejected calls, by reason.", "reason", self.rejected())
        yield _counter("recloser_trips", "Trips, by cause.", "cause", self.trips())
        yield _retry_after(snapshots)
        failures = GaugeMetricFamily(
            "recloser_consecutive_failures", "Consecutive failures.", labels=["breaker"]
        )
        for snapshot in snapshots:
            failures.add_metric([snapshot.breaker], snapshot.consecutive_failures)
        yield failures
        yield from _log_metrics({str(log.path): log.health() for log in self._logs})


def _states(snapshots: Sequence[Snapshot]) -> Metric:
    family = GaugeMetricFamily(
        "recloser_state",
        "1 for the present state of a breaker, 0 for others.",
        labels=["breaker", "state"],
    )
    for snapshot in snapshots:
        for state in CircuitBreakerState:
            family.add_metric([snapshot.breaker, state.value], snapshot.state is state)
    return family


def _calls(snapshots: Sequence[Snapshot]) -> Metric:
    family = CounterMetricFamily(
        "recloser_calls", "Calls since the log began, by outcome.", labels=["breaker", "outcome"]
    )
    for snapshot in snapshots:
        for outcome in _OUTCOMES:
            family.add_metric([snapshot.breaker, outcome], getattr(snapshot.totals, outcome))
    return family


def _counter(name: str, text: str, label: str, counts: Mapping[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=["breaker", label])
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def _retry_after(snapshots: Sequence[Snapshot]) -> Metric:
    family = GaugeMetricFamily(
        "recloser_retry_after_seconds",
        "Seconds until an open breaker lets a probe through; absent if unknown.",
        labels=["breaker"],
    )
    for snapshot in snapshots:
        if snapshot.retry_after is not None:
            family.add_metric([snapshot.breaker], snapshot.retry_after)
    return family


def _log_metrics(healths: Mapping[str, LogHealth]) -> Iterator[Metric]:
    if not healths:
        return
    waiting = GaugeMetricFamily(
        "recloser_log_waiting_events", "Events not written yet.", labels=["log"]
    )
    lag = GaugeMetricFamily(
        "recloser_log_lag_seconds",
        "Age of the oldest event that is not written yet, in seconds.",
        labels=["log"],
    )
    lost = CounterMetricFamily(
        "recloser_log_lost_events", "Events that could not be written.", labels=["log"]
    )
    gaps = CounterMetricFamily(
        "recloser_log_gaps", "Gaps in the log where events were lost.", labels=["log"]
    )
    failing = GaugeMetricFamily(
        "recloser_log_failing", "1 while the log cannot be written.", labels=["log"]
    )
    for path, health in healths.items():
        waiting.add_metric([path], health.waiting)
        lag.add_metric([path], health.lag_ns / NS_PER_SECOND)
        lost.add_metric([path], health.lost)
        gaps.add_metric([path], health.gaps)
        failing.add_metric([path], health.failure is not None)
    yield from (waiting, lag, lost, gaps, failing)
