"""Starlette and FastAPI: 503 for rejected calls, and a status route."""

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from attrs import asdict

from recloser.core.snapshot import Snapshot
from recloser.integrations import needs
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import CircuitOpenError

with needs("starlette", extra="starlette"):
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

__all__ = ["circuit_open_handler", "status_route"]

_UNAVAILABLE: Final = 503


def circuit_open_handler(_request: Request, error: Exception) -> JSONResponse:
    """Answer a rejected call with 503, and with ``Retry-After`` if it is known.

    Use it as ``app.add_exception_handler(CircuitOpenError, circuit_open_handler)``. The body names
    neither the dependency nor the reason, because anybody may read it.
    """
    wait = error.decision.retry_after if isinstance(error, CircuitOpenError) else None
    headers = None if wait is None else {"Retry-After": str(max(1, math.ceil(wait)))}
    return JSONResponse({"detail": "temporarily unavailable"}, _UNAVAILABLE, headers)


def status_route(breakers: Mapping[str, CircuitBreaker], path: str = "/breakers") -> Route:
    """Create a read-only route that shows all breakers.

    It answers GET with ``{"schema": "recloser.status/1", "breakers": {name: ...}}``. In FastAPI, append
    it to ``app.router.routes``. It shows the names of your dependencies, so protect it like your other
    internal routes.

    Args:
        breakers: The breakers by name, such as a ``Breakers``.
        path: The path of the route.
    """
    return Route(path, _status_of(breakers), methods=["GET"])


def _status_of(
    breakers: Mapping[str, CircuitBreaker],
) -> Callable[[Request], Awaitable[JSONResponse]]:
    async def recloser_status(_request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "schema": "recloser.status/1",
                "breakers": {
                    name: _as_data(breaker.snapshot()) for name, breaker in breakers.items()
                },
            }
        )

    return recloser_status


def _as_data(snapshot: Snapshot) -> Mapping[str, object]:
    opened_at = snapshot.opened_at
    return {
        "state": snapshot.state.value,
        "mode": snapshot.mode,
        "epoch": snapshot.epoch,
        "forced": snapshot.forced,
        "degraded": snapshot.degraded,
        "consecutive_failures": snapshot.consecutive_failures,
        "probes_in_flight": snapshot.probes_in_flight,
        "opened_at": None if opened_at is None else opened_at.isoformat(),
        "retry_after": snapshot.retry_after,
        "why_open": None if snapshot.why_open is None else snapshot.why_open.rule.value,
        "totals": asdict(snapshot.totals),
    }
