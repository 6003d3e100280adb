"""Real servers on loopback that fail on demand, and an outage that protected clients go through."""

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
    """Serve an application with uvicorn in a thread; yield its address."""
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
    """An API that answers 200, or 503 while it is not ``healthy``; ``/slow`` takes 0.3 s."""

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
    """Make calls through an outage and the recovery; ``call`` returns whether the call succeeded."""
    assert call()
    assert call()
    upstream.healthy = False
    assert [call(), call(), call()] == [False, False, False]
    reached = upstream.requests
    for _ in range(5):
        with pytest.raises(CircuitOpenError) as rejected:
            call()
    assert rejected.value.decision.retry_after == 30
    assert upstream.requests == reached, "an open breaker let a request reach the server"
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
    """Replay a closed log; check that it has its witnesses, and that its proof holds."""
    history = replay(path)
    assert history.witnesses > 0
    assert history.differences == []
    assert prove(path).holds
    return history


def triggers_of(history: History) -> list[str]:
    return [edge.trigger.value for edge in history.edges]
