"""A breaker for every host or route that a client of httpx2 talks to: its transport.

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
    """A transport that asks a breaker before each request: ``httpx2.Client(transport=...)``.

    Args:
        breakers: The breakers by name, as a ``Breakers``, or one for all requests.
        transport: What sends the requests; by default a ``httpx2.HTTPTransport()``.
        name: What the breaker of a request is called; by default its host.
        is_failure: Whether an answer with this status is a failure; by default from 500 up.
        clock: What times ``Retry-After``; give it the clock of the breakers where they have one.
    """

    _library = _LIBRARY
    _makes = httpx2.HTTPTransport


class AsyncBreakerTransport(
    GuardedAsyncTransport[httpx2.Request, httpx2.Response], httpx2.AsyncBaseTransport
):
    """As ``BreakerTransport``, for ``httpx2.AsyncClient(transport=...)``."""

    _library = _LIBRARY
    _makes = httpx2.AsyncHTTPTransport
