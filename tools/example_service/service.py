"""A service that forwards quotes of an API, and answers when the API fails."""

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
    """Answers ``/quote``, and shows its breakers on ``/breakers`` and ``/metrics``.

    Args:
        api: The URL of the API.
        log: The log that records every outcome.
        config: The settings of each host's breaker.
        clock: The clock of the breakers; by default the log's clock, or else the system's.
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
            exception_handlers={CircuitOpenError: self._reject},
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

    async def _reject(self, request: Request, error: Exception) -> Response:
        """Log the state of the breaker, and answer 503."""
        assert isinstance(error, CircuitOpenError)
        snapshot = self.breakers[error.breaker].snapshot()
        logger.warning(
            "%s rejected: %s is %s after %d failures, retry after %s s",
            request.url.path,
            error.breaker,
            snapshot.state.value,
            snapshot.totals.failed,
            error.decision.retry_after,
        )
        return circuit_open_handler(request, error)

    async def _metrics(self, _request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)
