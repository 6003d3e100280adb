"""The interface of ``pybreaker`` 1.4, implemented by recloser.

Differences:

* Calls and listeners run concurrently: no lock is held while one of them runs. While a trial call of a
  half-open circuit is running, other calls are rejected.
* A call that ends with an exception that is not an ``Exception``, such as a cancellation, counts as
  neither success nor failure. A generator that is closed early has succeeded.
* A call inside a trial call of the same breaker is part of the trial, and its rejection is no failure.
* Coroutine functions are called with ``acall`` or ``call_async``. That includes Tornado's; Tornado is
  not needed.
* The state is kept in the log. A ``CircuitMemoryStorage`` only gives the initial state. Use a log
  instead of ``CircuitRedisStorage``: it outlives the process.
* After a change of settings, counting starts again. ``open()`` and ``half_open()`` are recorded as a
  failed call of that name under settings that trip at once, because only events change a state.
* ``log`` and ``clock`` can be given as arguments or with ``recloser.compat.record_in``.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import GeneratorType
from typing import Any, NoReturn, TypeAlias

from attrs import evolve

from recloser.clock import Clock, read_wall
from recloser.compat import Recording
from recloser.compat.pybreaker_parts import (
    STATE_CLOSED,
    STATE_HALF_OPEN,
    STATE_NAMES,
    STATE_OPEN,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitBreakerState,
    CircuitClosedState,
    CircuitHalfOpenState,
    CircuitMemoryStorage,
    CircuitOpenState,
    CircuitRedisStorage,
    RejectedError,
)
from recloser.core.config import CircuitBreakerConfig
from recloser.errors import ConfigError
from recloser.live import decision
from recloser.live.live_log import Log
from recloser.live.nesting import held_if_probe

__all__ = (
    "STATE_CLOSED",
    "STATE_HALF_OPEN",
    "STATE_OPEN",
    "CircuitBreaker",
    "CircuitBreakerError",
    "CircuitBreakerListener",
    "CircuitMemoryStorage",
    "CircuitRedisStorage",
)

Exclusion: TypeAlias = type[BaseException] | Callable[[Any], bool]


class CircuitBreaker:
    """A circuit that opens after ``fail_max`` consecutive failures.

    Args:
        fail_max: Consecutive failures that open it.
        reset_timeout: Seconds until a trial call is let through.
        success_threshold: Successful trial calls that close it.
        exclude: Exceptions that are not failures, as types or predicates.
        listeners: Objects that receive calls, outcomes and changes of state.
        state_storage: A ``CircuitMemoryStorage`` with the initial state.
        name: The name of the breaker.
        throw_new_error_on_trip: Whether the call that opens it raises a CircuitBreakerError instead of
            its own error.
        log: The log that records it; by default that of ``record_in``.
        clock: The clock that times it; by default that of ``record_in``.
    """

    def __init__(  # noqa: PLR0917  # the interface of pybreaker
        self,
        fail_max: int = 5,
        reset_timeout: float = 60,
        success_threshold: int = 1,
        exclude: Iterable[Exclusion] | None = None,
        listeners: Sequence[CircuitBreakerListener] | None = None,
        state_storage: CircuitMemoryStorage | None = None,
        name: str | None = None,
        throw_new_error_on_trip: bool = True,
        *,
        log: Log | None = None,
        clock: Clock | None = None,
    ) -> None:
        if state_storage is None:
            state_storage = CircuitMemoryStorage(STATE_CLOSED)
        elif not isinstance(state_storage, CircuitMemoryStorage):
            raise ConfigError(
                "state_storage must be a CircuitMemoryStorage: the state is kept in the log"
            )
        self._state_storage = state_storage
        self._config = CircuitBreakerConfig(
            failure_threshold=fail_max,
            recovery_timeout_seconds=reset_timeout,
            half_open_success_threshold=success_threshold,
        )
        self._excluded_exceptions = list(exclude or [])
        self._listeners = list(listeners or [])
        self._name = name
        self._throw_new_error_on_trip = throw_new_error_on_trip
        self._recording = Recording(log, clock)
        self._breaker = self._recording.breaker(name, self._config)
        if state_storage.state == self.current_state:
            self._state = self._create_new_state(self.current_state)
        elif state_storage.state == STATE_CLOSED:
            # The initial state is the default one, and the log has a later one.
            self._state = self._create_new_state(self.current_state)
            self._read_opened_at()
        else:
            self._state = self._create_new_state(state_storage.state)
            self._move_to(state_storage.state)

    def _read_opened_at(self) -> None:
        snapshot = self._breaker.snapshot()
        self._state_storage.opened_at = snapshot.opened_at

    @property
    def fail_counter(self) -> int:
        """Number of consecutive failures."""
        return self._state_storage.counter

    @property
    def success_counter(self) -> int:
        """Number of consecutive successful trials while half-open."""
        return self._state_storage.success_counter

    @property
    def fail_max(self) -> int:
        """Consecutive failures that open the breaker."""
        threshold = self._config.failure_threshold
        assert threshold is not None
        return threshold

    @fail_max.setter
    def fail_max(self, number: int) -> None:
        self._configure(evolve(self._config, failure_threshold=number))

    @property
    def reset_timeout(self) -> float:
        """Seconds after which an open breaker lets a trial call through."""
        return float(self._config.recovery_timeout_seconds)

    @reset_timeout.setter
    def reset_timeout(self, timeout: float) -> None:
        self._configure(evolve(self._config, recovery_timeout_seconds=timeout))

    @property
    def success_threshold(self) -> int:
        """Successful trial calls that close the breaker."""
        return self._config.half_open_success_threshold

    @success_threshold.setter
    def success_threshold(self, threshold: int) -> None:
        self._configure(evolve(self._config, half_open_success_threshold=threshold))

    def _configure(self, config: CircuitBreakerConfig) -> None:
        breaker = self._recording.breaker(self._name, config)
        self._config = config
        self._breaker = breaker

    def _create_new_state(
        self, new_state: str, prev_state: CircuitBreakerState | None = None, notify: bool = False
    ) -> CircuitBreakerState:
        # Built at each call, so that classes replaced in this module are used.
        states = {
            STATE_CLOSED: CircuitClosedState,
            STATE_OPEN: CircuitOpenState,
            STATE_HALF_OPEN: CircuitHalfOpenState,
        }
        if new_state not in states:
            raise ValueError(f"Unknown state {new_state!r}, valid states: {', '.join(states)}")
        return states[new_state](self, prev_state=prev_state, notify=notify)

    @property
    def state(self) -> CircuitBreakerState:
        """The state object; assign the name of a state to move the breaker there."""
        self._announce_change()
        return self._state

    @state.setter
    def state(self, state_str: str) -> None:
        self._move_to(state_str)
        self._announce_change()

    def _announce_change(self) -> str | None:
        """Call the listeners if the state has changed since the last announcement.

        Returns:
            The new state in the thread that calls the listeners; None in others.
        """
        current = self.current_state
        self._state_storage.state = current
        previous = self._state
        if current == previous.name:
            return None
        if current == STATE_OPEN:
            self._state_storage.opened_at = read_wall(self._recording.clock)
        new = self._create_new_state(current, prev_state=previous)
        # No lock, because listeners run next and may use the breaker. There is no call between the
        # comparison and the assignment, so the interpreter runs no other thread there: of several
        # threads that see the same change, exactly one calls the listeners.
        if self._state is not previous:
            return None
        self._state = new
        new.announce(self, previous)
        return current

    @property
    def current_state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return STATE_NAMES[self._breaker.current_state()]

    @property
    def excluded_exceptions(self) -> tuple[Exclusion, ...]:
        """The exceptions that are not failures."""
        return tuple(self._excluded_exceptions)

    def add_excluded_exception(self, exception: Exclusion) -> None:
        """Stop counting an exception as a failure."""
        self._excluded_exceptions.append(exception)

    def add_excluded_exceptions(self, *exceptions: Exclusion) -> None:
        """Stop counting several exceptions as failures."""
        for exception in exceptions:
            self.add_excluded_exception(exception)

    def remove_excluded_exception(self, exception: Exclusion) -> None:
        """Count an exception as a failure again."""
        self._excluded_exceptions.remove(exception)

    def is_system_error(self, exception: BaseException) -> bool:
        """Return whether an exception counts as a failure."""
        for exclusion in self.excluded_exceptions:
            if isinstance(exclusion, type):
                if isinstance(exception, exclusion):
                    return False
            elif exclusion(exception):
                return False
        return True

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function through the breaker; protect a generator it returns.

        A coroutine is returned unprotected: use ``acall`` for coroutine functions.
        """
        permit = self._permit(func, *args, **kwargs)
        try:
            with held_if_probe(permit):
                result = func(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  # ``_failed`` raises it again
            self._failed(permit, error)
        if isinstance(result, GeneratorType):
            return self._generated(permit, result)
        self._succeeded(permit)
        return result

    async def acall(self, func: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        """Await a coroutine function through the breaker.

        Raises:
            TypeError: ``func`` is a generator function or an asynchronous one.
        """
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError("acall does not support generators, nor async generators")
        permit = self._permit(func, *args, **kwargs)
        try:
            with held_if_probe(permit):
                result = await func(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  # ``_failed`` raises it again
            self._failed(permit, error)
        self._succeeded(permit)
        return result

    async def call_async(
        self, func: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any
    ) -> Any:
        """Await a coroutine function through the breaker; an alias of ``acall``."""
        return await self.acall(func, *args, **kwargs)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Protect the ``with`` block in which this is used."""

        def block() -> None:
            """Stand in for the block, as the function that listeners receive."""

        permit = self._permit(block)
        try:
            with held_if_probe(permit):
                yield
        except GeneratorExit:
            self._succeeded(permit)
            raise
        except BaseException as error:  # noqa: BLE001  # ``_failed`` raises it again
            self._failed(permit, error)
        self._succeeded(permit)

    def _generated(
        self, permit: decision.Permit, generator: Generator[Any, Any, Any]
    ) -> Generator[Any, Any, Any]:
        try:
            result = yield from generator
        except GeneratorExit:
            self._succeeded(permit)
            raise
        except BaseException as error:  # noqa: BLE001  # ``_failed`` raises it again
            self._failed(permit, error)
        self._succeeded(permit)
        return result

    def _permit(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> decision.Permit:
        try:
            permit = self._breaker.admit()
        except decision.CircuitOpenError as rejection:
            raise RejectedError(
                "Timeout not elapsed yet, circuit breaker still open", rejection.breaker
            ) from rejection
        try:
            self._announce_change()
            for listener in self.listeners:
                listener.before_call(self, func, *args, **kwargs)
        except BaseException as error:  # the call is not made; a trial must not stay reserved
            self._breaker.after_ignored(permit, error)
            raise
        return permit

    def _failed(self, permit: decision.Permit, error: BaseException) -> NoReturn:
        if not isinstance(error, Exception) or isinstance(error, decision.REFUSALS):
            self._breaker.after_ignored(permit, error)
            raise error
        if self._is_excluded(permit, error):
            self._succeeded(permit)
            raise error
        before = self.current_state
        if before != STATE_OPEN:
            self._state_storage._most_failures = self.fail_max if before == STATE_CLOSED else None  # noqa: SLF001  # of this module
            self._inc_counter()
        try:
            for listener in self.listeners:
                listener.failure(self, error)
        finally:
            self._breaker.after_failure(permit, error)
        opened = self._announce_change() == STATE_OPEN
        if self._throw_new_error_on_trip and before != STATE_OPEN and opened:
            raise CircuitBreakerError(
                "Failures threshold reached, circuit breaker opened"
                if before == STATE_CLOSED
                else "Trial call failed, circuit breaker opened"
            ) from error
        raise error

    def _is_excluded(self, permit: decision.Permit, error: Exception) -> bool:
        try:
            return not self.is_system_error(error)
        except BaseException:  # the predicate raised, but the call has failed
            self._breaker.after_failure(permit, error)
            raise

    def _inc_counter(self) -> None:
        self._state_storage.increment_counter()

    def _succeeded(self, permit: decision.Permit) -> None:
        self._state_storage.reset_counter()
        if self.current_state == STATE_HALF_OPEN:
            self._state_storage.increment_success_counter()
        self._breaker.after_success(permit)
        self._announce_change()
        for listener in self.listeners:
            listener.success(self)

    def open(self) -> bool:
        """Open the circuit for ``reset_timeout`` seconds."""
        self.state = STATE_OPEN
        return self._throw_new_error_on_trip

    def half_open(self) -> None:
        """Let the next call through as a trial."""
        self.state = STATE_HALF_OPEN

    def close(self) -> None:
        """Close the circuit."""
        self.state = STATE_CLOSED

    def _move_to(self, state: str) -> None:
        """Move the breaker to a state by recorded events."""
        if state == STATE_CLOSED:
            self._breaker.reset(actor="pybreaker", reason="close()")
            return
        command = "open()" if state == STATE_OPEN else "half_open()"
        if self.current_state != STATE_CLOSED:
            self._breaker.reset(actor="pybreaker", reason=command)
        timeout = self._config.recovery_timeout_seconds if state == STATE_OPEN else 0
        tripping = self._recording.breaker(
            self._name,
            evolve(self._config, failure_threshold=1, recovery_timeout_seconds=timeout),
        )
        try:
            tripping.after_failure(tripping.admit(), f"pybreaker.{command}")
        except decision.CircuitOpenError:
            pass  # another thread has opened it already
        finally:
            # With a timeout of 0, the breaker becomes half-open here.
            self._breaker = self._recording.breaker(self._name, self._config)

    def __call__(self, *call_args: Any, **call_kwargs: bool) -> Callable[..., Any]:
        """Decorate a function.

        For a coroutine function, pass ``__pybreaker_call_async=True``.
        """
        call = self.call_async if call_kwargs.pop("__pybreaker_call_async", False) else self.call

        def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(func)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return call(func, *args, **kwargs)

            return wrapper

        return decorate(*call_args) if call_args else decorate

    @property
    def listeners(self) -> tuple[CircuitBreakerListener, ...]:
        """The listeners of this breaker."""
        return tuple(self._listeners)

    def add_listener(self, listener: CircuitBreakerListener) -> None:
        """Add a listener."""
        self._listeners.append(listener)

    def add_listeners(self, *listeners: CircuitBreakerListener) -> None:
        """Add several listeners."""
        for listener in listeners:
            self.add_listener(listener)

    def remove_listener(self, listener: CircuitBreakerListener) -> None:
        """Remove a listener."""
        self._listeners.remove(listener)

    @property
    def name(self) -> str | None:
        """The name; in a log, another name is another breaker."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        self._configure(self._config)
