"""The example service over HTTP, with a failing API: answers, metrics and logs."""

import json
import logging
import os
import subprocess
import sys

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from servers import CONFIG, THROUGH_AN_OUTAGE, Upstream, replayed, serving, triggers_of

from conftest import ROOT
from example_service.service import QuoteService
from recloser import Breakers, CircuitOpenError, EventLog, MemoryLog
from recloser.integrations.starlette import circuit_open_handler, status_route


@pytest.fixture(scope="module")
def server():
    with Upstream().serving() as upstream:
        yield upstream


@pytest.fixture
def upstream(server):
    server.restore()
    return server


@pytest.fixture
def log(tmp_path, clock):
    with EventLog(tmp_path / "log", clock=clock) as log:
        yield log


@pytest.fixture
def visitor(upstream, log, clock):
    service = QuoteService(upstream.url, log, CONFIG, clock)
    with serving(service.app) as url, httpx.Client(base_url=url) as client:
        yield client


def trip(visitor, upstream):
    upstream.healthy = False
    assert [visitor.get("/quote").status_code for _ in range(3)] == [502] * 3


def test_outage_is_answered_with_503_and_retry_after(
    visitor, upstream, clock, log, caplog, tmp_path
):
    caplog.set_level(logging.WARNING, "example_service")
    assert visitor.get("/quote").json() == {"price": 42}
    trip(visitor, upstream)
    clock.advance(seconds=1.5)
    refused = visitor.get("/quote")
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "29"
    assert refused.json() == {"detail": "temporarily unavailable"}
    lines = [record.getMessage() for record in caplog.records if record.name == "example_service"]
    assert lines == [
        f"/quote rejected: {upstream.host} is OPEN after 3 failures, retry after 28.5 s"
    ]
    clock.advance(seconds=30)
    assert visitor.get("/quote").status_code == 502
    upstream.healthy = True
    clock.advance(seconds=30)
    assert [visitor.get("/quote").status_code for _ in range(3)] == [200] * 3
    log.close()
    assert triggers_of(replayed(tmp_path / "log")) == THROUGH_AN_OUTAGE


def test_status_route_shows_all_breakers_and_changes_none(visitor, upstream, clock, log):
    visitor.get("/quote")
    trip(visitor, upstream)
    visitor.get("/quote")
    written = len(list(log))
    shown = visitor.get("/breakers").json()
    assert shown["schema"] == "recloser.status/1"
    assert shown["breakers"][upstream.host] == {
        "state": "OPEN",
        "mode": "enforce",
        "epoch": 1,
        "forced": False,
        "degraded": False,
        "consecutive_failures": 0,
        "probes_in_flight": 0,
        "opened_at": "2000-01-01T00:00:00+00:00",
        "retry_after": 30.0,
        "why_open": "consecutive_failures",
        "totals": {"succeeded": 1, "failed": 3, "ignored": 0, "rejected": 1, "stale": 0},
    }
    clock.advance(seconds=31)
    assert visitor.get("/breakers").json()["breakers"][upstream.host]["state"] == "OPEN"
    assert visitor.post("/breakers").status_code == 405
    assert len(list(log)) == written


def test_forced_open_breaker_sends_no_retry_after(visitor, upstream, log):
    visitor.get("/quote")
    # The registry is the service's own; a breaker of that name on that log is the same breaker.
    Breakers(CONFIG, log=log)[upstream.host].force_open(actor="operator")
    refused = visitor.get("/quote")
    assert refused.status_code == 503
    assert "Retry-After" not in refused.headers


def scraped(visitor):
    text = visitor.get("/metrics").text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families.values()
        for sample in family.samples
    }


def test_prometheus_metrics_equal_what_happened(visitor, upstream, clock, log):
    visitor.get("/quote")
    host = upstream.host
    assert scraped(visitor)["recloser_state", host, "CLOSED"] == 1
    trip(visitor, upstream)
    for _ in range(4):
        visitor.get("/quote")
    clock.advance(seconds=10)
    log.flush()
    shown = scraped(visitor)
    assert {key: value for key, value in shown.items() if key[0] == "recloser_state"} == {
        ("recloser_state", host, "CLOSED"): 0,
        ("recloser_state", host, "OPEN"): 1,
        ("recloser_state", host, "HALF_OPEN"): 0,
    }
    assert shown["recloser_calls_total", host, "succeeded"] == 1
    assert shown["recloser_calls_total", host, "failed"] == 3
    assert shown["recloser_calls_total", host, "ignored"] == 0
    assert shown["recloser_calls_total", host, "stale"] == 0
    assert shown["recloser_rejected_total", host, "cooldown_active"] == 4
    assert shown["recloser_trips_total", host, "consecutive_failures"] == 1
    assert shown["recloser_retry_after_seconds", host] == 20
    assert shown["recloser_consecutive_failures", host] == 0
    path = str(log.path)
    assert shown["recloser_log_waiting_events", path] == 0
    assert shown["recloser_log_lag_seconds", path] == 0
    assert shown["recloser_log_lost_events_total", path] == 0
    assert shown["recloser_log_gaps_total", path] == 0
    assert shown["recloser_log_failing", path] == 0


def test_prometheus_shows_a_failing_disk(visitor, log, monkeypatch):
    """Nothing can be written any more; lost events are counted."""

    def full(*_args):
        raise OSError(28, "No space left on device")

    visitor.get("/quote")
    log.flush()
    monkeypatch.setattr("recloser.log.disk.write", full)
    visitor.get("/quote")
    log.flush()
    shown = scraped(visitor)
    assert shown["recloser_log_failing", str(log.path)] == 1
    assert shown["recloser_log_lost_events_total", str(log.path)] == 1
    assert shown["recloser_log_gaps_total", str(log.path)] == 0
    monkeypatch.undo()
    log.flush()
    shown = scraped(visitor)
    assert shown["recloser_log_failing", str(log.path)] == 0
    assert shown["recloser_log_lost_events_total", str(log.path)] == 1
    assert shown["recloser_log_gaps_total", str(log.path)] == 1


def test_fastapi_works_with_the_same_handler_and_route(clock):
    breakers = Breakers(CONFIG, log=MemoryLog(clock=clock))
    app = FastAPI()
    app.add_exception_handler(CircuitOpenError, circuit_open_handler)
    app.router.routes.append(status_route(breakers, "/internal/breakers"))

    @app.get("/pay")
    async def pay():
        return breakers["bank"].call(lambda: "paid")

    with serving(app) as url, httpx.Client(base_url=url) as client:
        assert client.get("/pay").json() == "paid"
        breakers["bank"].force_open()
        assert client.get("/pay").status_code == 503
        shown = client.get("/internal/breakers").json()
    assert shown["breakers"]["bank"]["forced"]


def test_example_service_prints_its_usage():
    done = subprocess.run(
        [sys.executable, "-m", "example_service", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the URL of the API" in done.stdout


def test_logging_listener_writes_a_line_for_the_trip(visitor, upstream, caplog):
    caplog.set_level(logging.INFO, "recloser")
    trip(visitor, upstream)
    lines_logged = [json.loads(r.getMessage()) for r in caplog.records if r.name == "recloser"]
    assert [line["trigger"] for line in lines_logged if line["event"] == "state_changed"] == [
        "trip"
    ]
