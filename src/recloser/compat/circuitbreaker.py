"""The interface of ``circuitbreaker`` 2.1, on a breaker of ours.

What differs:

* Calls made past the decorator, by ``call`` and its kin or as a ``with`` block, are refused too
  while the circuit is open.
* While one call tries a half-open circuit, others are refused.
* A call that ends with what is no ``Exception``, as when it is cancelled, closes nothing.
* A generator that is closed early has succeeded.
* A call inside one that tries a half-open circuit is part of that, and its refusal is no failure.
* A failure that comes back when the circuit has opened already does not prolong that.
* ``log`` and ``clock`` may be given, as arguments or by ``recloser.compat.record_in``.
"""

import functools
import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, ClassVar, Final, Literal, TypeAlias

from recloser.clock import Clock, read_monotonic, read_wall
from recloser.compat import Recording
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import CircuitBreakerState
from recloser.core.validation import NS_PER_SECOND, nanoseconds
from recloser.live import breaker as live
from recloser.live import decision
from recloser.live.live_log import Log
from recloser.live.nesting import held_if_probe

__all__ = [
    "STATE_CLOSED",
    "STATE_HALF_OPEN",
    "STATE_OPEN",
    "CircuitBreaker",
    "CircuitBreakerError",
    "CircuitBreakerMonitor",
    "build_failure_predicate",
    "circuit",
    "in_exception_list",
]

STATE_CLOSED: Final = "closed"
STATE_OPEN: Final = "open"
STATE_HALF_OPEN: Final = "half_open"

Predicate: TypeAlias = Callable[[type[BaseException], BaseException], bool]
Expected: TypeAlias = type[Exception] | Iterable[type[Exception]] | Predicate

_STATES: Final = {
    CircuitBreakerState.CLOSED: STATE_CLOSED,
    CircuitBreakerState.OPEN: STATE_OPEN,
    CircuitBreakerState.HALF_OPEN: STATE_HALF_OPEN,
}


def in_exception_list(*exc_types: type[BaseException]) -> Predicate:
    """A predicate that tells whether an exception is of one of these types."""

    def matches_types(thrown_type: type[BaseException], _value: BaseException) -> bool:
        return issubclass(thrown_type, exc_types)

    return matches_types


def build_failure_predicate(expected_exception: Any) -> Predicate:
    """The predicate that an exception type, several, or a predicate stand for.

    Raises:
        ValueError: It is none of these.
    """
    if inspect.isclass(expected_exception) and issubclass(expected_exception, Exception):
        return in_exception_list(expected_exception)
    if isinstance(expected_exception, str | bytes):
        raise ValueError("expected_exception cannot be a string. Did you mean name?")  # noqa: TRY004  # as it was
    if isinstance(expected_exception, Iterable):
        return in_exception_list(*expected_exception)
    if inspect.isclass(expected_exception) or not callable(expected_exception):
        raise ValueError("expected_exception does not look like a predicate")
    predicate: Predicate = expected_exception
    return predicate


class CircuitBreaker:
    """A circuit that opens after ``failure_threshold`` failures in a row.

    Args:
        failure_threshold: How many; by default the class's ``FAILURE_THRESHOLD``.
        recovery_timeout: Seconds until it is tried again; by default ``RECOVERY_TIMEOUT``.
        expected_exception: What is a failure: a type, several, or a predicate on type and value; by
            default ``EXPECTED_EXCEPTION``.
        name: Its name; by default that of the function it decorates.
        fallback_function: Called in place of a function that is refused; by default
            ``FALLBACK_FUNCTION``.
        log: Where it is recorded.
        clock: What times it.
    """

    FAILURE_THRESHOLD: ClassVar[int] = 5
    RECOVERY_TIMEOUT: ClassVar[float] = 30
    EXPECTED_EXCEPTION: ClassVar[Any] = Exception
    FALLBACK_FUNCTION: ClassVar[Callable[..., Any] | None] = None

    def __init__(
        self,
        failure_threshold: int | None = None,
        recovery_timeout: float | None = None,
        expected_exception: Expected | None = None,
        name: str | None = None,
        fallback_function: Callable[..., Any] | None = None,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._failure_threshold = failure_threshold or self.FAILURE_THRESHOLD
        self._recovery_timeout = recovery_timeout or self.RECOVERY_TIMEOUT
        # Got statically, or a predicate would become a method.
        expected = expected_exception or inspect.getattr_static(type(self), "EXPECTED_EXCEPTION")
        self.is_failure = build_failure_predicate(expected)
        self._fallback_function = fallback_function or self.FALLBACK_FUNCTION
        self._name = name
        self._recording = Recording(log, clock)
        self._made: live.CircuitBreaker | None = None
        self._failure_count = 0
        self._last_failure: BaseException | None = None
        self._until_ns = self._now_ns() + nanoseconds(self._recovery_timeout)

    @property
    def _breaker(self) -> live.CircuitBreaker:
        """Made when first needed, as the name may come with the decorated function.

        Threads that ask at once may make two, which are one: they have a name and a log in common.
        """
        if self._made is None:
            self._made = self._make_breaker()
        return self._made

    def _make_breaker(self) -> live.CircuitBreaker:
        config = CircuitBreakerConfig(
            failure_threshold=self._failure_threshold,
            recovery_timeout_seconds=self._recovery_timeout,
            half_open_success_threshold=1,
            record=(self._is_recorded,),
        )
        breaker = self._recording.breaker(self._name, config)
        snapshot = breaker.snapshot()
        self._failure_count = snapshot.consecutive_failures
        if snapshot.retry_after is not None:
            self._until_ns = self._now_ns() + nanoseconds(snapshot.retry_after)
        return breaker

    def _now_ns(self) -> int:
        return read_monotonic(self._recording.clock)

    def _is_recorded(self, error: BaseException) -> bool:
        return self.is_failure(type(error), error)

    def __call__(self, wrapped: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function."""
        return self.decorate(wrapped)

    def __enter__(self) -> None:
        try:
            self._breaker.__enter__()
        except decision.CircuitOpenError:
            raise CircuitBreakerError(self) from None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        with self._noted(error):
            self._breaker.__exit__(kind, error, traceback)
        return False

    def decorate(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Protect a function, coroutine function, generator or asynchronous generator."""
        if self._name is None:
            self._name = getattr(function, "__qualname__", None) or function.__name__
        CircuitBreakerMonitor.register(self)
        if inspect.isasyncgenfunction(function):
            return functools.wraps(function)(self._async_generator(function))
        if inspect.iscoroutinefunction(function):
            return functools.wraps(function)(self._coroutine(function))
        if inspect.isgeneratorfunction(function):
            return functools.wraps(function)(self._generator(function))
        return functools.wraps(function)(self._function(function))

    def _function(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            permit = self._leave()
            if permit is None:
                return self._instead()(*args, **kwargs)
            with self._reported(permit):
                return function(*args, **kwargs)

        return call

    def _generator(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
            permit = self._leave()
            if permit is None:
                yield from self._instead()(*args, **kwargs)
                return
            with self._streamed(permit):
                yield from function(*args, **kwargs)

        return call

    def _coroutine(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            permit = self._leave()
            if permit is None:
                return await self._instead()(*args, **kwargs)
            with self._reported(permit):
                return await function(*args, **kwargs)

        return call

    def _async_generator(
        self, function: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            permit = self._leave()
            if permit is None:
                async for item in self._instead()(*args, **kwargs):
                    yield item
                return
            with self._streamed(permit):
                async for item in function(*args, **kwargs):
                    yield item

        return call

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, protected."""
        with self._reported(self._permit()):
            return func(*args, **kwargs)

    def call_generator(
        self, func: Callable[..., Iterator[Any]], /, *args: Any, **kwargs: Any
    ) -> Iterator[Any]:
        """Run a generator, protected."""
        with self._streamed(self._permit()):
            yield from func(*args, **kwargs)

    async def call_async(
        self, func: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Await a coroutine function, protected."""
        with self._reported(self._permit()):
            return await func(*args, **kwargs)

    async def call_async_generator(
        self, func: Callable[..., AsyncIterator[Any]], /, *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Run an asynchronous generator, protected."""
        with self._streamed(self._permit()):
            async for item in func(*args, **kwargs):
                yield item

    def _leave(self) -> decision.Permit | None:
        """Leave for a call, or None where it is refused."""
        try:
            permit = self._breaker.admit()
        except decision.CircuitOpenError:
            return None
        if self.opened:
            # A subclass says so.
            self._breaker.after_ignored(permit, "opened")
            return None
        return permit

    def _permit(self) -> decision.Permit:
        permit = self._leave()
        if permit is None:
            raise CircuitBreakerError(self)
        return permit

    def _instead(self) -> Callable[..., Any]:
        if self.fallback_function is None:
            raise CircuitBreakerError(self)
        return self.fallback_function

    @contextmanager
    def _reported(self, permit: decision.Permit) -> Iterator[None]:
        """Report the end of a block; calls of this circuit in it may ride on its probe."""
        with self._streamed(permit), held_if_probe(permit):
            yield

    @contextmanager
    def _streamed(self, permit: decision.Permit) -> Iterator[None]:
        """Report the end of a generator, whose context is that of its consumer."""
        try:
            yield
        except GeneratorExit as closed:
            with self._noted(closed):
                self._breaker.report_early_close(permit, closed)
            raise
        except CircuitBreakerError as error:
            if error._circuit_breaker is not self:  # noqa: SLF001
                self._raised(permit, error)
            else:
                # No dependency was called, so there is nothing that could have failed.
                self._breaker.after_ignored(permit, error)
            raise
        except BaseException as error:
            self._raised(permit, error)
            raise
        with self._noted(None):
            self._breaker.classify_and_report(permit)

    def _raised(self, permit: decision.Permit, error: BaseException) -> None:
        with self._noted(error):
            self._breaker.classify_and_report(permit, error)

    @contextmanager
    def _noted(self, error: BaseException | None) -> Iterator[None]:
        """Keep the count that is shown, around the report that decides."""
        was_open = self._breaker.current_state() is CircuitBreakerState.OPEN
        yield
        if isinstance(error, decision.REFUSALS):  # nobody was asked
            return
        is_failure = error is not None and self._is_recorded(error)
        # No lock, as the user's predicate was just called: the count only shows what was reported,
        # and no other thread runs between reading and writing it.
        if error is None or (isinstance(error, Exception) and not is_failure):
            self._failure_count = 0
            self._last_failure = None
        elif is_failure and not was_open:
            self._failure_count += 1
            self._last_failure = error
        if not was_open and self._breaker.current_state() is CircuitBreakerState.OPEN:
            self._until_ns = self._now_ns() + nanoseconds(self._recovery_timeout)

    def reset(self) -> None:
        """Close the circuit and forget the failures."""
        self._breaker.reset(actor="circuitbreaker", reason="reset()")
        self._failure_count = 0
        self._last_failure = None

    @property
    def state(self) -> str:
        """``closed``, ``open``, or ``half_open`` as soon as the timeout is over."""
        snapshot = self._breaker.snapshot()
        if snapshot.retry_after == 0:
            return STATE_HALF_OPEN
        return _STATES[snapshot.state]

    @property
    def open_until(self) -> datetime:
        """About when it will be tried again."""
        return read_wall(self._recording.clock) + timedelta(seconds=self.open_remaining)

    @property
    def open_remaining(self) -> int:
        """Whole seconds until it is tried again; negative once that is over."""
        remaining = (self._until_ns - self._now_ns()) / NS_PER_SECOND
        return math.ceil(remaining) if remaining > 0 else math.floor(remaining)

    @property
    def failure_count(self) -> int:
        """Failures in a row."""
        return self._failure_count

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self.state == STATE_CLOSED

    @property
    def opened(self) -> bool:
        """Whether it is open, and not to be tried yet."""
        return self.state == STATE_OPEN

    @property
    def name(self) -> str | None:
        """Its name."""
        return self._name

    @property
    def last_failure(self) -> BaseException | None:
        """The last of the failures in a row."""
        return self._last_failure

    @property
    def fallback_function(self) -> Callable[..., Any] | None:
        """What is called in place of a function that is refused."""
        return self._fallback_function

    def __str__(self) -> str:
        return self.name or "unnamed_CircuitBreaker"


class CircuitBreakerError(decision.TranslatedRefusalError):
    """A call was refused."""

    def __init__(self, circuit_breaker: CircuitBreaker, *args: Any) -> None:
        super().__init__(*args)
        self._circuit_breaker = circuit_breaker
        self.breaker = circuit_breaker.name or ""

    def __str__(self) -> str:
        circuit = self._circuit_breaker
        return (
            f'Circuit "{circuit.name}" OPEN until {circuit.open_until} '
            f"({circuit.failure_count} failures, {circuit.open_remaining} sec remaining) "
            f"(last_failure: {circuit.last_failure!r})"
        )


class CircuitBreakerMonitor:
    """All circuits that decorate a function, by name."""

    circuit_breakers: ClassVar[dict[str | None, CircuitBreaker]] = {}

    @classmethod
    def register(cls, circuit_breaker: CircuitBreaker) -> None:
        """Add one."""
        cls.circuit_breakers[circuit_breaker.name] = circuit_breaker

    @classmethod
    def all_closed(cls) -> bool:
        """Whether none is open."""
        return not list(cls.get_open())

    @classmethod
    def get_circuits(cls) -> Iterable[CircuitBreaker]:
        """All of them."""
        return cls.circuit_breakers.values()

    @classmethod
    def get(cls, name: str) -> CircuitBreaker | None:
        """The one of this name."""
        return cls.circuit_breakers.get(name)

    @classmethod
    def get_open(cls) -> Iterable[CircuitBreaker]:
        """Those that are open."""
        return (circuit for circuit in cls.get_circuits() if circuit.opened)

    @classmethod
    def get_closed(cls) -> Iterable[CircuitBreaker]:
        """Those that are closed."""
        return (circuit for circuit in cls.get_circuits() if circuit.closed)


def circuit(  # noqa: PLR0917  # as it was
    failure_threshold: Any = None,
    recovery_timeout: float | None = None,
    expected_exception: Expected | None = None,
    name: str | None = None,
    fallback_function: Callable[..., Any] | None = None,
    cls: type[CircuitBreaker] = CircuitBreaker,
    *,
    log: Log | None = None,
    clock: Clock | None = None,
) -> Any:
    """``@circuit`` or ``@circuit(...)``: decorate a function with a circuit of its own."""
    if callable(failure_threshold):
        return cls().decorate(failure_threshold)
    return cls(
        failure_threshold,
        recovery_timeout,
        expected_exception,
        name,
        fallback_function,
        log=log,
        clock=clock,
    )
