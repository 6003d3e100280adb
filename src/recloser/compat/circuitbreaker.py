"""The interface of ``circuitbreaker`` 2.1, implemented by recloser.

Differences:

* Calls by ``call`` and its variants, and ``with`` blocks, are rejected too while the circuit is open.
* While a trial call of a half-open circuit is running, other calls are rejected.
* A call that ends with an exception that is not an ``Exception``, such as a cancellation, does not
  close the circuit.
* A generator that is closed early has succeeded.
* A call inside a trial call of the same circuit is part of the trial, and its rejection is no failure.
* A failure that ends after the circuit has opened does not prolong the open period.
* ``log`` and ``clock`` can be given as arguments or with ``recloser.compat.record_in``.
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
    """Return a predicate for exceptions of these types."""

    def matches_types(thrown_type: type[BaseException], _value: BaseException) -> bool:
        return issubclass(thrown_type, exc_types)

    return matches_types


def build_failure_predicate(expected_exception: Any) -> Predicate:
    """Return a predicate for an exception type, several types, or a predicate.

    Raises:
        ValueError: The argument is none of these.
    """
    if inspect.isclass(expected_exception) and issubclass(expected_exception, Exception):
        return in_exception_list(expected_exception)
    if isinstance(expected_exception, str | bytes):
        raise ValueError("expected_exception cannot be a string. Did you mean name?")  # noqa: TRY004  # the interface of circuitbreaker
    if isinstance(expected_exception, Iterable):
        return in_exception_list(*expected_exception)
    if inspect.isclass(expected_exception) or not callable(expected_exception):
        raise ValueError("expected_exception does not look like a predicate")
    predicate: Predicate = expected_exception
    return predicate


class CircuitBreaker:
    """A circuit that opens after ``failure_threshold`` consecutive failures.

    Args:
        failure_threshold: Consecutive failures that open it; by default the class's
            ``FAILURE_THRESHOLD``.
        recovery_timeout: Seconds until a trial call is let through; by default ``RECOVERY_TIMEOUT``.
        expected_exception: Exceptions that are failures: a type, several types, or a predicate of type
            and value; by default ``EXPECTED_EXCEPTION``.
        name: The name of the circuit; by default that of the decorated function.
        fallback_function: Called instead of a rejected function; by default ``FALLBACK_FUNCTION``.
        log: The log that records it; by default that of ``record_in``.
        clock: The clock that times it; by default that of ``record_in``.
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
        # Static, because attribute access would bind a predicate as a method.
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
        """The breaker, created when first needed.

        Its name may be that of the function that is decorated after ``__init__``.

        Two threads may create it at the same time. Both objects then share one state, because they
        have the same name and log.
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
            permit = self._permit_or_none()
            if permit is None:
                return self._fallback()(*args, **kwargs)
            with self._reported(permit):
                return function(*args, **kwargs)

        return call

    def _generator(self, function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        def call(*args: Any, **kwargs: Any) -> Iterator[Any]:
            permit = self._permit_or_none()
            if permit is None:
                yield from self._fallback()(*args, **kwargs)
                return
            with self._streamed(permit):
                yield from function(*args, **kwargs)

        return call

    def _coroutine(self, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            permit = self._permit_or_none()
            if permit is None:
                return await self._fallback()(*args, **kwargs)
            with self._reported(permit):
                return await function(*args, **kwargs)

        return call

    def _async_generator(
        self, function: Callable[..., AsyncIterator[Any]]
    ) -> Callable[..., AsyncIterator[Any]]:
        async def call(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            permit = self._permit_or_none()
            if permit is None:
                async for item in self._fallback()(*args, **kwargs):
                    yield item
                return
            with self._streamed(permit):
                async for item in function(*args, **kwargs):
                    yield item

        return call

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function through the circuit."""
        with self._reported(self._permit()):
            return func(*args, **kwargs)

    def call_generator(
        self, func: Callable[..., Iterator[Any]], /, *args: Any, **kwargs: Any
    ) -> Iterator[Any]:
        """Run a generator through the circuit."""
        with self._streamed(self._permit()):
            yield from func(*args, **kwargs)

    async def call_async(
        self, func: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Await a coroutine function through the circuit."""
        with self._reported(self._permit()):
            return await func(*args, **kwargs)

    async def call_async_generator(
        self, func: Callable[..., AsyncIterator[Any]], /, *args: Any, **kwargs: Any
    ) -> AsyncIterator[Any]:
        """Run an asynchronous generator through the circuit."""
        with self._streamed(self._permit()):
            async for item in func(*args, **kwargs):
                yield item

    def _permit_or_none(self) -> decision.Permit | None:
        """Return a permit, or None if the call is rejected."""
        try:
            permit = self._breaker.admit()
        except decision.CircuitOpenError:
            return None
        if self.opened:
            # A subclass overrides ``opened``.
            self._breaker.after_ignored(permit, "opened")
            return None
        return permit

    def _permit(self) -> decision.Permit:
        permit = self._permit_or_none()
        if permit is None:
            raise CircuitBreakerError(self)
        return permit

    def _fallback(self) -> Callable[..., Any]:
        if self.fallback_function is None:
            raise CircuitBreakerError(self)
        return self.fallback_function

    @contextmanager
    def _reported(self, permit: decision.Permit) -> Iterator[None]:
        """Report the end of a block.

        Calls of this circuit within a trial call are part of the trial.
        """
        with self._streamed(permit), held_if_probe(permit):
            yield

    @contextmanager
    def _streamed(self, permit: decision.Permit) -> Iterator[None]:
        """Report the end of a generator.

        It runs in its consumer's context, so calls of the consumer are not part of a trial.
        """
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
                # No dependency was called, so nothing failed.
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
        if isinstance(error, decision.REFUSALS):  # no dependency was called
            return
        is_failure = error is not None and self._is_recorded(error)
        # No lock, because a user's predicate has just run and may use the circuit. These attributes
        # only show what was reported; the breaker's state is in the log. There is no call between
        # reading and writing the count, so the interpreter runs no other thread there.
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
        """The approximate time at which a trial call is let through."""
        return read_wall(self._recording.clock) + timedelta(seconds=self.open_remaining)

    @property
    def open_remaining(self) -> int:
        """Whole seconds until a trial call is let through; negative after that time."""
        remaining = (self._until_ns - self._now_ns()) / NS_PER_SECOND
        return math.ceil(remaining) if remaining > 0 else math.floor(remaining)

    @property
    def failure_count(self) -> int:
        """Number of consecutive failures."""
        return self._failure_count

    @property
    def closed(self) -> bool:
        """Whether the circuit is closed."""
        return self.state == STATE_CLOSED

    @property
    def opened(self) -> bool:
        """Whether the circuit rejects calls: it is open and its timeout is not over."""
        return self.state == STATE_OPEN

    @property
    def name(self) -> str | None:
        """The name of the circuit."""
        return self._name

    @property
    def last_failure(self) -> BaseException | None:
        """The last of the consecutive failures."""
        return self._last_failure

    @property
    def fallback_function(self) -> Callable[..., Any] | None:
        """The function that is called instead of a rejected one."""
        return self._fallback_function

    def __str__(self) -> str:
        return self.name or "unnamed_CircuitBreaker"


class CircuitBreakerError(decision.TranslatedRefusalError):
    """A call was rejected by an open circuit."""

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
    """A registry of all circuits that decorate a function, by name."""

    circuit_breakers: ClassVar[dict[str | None, CircuitBreaker]] = {}

    @classmethod
    def register(cls, circuit_breaker: CircuitBreaker) -> None:
        """Add a circuit to the registry, under its name."""
        cls.circuit_breakers[circuit_breaker.name] = circuit_breaker

    @classmethod
    def all_closed(cls) -> bool:
        """Return whether no circuit is open."""
        return not list(cls.get_open())

    @classmethod
    def get_circuits(cls) -> Iterable[CircuitBreaker]:
        """Return all circuits."""
        return cls.circuit_breakers.values()

    @classmethod
    def get(cls, name: str) -> CircuitBreaker | None:
        """Return the circuit of this name, or None."""
        return cls.circuit_breakers.get(name)

    @classmethod
    def get_open(cls) -> Iterable[CircuitBreaker]:
        """Return the circuits that are open."""
        return (circuit for circuit in cls.get_circuits() if circuit.opened)

    @classmethod
    def get_closed(cls) -> Iterable[CircuitBreaker]:
        """Return the circuits that are closed."""
        return (circuit for circuit in cls.get_circuits() if circuit.closed)


def circuit(  # noqa: PLR0917  # the interface of circuitbreaker
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
    """Decorate a function with its own circuit: ``@circuit`` or ``@circuit()``."""
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
