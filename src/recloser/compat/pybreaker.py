"""The interface of ``pybreaker`` 1.4, on a breaker of ours.

What differs:

* Calls run at once, not one after another, and so do listeners: no lock is held while one is
  called. While one call tries a half-open circuit, others are refused.
* A call that ends with what is no ``Exception``, as when it is cancelled, counts as neither success
  nor failure. A generator that is closed early has succeeded.
* A call inside a trial call of the same breaker is part of that, and its refusal is no failure.
* Coroutines are called with ``acall`` or ``call_async``; Tornado's are among them, and Tornado is
  not needed for it.
* The state is in the log, and a ``CircuitMemoryStorage`` says only where a breaker begins. What
  ``CircuitRedisStorage`` was for is a log, which outlives the process.
* Settings that are changed begin to count anew, and ``open()`` and ``half_open()`` are recorded as
  a failed call with that name under settings that trip at once, as only events move a breaker.
* ``log`` and ``clock`` may be given, as arguments or by ``recloser.compat.record_in``.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import GeneratorType
from typing import Any, Final, NoReturn, TypeAlias

from attrs import evolve

from recloser.clock import Clock, read_wall
from recloser.compat import Recording
from recloser.core import events
from recloser.core.config import CircuitBreakerConfig
from recloser.errors import ConfigError, RecloserError
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

STATE_OPEN: Final = "open"
STATE_CLOSED: Final = "closed"
STATE_HALF_OPEN: Final = "half-open"

Exclusion: TypeAlias = type[BaseException] | Callable[[Any], bool]

_STATES: Final = {
    events.CircuitBreakerState.CLOSED: STATE_CLOSED,
    events.CircuitBreakerState.OPEN: STATE_OPEN,
    events.CircuitBreakerState.HALF_OPEN: STATE_HALF_OPEN,
}


class CircuitBreakerError(RecloserError):
    """A call was refused, or its failure opened the circuit."""


class RefusedError(CircuitBreakerError, decision.TranslatedRefusalError):
    """A call was refused, so that no dependency can have failed."""

    def __init__(self, message: str, breaker: str = "") -> None:
        super().__init__(message)
        self.breaker = breaker


class CircuitBreakerListener:
    """Is told of what a breaker does; subclass it and override what is wanted."""

    def before_call(
        self, cb: "CircuitBreaker", func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> None:
        """A call is about to be made."""

    def failure(self, cb: "CircuitBreaker", exc: BaseException) -> None:
        """A call failed."""

    def success(self, cb: "CircuitBreaker") -> None:
        """A call succeeded."""

    def state_change(
        self,
        cb: "CircuitBreaker",
        old_state: "CircuitBreakerState | None",
        new_state: "CircuitBreakerState",
    ) -> None:
        """The state changed."""


class CircuitBreakerState:
    """The state that a breaker is in, as listeners are told of it."""

    _name = ""

    def __init__(
        self,
        cb: "CircuitBreaker",
        prev_state: "CircuitBreakerState | None" = None,
        notify: bool = False,
    ) -> None:
        if notify:
            self.announce(cb, prev_state)

    def announce(self, cb: "CircuitBreaker", prev_state: "CircuitBreakerState | None") -> None:
        """Reset the counters and call the listeners."""
        self._enter(cb)
        for listener in cb.listeners:
            listener.state_change(cb, prev_state, self)

    def _enter(self, cb: "CircuitBreaker") -> None:
        cb._state_storage.reset_success_counter()  # noqa: SLF001  # of this module

    @property
    def name(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return self._name


class CircuitClosedState(CircuitBreakerState):
    """Calls are made."""

    _name = STATE_CLOSED

    def _enter(self, cb: "CircuitBreaker") -> None:
        super()._enter(cb)
        cb._state_storage.reset_counter()  # noqa: SLF001  # of this module


class CircuitOpenState(CircuitBreakerState):
    """Calls are refused."""

    _name = STATE_OPEN


class CircuitHalfOpenState(CircuitBreakerState):
    """A call is tried."""

    _name = STATE_HALF_OPEN


class CircuitMemoryStorage:
    """Where a breaker begins, and the counters that it shows."""

    def __init__(self, state: str) -> None:
        self.name = "memory"
        self.state = state
        self.opened_at: datetime | None = None
        self._fail_counter = 0
        self._success_counter = 0
        self._most_failures: int | None = None

    def increment_counter(self) -> None:
        """One more failure in a row."""
        # Calls that were under way when others opened the circuit count no more. No other thread
        # runs between the comparison and the assignment.
        most = self._most_failures
        if most is None or self._fail_counter < most:
            self._fail_counter += 1

    def reset_counter(self) -> None:
        """No failures in a row."""
        self._fail_counter = 0

    def increment_success_counter(self) -> None:
        """One more successful trial."""
        self._success_counter += 1

    def reset_success_counter(self) -> None:
        """No successful trials."""
        self._success_counter = 0

    @property
    def counter(self) -> int:
        """Failures in a row."""
        return self._fail_counter

    @property
    def success_counter(self) -> int:
        """Successful trials in a row."""
        return self._success_counter


class CircuitRedisStorage:
    """Named for those who import it; there is none.

    Raises:
        ConfigError: Always.
    """

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise ConfigError(
            "a breaker's state is kept in its log, not in Redis: give it log=EventLog(folder)"
        )


class CircuitBreaker:
    """A circuit that opens after ``fail_max`` failures in a row.

    Args:
        fail_max: How many.
        reset_timeout: Seconds until it is tried again.
        success_threshold: So many successful trials close it.
        exclude: Exceptions that are no failures, by type or predicate.
        listeners: Who is told.
        state_storage: Where it begins; a ``CircuitMemoryStorage``.
        name: Its name.
        throw_new_error_on_trip: Whether the call that opens it raises a CircuitBreakerError in
            place of its own error.
        log: Where it is recorded.
        clock: What times it.
    """

    def __init__(  # noqa: PLR0917  # as it was
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
            # The log knows better.
            self._state = self._create_new_state(self.current_state)
            self._note_log()
        else:
            self._state = self._create_new_state(state_storage.state)
            self._move(state_storage.state)

    def _note_log(self) -> None:
        snapshot = self._breaker.snapshot()
        self._state_storage.opened_at = snapshot.opened_at

    @property
    def fail_counter(self) -> int:
        """Failures in a row."""
        return self._state_storage.counter

    @property
    def success_counter(self) -> int:
        """Successful trials in a row, while half-open."""
        return self._state_storage.success_counter

    @property
    def fail_max(self) -> int:
        """So many failures in a row open it."""
        threshold = self._config.failure_threshold
        assert threshold is not None
        return threshold

    @fail_max.setter
    def fail_max(self, number: int) -> None:
        self._configure(evolve(self._config, failure_threshold=number))

    @property
    def reset_timeout(self) -> float:
        """Seconds until it is tried again."""
        return float(self._config.recovery_timeout_seconds)

    @reset_timeout.setter
    def reset_timeout(self, timeout: float) -> None:
        self._configure(evolve(self._config, recovery_timeout_seconds=timeout))

    @property
    def success_threshold(self) -> int:
        """So many successful trials close it."""
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
        # Looked up when called: the classes are named in the module.
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
        """The state, by its name; assign one to move the breaker there."""
        self._notice()
        return self._state

    @state.setter
    def state(self, state_str: str) -> None:
        self._move(state_str)
        self._notice()

    def _notice(self) -> str | None:
        """Call the listeners if the state has changed since they were called last.

        Returns:
            The new state, in the one thread that calls the listeners.
        """
        current = self.current_state
        self._state_storage.state = current
        previous = self._state
        if current == previous.name:
            return None
        if current == STATE_OPEN:
            self._state_storage.opened_at = read_wall(self._recording.clock)
        new = self._create_new_state(current, prev_state=previous)
        # No lock, as listeners are called next: no other thread runs between the comparison and the
        # assignment, so of several threads here, one calls the listeners.
        if self._state is not previous:
            return None
        self._state = new
        new.announce(self, previous)
        return current

    @property
    def current_state(self) -> str:
        """``closed``, ``open`` or ``half-open``."""
        return _STATES[self._breaker.current_state()]

    @property
    def excluded_exceptions(self) -> tuple[Exclusion, ...]:
        """The exceptions that are no failures."""
        return tuple(self._excluded_exceptions)

    def add_excluded_exception(self, exception: Exclusion) -> None:
        """Exclude one more."""
        self._excluded_exceptions.append(exception)

    def add_excluded_exceptions(self, *exceptions: Exclusion) -> None:
        """Exclude several more."""
        for exception in exceptions:
            self.add_excluded_exception(exception)

    def remove_excluded_exception(self, exception: Exclusion) -> None:
        """Exclude one no longer."""
        self._excluded_exceptions.remove(exception)

    def is_system_error(self, exception: BaseException) -> bool:
        """Whether an exception is a failure."""
        for exclusion in self.excluded_exceptions:
            if isinstance(exclusion, type):
                if isinstance(exception, exclusion):
                    return False
            elif exclusion(exception):
                return False
        return True

    def call(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``func``, protected; if it returns a generator, that is.

        A coroutine is returned as it is, and its end is not seen: use ``acall``.
        """
        permit = self._permit(func, *args, **kwargs)
        try:
            with held_if_probe(permit):
                result = func(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  # it is raised again
            self._failed(permit, error)
        if isinstance(result, GeneratorType):
            return self._generated(permit, result)
        self._succeeded(permit)
        return result

    async def acall(self, func: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
        """Await ``func``, protected.

        Raises:
            TypeError: It is a generator, of either kind.
        """
        if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
            raise TypeError("acall does not support generators, nor async generators")
        permit = self._permit(func, *args, **kwargs)
        try:
            with held_if_probe(permit):
                result = await func(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  # it is raised again
            self._failed(permit, error)
        self._succeeded(permit)
        return result

    async def call_async(
        self, func: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any
    ) -> Any:
        """As ``acall``."""
        return await self.acall(func, *args, **kwargs)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Protect a ``with`` block."""

        def block() -> None:
            """The function that listeners see."""

        permit = self._permit(block)
        try:
            with held_if_probe(permit):
                yield
        except GeneratorExit:
            self._succeeded(permit)
            raise
        except BaseException as error:  # noqa: BLE001  # it is raised again
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
        except BaseException as error:  # noqa: BLE001  # it is raised again
            self._failed(permit, error)
        self._succeeded(permit)
        return result

    def _permit(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> decision.Permit:
        try:
            permit = self._breaker.admit()
        except decision.CircuitOpenError as refused:
            raise RefusedError(
                "Timeout not elapsed yet, circuit breaker still open", refused.breaker
            ) from refused
        try:
            self._notice()
            for listener in self.listeners:
                listener.before_call(self, func, *args, **kwargs)
        except BaseException as error:  # there is no call, and a probe gives its place back
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
        opened = self._notice() == STATE_OPEN
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
        except BaseException:  # a predicate raised: the call failed all the same
            self._breaker.after_failure(permit, error)
            raise

    def _inc_counter(self) -> None:
        self._state_storage.increment_counter()

    def _succeeded(self, permit: decision.Permit) -> None:
        self._state_storage.reset_counter()
        if self.current_state == STATE_HALF_OPEN:
            self._state_storage.increment_success_counter()
        self._breaker.after_success(permit)
        self._notice()
        for listener in self.listeners:
            listener.success(self)

    def open(self) -> bool:
        """Open the circuit, for as long as its timeout says."""
        self.state = STATE_OPEN
        return self._throw_new_error_on_trip

    def half_open(self) -> None:
        """Have the next call tried."""
        self.state = STATE_HALF_OPEN

    def close(self) -> None:
        """Close the circuit."""
        self.state = STATE_CLOSED

    def _move(self, state: str) -> None:
        """Bring the breaker to a state by events alone."""
        if state == STATE_CLOSED:
            self._breaker.reset(actor="pybreaker", reason="close()")
            return
        why = "open()" if state == STATE_OPEN else "half_open()"
        if self.current_state != STATE_CLOSED:
            self._breaker.reset(actor="pybreaker", reason=why)
        timeout = self._config.recovery_timeout_seconds if state == STATE_OPEN else 0
        tripping = self._recording.breaker(
            self._name,
            evolve(self._config, failure_threshold=1, recovery_timeout_seconds=timeout),
        )
        try:
            tripping.after_failure(tripping.admit(), f"pybreaker.{why}")
        except decision.CircuitOpenError:
            pass  # a call of another thread has opened it already
        finally:
            # With no timeout, this finds it over.
            self._breaker = self._recording.breaker(self._name, self._config)

    def __call__(self, *call_args: Any, **call_kwargs: bool) -> Callable[..., Any]:
        """Decorate a function; with ``__pybreaker_call_async=True`` one that is awaited."""
        call = self.call_async if call_kwargs.pop("__pybreaker_call_async", False) else self.call

        def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(func)
            def wrapper(*args: Any, **kwargs: Any) -> Any:
                return call(func, *args, **kwargs)

            return wrapper

        return decorate(*call_args) if call_args else decorate

    @property
    def listeners(self) -> tuple[CircuitBreakerListener, ...]:
        """Who is told."""
        return tuple(self._listeners)

    def add_listener(self, listener: CircuitBreakerListener) -> None:
        """Tell one more."""
        self._listeners.append(listener)

    def add_listeners(self, *listeners: CircuitBreakerListener) -> None:
        """Tell several more."""
        for listener in listeners:
            self.add_listener(listener)

    def remove_listener(self, listener: CircuitBreakerListener) -> None:
        """Tell one no longer."""
        self._listeners.remove(listener)

    @property
    def name(self) -> str | None:
        """Its name; where it is recorded, another name is another breaker."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name
        self._configure(self._config)
