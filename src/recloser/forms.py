"""The forms a protected call can take: functions and generators, plain and asynchronous."""

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import BuiltinFunctionType
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from recloser.config import CircuitBreakerConfig
from recloser.decision import CircuitOpenError, refused_at
from recloser.gate import Gate, Leave

P = ParamSpec("P")
R = TypeVar("R")
Token = TypeVar("Token")


class Protector(Protocol[Token]):
    """What a form asks for leave, and tells how the call went.

    Attributes:
        config: What it was made with.
        gate: The way past asking, while it is open.
    """

    config: CircuitBreakerConfig
    gate: Gate

    def admit(self) -> Token:
        """Leave for one call, or an exception."""

    def settle(self, permit: Token, error: BaseException | None = None, result: Any = None) -> None:
        """How the call went that the permit was for."""

    def permit_of(self, leave: Leave, started_ns: int) -> Token:
        """The permit of a call that began without one."""


def protected(breaker: Protector[Token], function: Callable[P, R]) -> Callable[P, R]:
    """``function`` in the same form, with every call of it protected.

    A coroutine function asks when it is awaited, a generator when it is begun. A plain function
    that returns an awaitable is reported when that has been awaited, not when it was made.
    """
    wrap = _form_of(function)
    return functools.wraps(function)(cast("Callable[P, R]", wrap(breaker, function)))


def call(
    breaker: Protector[Token],
    function: Callable[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    """Call ``function`` once, protected in its form."""
    wrap = _function if _is_plain(function) else _form_of(function)
    return cast("R", wrap(breaker, function)(*args, **kwargs))


def _is_plain(function: Callable[..., Any]) -> bool:
    """Whether it takes no look at a function to know that it is of no special form."""
    code = getattr(function, "__code__", None)
    if code is None:
        return isinstance(function, type | BuiltinFunctionType)
    return not code.co_flags & _SPECIAL


_SPECIAL: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def _form_of(function: Callable[..., Any]) -> Callable[[Any, Any], Callable[..., Any]]:
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    for candidate in (function, called):
        if inspect.isasyncgenfunction(candidate):
            return _async_generator
        if inspect.iscoroutinefunction(candidate):
            return _coroutine
        if inspect.isgeneratorfunction(candidate):
            return _generator
    return _function


def _function(breaker: Protector[Token], function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function, in the form that costs least where all that comes of a call is a count.

    Each form passes on no keywords where it was given none: that would cost a dictionary.
    """
    if not breaker.gate.counts:
        return _recorded(breaker, function)
    config = breaker.config
    if config.window is None and config.slow_call_ns is None:
        return _counted(breaker, function)
    return _leased(breaker, function)


def _recorded(breaker: Protector[Token], function: Callable[..., Any]) -> Callable[..., Any]:
    """Each success is an event."""
    gate, ask = breaker.gate, _asking(breaker, function)
    origin, monotonic_ns = gate.origin, gate.monotonic_ns
    pending, record = gate.pending, gate.pending.extend
    plain: type | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal plain
        leave = gate.leave
        if leave is None:
            refusal = gate.refusal
            if refusal is not None and (now := monotonic_ns()) < refusal.until_ns:
                next(refusal.counter)
                raise CircuitOpenError(gate.breaker, refused_at(refusal, now))
            return ask(*args, **kwargs)
        started = monotonic_ns()
        try:
            result = function(*args, **kwargs) if kwargs else function(*args)
        except BaseException as error:
            breaker.settle(breaker.permit_of(leave, started), error)
            raise
        if type(result) is not plain:
            if inspect.isawaitable(result):
                return _awaited(breaker, breaker.permit_of(leave, started), result)
            plain = type(result)
        ended = monotonic_ns()
        record((ended - origin, ended - started, leave))
        if len(pending) > pending.limit:
            gate.relieve()
        return result

    return call


def _counted(breaker: Protector[Token], function: Callable[..., Any]) -> Callable[..., Any]:
    """Successes are counted, and it does not matter how long they took, nor when they ended.

    So the clock is read once a call. One that ends after its second is over may be counted to that
    second, until the sequencer has ended it: within 50 ms where a thread writes the log.
    """
    gate, ask = breaker.gate, _asking(breaker, function)
    monotonic_ns = gate.monotonic_ns
    plain: type | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal plain
        leave = gate.leave
        if leave is None:
            refusal = gate.refusal
            if refusal is not None and (now := monotonic_ns()) < refusal.until_ns:
                next(refusal.counter)
                raise CircuitOpenError(gate.breaker, refused_at(refusal, now))
            return ask(*args, **kwargs)
        started = monotonic_ns()
        try:
            result = function(*args, **kwargs) if kwargs else function(*args)
        except BaseException as error:
            breaker.settle(breaker.permit_of(leave, started), error)
            raise
        if type(result) is not plain:
            if inspect.isawaitable(result):
                return _awaited(breaker, breaker.permit_of(leave, started), result)
            plain = type(result)
        if started < leave.until_ns:
            next(leave.counter)
        else:
            _pass(breaker, leave, started, monotonic_ns())
        return result

    return call


def _leased(breaker: Protector[Token], function: Callable[..., Any]) -> Callable[..., Any]:
    """Successes are counted that are not slow, for as long as a window can't trip by them."""
    gate, ask = breaker.gate, _asking(breaker, function)
    monotonic_ns = gate.monotonic_ns
    plain: type | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal plain
        leave = gate.lease
        if leave is None:
            refusal = gate.refusal
            if refusal is not None and (now := monotonic_ns()) < refusal.until_ns:
                next(refusal.counter)
                raise CircuitOpenError(gate.breaker, refused_at(refusal, now))
            return ask(*args, **kwargs)
        if (started := monotonic_ns()) >= leave.lapses_ns:
            return ask(*args, **kwargs)
        try:
            result = function(*args, **kwargs) if kwargs else function(*args)
        except BaseException as error:
            breaker.settle(breaker.permit_of(leave, started), error)
            raise
        if type(result) is not plain:
            if inspect.isawaitable(result):
                return _awaited(breaker, breaker.permit_of(leave, started), result)
            plain = type(result)
        ended = monotonic_ns()
        if ended < leave.until_ns and ended - started <= leave.slow_ns:
            next(leave.counter)
        else:
            _pass(breaker, leave, started, ended)
        return result

    return call


def _pass(breaker: Protector[Token], leave: Leave, started: int, ended: int) -> None:
    """A success on a leave that could not just be counted."""
    if not leave.is_firm:
        breaker.settle(breaker.permit_of(leave, started))
        return
    breaker.gate.record(ended, ended - started, leave)


def _asking(breaker: Protector[Token], function: Callable[..., Any]) -> Callable[..., Any]:
    """A call that asks first."""

    def ask(*args: Any, **kwargs: Any) -> Any:
        permit = breaker.admit()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            breaker.settle(permit, error)
            raise
        if inspect.isawaitable(result):
            return _awaited(breaker, permit, result)
        breaker.settle(permit, result=result)
        return result

    return ask


def _coroutine(
    breaker: Protector[Token], function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    return (_coroutine_leased if breaker.gate.counts else _coroutine_recorded)(breaker, function)


def _coroutine_recorded(
    breaker: Protector[Token], function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    gate = breaker.gate
    origin, monotonic_ns = gate.origin, gate.monotonic_ns
    pending, record = gate.pending, gate.pending.extend

    async def call(*args: Any, **kwargs: Any) -> Any:
        leave = gate.leave
        if leave is None:
            permit = breaker.admit()
            return await _awaited(breaker, permit, function(*args, **kwargs))
        started = monotonic_ns()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            breaker.settle(breaker.permit_of(leave, started), error)
            raise
        ended = monotonic_ns()
        record((ended - origin, ended - started, leave))
        if len(pending) > pending.limit:
            gate.relieve()
        return result

    return call


def _coroutine_leased(
    breaker: Protector[Token], function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    gate = breaker.gate
    monotonic_ns = gate.monotonic_ns

    async def call(*args: Any, **kwargs: Any) -> Any:
        leave = gate.lease
        if leave is None or (started := monotonic_ns()) >= leave.lapses_ns:
            permit = breaker.admit()
            return await _awaited(breaker, permit, function(*args, **kwargs))
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            breaker.settle(breaker.permit_of(leave, started), error)
            raise
        ended = monotonic_ns()
        if ended < leave.until_ns and ended - started <= leave.slow_ns:
            next(leave.counter)
        else:
            _pass(breaker, leave, started, ended)
        return result

    return call


async def _awaited(breaker: Protector[Token], permit: Token, awaitable: Awaitable[Any]) -> Any:
    try:
        result = await awaitable
    except BaseException as error:
        breaker.settle(permit, error)
        raise
    breaker.settle(permit, result=result)
    return result


def _generator(
    breaker: Protector[Token], function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        permit = breaker.admit()
        try:
            result = yield from function(*args, **kwargs)
        except BaseException as error:
            breaker.settle(permit, error)
            raise
        breaker.settle(permit, result=result)
        return result

    return call


def _async_generator(
    breaker: Protector[Token], function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        permit = breaker.admit()
        try:
            inner = function(*args, **kwargs)
            try:
                item = await anext(inner)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as thrown:  # noqa: BLE001  # it goes where it was thrown
                        item = await inner.athrow(thrown)
                    else:
                        item = await inner.asend(sent)
            except StopAsyncIteration:
                pass
            finally:
                await inner.aclose()
        except BaseException as error:
            breaker.settle(permit, error)
            raise
        breaker.settle(permit)

    return call
