"""Processes that share a breaker, for tests: a server, a service, callers.

A member is a process of its own (``tools/shared_member.py``) that calls the service through a
shared breaker. Everything runs on the loopback interface and can be made to fail.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import support_path  # noqa: F401  # the next import needs it
from redis_servers import CLOCK, Loop, Proxy, RedisServer, wait_for

from recloser.core.moments import nanoseconds_between
from shared_judge import Edge, Report, Request

MEMBER: Final = Path(__file__).with_name("shared_member.py")
STREAM: Final = "shared"


class Service:
    """The protected service: answers 200, or 503 while ``healthy`` is false.

    Attributes:
        port: The port of the service.
        healthy: Whether it answers 200.
        requests: The requests that have reached it.
    """

    def __init__(self, loop: Loop) -> None:
        self.healthy = True
        self.requests: list[Request] = []
        self._probes = 0
        self.port = loop.serve(self._accept)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                _, member, epoch, probe = head.split(b" ", 2)[1].decode().split("/")
                await self._answer(member, int(epoch), int(probe), writer)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, member: str, epoch: int, probe: int, writer: asyncio.StreamWriter
    ) -> None:
        self._probes += probe > 0
        self.requests.append(Request(wall_ms(), member, epoch, probe, self._probes))
        healthy = self.healthy
        if probe:
            await asyncio.sleep(0.01)
        self._probes -= probe > 0
        status = b"200 OK" if healthy else b"503 Service Unavailable"
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()


def wall_ms() -> float:
    """Return the time of the wall clock, in milliseconds since 1970."""
    return nanoseconds_between(_EPOCH, CLOCK.now()) / 1e6


_EPOCH: Final = CLOCK.now().replace(
    year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0
)


class Member:
    """A process that calls the service through the shared breaker."""

    def __init__(self, name: str, url: str, service: Service, *options: str) -> None:
        self.name = name
        command = [sys.executable, str(MEMBER), url, f"http://127.0.0.1:{service.port}", name]
        self.process = subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, word: str) -> Any:
        """Send a command to the member, and return its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"member {self.name} is gone")
        return json.loads(line)

    def report(self) -> Report:
        """Return the state of the member, and the figures of its calls."""
        data = self.ask("report")
        edges = tuple(Edge(*edge) for edge in data["edges"])
        return Report(**{**data, "edges": edges, "errors": tuple(data["errors"])})

    def suspend(self) -> None:
        """Suspend the process with SIGSTOP."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the process with SIGCONT."""
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kill the process unless it has ended."""
        if self.process.poll() is None:
            self.resume()
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@attrs.define
class Deployment:
    """A Redis server, a service, and members that call it through a shared breaker."""

    server: RedisServer
    loop: Loop
    service: Service
    members: list[Member]
    proxies: list[Proxy]

    def state(self, member: int = 0) -> str:
        """Return the state of the breaker, as a member knows it."""
        return str(self.members[member].report().state["state"])

    def all_are(self, state: str) -> bool:
        """Return whether all members are online and know the breaker in this state."""
        reports = [member.report() for member in self.members]
        return all(r.state["state"] == state and not r.degraded for r in reports)

    def await_online(self) -> float:
        """Wait until all members are online; return the time from which they agree."""
        wait_for(lambda: not any(member.report().degraded for member in self.members))
        threading.Event().wait(0.3)
        return wall_ms()

    def outage(self, seconds: float = 0.5) -> None:
        """Let the service fail and recover, and wait until all members have noticed."""
        self.service.healthy = False
        wait_for(lambda: self.all_are("OPEN") or self.all_are("HALF_OPEN"))
        threading.Event().wait(seconds)
        self.service.healthy = True
        wait_for(lambda: self.all_are("CLOSED"))

    def stop_calls(self) -> list[Report]:
        """Stop all calls; return reports when members have read the whole stream."""
        for member in self.members:
            member.ask("rest")
        with self.server.client() as client:

            def are_synchronized() -> bool:
                last = client.xinfo_stream(f"recloser:{{{STREAM}}}")["last-generated-id"].decode()
                reports = [member.report() for member in self.members]
                return all(r.position == last and not r.degraded for r in reports)

            wait_for(are_synchronized)
        return [member.report() for member in self.members]

    def start_calls(self) -> None:
        """Let all members call the service."""
        for member in self.members:
            member.ask("work")


@contextmanager
def deployed(
    count: int,
    *,
    binary: str | None = None,
    proxied: bool = False,
    options: Sequence[Sequence[str]] = (),
) -> Iterator[Deployment]:
    """Start a server, a service and members that call it, within a ``with`` block.

    Args:
        count: Number of members.
        binary: The server's program; by default the first one found.
        proxied: Whether each member reaches the server through a proxy of its own.
        options: Further command-line arguments of each member.
    """
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(binary))
        loop = Loop()
        stack.callback(loop.close)
        service = Service(loop)
        proxies = [Proxy(loop, server.port) for _ in range(count if proxied else 0)]
        members = []
        for number in range(count):
            url = proxies[number].url if proxied else server.url
            more = options[number] if number < len(options) else ()
            members.append(Member(f"m{number}", url, service, *more))
            stack.callback(members[-1].end)
        deployment = Deployment(server, loop, service, members, proxies)
        wait_for(lambda: deployment.all_are("CLOSED"))
        deployment.start_calls()
        yield deployment
