"""Wrappers for protected callables: functions and generators, plain and asynchronous."""

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
    """A breaker, as the wrappers see it: it admits calls, and outcomes are reported to it."""

    def admit(self) -> Permit:
        """Return the permit for a call; raise CircuitOpenError if the call is rejected."""


def protected(breaker: Protector, function: Callable[P, R]) -> Callable[P, R]:
    """Return a wrapper of the same kind as a function, which protects every call.

    A call of a coroutine function is admitted when it is awaited, and a generator when it is begun. A
    plain function that returns one of these is reported when the returned object ends.

    Args:
        breaker: The breaker.
        function: The function, coroutine function, generator function or other callable.

    Raises:
        MisuseError: ``function`` can't be called.
    """
    if isinstance(function, staticmethod | classmethod):
        return cast("Callable[P, R]", type(function)(protected(breaker, function.__func__)))
    if isinstance(function, functools.partialmethod):
        method = protected(breaker, function.func)
        again = functools.partialmethod(method, *function.args, **function.keywords)
        return cast("Callable[P, R]", again)
    wrap = _wrapper_for(function)
    return functools.wraps(function)(cast("Callable[P, R]", wrap(breaker, function)))


def call(
    breaker: Protector,
    function: Callable[..., R],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> R:
    """Call a function once, protected as its kind requires.

    Args:
        breaker: The breaker.
        function: The function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    wrap = _wrap_function if _is_plain(function) else _wrapper_for(function)
    return cast("R", wrap(breaker, function)(*args, **kwargs))


def _is_plain(function: Callable[..., Any]) -> bool:
    """Return whether a function is known to be a plain one without a closer look."""
    code = getattr(function, "__code__", None)
    if type(code) is not CodeType:
        return isinstance(function, type | BuiltinFunctionType)
    return not code.co_flags & _SPECIAL


_SPECIAL: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def _wrapper_for(function: Callable[..., Any]) -> Callable[[Any, Any], Callable[..., Any]]:
    if not callable(function):
        raise MisuseError(_not_callable(function))
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    for candidate in (function, called):
        if inspect.isasyncgenfunction(candidate):
            return _wrap_async_generator
        if inspect.iscoroutinefunction(candidate):
            return _wrap_coroutine
        if inspect.isgeneratorfunction(candidate):
            code = getattr(candidate, "__code__", None)
            if type(code) is CodeType and code.co_flags & inspect.CO_ITERABLE_COROUTINE:
                return _wrap_generator_coroutine
            return _wrap_generator
    return _wrap_function


def _not_callable(given: object) -> str:
    kind = type(given).__name__
    if isinstance(given, property | functools.cached_property):
        return f"a breaker can't protect a {kind}; put the breaker under it, on its function"
    if isinstance(given, functools.singledispatchmethod):
        return f"a breaker can't protect a {kind}; put the breaker on each of its functions"
    return f"a breaker protects what can be called, which {kind} can't"


def _wrap_function(breaker: Protector, function: Callable[..., Any]) -> Callable[..., Any]:
    return fast_wrapper(breaker, function, _locking_wrapper(breaker, function))


def _locking_wrapper(breaker: Protector, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a wrapper that takes the lock; calls inside a probe are part of the probe."""

    def call(*args: Any, **kwargs: Any) -> Any:
        permit = breaker.admit()
        # An exception from outside may come up at any point. If it left the permit neither reported
        # nor released, later calls would be part of its probe, and report nothing.
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

    return call


def _wrap_coroutine(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    fast_path, slow_wrapper = breaker.fast_path, _locking_coroutine(breaker, function)

    async def call(*args: Any, **kwargs: Any) -> Any:
        started = begin(fast_path)
        if started is None:
            decision = reject(fast_path)
            if decision is not None:
                raise CircuitOpenError(fast_path.breaker, decision)
            return await slow_wrapper(*args, **kwargs)
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


def _locking_coroutine(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    def call(*args: Any, **kwargs: Any) -> Awaitable[Any]:
        permit = breaker.admit()
        return awaiting(breaker, permit, _begun(breaker, permit, function, args, kwargs))

    return call


def _wrap_generator_coroutine(
    breaker: Protector, function: Callable[..., Awaitable[Any]]
) -> Callable[..., Awaitable[Any]]:
    """Wrap a coroutine function from before ``async def``, which is a generator function as well."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        permit = breaker.admit()
        inner = _begun(breaker, permit, function, args, kwargs)
        return (yield from awaiting(breaker, permit, inner).__await__())

    return types.coroutine(call)


def _wrap_generator(
    breaker: Protector, function: Callable[..., Generator[Any, Any, Any]]
) -> Callable[..., Generator[Any, Any, Any]]:
    def begin(*args: Any, **kwargs: Any) -> tuple[Permit, Generator[Any, Any, Any]]:
        permit = breaker.admit()
        return permit, _begun(breaker, permit, function, args, kwargs)

    return iterating(breaker, begin)


def _wrap_async_generator(
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
    """Make a coroutine or generator, which runs later; an exception here ends the call."""
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        breaker.classify_and_report(permit, error)
        raise
