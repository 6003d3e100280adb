"""Interceptors for gRPC clients: a breaker for each service or method.

The codes UNAVAILABLE, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNKNOWN and DATA_LOSS are
failures. CANCELLED is ignored, because the caller cancelled the call. Every other code is an answer and
thus a success. A request that cannot be serialized and a stream of requests that fails are ignored. A
call ends with its status; that of a stream comes at the end of the stream. If the caller cancels a
stream after at least one answer, the setting ``closed_early`` decides the outcome.

A rejected call raises ``CircuitOpenRpcError``. It is also a ``grpc.RpcError`` with the code UNAVAILABLE,
so existing error handlers catch it.
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
"""Returns the name of the breaker for a method, given as ``/package.Service/Method``."""

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


_NOT_SERIALIZED: Final = "Exception serializing request!"
"""The details of a call whose request grpc cannot serialize."""


class CircuitOpenRpcError(CircuitOpenError, grpc.RpcError):
    """A breaker rejected a call before it was sent."""

    def code(self) -> grpc.StatusCode:
        """Return UNAVAILABLE."""
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        """Return the reason, and when to try again."""
        return str(self)

    # grpc passes the error to an outer interceptor as if it were a call.

    def result(self, _timeout: float | None = None) -> NoReturn:
        """Raise this error."""
        raise self

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call ``callback`` at once."""
        callback(self)


def by_service(method: str) -> str:
    """Name a breaker after the service: ``package.Service``."""
    return method.strip("/").partition("/")[0]


def by_method(method: str) -> str:
    """Name a breaker after the method: ``package.Service/Method``."""
    return method.strip("/")


class _Answers:
    """Whether a stream has received an answer.

    This is an object of its own because the callback of a call uses it, and a callback that refers to
    its call would keep it alive.
    """

    has_come = False


class _Stream:
    """A call with a stream of answers that notes when the first one arrives."""

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


async def _note_answers(call: AsyncIterable[Any], answers: _Answers) -> AsyncGenerator[Any, None]:
    async for answer in call:
        answers.has_come = True
        yield answer


class _Guard:
    """Asks the breaker before each call, and reports its status code."""

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
        except CircuitOpenError as rejection:
            raise CircuitOpenRpcError(rejection.breaker, rejection.decision) from None

    def report(
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
    """Return whether a call was not sent, because its request was invalid."""
    if call.code() is not grpc.StatusCode.INTERNAL:
        return False
    return call.details() == _NOT_SERIALIZED or is_mistake(call.exception())


class BreakerInterceptor(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Asks a breaker before each call of a channel.

    Use it as ``grpc.intercept_channel(channel, BreakerInterceptor(breakers))``.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all calls.
        name: Returns the breaker's name for a method; by default its service.
        failures: The status codes that are failures; by default ``FAILURES``.
    """

    def __init__(
        self,
        breakers: Mapping[str, CircuitBreaker] | CircuitBreaker,
        *,
        name: NameOf = by_service,
        failures: frozenset[grpc.StatusCode] = FAILURES,
    ) -> None:
        self._guard = _Guard(breakers, name, failures)

    # The four kinds of calls have no common type.
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
            lambda done: guard.report(
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
        """Guard a call with one request and one answer."""
        return self._intercept(continuation, client_call_details, request)

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """Guard a call with one request and a stream of answers."""
        return self._intercept(continuation, client_call_details, request, _Answers())

    def intercept_stream_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Guard a call with a stream of requests and one answer."""
        return self._intercept(continuation, client_call_details, request_iterator, is_stream=True)

    def intercept_stream_stream(
        self, continuation: Callable[..., Any], client_call_details: Any, request_iterator: Any
    ) -> Any:
        """Guard a call with a stream of requests and a stream of answers."""
        return self._intercept(
            continuation, client_call_details, request_iterator, _Answers(), is_stream=True
        )


def aio_interceptors(
    breakers: Mapping[str, CircuitBreaker] | CircuitBreaker,
    *,
    name: NameOf = by_service,
    failures: frozenset[grpc.StatusCode] = FAILURES,
) -> list[grpc.aio.ClientInterceptor]:
    """Create interceptors that ask a breaker before each asynchronous call.

    Use them as ``grpc.aio.insecure_channel(target, interceptors=aio_interceptors(breakers))``. There
    are four of them, because an interceptor of ``grpc.aio`` handles one kind of call only.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all calls.
        name: Returns the breaker's name for a method; by default its service.
        failures: The status codes that are failures; by default ``FAILURES``.
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
        return call if answers is None else _note_answers(call, answers)

    async def _report(
        self, breaker: CircuitBreaker, permit: Permit, call: Any, answers: _Answers | None
    ) -> None:
        self._guard.report(breaker, permit, await call.code(), answers)


class _UnaryUnary(_Aio, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        breaker, permit = self._guard.admit(client_call_details.method)
        try:
            call = await continuation(client_call_details, request)
            # The outcome is reported before the answer is returned, so the caller finds it in the
            # breaker's state. A call that could not be sent has an exception and never a status.
            with suppress(grpc.RpcError):
                await call
            code = await call.code()
        except BaseException as error:
            report_error(breaker, permit, error, is_callers=is_mistake(error))
            raise
        self._guard.report(breaker, permit, code)
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
