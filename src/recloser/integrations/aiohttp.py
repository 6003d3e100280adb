"""A breaker for every host or route that a session of aiohttp talks to: its middleware.

For the rules see ``recloser.integrations.http``.
"""

from collections.abc import Callable

from recloser.clock import Clock
from recloser.integrations import needs
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
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse

__all__ = ["breaker_middleware", "by_host", "by_route"]


def breaker_middleware(
    breakers: BreakersOrOne,
    *,
    name: NameOf = by_host,
    is_failure: Callable[[int], bool] = is_server_error,
    clock: Clock | None = None,
) -> ClientMiddlewareType:
    """A middleware that asks a breaker before each request: ``ClientSession(middlewares=[...])``.

    A refused request raises CircuitOpenError. A redirect is a request of its own.

    Args:
        breakers: The breakers by name, as a ``Breakers``, or one for all requests.
        name: What the breaker of a request is called; by default its host.
        is_failure: Whether an answer with this status is a failure; by default from 500 up.
        clock: What times ``Retry-After``; give it the clock of the breakers where they have one.
    """
    guard = HttpGuard(breakers, name=name, is_failure=is_failure, clock=clock)

    async def middleware(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        url = request.url
        host = host_and_port(url.host, url.explicit_port)
        call = guard.admit(request.method, host, url.path)
        try:
            response = await handler(request)
        except BaseException as error:
            call.raised(error)
            raise
        call.answered(response.status, response.headers.get("Retry-After"))
        return response

    return middleware
