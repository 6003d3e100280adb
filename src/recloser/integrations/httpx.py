"""A breaker for every host or route that a client of httpx talks to: its transport.

For the rules see ``recloser.integrations.http``.
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
    """A transport that asks a breaker before each request: ``httpx.Client(transport=...)``.

    Args:
        breakers: The breakers by name, as a ``Breakers``, or one for all requests.
        transport: What sends the requests; by default a ``httpx.HTTPTransport()``.
        name: What the breaker of a request is called; by default its host.
        is_failure: Whether an answer with this status is a failure; by default from 500 up.
        clock: What times ``Retry-After``; give it the clock of the breakers where they have one.
    """

    _library = _LIBRARY
    _makes = httpx.HTTPTransport


class AsyncBreakerTransport(
    GuardedAsyncTransport[httpx.Request, httpx.Response], httpx.AsyncBaseTransport
):
    """As ``BreakerTransport``, for ``httpx.AsyncClient(transport=...)``."""

    _library = _LIBRARY
    _makes = httpx.AsyncHTTPTransport
