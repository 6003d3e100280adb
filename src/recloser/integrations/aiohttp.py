"""Middleware for aiohttp clients: a breaker for each host or route.

``recloser.integrations.http`` explains which answers and errors are failures.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from typing import Any, Final

from recloser.clock import Clock
from recloser.integrations import needs
from recloser.integrations.callers_faults import Source, is_mistake
from recloser.integrations.http import (
    BreakersOrOne,
    HttpGuard,
    NameOf,
    by_host,
    by_route,
    host_and_port,
    is_server_error,
)

with needs("aiohttp", extra="aiohttp"):
    import aiohttp
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

__all__ = ["breaker_middleware", "by_host", "by_route"]


def breaker_middleware(
    breakers: BreakersOrOne,
    *,
    name: NameOf = by_host,
    is_failure: Callable[[int], bool] = is_server_error,
    clock: Clock | None = None,
) -> ClientMiddlewareType:
    """Create a middleware that asks a breaker before each request.

    Use it as ``ClientSession(middlewares=[breaker_middleware(breakers)])``. A rejected request raises
    CircuitOpenError. Each redirect is a request of its own.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """
    guard = HttpGuard(breakers, name=name, is_failure=is_failure, clock=clock)

    async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        url = request.url
        host = host_and_port(url.host, url.explicit_port)
        call = guard.admit(request.method, host, url.path)
        source = Source()
        try:
            with _watch_upload(request.body, source):
                response = await handler(request)
        except BaseException as error:
            reported = TimeoutError() if _has_timed_out(request, error) else error
            is_callers = source.is_broken or _is_callers(error)
            call.raised(reported, is_callers=is_callers or _waited_for_the_pool(error))
            raise
        call.answered(response.status, response.headers.get("Retry-After"))
        return response

    return middleware


_CALLERS_ERRORS: Final = (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)


def _is_callers(error: BaseException) -> bool:
    return isinstance(error, _CALLERS_ERRORS) or is_mistake(error)


def _has_timed_out(request: ClientRequest, error: BaseException) -> bool:
    """Return whether a request was cancelled because its total timeout is over.

    While a request connects, aiohttp cancels its task; it raises ``TimeoutError`` only outside of the
    middlewares.
    """
    timer = getattr(request, "_timer", None)
    is_over: bool = getattr(timer, "_cancelled", False)
    return is_over and isinstance(error, asyncio.CancelledError)


def _waited_for_the_pool(error: BaseException) -> bool:
    """Return whether a request timed out while it waited for a connection.

    aiohttp raises the same error for this and for a server that does not answer.
    """
    cause: BaseException | None = error
    while cause is not None:
        frames = (frame.f_code.co_name for frame, _ in walk_tb(cause.__traceback__))
        if "_wait_for_available_connection" in frames:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@contextmanager
def _watch_upload(body: object, source: Source) -> Iterator[None]:
    """Note within a ``with`` block whether the source of an upload fails."""
    if not isinstance(body, aiohttp.Payload) or isinstance(body, aiohttp.BytesPayload):
        yield
        return
    write = body.write_with_length

    async def watched(writer: Any, content_length: int | None) -> None:
        connection = _Connection(writer)
        try:
            await write(connection, content_length)  # type: ignore[arg-type]  # it has the same methods
        except Exception:
            source.is_broken = not connection.is_broken
            raise

    vars(body)["write_with_length"] = watched
    try:
        yield
    finally:
        del vars(body)["write_with_length"]


class _Connection:
    """A writer of an upload that notes if the connection fails."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self.is_broken = False

    async def write(self, *arguments: Any, **keywords: Any) -> None:
        """Write to the wrapped connection."""
        try:
            await self._writer.write(*arguments, **keywords)
        except BaseException:
            self.is_broken = True
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)
