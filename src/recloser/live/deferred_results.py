"""Results that end later than the call that returned them, and are reported when they end.

These are coroutines, generators, the context managers of ``contextlib``, and the futures of
``asyncio`` and ``concurrent.futures``. Any other result, awaitable or not, is returned as it is, and
the call has succeeded: a client, a lazy proxy or a mock may be awaitable and be much more.

Only the type of a result is looked at. Asking a result for an attribute would evaluate a lazy proxy,
and comparing or hashing its type could run a metaclass of the user.
"""

import contextlib
import inspect
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from types import AsyncGeneratorType, CoroutineType, GeneratorType, coroutine
from typing import Any, Final, Protocol, TypeAlias

from recloser.live.decision import Permit
from recloser.live.nesting import hold, release


class Reporter(Protocol):
    """The part of a breaker that deferred results use to report how they ended."""

    def __call__(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Return a function with every call protected."""

    def classify_and_report(
        self, permit: Permit, error: BaseException | None = None, result: object = None
    ) -> None:
        """Report a call as succeeded, failed or ignored, by what it raised or returned."""

    def report_early_close(self, permit: Permit, error: GeneratorExit) -> None:
        """Report a stream that was closed after at least one item."""

    def after_ignored(
        self, permit: Permit | None = None, error: BaseException | str | None = None
    ) -> None:
        """Report a call whose outcome shows neither success nor failure of the dependency."""


Follow: TypeAlias = Callable[[Reporter, Permit, Any], Any]

_MAX_PLAIN: Final = 256
_plain: Final[dict[int, type]] = {}
"""Types of results that are known to end with the call, by their ``id``."""

_is_subclass: Final = type.__subclasscheck__
_name_of: Final = type.__dict__["__name__"].__get__
_module_of: Final = type.__dict__["__module__"].__get__


def follow_of(kind: type) -> Follow | None:
    """Return the function that reports results of a type when they end; None if they end at once.

    Args:
        kind: The type of a result.
    """
    if kind is CoroutineType:
        return _follow_coroutine
    if _plain.get(id(kind)) is kind:
        return None
    follow = _found(kind)
    if follow is None:
        if len(_plain) >= _MAX_PLAIN:
            _plain.clear()
        _plain[id(kind)] = kind
    return follow


def _found(kind: type) -> Follow | None:
    if _is_compiled_coroutine(kind):
        return _follow_coroutine
    if kind is GeneratorType:
        return _follow_generator
    if kind is AsyncGeneratorType:
        return _follow_async_generator
    if _is_subclass(contextlib._GeneratorContextManager, kind):  # noqa: SLF001  # what contextmanager() returns
        return partial(_follow_manager, GeneratorType)
    if _is_subclass(contextlib._AsyncGeneratorContextManager, kind):  # noqa: SLF001  # what asynccontextmanager() returns
        return partial(_follow_manager, AsyncGeneratorType)
    return _follow_future if _is_future(kind) else None


def _is_compiled_coroutine(kind: type) -> bool:
    """Return whether a type is that of Cython's coroutines; each version of Cython has its own type."""
    return _name_of(kind) == "coroutine" and str(_module_of(kind)).startswith("_cython_")


def _is_future(kind: type) -> bool:
    """Return whether a type is that of a future; a module that is not imported has made none."""
    for name in ("asyncio", "concurrent.futures"):
        future = getattr(sys.modules.get(name), "Future", None)
        if isinstance(future, type) and _is_subclass(future, kind):
            return True
    return False


class _UnbegunProbe:
    """Gives back a probe whose coroutine or generator is discarded before it starts.

    The frame of the function that follows the result holds the only reference to this object, so
    both are deleted together, and ``__del__`` reports the call as ignored.
    """

    __slots__ = ("_permit", "_reporter")

    def __init__(self, reporter: Reporter, permit: Permit) -> None:
        self._reporter = reporter
        self._permit = permit

    def __del__(self) -> None:
        if not self._permit.spent:
            self._reporter.after_ignored(self._permit)


def _unbegun_probe(reporter: Reporter, permit: Permit) -> _UnbegunProbe | None:
    """Return an object that gives back the probe if its result never starts; None if no probe."""
    return _UnbegunProbe(reporter, permit) if permit.probe else None


def _named_as(original: Any, follower: Any) -> Any:
    follower.__name__ = getattr(original, "__name__", follower.__name__)
    follower.__qualname__ = getattr(original, "__qualname__", follower.__qualname__)
    return follower


def _follow_coroutine(reporter: Reporter, permit: Permit, awaited: Any) -> Any:
    return _named_as(awaited, awaiting(reporter, permit, awaited, _unbegun_probe(reporter, permit)))


def _follow_generator(reporter: Reporter, permit: Permit, generator: Any) -> Any:
    unbegun = _unbegun_probe(reporter, permit)
    if generator.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return _named_as(generator, _await_generator(reporter, permit, generator, unbegun))

    def begin(_held: _UnbegunProbe | None = unbegun) -> tuple[Permit, Generator[Any, Any, Any]]:
        return permit, generator

    return _named_as(generator, iterating(reporter, begin)())


def _follow_async_generator(reporter: Reporter, permit: Permit, generator: Any) -> Any:
    unbegun = _unbegun_probe(reporter, permit)

    def begin(_held: _UnbegunProbe | None = unbegun) -> tuple[Permit, AsyncGenerator[Any, Any]]:
        return permit, generator

    return _named_as(generator, async_iterating(reporter, begin)())


def _follow_manager(kind: type, reporter: Reporter, permit: Permit, manager: Any) -> Any:
    """Follow the generator inside a context manager, and return the same manager."""
    if type(getattr(manager, "gen", None)) is not kind:
        reporter.classify_and_report(permit, result=manager)
        return manager
    follow = _follow_generator if kind is GeneratorType else _follow_async_generator
    manager.gen = follow(reporter, permit, manager.gen)
    # As a decorator, the manager makes a new one of this function for each call.
    function = getattr(manager, "func", None)
    if callable(function):

        def again(*args: Any, **kwargs: Any) -> Any:
            return reporter(function)(*args, **kwargs)

        again.__doc__ = function.__doc__
        manager.func = again
    return manager


def _follow_future(reporter: Reporter, permit: Permit, future: Any) -> Any:
    """Report a future when it is done, and return the same future.

    A callback is the only way to learn of the end that does not change the object, and that does not
    depend on whether, where or how often the future is awaited.
    """

    def report(done: Any) -> None:
        if done.cancelled():
            reporter.after_ignored(permit, "CancelledError")
        # Not by ``exception()``: after a call of it, asyncio no longer warns that the exception was
        # never retrieved.
        elif done._exception is not None:  # noqa: SLF001
            reporter.classify_and_report(permit, done._exception)  # noqa: SLF001
        else:
            reporter.classify_and_report(permit, result=done.result())

    try:
        if future.done():
            report(future)
        else:
            future.add_done_callback(report)
    except Exception:  # noqa: BLE001  # a subclass of the user may do anything; the result stands
        if not permit.spent:
            reporter.classify_and_report(permit, result=future)
    return future


async def awaiting(
    reporter: Reporter,
    permit: Permit,
    awaited: Awaitable[Any],
    _held: _UnbegunProbe | None = None,
) -> Any:
    """Await a result, and report how it ended.

    Args:
        reporter: The breaker.
        permit: The permit of the call.
        awaited: The result.
    """
    # As in the wrapper of a function: whatever comes up, the permit is reported and released.
    try:
        if permit.probe:
            hold(permit)
        result = await awaited
        if permit.probe:
            release(permit)
        reporter.classify_and_report(permit, result=result)
    except BaseException as error:
        release(permit)
        if not permit.spent:
            reporter.classify_and_report(permit, error)
        raise
    return result


@coroutine
def _await_generator(
    reporter: Reporter, permit: Permit, generator: Awaitable[Any], _held: _UnbegunProbe | None
) -> Generator[Any, Any, Any]:
    """Await a coroutine that is a generator, whose yielded values are not items of a stream."""
    return (yield from awaiting(reporter, permit, generator).__await__())


def iterating(
    reporter: Reporter, begin: Callable[..., tuple[Permit, Generator[Any, Any, Any]]]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Return a generator function whose generators report their end.

    A generator that is closed here has yielded an item: one that was not begun is closed without
    running this code.

    Args:
        reporter: The breaker.
        begin: Called when a generator is begun; returns the permit, and the generator to run.
    """

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        permit, generator = begin(*args, **kwargs)
        try:
            result = yield from (_held_steps(permit, generator) if permit.probe else generator)
        except GeneratorExit as closed:
            reporter.report_early_close(permit, closed)
            raise
        except BaseException as error:
            reporter.classify_and_report(permit, error)
            raise
        reporter.classify_and_report(permit, result=result)
        return result

    return call


def _held_steps(permit: Permit, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Do what ``yield from`` does, with the permit held only while the generator itself runs.

    The generator runs in the context of its consumer, whose own calls are not part of the probe.
    """
    step: Callable[[], Any] = partial(next, generator)
    while True:
        hold(permit)
        try:
            item = step()
        except StopIteration as end:
            return end.value
        finally:
            release(permit)
        try:
            sent = yield item
        except GeneratorExit:
            hold(permit)
            try:
                generator.close()
            finally:
                release(permit)
            raise
        except BaseException as thrown:  # noqa: BLE001  # it goes where it was thrown
            step = partial(generator.throw, thrown)
        else:
            step = partial(generator.send, sent)


def async_iterating(
    reporter: Reporter, begin: Callable[..., tuple[Permit, AsyncGenerator[Any, Any]]]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return an asynchronous generator function whose generators report their end.

    Args:
        reporter: The breaker.
        begin: Called when a generator is begun; returns the permit, and the generator to run.
    """

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        permit, generator = begin(*args, **kwargs)
        closing: GeneratorExit | None = None
        try:
            try:
                step = anext(generator)
                while True:
                    item = await (_held_step(permit, step) if permit.probe else step)
                    try:
                        sent = yield item
                    except GeneratorExit as closed:
                        closing = closed
                        raise
                    except BaseException as thrown:  # noqa: BLE001  # it goes where it was thrown
                        step = generator.athrow(thrown)
                    else:
                        step = generator.asend(sent)
            except StopAsyncIteration:
                pass
            finally:
                # A generator that was abandoned in the middle of a step counts as running for ever.
                if not getattr(generator, "ag_running", False):
                    await generator.aclose()
        except BaseException as error:
            # A GeneratorExit that reaches an ``await`` is no close by the consumer: the task was
            # abandoned.
            if error is closing:
                reporter.report_early_close(permit, closing)
            else:
                reporter.classify_and_report(permit, error)
            raise
        reporter.classify_and_report(permit)

    return call


async def _held_step(permit: Permit, step: Awaitable[Any]) -> Any:
    hold(permit)
    try:
        return await step
    finally:
        release(permit)
