"""Transports for httpx2 clients: a breaker for each host or route.

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

with needs("httpx2", extra="httpx2"):
    import httpx2

__all__ = ["AsyncBreakerTransport", "BreakerTransport", "by_host", "by_route"]


class _Watched(WatchedStream, httpx2.SyncByteStream):
    pass


class _WatchedAsync(WatchedAsyncStream, httpx2.AsyncByteStream):
    pass


_LIBRARY: Final = Library(
    callers_errors=(
        httpx2.LocalProtocolError,
        httpx2.UnsupportedProtocol,
        httpx2.PoolTimeout,
        httpx2.InvalidURL,
        httpx2.StreamError,
    ),
    whole=httpx2.ByteStream,
    watched=_Watched,
    watched_async=_WatchedAsync,
)


class BreakerTransport(GuardedTransport[httpx2.Request, httpx2.Response], httpx2.BaseTransport):
    """A transport for ``httpx2.Client`` that asks a breaker before each request.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        transport: Sends the requests; by default a ``httpx2.HTTPTransport()``.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """

    _library = _LIBRARY
    _default_transport = httpx2.HTTPTransport


class AsyncBreakerTransport(
    GuardedAsyncTransport[httpx2.Request, httpx2.Response], httpx2.AsyncBaseTransport
):
    """A transport for ``httpx2.AsyncClient`` that asks a breaker before requests.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        transport: Sends the requests; by default a ``httpx2.AsyncHTTPTransport()``.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """

    _library = _LIBRARY
    _default_transport = httpx2.AsyncHTTPTransport
