"""The transports of httpx and of httpx2, which are alike in all that a breaker needs."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

from recloser.clock import Clock
from recloser.integrations.http import (
    BreakersOrOne,
    GuardedCall,
    HttpGuard,
    NameOf,
    by_host,
    is_server_error,
)


class Url(Protocol):
    """Where a request goes."""

    @property
    def netloc(self) -> bytes:
        """Host, and any port."""

    @property
    def path(self) -> str:
        """The path, without the query."""


class Request(Protocol):
    """What is asked of a request."""

    @property
    def method(self) -> str:
        """Its method."""

    @property
    def url(self) -> Url:
        """Where it goes."""


class Response(Protocol):
    """What is asked of an answer."""

    @property
    def status_code(self) -> int:
        """Its status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, found whatever their case."""


Req = TypeVar("Req", bound=Request)
Resp = TypeVar("Resp", bound=Response)
Req_contra = TypeVar("Req_contra", bound=Request, contravariant=True)
Resp_co = TypeVar("Resp_co", bound=Response, covariant=True)


class Transport(Protocol[Req_contra, Resp_co]):
    """What sends a request."""

    def handle_request(self, request: Req_contra) -> Resp_co:
        """Send it, and return its answer once the headers are there."""

    def close(self) -> None:
        """Give up its connections."""


class AsyncTransport(Protocol[Req_contra, Resp_co]):
    """What sends a request, in an event loop."""

    async def handle_async_request(self, request: Req_contra) -> Resp_co:
        """Send it, and return its answer once the headers are there."""

    async def aclose(self) -> None:
        """Give up its connections."""


class GuardedTransport(Generic[Req, Resp]):
    """Sends through ``transport`` what the breakers let through; see ``HttpGuard`` for the rest."""

    def __init__(
        self,
        transport: Transport[Req, Resp],
        breakers: BreakersOrOne,
        *,
        name: NameOf = by_host,
        is_failure: Callable[[int], bool] = is_server_error,
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._guard = HttpGuard(breakers, name=name, is_failure=is_failure, clock=clock)

    def handle_request(self, request: Req) -> Resp:
        """Send the request if its breaker lets it through.

        Raises:
            CircuitOpenError: It does not.
        """
        call = _admitted(self._guard, request)
        try:
            response = self._transport.handle_request(request)
        except BaseException as error:
            call.raised(error)
            raise
        call.answered(response.status_code, response.headers.get("retry-after"))
        return response

    def close(self) -> None:
        """Close the transport inside."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()


class GuardedAsyncTransport(Generic[Req, Resp]):
    """As ``GuardedTransport``, in an event loop."""

    def __init__(
        self,
        transport: AsyncTransport[Req, Resp],
        breakers: BreakersOrOne,
        *,
        name: NameOf = by_host,
        is_failure: Callable[[int], bool] = is_server_error,
        clock: Clock | None = None,
    ) -> None:
        self._transport = transport
        self._guard = HttpGuard(breakers, name=name, is_failure=is_failure, clock=clock)

    async def handle_async_request(self, request: Req) -> Resp:
        """Send the request if its breaker lets it through.

        Raises:
            CircuitOpenError: It does not.
        """
        call = _admitted(self._guard, request)
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            call.raised(error)
            raise
        call.answered(response.status_code, response.headers.get("retry-after"))
        return response

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


def _admitted(guard: HttpGuard, request: Request) -> GuardedCall:
    return guard.admit(request.method, request.url.netloc.decode("ascii"), request.url.path)
