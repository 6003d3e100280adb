"""The transports of httpx and of httpx2, which are alike in all that a breaker needs."""

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
    """Where a request goes."""

    @property
    def netloc(self) -> bytes:
        """Host, and any port."""

    @property
    def path(self) -> str:
        """The path, without the query."""


class Request(Protocol):
    """What is asked of a request.

    Attributes:
        stream: Its body.
    """

    stream: Any

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


T = TypeVar("T")
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


@frozen
class Library:
    """What differs between the two libraries.

    Attributes:
        callers_errors: The errors of the library that say that the caller is at fault.
        whole: The type of a body that is in memory already.
        watched: Makes a body of the library that reads from another and notes if that breaks off.
        watched_async: Makes an asynchronous one.
    """

    callers_errors: tuple[type[BaseException], ...]
    whole: type
    watched: Callable[[Any, Source], Any]
    watched_async: Callable[[Any, Source], Any]

    def is_callers(self, error: BaseException, source: Source) -> bool:
        """Whether the caller is at fault for what a transport raised."""
        if source.is_broken or is_mistake(error):
            return True
        # httpcore hands on some errors of h11, which is what writes HTTP/1.1, as they are.
        is_local = type(error).__name__ == "LocalProtocolError"
        return (is_local or isinstance(error, self.callers_errors)) and not _is_of_http2(error)


def _is_of_http2(error: BaseException) -> bool:
    """Whether an error is of HTTP/2, where a broken answer of the server is a local error too."""
    cause: BaseException | None = error
    while cause is not None:
        if type(cause).__module__.partition(".")[0] == "h2":
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class WatchedStream:
    """A body that is read from another, which is the caller's."""

    def __init__(self, stream: Any, source: Source) -> None:
        self._stream = stream
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return self._source.parts(iter(self._stream))

    def close(self) -> None:
        """Close the body inside."""
        self._stream.close()


class WatchedAsyncStream:
    """An asynchronous body that is read from another, which is the caller's."""

    def __init__(self, stream: Any, source: Source) -> None:
        self._stream = stream
        self._source = source

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._source.async_parts(aiter(self._stream))

    async def aclose(self) -> None:
        """Close the body inside."""
        await self._stream.aclose()


class _Guarded(Generic[T]):
    """What both kinds of transport are made of.

    Args:
        breakers: The breakers by name, as a ``Breakers``, or one for all requests.
        transport: What sends the requests; by default one of the library's own.
        name: What the breaker of a request is called; by default its host.
        is_failure: Whether an answer with this status is a failure; by default from 500 up.
        clock: What times ``Retry-After``; give it the clock of the breakers where they have one.
    """

    _library: ClassVar[Library]
    _makes: ClassVar[type[Any]]

    def __init__(
        self,
        breakers: BreakersOrOne,
        transport: T | None = None,
        *,
        name: NameOf = by_host,
        is_failure: Callable[[int], bool] = is_server_error,
        clock: Clock | None = None,
    ) -> None:
        self._transport: T = self._makes() if transport is None else transport
        self._guard = HttpGuard(breakers, name=name, is_failure=is_failure, clock=clock)


class GuardedTransport(_Guarded[Transport[Req, Resp]], Generic[Req, Resp]):
    """Sends through a transport what the breakers let through; see ``HttpGuard`` for the rest."""

    def handle_request(self, request: Req) -> Resp:
        """Send the request if its breaker lets it through.

        Raises:
            CircuitOpenError: It does not.
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


class GuardedAsyncTransport(_Guarded[AsyncTransport[Req, Resp]], Generic[Req, Resp]):
    """As ``GuardedTransport``, in an event loop."""

    async def handle_async_request(self, request: Req) -> Resp:
        """Send the request if its breaker lets it through.

        Raises:
            CircuitOpenError: It does not.
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
