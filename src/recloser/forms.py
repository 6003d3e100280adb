"""The forms a protected call can take: functions and generators, plain and asynchronous."""

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import BuiltinFunctionType, CodeType
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from recloser.config import CircuitBreakerConfig
from recloser.decision import CircuitOpenError, Permit, refused_at
from recloser.errors import MisuseError
from recloser.gate import Gate, Leave
from recloser.machine import OPEN
from recloser.nested import hold, release
from recloser.results import Reporter, async_iterating, awaiting, follow_of, iterating

P = ParamSpec("P")
R = TypeVar("R")


class Protector(Reporter, Protocol):
    """What a form asks for leave, and tells how the call went.

    Attributes:
        config: What it was made with.
        gate: The way past asking, while it is open.
    """

    config: CircuitBreakerConfig
    gate: Gate

    def admit(self) -> Permit:
        """Leave for one call, or an exception."""

    def permit_of(self, leave: Leave, started_ns: int) -> Permit:
        """The permit of a call that began without one."""


def protected(breaker: Protector, function: Callable[P, R]) -> Callable[P, R]:
    """``function`` in the same form, with every call of it protected.

    A coroutine function asks when it is awaited, a generator when it is begun. A plain function
    that returns one of them is reported when that ends, not when it was made.

    Raises:
        MisuseError: It is nothing that can be called.
    """
    if isinstance(function, staticmethod | classmethod):
        return cast("Callable[P, R]", type(function)(protected(breaker, function.__func__)))
    if isinstance(function, functools.partialmethod):
        method = protected(breaker, function.func)
        again = functools.partialmethod(method, *function.args, **function.keywords)
        return cast("Callable[P, R]", again)
    wrap = _form_of(function)
    return functools.wraps(function)(cast("Callable[P, R]", wrap(breaker, function)))


def call(
    breaker: Protector,
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
    if type(code) is not CodeType:
        return isinstance(function, type | BuiltinFunctionType)
    return not code.co_flags & _SPECIAL


_SPECIAL: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def _form_of(function: Callable[..., Any]) -> Callable[[Any, Any], Callable[..., Any]]:
    if not callable(function):
        raise MisuseError(_not_callable(function))
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    for candidate in (function, called):
        if inspect.isasyncgenfunction(candidate):
            return _async_generator
        if inspect.iscoroutinefunction(candidate):
            return _coroutine
        if inspect.isgeneratorfunction(candidate):
            code = getattr(candidate, "__code__", None)
            if type(code) is CodeType and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
                return _generator_coroutine
            return _generator
    return _function


def _not_callable(given: object) -> str:
    kind = type(given).__name__
    if isinstance(given, property | functools.cached_property):
        return f"a breaker can't protect a {kind}; put the breaker under it, on its function"
    if isinstance(given, functools.singledispatchmethod):
        return f"a breaker can't protect a {kind}; put the breaker on each of its functions"
    return f"a breaker protects what can be called, which {kind} can't"


def _function(breaker: Protector, function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function, in the form that costs least where all that comes of a call is a count.

    Each form passes on no keywords where it was given none: that would cost a dictionary.
    """
    if not breaker.gate.counts:
        return _recorded(breaker, function)
    config = breaker.config
    if config.window is None and config.slow_call_ns is None:
        return _counted(breaker, function)
    return _leased(breaker, function)


def _recorded(breaker: Protector, function: Callable[..., Any]) -> Callable[..., Any]:
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
            if (
                refusal is not None
                and refusal.where is OPEN
                and (now := monotonic_ns()) < refusal.until_ns
            ):
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
            if (follow := follow_of(type(result))) is not None:
                return follow(breaker, breaker.permit_of(leave, started), result)
            plain = type(result)
        ended = monotonic_ns()
        record((ended - origin, ended - started, leave))
        if len(pending) > pending.limit:
            gate.relieve()
        return result

    return call


def _counted(breaker: Protector, function: Callable[..., Any]) -> Callable[..., Any]:
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
            if (
                refusal is not None
                and refusal.where is OPEN
                and (now := monotonic_ns()) < refusal.until_ns
            ):
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
            if (follow := follow_of(type(result))) is not None:
                return follow(breaker, breaker.permit_of(leave, started), result)
            plain = type(result)
        if started < leave.until_ns:
            next(leave.counter)
        else:
            _pass(breaker, leave, started, monotonic_ns())
        return result

    return call


def _leased(breaker: Protector, function: Callable[..., Any]) -> Callable[..., Any]:
    """Successes are counted that are not slow, for as long as a window can't trip by them."""
    gate, ask = breaker.gate, _asking(breaker, function)
    monotonic_ns = gate.monotonic_ns
    plain: type | None = None

    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal plain
        leave = gate.lease
        if leave is None:
            refusal = gate.refusal
            if (
                refusal is not None
                and refusal.where is OPEN
                and (now := monotonic_ns()) < refusal.until_ns
            ):
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
            if (follow := follow_of(type(result))) is not None:
                return follow(breaker, breaker.permit_of(leave, started), result)
            plain = type(result)
        ended = monotonic_ns()
        if ended < leave.until_ns and ended - started <= leave.slow_ns:
            next(leave.counter)
        else:
            _pass(breaker, leave, started, ended)
        return result

    return call


def _pass(breaker: Protector, leave: Leave, started: int, ended: int) -> None:
    """A success on a leave that could not just be counted."""
    if not leave.is_firm:
        breaker.settle(breaker.permit_of(leave, started))
        return
    breaker.gate.record(ended, ended - started, leave)


def _asking(breaker: Protector, function: Callable[..., Any]) -> Callable[..., Any]:
    """A call that asks first; what it calls in turn may ride on its probe."""

    def ask(*args: Any, **kwargs: Any) -> Any:
        permit = breaker.admit()
        # An exception from outside may come up at any point. A permit that was neither reported nor
        # released would have later calls ride on it, and report nothing.
        try:
            if permit.probe:
                hold(permit)
            result = function(*args, **kwargs)
            if permit.probe:
                release(permit)
            if (follow := follow_of(type(result))) is not None:
                return follow(breaker, permit, result)
            breaker.settle(permit, result=result)
        except BaseException as error:
            release(permit)
            if not permit.spent:
                breaker.settle(permit, error)
            raise
        return result

    return ask


def _coroutine(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    return (_coroutine_leased if breaker.gate.counts else _coroutine_recorded)(breaker, function)


def _coroutine_recorded(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    gate, ask = breaker.gate, _asking_coroutine(breaker, function)
    origin, monotonic_ns = gate.origin, gate.monotonic_ns
    pending, record = gate.pending, gate.pending.extend

    async def call(*args: Any, **kwargs: Any) -> Any:
        leave = gate.leave
        if leave is None:
            refusal = gate.refusal
            if (
                refusal is not None
                and refusal.where is OPEN
                and (now := monotonic_ns()) < refusal.until_ns
            ):
                next(refusal.counter)
                raise CircuitOpenError(gate.breaker, refused_at(refusal, now))
            return await ask(*args, **kwargs)
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
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    gate, ask = breaker.gate, _asking_coroutine(breaker, function)
    monotonic_ns = gate.monotonic_ns

    async def call(*args: Any, **kwargs: Any) -> Any:
        leave = gate.lease
        if leave is None:
            refusal = gate.refusal
            if (
                refusal is not None
                and refusal.where is OPEN
                and (now := monotonic_ns()) < refusal.until_ns
            ):
                next(refusal.counter)
                raise CircuitOpenError(gate.breaker, refused_at(refusal, now))
            return await ask(*args, **kwargs)
        if (started := monotonic_ns()) >= leave.lapses_ns:
            return await ask(*args, **kwargs)
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


def _asking_coroutine(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    def ask(*args: Any, **kwargs: Any) -> Awaitable[Any]:
        permit = breaker.admit()
        return awaiting(breaker, permit, _begun(breaker, permit, function, args, kwargs))

    return ask


def _generator_coroutine(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """A coroutine function from before ``async def``, which is a generator function as well."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        permit = breaker.admit()
        inner = _begun(breaker, permit, function, args, kwargs)
        return (yield from awaiting(breaker, permit, inner).__await__())

    return types.coroutine(call)


def _generator(
    breaker: Protector, function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    def begin(*args: Any, **kwargs: Any) -> tuple[Permit, Generator[Any, Any, Any]]:
        permit = breaker.admit()
        return permit, _begun(breaker, permit, function, args, kwargs)

    return iterating(breaker, begin)


def _async_generator(
    breaker: Protector, function: Callable[..., AsyncGenerator[Any, Any]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    def begin(*args: Any, **kwargs: Any) -> tuple[Permit, AsyncGenerator[Any, Any]]:
        permit = breaker.admit()
        return permit, _begun(breaker, permit, function, args, kwargs)

    return async_iterating(breaker, begin)


def _begun(
    breaker: Protector,
    permit: Permit,
    function: Callable[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    """Make a coroutine or generator, which runs later; wrong arguments end the call."""
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        breaker.settle(permit, error)
        raise
