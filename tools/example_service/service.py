"""The service: it sells what the API behind it quotes, and stays up when the API does not."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recloser import (
    Breakers,
    CircuitBreakerConfig,
    CircuitOpenError,
    Clock,
    EventLog,
    LoggingListener,
)
from recloser.integrations.httpx import AsyncBreakerTransport
from recloser.integrations.prometheus import BreakerCollector
from recloser.integrations.starlette import circuit_open_handler, status_route

logger: Final = logging.getLogger("example_service")


class QuoteService:
    """``/quote`` asks the API; ``/breakers`` and ``/metrics`` tell how that goes.

    Args:
        api: The address of the API.
        log: Where every outcome is recorded.
        config: The settings of the breaker of each host.
        clock: What times them; by default the log's clock, or else the system's.
    """

    def __init__(
        self,
        api: str,
        log: EventLog,
        config: CircuitBreakerConfig | None = None,
        clock: Clock | None = None,
    ) -> None:
        collector = BreakerCollector()
        self.breakers = Breakers(
            config, log=log, clock=clock, listeners=[LoggingListener(), collector]
        )
        self._registry = CollectorRegistry()
        collector.register(self.breakers, [log], self._registry)
        self._client = httpx.AsyncClient(
            base_url=api, transport=AsyncBreakerTransport(self.breakers, clock=clock)
        )
        self.app = Starlette(
            routes=[
                Route("/quote", self._quote),
                Route("/metrics", self._metrics),
                status_route(self.breakers),
            ],
            exception_handlers={CircuitOpenError: self._refused},
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        async with self._client:
            yield

    async def _quote(self, _request: Request) -> Response:
        answer = await self._client.get("/quote")
        if answer.is_error:
            return JSONResponse({"detail": "the API failed"}, 502)
        return JSONResponse({"price": answer.json()["price"]})

    async def _refused(self, request: Request, error: Exception) -> Response:
        """Say in the log where the breaker stands, and answer 503."""
        assert isinstance(error, CircuitOpenError)
        snapshot = self.breakers[error.breaker].snapshot()
        logger.warning(
            "%s refused: %s is %s after %d failures, retry after %s s",
            request.url.path,
            error.breaker,
            snapshot.state.value,
            snapshot.totals.failed,
            error.decision.retry_after,
        )
        return circuit_open_handler(request, error)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
