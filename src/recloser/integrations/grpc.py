"""A breaker for every service or method that a gRPC channel calls: its interceptors.

The codes UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNKNOWN and DATA_LOSS are
failures; CANCELLED is ignored, as the caller did it; every other code is an answer, and so a
success. A request that can't be serialised, and a stream of requests that breaks off, are ignored
too. A call ends with its status: of a stream, when the stream does. A stream that is cancelled
after at least one answer was closed early: ``closed_early`` of the settings says what that is.

A refused call raises ``CircuitOpenRpcError``, which is a ``grpc.RpcError`` with the code
UNAVAILABLE too, so that what handles those handles it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NoReturn, Self, TypeAlias

from recloser.integrations import needs
from recloser.integrations.callers_faults import Source, is_mistake, report_error
from recloser.integrations.given_breakers import checked_breakers
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import CircuitOpenError, Permit

with needs("grpc", extra="grpc"):
    import grpc
    import grpc.aio

__all__ = [
    "FAILURES",
    "BreakerInterceptor",
    "CircuitOpenRpcError",
    "aio_interceptors",
    "by_method",
    "by_service",
]

NameOf: TypeAlias = Callable[[str], str]
"""The name of the breaker for a method, which is given as ``/package.Service/Method``."""

FAILURES: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
    }
)


_UNSERIALISED: Final = "Exception serializing request!"
"""What grpc gives as the details of a call whose request it can't serialise."""


class CircuitOpenRpcError(CircuitOpenError, grpc.RpcError):
    """A call was refused by a breaker, before it was sent."""

    def code(self) -> grpc.StatusCode:
        """UNAVAILABLE."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """Why, and when to come back."""
        return str(self)

    # An interceptor around this one is handed the error in place of a call.

    def result(self, _timeout: float | None = None) -> NoReturn:
        """Raise it."""
        raise self

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back at once."""
        callback(self)


def by_service(method: str) -> str:
    """A breaker for each service: ``package.Service``."""
    return method.strip("/").partition("/")[0]


def by_method(method: str) -> str:
    """A breaker for each method: ``package.Service/Method``."""
    return method.strip("/")


class _Answers:
    """Whether an answer of a stream has come.

    It is apart from the call, which its own callback must not keep alive.
    """

    has_come = False


class _Stream:
    """A call whose answers are a stream, of which it is noted that one has come."""

    def __init__(self, call: Any, answers: _Answers) -> None:
        self._call = call
        self._answers = answers

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        answer = next(self._call)
        self._answers.has_come = True
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


grpc.Call.register(_Stream)
grpc.Future.register(_Stream)


async def _noting(call: AsyncIterable[Any], answers: _Answers) -> AsyncGenerator[Any, None]:
    async for answer in call:
        answers.has_come = True
        yield answer


class _Guard:
    """Asks the breaker of each call, and tells it the code that the call ended with."""

    def __init__(
        self,
        breakers: Mapping[str, CircuitBreaker] | CircuitBreaker,
        name: NameOf,
        failures: frozenset[grpc.StatusCode],
    ) -> None:
        self._breakers = checked_breakers(breakers)
        self._name = name
        self._failures = failures

    def admit(self, method: str | bytes) -> tuple[CircuitBreaker, Permit]:
        breaker = self._breakers
        if not isinstance(breaker, CircuitBreaker):
            text = method.decode() if isinstance(method, bytes) else method
            breaker = breaker[self._name(text)]
        try:
            return breaker, breaker.admit()
        except CircuitOpenError as refused:
            raise CircuitOpenRpcError(refused.breaker, refused.decision) from None

    def settle(
        self,
        breaker: CircuitBreaker,
        permit: Permit,
        code: grpc.StatusCode | None,
        answers: "_Answers | None" = None,
        *,
        is_callers: bool = False,
    ) -> None:
        name = f"grpc {code.name}" if code is not None else None
        if is_callers:
            breaker.after_ignored(permit, name)
        elif code is grpc.StatusCode.CANCELLED:
            if answers is not None and answers.has_come:
                breaker.report_early_close(permit, GeneratorExit(name))
            else:
                breaker.after_ignored(permit, name)
        elif code in self._failures:
            breaker.after_failure(permit, name)
        else:
            breaker.after_success(permit)


def _is_unsent(call: Any) -> bool:
    """Whether a call ended before it was sent, as there was something wrong with it."""
    if call.code() is not grpc.StatusCode.INTERNAL:
        return False
    return call.details() == _UNSERIALISED or is_mistake(call.exception())


class BreakerInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Asks a breaker before each call of a channel: ``grpc.intercept_channel(channel, ...)``.

    Args:
        breakers: The breakers by name, as a ``Breakers``, or one for all calls.
        name: What the breaker of a method is called; by default its service.
        failures: The codes that are failures; by default as the module says.
    """

    def __init__(
        self,
        breakers: Mapping[str, CircuitBreaker] | CircuitBreaker,
        *,
        name: NameOf = by_service,
        failures: frozenset[grpc.StatusCode] = FAILURES,
    ) -> None:
        self._guard = _Guard(breakers, name, failures)

    # A call has no type that the four share.
    def _intercept(
        self,
        continuation: Callable[..., Any],
        details: Any,
        request: Any,
        answers: _Answers | None = None,
        *,
        is_stream: bool = False,
    ) -> Any:
        guard = self._guard
        breaker, permit = guard.admit(details.method)
        source = Source()
        if is_stream:
            request = source.parts(iter(request))
        try:
            call = continuation(details, request)
        except BaseException as error:
            report_error(breaker, permit, error, is_callers=is_mistake(error))
            raise
        call.add_done_callback(
            lambda done: guard.settle(
                breaker,
                permit,
                done.code(),
                answers,
                is_callers=source.is_broken or _is_unsent(done),
            )
        )
        return call if answers is None else _Stream(call, answers)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """One request, one answer."""
        return self._intercept(continuation, client_call_details, request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """One request, a stream of answers."""
        return self._intercept(continuation, client_call_details, request, _Answers())

    def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        """A stream of requests, one answer."""
        return self._intercept(continuation, client_call_details, request_iterator, is_stream=True)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        """A stream of requests, a stream of answers."""
        return self._intercept(
            continuation, client_call_details, request_iterator, _Answers(), is_stream=True
        )


def aio_interceptors(
    breakers: Mapping[str, CircuitBreaker] | CircuitBreaker,
    *,
    name: NameOf = by_service,
    failures: frozenset[grpc.StatusCode] = FAILURES,
) -> list[grpc.aio.ClientInterceptor]:
    """As ``BreakerInterceptor``, for ``grpc.aio.insecure_channel(target, interceptors=...)``.

    There are four, since ``grpc.aio`` takes an interceptor for one kind of call only.
    """
    guard = _Guard(breakers, name, failures)
    return [kind(guard) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]


class _Aio:
    def __init__(self, guard: _Guard) -> None:
        self._guard = guard
        self._reports: set[asyncio.Task[None]] = set()

    async def _intercept(
        self,
        continuation: Callable[..., Any],
        details: Any,
        request: Any,
        answers: _Answers | None = None,
    ) -> Any:
        breaker, permit = self._guard.admit(details.method)
        try:
            call = await continuation(details, request)
        except BaseException as error:
            report_error(breaker, permit, error, is_callers=is_mistake(error))
            raise

        def report(_done: object) -> None:
            task = asyncio.get_running_loop().create_task(
                self._report(breaker, permit, call, answers)
            )
            self._reports.add(task)
            task.add_done_callback(self._reports.discard)

        call.add_done_callback(report)
        return call if answers is None else _noting(call, answers)

    async def _report(
        self, breaker: CircuitBreaker, permit: Permit, call: Any, answers: _Answers | None
    ) -> None:
        self._guard.settle(breaker, permit, await call.code(), answers)


class _UnaryUnary(_Aio, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        breaker, permit = self._guard.admit(client_call_details.method)
        try:
            call = await continuation(client_call_details, request)
            # The status comes first: whoever gets the answer finds it reported. A
            # call that could not be sent has an exception, and never a status.
            with suppress(grpc.RpcError):
                await call
            code = await call.code()
        except BaseException as error:
            report_error(breaker, permit, error, is_callers=is_mistake(error))
            raise
        self._guard.settle(breaker, permit, code)
        return call


class _UnaryStream(_Aio, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        return await self._intercept(continuation, client_call_details, request, _Answers())


class _StreamUnary(_Aio, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._intercept(continuation, client_call_details, request_iterator)


class _StreamStream(_Aio, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        return await self._intercept(
            continuation, client_call_details, request_iterator, _Answers()
        )
