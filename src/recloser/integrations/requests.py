"""An adapter for requests sessions: a breaker for each host or route.

``recloser.integrations.http`` explains which answers and errors are failures.
"""

import io
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

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

with needs("requests", extra="requests"):
    import requests
    import urllib3
    from requests.adapters import BaseAdapter, HTTPAdapter

__all__ = ["BreakerAdapter", "by_host", "by_route"]


class BreakerAdapter(BaseAdapter):
    """An adapter of requests that asks a breaker before each request.

    Use it as ``session.mount("https://", BreakerAdapter(breakers))``.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        adapter: Sends the requests; by default an ``HTTPAdapter()``.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """

    def __init__(
        self,
        breakers: BreakersOrOne,
        adapter: BaseAdapter | None = None,
        *,
        name: NameOf = by_host,
        is_failure: Callable[[int], bool] = is_server_error,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._adapter = HTTPAdapter() if adapter is None else adapter
        self._guard = HttpGuard(breakers, name=name, is_failure=is_failure, clock=clock)

    def send(  # noqa: PLR0917  # the signature of requests
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,
        cert: bytes | str | tuple[bytes | str, bytes | str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send the request if its breaker lets it through.

        Raises:
            CircuitOpenError: The breaker rejects the request.
        """
        url = urlsplit(request.url or "")
        call = self._guard.admit(
            request.method or "", host_and_port(url.hostname, url.port), url.path
        )
        source, body = Source(), request.body
        request.body = _watched(body, source)
        try:
            response = self._adapter.send(request, stream, timeout, verify, cert, proxies)
        except BaseException as error:
            call.raised(error, is_callers=source.is_broken or self._is_callers(error))
            raise
        finally:
            request.body = body
        call.answered(response.status_code, response.headers.get("Retry-After"))
        return response

    def close(self) -> None:
        """Close the wrapped adapter."""
        self._adapter.close()

    def _is_callers(self, error: BaseException) -> bool:
        cause = error.args[0] if error.args else None
        if isinstance(error, requests.exceptions.InvalidHeader):
            return not isinstance(cause, urllib3.exceptions.InvalidHeader)  # a header of the answer
        if isinstance(error, _CALLERS_ERRORS) or isinstance(cause, _CALLERS_ERRORS):
            return True
        if type(error) is OSError and error.errno is None:
            return isinstance(self._adapter, HTTPAdapter)  # a certificate file is missing
        return is_mistake(error)


_CALLERS_ERRORS: Final = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.URLRequired,
    requests.exceptions.UnrewindableBodyError,
    urllib3.exceptions.UnrewindableBodyError,
    urllib3.exceptions.ClosedPoolError,
    urllib3.exceptions.EmptyPoolError,
)


class _WatchedParts:
    """An iterable body that reads the caller's and notes if that fails."""

    def __init__(self, body: Iterable[bytes], source: Source) -> None:
        self._body = body
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return self._source.parts(iter(self._body))


class _WatchedFile(_WatchedParts):
    """A file-like body that reads the caller's file and has its attributes."""

    def __init__(self, body: Any, source: Source) -> None:
        super().__init__(body, source)
        self._file = body

    def read(self, *size: int) -> Any:
        """Read from the caller's file."""
        try:
            return self._file.read(*size)
        except BaseException:
            self._source.is_broken = True
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _watched(body: Any, source: Source) -> Any:
    if isinstance(body, io.TextIOBase):
        return body  # urllib3 must see that it is a text file
    if hasattr(body, "read"):
        return _WatchedFile(body, source)
    is_in_memory = body is None or isinstance(body, bytes | bytearray | str | memoryview | array)
    return body if is_in_memory else _WatchedParts(body, source)
