"""The common part of the transports for httpx and httpx2."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar

from attrs import frozen

from recloser.clock import Clock
from recloser.integrations.callers_faults import Source, is_mistake
from recloser.integrations.http import (
    BreakersOrOne,
    GuardedCall,
    HttpGuard,
    NameOf,
    by_host,
    is_server_error,
)


class Url(Protocol):
    """The URL of a request."""

    @property
    def netloc(self) -> bytes:
        """The host, with any port."""

    @property
    def path(self) -> str:
        """The path, without the query."""


class Request(Protocol):
    """The parts of a request that a breaker uses.

    Attributes:
        stream: The body.
    """

    stream: Any

    @property
    def method(self) -> str:
        """The HTTP method."""

    @property
    def url(self) -> Url:
        """The URL."""


class Response(Protocol):
    """The parts of an answer that a breaker uses."""

    @property
    def status_code(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; their names are not case-sensitive."""


T = TypeVar("T")
Req = TypeVar("Req", bound=Request)
Resp = TypeVar("Resp", bound=Response)
Req_contra = TypeVar("Req_contra", bound=Request, contravariant=True)
Resp_co = TypeVar("Resp_co", bound=Response, covariant=True)


class Transport(Protocol[Req_contra, Resp_co]):
    """Sends requests."""

    def handle_request(self, request: Req_contra) -> Resp_co:
        """Send a request; return its answer as soon as the headers have arrived."""

    def close(self) -> None:
        """Close the connections."""


class AsyncTransport(Protocol[Req_contra, Resp_co]):
    """Sends requests in an event loop."""

    async def handle_async_request(self, request: Req_contra) -> Resp_co:
        """Send a request; return its answer as soon as the headers have arrived."""

    async def aclose(self) -> None:
        """Close the connections."""


@frozen
class Library:
    """The differences between httpx and httpx2.

    Attributes:
        callers_errors: The library's errors for which the caller is at fault.
        whole: The type of a body that is completely in memory.
        watched: Creates a body that reads from another body and notes if that fails.
        watched_async: Creates an asynchronous body that does the same.
    """

    callers_errors: tuple[type[BaseException], ...]
    whole: type
    watched: Callable[[Any, Source], Any]
    watched_async: Callable[[Any, Source], Any]

    def is_callers(self, error: BaseException, source: Source) -> bool:
        """Return whether the caller is at fault for an error that a transport raised."""
        if source.is_broken or is_mistake(error):
            return True
        # httpcore lets some errors of h11, its HTTP/1.1 library, through unchanged.
        is_local = type(error).__name__ == "LocalProtocolError"
        return (is_local or isinstance(error, self.callers_errors)) and not _is_of_http2(error)


def _is_of_http2(error: BaseException) -> bool:
    """Return whether an error is from HTTP/2.

    In HTTP/2, the library raises a ``LocalProtocolError`` also for an invalid answer of the server,
    so the caller is not known to be at fault.
    """
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__module__.partition(".")[0] == "h2":
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class WatchedStream:
    """A body that reads the caller's body, and notes if reading fails."""

    def __init__(self, stream: Any, source: Source) -> None:
        self._stream = stream
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return self._source.parts(iter(self._stream))

    def close(self) -> None:
        """Close the caller's body."""
        self._stream.close()


class WatchedAsyncStream:
    """An asynchronous body that reads the caller's body, and notes if reading fails."""

    def __init__(self, stream: Any, source: Source) -> None:
        self._stream = stream
        self._source = source

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._source.async_parts(aiter(self._stream))

    async def aclose(self) -> None:
        """Close the caller's body."""
        await self._stream.aclose()


class _Guarded(Generic[T]):
    """The common part of both kinds of transport.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        transport: Sends the requests; by default a new transport of the library.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """

    _library: ClassVar[Library]
    _default_transport: ClassVar[type[Any]]

    def __init__(
        self,
        breakers: BreakersOrOne,
        transport: T | None = None,
        *,
        name: NameOf = by_host,
        is_failure: Callable[[int], bool] = is_server_error,
        clock: Clock | None = None,
    ) -> None:
        self._transport: T = self._default_transport() if transport is None else transport
        self._guard = HttpGuard(breakers, name=name, is_failure=is_failure, clock=clock)


class GuardedTransport(_Guarded[Transport[Req, Resp]], Generic[Req, Resp]):
    """Sends requests that the breakers admit through another transport."""

    def handle_request(self, request: Req) -> Resp:
        """Send the request if its breaker lets it through.

        Raises:
            CircuitOpenError: The breaker rejects the request.
        """
        call = _admitted(self._guard, request)
        source, stream = Source(), request.stream
        if not isinstance(stream, self._library.whole):
            request.stream = self._library.watched(stream, source)
        try:
            response = self._transport.handle_request(request)
        except BaseException as error:
            call.raised(error, is_callers=self._library.is_callers(error, source))
            raise
        finally:
            request.stream = stream
        call.answered(response.status_code, response.headers.get("retry-after"))
        return response

    def close(self) -> None:
        """Close the wrapped transport."""
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


class GuardedAsyncTransport(_Guarded[AsyncTransport[Req, Resp]], Generic[Req, Resp]):
    """Sends admitted requests through another transport, in an event loop."""

    async def handle_async_request(self, request: Req) -> Resp:
        """Send the request if its breaker lets it through.

        Raises:
            CircuitOpenError: The breaker rejects the request.
        """
        call = _admitted(self._guard, request)
        source, stream = Source(), request.stream
        if not isinstance(stream, self._library.whole):
            request.stream = self._library.watched_async(stream, source)
        try:
            response = await self._transport.handle_async_request(request)
        except BaseException as error:
            call.raised(error, is_callers=self._library.is_callers(error, source))
            raise
        finally:
            request.stream = stream
        call.answered(response.status_code, response.headers.get("retry-after"))
        return response

    async def aclose(self) -> None:
        """Close the wrapped transport."""
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
