"""The forms a protected call can take: functions and generators, plain and asynchronous."""

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import BuiltinFunctionType, CodeType
from typing import Any, Final, ParamSpec, Protocol, TypeVar, cast

from recloser.errors import MisuseError
from recloser.live.decision import CircuitOpenError, Permit
from recloser.live.deferred_results import async_iterating, awaiting, follow_of, iterating
from recloser.live.function_wrapper import FastBreaker, begin, fast_wrapper, reject
from recloser.live.nesting import hold, release

P = ParamSpec("P")
R = TypeVar("R")


class Protector(FastBreaker, Protocol):
    """A breaker, as the forms see it: it admits calls, and their outcomes are reported to it."""

    def admit(self) -> Permit:
        """Leave for one call, or an exception."""


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
    return fast_wrapper(breaker, function, _asking(breaker, function))


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
            breaker.classify_and_report(permit, result=result)
        except BaseException as error:
            release(permit)
            if not permit.spent:
                breaker.classify_and_report(permit, error)
            raise
        return result

    return ask


def _coroutine(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    fast_path, ask = breaker.fast_path, _asking_coroutine(breaker, function)

    async def call(*args: Any, **kwargs: Any) -> Any:
        started = begin(fast_path)
        if started is None:
            decision = reject(fast_path)
            if decision is not None:
                raise CircuitOpenError(fast_path.breaker, decision)
            return await ask(*args, **kwargs)
        try:
            result = await (function(*args, **kwargs) if kwargs else function(*args))
        except BaseException as error:
            if not started.record_error(error):
                breaker.classify_and_report(
                    breaker.permit_of(started.token, started.started_ns), error
                )
            raise
        if not started.record_return():
            breaker.classify_and_report(breaker.permit_of(started.token, started.started_ns))
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
        breaker.classify_and_report(permit, error)
        raise
