"""A process under test that calls a service through a shared breaker.

    python tools/shared_member.py REDIS_URL SERVICE_URL NAME [--every SECONDS] [--wall-ahead SECONDS]

It reads commands from standard input (``work``, ``rest``, ``report``, ``force_open``,
``reset``, ``close``), and answers each with a line of JSON. See ``tools/shared_parts.py``.
"""

import http.client
import json
import logging
import sys
import threading
from typing import Any, Final
from urllib.parse import urlsplit

import click

from recloser import CircuitBreaker, CircuitBreakerConfig, SkewedClock, SystemClock
from recloser.core.state import dump
from recloser.sharing.redis_log import RedisLog
from shared_judge import BREAKER
from shared_parts import STREAM

CONFIG: Final = CircuitBreakerConfig(
    failure_threshold=5,
    recovery_timeout_seconds=0.3,
    half_open_success_threshold=2,
    probe_timeout_seconds=2,
)


class Caller:
    """Calls the service repeatedly, and measures the time that the breaker takes."""

    def __init__(self, breaker: CircuitBreaker, url: str, name: str, every: float) -> None:
        self.slowest_ns = self.calls = self.rejected = self.degraded = 0
        self.errors: list[str] = []
        self.working = threading.Event()
        self._resting = threading.Event()
        self._breaker = breaker
        self._name = name
        self._every = every
        self._clock = SystemClock()
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=5)
        threading.Thread(target=self._run, daemon=True).start()

    def rest(self) -> None:
        """Stop calling, and wait until the last call has ended."""
        self.working.clear()
        self._resting.wait(10)

    def _run(self) -> None:
        while True:
            if not self.working.is_set():
                self._resting.set()
                self.working.wait()
                self._resting.clear()
            try:
                self._call()
            except Exception as error:  # noqa: BLE001  # calls must not raise anything else
                self.errors.append(f"{type(error).__name__}: {error}")
            threading.Event().wait(self._every)

    def _call(self) -> None:
        decision = self._timed(self._breaker.before_call)
        if decision.permit is None:
            self.rejected += 1
            return
        self.calls += 1
        permit = decision.permit
        try:
            self._connection.request("GET", f"/{self._name}/{permit.epoch}/{permit.probe}")
            with self._connection.getresponse() as response:
                response.read()
            went_well = response.status == 200
        except (OSError, http.client.HTTPException):
            self._connection.close()
            went_well = False
        if went_well:
            self._timed(lambda: self._breaker.after_success(permit))
        else:
            self._timed(lambda: self._breaker.after_failure(permit, "HTTPError"))

    def _timed(self, step: Any) -> Any:
        began = self._clock.monotonic_ns()
        result = step()
        self.slowest_ns = max(self.slowest_ns, self._clock.monotonic_ns() - began)
        return result


def report(log: RedisLog, breaker: CircuitBreaker, caller: Caller) -> dict[str, Any]:
    """Return the member's view of the breaker, and the figures of its calls."""
    stream = log._stream  # noqa: SLF001  # the state that members must agree on is not public

    def look() -> dict[str, Any]:
        stream_fold = stream.stream_fold
        edges = [] if stream_fold is None else list(stream_fold.edges)
        caller.degraded += stream.degraded
        return {
            "generation": "" if stream_fold is None else stream_fold.begin.generation,
            "position": "" if stream_fold is None else "{}-{}".format(*stream_fold.position),
            "degraded": stream.degraded,
            "state": dump(stream.fold.breakers[breaker.name]),
            "edges": [
                ("{}-{}".format(*entry), e.seq, e.at, e.epoch, e.trigger.value)
                for entry, e in edges
            ],
            "slowest_ms": caller.slowest_ns / 1e6,
            "calls": caller.calls,
            "rejected": caller.rejected,
            "was_degraded": caller.degraded,
            "errors": caller.errors,
        }

    return stream.hold(look, dict)


@click.command(help=__doc__)
@click.argument("redis_url")
@click.argument("service_url")
@click.argument("name")
@click.option("--every", default=0.01, help="Seconds between two calls.")
@click.option("--wall-ahead", default=0.0, help="Seconds by which this host's wall clock is ahead.")
@click.option("--log-to", help="A file for warnings.")
def main(
    *,
    redis_url: str,
    service_url: str,
    name: str,
    every: float,
    wall_ahead: float,
    log_to: str | None,
) -> None:
    """Run the member."""
    logging.basicConfig(level=logging.WARNING if log_to else logging.ERROR, filename=log_to)
    clock = SkewedClock(SystemClock(), shift_seconds=wall_ahead)
    log = RedisLog(redis_url, stream=STREAM, clock=clock, host=name)
    breaker = CircuitBreaker(BREAKER, CONFIG, log=log)
    caller = Caller(breaker, service_url, name, every)
    for line in sys.stdin:
        word = line.strip()
        answer: Any = None
        if word == "work":
            caller.working.set()
        elif word == "rest":
            caller.rest()
            log.flush()
        elif word == "report":
            answer = report(log, breaker, caller)
        elif word == "force_open":
            breaker.force_open(actor=name)
        elif word == "reset":
            breaker.reset(actor=name)
        elif word == "close":
            log.close()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
