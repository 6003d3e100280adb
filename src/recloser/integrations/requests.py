"""A breaker for every host or route that a session of requests talks to: its adapter.

For the rules see ``recloser.integrations.http``.
"""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

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

with needs("requests", extra="requests"):
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter

__all__ = ["BreakerAdapter", "by_host", "by_route"]


class BreakerAdapter(BaseAdapter):
    """An adapter that asks a breaker before each request: ``session.mount("https://", ...)``.

    Args:
        breakers: The breakers by name, as a ``Breakers``, or one for all requests.
        adapter: What sends the requests; by default an ``HTTPAdapter()``.
        name: What the breaker of a request is called; by default its host.
        is_failure: Whether an answer with this status is a failure; by default from 500 up.
        clock: What times ``Retry-After``; give it the clock of the breakers where they have one.
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
            CircuitOpenError: It does not.
        """
        url = urlsplit(request.url or "")
        call = self._guard.admit(
            request.method or "", host_and_port(url.hostname, url.port), url.path
        )
        try:
            response = self._adapter.send(request, stream, timeout, verify, cert, proxies)
        except BaseException as error:
            call.raised(error)
            raise
        call.answered(response.status_code, response.headers.get("Retry-After"))
        return response

    def close(self) -> None:
        """Close the adapter inside."""
        self._adapter.close()
