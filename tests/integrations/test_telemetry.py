"""OpenTelemetry and structlog show what a breaker did, in their own exporters."""

import pytest
import structlog
from breaker_calls import fail, succeed
from bytecode_points import at_each_point
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from servers import CONFIG

from recloser import Breakers, CircuitOpenError, EventLog
from recloser.integrations import counts as counts_module
from recloser.integrations.counts import EventCounts
from recloser.integrations.opentelemetry import BreakerTelemetry
from recloser.integrations.prometheus import BreakerCollector
from recloser.integrations.structlog import StructlogListener
from recloser.live.listeners import hears_successes


@pytest.fixture
def log(tmp_path, clock):
    with EventLog(tmp_path, clock=clock) as log:
        yield log


def points(reader):
    return {
        (metric.name, *(value for _, value in sorted(point.attributes.items()))): point.value
        for resource in reader.get_metrics_data().resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_metrics_show_breakers_and_their_log(log, clock):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    telemetry = BreakerTelemetry()
    breakers = Breakers(CONFIG, log=log, listeners=[telemetry])
    telemetry.register(breakers, [log], provider)
    bank = breakers["bank"]
    succeed(bank, 2)
    fail(bank, 3)
    for _ in range(4):
        assert not bank.before_call().allowed
    clock.advance(seconds=12)
    log.flush()
    shown = points(reader)
    assert shown["recloser.state", "bank", "OPEN"] == 1
    assert shown["recloser.state", "bank", "CLOSED"] == 0
    assert shown["recloser.calls", "bank", "succeeded"] == 2
    assert shown["recloser.calls", "bank", "failed"] == 3
    assert shown["recloser.rejected", "bank", "cooldown_active"] == 4
    assert shown["recloser.trips", "bank", "consecutive_failures"] == 1
    assert shown["recloser.retry_after", "bank"] == 18
    assert shown["recloser.log.waiting", str(log.path)] == 0
    assert shown["recloser.log.lost", str(log.path)] == 0
    assert shown["recloser.log.lag", str(log.path)] == 0
    assert shown["recloser.log.gaps", str(log.path)] == 0
    clock.advance(seconds=30)
    succeed(bank, 2)
    shown = points(reader)
    assert shown["recloser.state", "bank", "CLOSED"] == 1
    assert shown["recloser.calls", "bank", "succeeded"] == 4
    assert ("recloser.retry_after", "bank") not in shown
    provider.shutdown()


def test_current_span_gets_events_of_the_breaker(log):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("shop")
    bank = Breakers(CONFIG, log=log, listeners=[BreakerTelemetry()])["bank"]
    fail(bank, 2)
    with tracer.start_as_current_span("the one that trips it"):
        fail(bank)
    with tracer.start_as_current_span("the one that is refused"), pytest.raises(CircuitOpenError):
        bank.call(dict)
    tripped, refused = exporter.get_finished_spans()
    (changed,) = tripped.events
    assert changed.name == "recloser.state_changed"
    assert dict(changed.attributes) == {
        "recloser.breaker": "bank",
        "recloser.from": "CLOSED",
        "recloser.to": "OPEN",
        "recloser.trigger": "trip",
        "recloser.cause": "consecutive_failures",
        "recloser.seq": 6,
    }
    rejected = refused.events[0]
    assert rejected.name == "recloser.call_rejected"
    assert dict(rejected.attributes) == {
        "recloser.breaker": "bank",
        "recloser.reason": "cooldown_active",
        "recloser.retry_after": 30.0,
    }
    provider.shutdown()


def test_successful_calls_do_not_call_the_counting_listener():
    """Successes are read from the snapshot, so no call waits for a listener."""
    assert not any(
        map(hears_successes, (BreakerTelemetry(), BreakerCollector(), StructlogListener()))
    )


def test_breaker_without_a_current_span_works(log):
    fail(Breakers(CONFIG, log=log, listeners=[BreakerTelemetry()])["bank"], 3)


def test_structlog_gets_events_with_fields(log):
    with structlog.testing.capture_logs() as logged:
        bank = Breakers(CONFIG, log=log, listeners=[StructlogListener()])["bank"]
        fail(bank, 3)
        bank.before_call()
        assert bank.flush()
    trip, refusal = logged
    assert trip["event"] == "state_changed"
    assert trip["log_level"] == "warning"
    assert (trip["breaker"], trip["rule"], trip["observed"]) == ("bank", "consecutive_failures", 3)
    assert refusal["event"] == "call_rejected"
    assert refusal["log_level"] == "info"
    assert refusal["retry_after"] == 30.0


def test_counts_are_exact_when_signal_handlers_and_threads_count(log):
    """Count once more in the middle, as a signal handler or another thread may."""
    events = events_of_a_trip(log)

    def count_again():
        counts.on_event(events[0])
        counts.on_event(events[1])

    for interruption in at_each_point([counts_module], count_again):
        counts = EventCounts()
        with interruption:
            for event in events:
                counts.on_event(event)
            counts.rejected()
        times = 1 + interruption.is_reached
        assert counts.trips() == {("bank", "consecutive_failures"): times}
        assert counts.rejected() == {("bank", "cooldown_active"): times}


def events_of_a_trip(log):
    bank = Breakers(CONFIG, log=log, listeners=EventCounts())["bank"]
    fail(bank, 3)
    bank.before_call()
    return [event for event in log if event.kind in {"state_changed", "call_rejected"}]
