"""Real servers on loopback that can be told to fail, and the outage that clients are put through."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recloser import CircuitBreakerConfig, CircuitOpenError, History, ManualClock, replay
from recloser.proof.proof import prove

CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=30)
THROUGH_AN_OUTAGE = ["trip", "cool", "relapse", "cool", "recover"]


@contextmanager
def serving(app: Starlette) -> Iterator[str]:
    """The address of an application that uvicorn serves in a thread."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", ws="none", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            threading.Event().wait(0.005)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


class Upstream:
    """An API that answers 200, or 503 while it is not ``healthy``; ``/slow`` takes its time."""

    def __init__(self) -> None:
        self.url = ""
        self.restore()

    @property
    def host(self) -> str:
        return self.url.removeprefix("http://")

    def restore(self) -> None:
        self.healthy = True
        self.retry_after: str | None = None
        self.requests = 0

    async def answer(self, request: Request) -> Response:
        self.requests += 1
        if request.url.path == "/slow":
            await asyncio.sleep(0.3)
        if self.healthy:
            return JSONResponse({"object": "list", "data": [], "price": 42})
        headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
        return JSONResponse({"error": "out of order"}, 503, headers)

    @contextmanager
    def serving(self) -> Iterator["Upstream"]:
        with serving(Starlette(routes=[Route("/{path:path}", self.answer)])) as self.url:
            yield self


def go_through_an_outage(
    call: Callable[[], bool],
    upstream: Upstream,
    clock: ManualClock,
) -> None:
    """Drive a protected call, which tells whether it went well, through outage and recovery."""
    assert call()
    assert call()
    upstream.healthy = False
    assert [call(), call(), call()] == [False, False, False]
    reached = upstream.requests
    for _ in range(5):
        with pytest.raises(CircuitOpenError) as refused:
            call()
    assert refused.value.decision.retry_after == 30
    assert upstream.requests == reached, "an open breaker lets nothing reach the server"
    clock.advance(seconds=30)
    assert not call()
    with pytest.raises(CircuitOpenError):
        call()
    upstream.healthy = True
    clock.advance(seconds=30)
    assert call()
    assert call()
    assert call()
    assert upstream.requests == reached + 4


def replayed(path: Path) -> History:
    """The history of a log that was closed: as witnessed live, and proved to come to nothing else."""
    history = replay(path)
    assert history.witnesses > 0
    assert history.differences == []
    assert prove(path).holds
    return history


def triggers_of(history: History) -> list[str]:
    return [edge.trigger.value for edge in history.edges]
