"""The parts of a fleet under test: a service, members, and the verdict on what they did.

A member is a process of its own (``tools/shared_member.py``) that calls the service through a
breaker on the stream. All parts run on loopback, and can be made to fail.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import support_path  # noqa: F401  # the next import needs it
from redis_servers import Loop, Proxy, RedisServer, wait_for

from recloser import SystemClock
from recloser.core.moments import nanoseconds_between

CLOCK: Final = SystemClock()
MEMBER: Final = Path(__file__).with_name("shared_member.py")
STREAM: Final = "fleet"
BREAKER: Final = "service"


@attrs.frozen
class Request:
    """A request that reached the service.

    Attributes:
        at_ms: When, in milliseconds since 1970.
        member: Who called.
        epoch: The epoch of its permit.
        probe: The number of the probe that it was, or 0.
        together: How many probes were there at once with it.
    """

    at_ms: float
    member: str
    epoch: int
    probe: int
    together: int


class Service:
    """The protected service: answers 200, or 503 while it is not ``healthy``.

    Attributes:
        port: Where it listens.
        requests: What has reached it.
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
    """The wall clock, in milliseconds since 1970, as a Redis server on this machine reads it."""
    return nanoseconds_between(_EPOCH, CLOCK.now()) / 1e6


_EPOCH: Final = CLOCK.now().replace(
    year=1970, month=1, day=1, hour=0, minute=0, second=0, microsecond=0
)


@attrs.frozen
class Edge:
    """An edge as a member knows it.

    Attributes:
        place: The entry of the stream that fired it.
        seq: Its number.
        at: Its time, in nanoseconds of the log.
        epoch: The epoch that it begins.
        trigger: What it is.
    """

    place: str
    seq: int
    at: int
    epoch: int
    trigger: str


@attrs.frozen
class Report:
    """What a member knows, and what its calls have met.

    Attributes:
        generation: Of which stream.
        position: The last entry that it has read.
        degraded: Whether it is on its own.
        state: All that it knows of the breaker.
        edges: The edges of the stream.
        slowest_ms: The longest that asking for a permit and reporting have taken.
        calls: How many calls were let through.
        refused: How many were not.
        was_degraded: How often it was found on its own.
        errors: What its calls have raised that none may raise.
    """

    generation: str
    position: str
    degraded: bool
    state: dict[str, Any]
    edges: tuple[Edge, ...]
    slowest_ms: float
    calls: int
    refused: int
    was_degraded: int
    errors: tuple[str, ...] = ()


class Member:
    """A process of the fleet."""

    def __init__(self, name: str, url: str, service: Service, *options: str) -> None:
        self.name = name
        command = [sys.executable, str(MEMBER), url, f"http://127.0.0.1:{service.port}", name]
        self.process = subprocess.Popen(
            [*command, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, word: str) -> Any:
        """Say a word to it, and have its answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"member {self.name} is gone")
        return json.loads(line)

    def report(self) -> Report:
        """What it knows."""
        told = self.ask("report")
        edges = tuple(Edge(*edge) for edge in told["edges"])
        return Report(**{**told, "edges": edges, "errors": tuple(told["errors"])})

    def stop(self) -> None:
        """Stop it where it stands, with SIGSTOP."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        os.kill(self.process.pid, signal.SIGCONT)

    def end(self) -> None:
        """End it; it may have ended already."""
        if self.process.poll() is None:
            self.go_on()
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@attrs.define
class Fleet:
    """A server, a service, and members that call it."""

    server: RedisServer
    loop: Loop
    service: Service
    members: list[Member]
    proxies: list[Proxy]

    def state(self, member: int = 0) -> str:
        """Where a member thinks that the breaker is."""
        return str(self.members[member].report().state["state"])

    def all_are(self, state: str) -> bool:
        """Whether all members think that it is there, and go by the stream."""
        reports = [member.report() for member in self.members]
        return all(r.state["state"] == state and not r.degraded for r in reports)

    def heal(self) -> float:
        """Wait until all members go by the stream again; from when on they should be as one."""
        wait_for(lambda: not any(member.report().degraded for member in self.members))
        threading.Event().wait(0.3)
        return wall_ms()

    def outage(self, seconds: float = 0.5) -> None:
        """Let the service fail, and recover, and wait until all see it."""
        self.service.healthy = False
        wait_for(lambda: self.all_are("OPEN") or self.all_are("HALF_OPEN"))
        threading.Event().wait(seconds)
        self.service.healthy = True
        wait_for(lambda: self.all_are("CLOSED"))

    def settle(self) -> list[Report]:
        """Have all calls stop, and wait until all members have read all that there is."""
        for member in self.members:
            member.ask("rest")
        with self.server.client() as client:

            def are_level() -> bool:
                last = client.xinfo_stream(f"recloser:{{{STREAM}}}")["last-generated-id"].decode()
                reports = [member.report() for member in self.members]
                return all(r.position == last and not r.degraded for r in reports)

            wait_for(are_level)
        return [member.report() for member in self.members]

    def work(self) -> None:
        """Have all members call again."""
        for member in self.members:
            member.ask("work")


@contextmanager
def fleet_of(
    count: int,
    *,
    binary: str | None = None,
    proxied: bool = False,
    options: Sequence[Sequence[str]] = (),
) -> Iterator[Fleet]:
    """A fleet at work.

    Args:
        count: How many members.
        binary: Which server.
        proxied: Whether each member reaches the server by a proxy of its own.
        options: Further arguments of each member.
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
        fleet = Fleet(server, loop, service, members, proxies)
        wait_for(lambda: fleet.all_are("CLOSED"))
        fleet.work()
        yield fleet


@attrs.define
class Verdict:
    """What came of a run.

    Attributes:
        violations: What should never be.
        edges: How many edges all members agree on.
        probes: How many probes reached the service.
        together: How many of them at once, at most.
        late_ms: How long after an edge to OPEN a call that was let through before still came.
        slowest_ms: The longest that a call has waited for the breaker.
    """

    violations: list[str] = attrs.field(factory=list)
    edges: int = 0
    probes: int = 0
    together: int = 0
    late_ms: float = 0.0
    slowest_ms: float = 0.0


def judge(
    reports: Sequence[Report],
    requests: Sequence[Request],
    export: Path,
    *,
    since_ms: float = 0,
    allowed: int = 1,
) -> Verdict:
    """Compare what the members know, what reached the service, and the exported log.

    Args:
        reports: Of all members, when all have read everything.
        requests: What has reached the service.
        export: The log of the stream.
        since_ms: Only what has happened since is compared.
        allowed: How many probes may be under way at once.
    """
    from recloser import replay
    from recloser.core.log_fold import LogFold
    from recloser.core.state import dump
    from recloser.log.reader import LogReader

    verdict = Verdict(slowest_ms=max(report.slowest_ms for report in reports))
    say = verdict.violations.append
    if len({report.edges for report in reports}) > 1:
        say("the members know different edges")
    if len({json.dumps(report.state, sort_keys=True) for report in reports}) > 1:
        say("the members are in different states")
    history = replay(export)
    if history.differences:
        say(f"the exported log parts from its witnesses: {history.differences[0]}")
    fold = LogFold()
    admitted: Counter[int] = Counter()
    for event in LogReader(export):
        fold.apply(event)
        if event.kind == "probe_admitted":
            admitted[event.epoch] += 1
    exported = json.loads(json.dumps(dump(fold.breakers[BREAKER])))
    if exported != reports[0].state:
        say("the fold of the exported log is not what the members have")
    known = [(e.seq, e.at, e.epoch, e.trigger) for e in reports[0].edges]
    told = [(e.seq, e.at, e.epoch, e.trigger.value) for e in history.edges]
    if known != told[len(told) - len(known) :]:
        say("the edges of the exported log are not those that the members know")
    verdict.edges = len(known)
    recent = [request for request in requests if request.at_ms >= since_ms]
    _judge_requests(verdict, reports[0].edges, recent, admitted)
    if verdict.together > allowed:
        say(f"{verdict.together} probes were under way at once")
    return verdict


def _judge_requests(
    verdict: Verdict,
    edges: Sequence[Edge],
    requests: Sequence[Request],
    admitted: Counter[int],
) -> None:
    say = verdict.violations.append
    ended = {edge.epoch - 1: int(edge.place.split("-")[0]) for edge in edges}
    closed = {edge.epoch - (edge.trigger == "trip") for edge in edges}
    closed -= {edge.epoch for edge in edges if edge.trigger != "recover"}
    of_epoch: dict[int, set[int]] = {}
    for request in requests:
        if request.probe:
            verdict.probes += 1
            verdict.together = max(verdict.together, request.together)
            if request.probe in of_epoch.setdefault(request.epoch, set()):
                say(f"probe {request.probe} of epoch {request.epoch} came twice")
            of_epoch[request.epoch].add(request.probe)
        elif request.epoch not in closed:
            say(f"a call of epoch {request.epoch} came, which is not closed")
        elif request.epoch in ended:
            late = request.at_ms - ended[request.epoch]
            verdict.late_ms = max(verdict.late_ms, late)
    for epoch, probes in of_epoch.items():
        if len(probes) > admitted[epoch]:
            say(f"{len(probes)} probes of epoch {epoch} came, {admitted[epoch]} were admitted")
