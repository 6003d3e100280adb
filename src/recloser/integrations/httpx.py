"""Transports for httpx clients: a breaker for each host or route.

``recloser.integrations.http`` explains which answers and errors are failures.
"""

from typing import Final

from recloser.integrations import needs
from recloser.integrations.http import by_host, by_route
from recloser.integrations.transport import (
    GuardedAsyncTransport,
    GuardedTransport,
    Library,
    WatchedAsyncStream,
    WatchedStream,
)

with needs("httpx", extra="httpx"):
    import httpx

__all__ = ["AsyncBreakerTransport", "BreakerTransport", "by_host", "by_route"]


class _Watched(WatchedStream, httpx.SyncByteStream):
    pass


class _WatchedAsync(WatchedAsyncStream, httpx.AsyncByteStream):
    pass


_LIBRARY: Final = Library(
    callers_errors=(
        httpx.LocalProtocolError,
        httpx.UnsupportedProtocol,
        httpx.PoolTimeout,
        httpx.InvalidURL,
        httpx.StreamError,
    ),
    whole=httpx.ByteStream,
    watched=_Watched,
    watched_async=_WatchedAsync,
)


class BreakerTransport(GuardedTransport[httpx.Request, httpx.Response], httpx.BaseTransport):
    """A transport for ``httpx.Client`` that asks a breaker before each request.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        transport: Sends the requests; by default a ``httpx.HTTPTransport()``.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """

    _library = _LIBRARY
    _default_transport = httpx.HTTPTransport


class AsyncBreakerTransport(
    GuardedAsyncTransport[httpx.Request, httpx.Response], httpx.AsyncBaseTransport
):
    """A transport for ``httpx.AsyncClient`` that asks a breaker before requests.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        transport: Sends the requests; by default a ``httpx.AsyncHTTPTransport()``.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """

    _library = _LIBRARY
    _default_transport = httpx.AsyncHTTPTransport
