"""A real HTTP service: an open breaker lets no request reach it, a half-open one only its probes."""

import contextlib
import threading

import httpx

from recloser import CircuitBreaker, CircuitBreakerConfig, CircuitOpenError, EventLog
from recloser.demo.service import Service
from recloser.history.engine import replay

CALLERS = 12
PROBES = 3
CONFIG = CircuitBreakerConfig(
    failure_threshold=5, recovery_timeout_seconds=1, half_open_max_probes=PROBES
)


class Caller(threading.Thread):
    """Calls until a probe has failed; notes the number of requests served at each rejection."""

    def __init__(self, breaker, service):
        super().__init__()
        self.breaker, self.service = breaker, service
        self.requests_at_rejections = []

    def run(self):
        with httpx.Client() as client:
            while len(self.requests_at_rejections) < 10_000:
                reached = self.service.requests
                try:
                    self.breaker.call(get, client, self.service)
                except CircuitOpenError:
                    self.requests_at_rejections.append(reached)
                except httpx.HTTPStatusError:
                    return
                if self.breaker.snapshot().openings_in_a_row > 1:
                    return
                threading.Event().wait(0.002)


def get(client, service):
    return client.get(service.url).raise_for_status()


def trip(breaker, service):
    with httpx.Client() as client:
        for _ in range(10):
            breaker.call(get, client, service)
        service.healthy = False
        while breaker.current_state().value == "CLOSED":
            with contextlib.suppress(httpx.HTTPStatusError):
                breaker.call(get, client, service)


def test_only_probes_reach_the_service_after_a_trip(tmp_path):
    """Twelve callers continue to call during the cooldown of one second."""
    with Service() as service, EventLog(tmp_path) as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        trip(breaker, service)
        reached = service.requests
        assert reached == 15
        # Answers take some time from here on, so that the probes run at the same time.
        service.delay_seconds = 0.4
        callers = [Caller(breaker, service) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert service.requests - reached == PROBES
    history = replay(tmp_path)
    assert history.differences == []
    assert [edge.trigger.value for edge in history.edges] == ["trip", "cool", "relapse"]
    tripped, cooled, _ = history.edges
    assert cooled.at - tripped.at >= 10**9
    assert [e.kind for e in history.events].count("probe_admitted") == PROBES
    requests_at_rejections = [
        requests for caller in callers for requests in caller.requests_at_rejections
    ]
    assert requests_at_rejections.count(reached) > 100
    assert set(requests_at_rejections) <= set(range(reached, reached + PROBES + 1))
