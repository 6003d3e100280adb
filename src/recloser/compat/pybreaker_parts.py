"""The errors, listeners, states and storages of ``pybreaker``'s interface.

Users import them from ``recloser.compat.pybreaker``.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from recloser.core import events
from recloser.errors import ConfigError, RecloserError
from recloser.live import decision

if TYPE_CHECKING:
    from recloser.compat.pybreaker import CircuitBreaker

STATE_OPEN: Final = "open"
STATE_CLOSED: Final = "closed"
STATE_HALF_OPEN: Final = "half-open"

STATE_NAMES: Final = {
    events.CircuitBreakerState.CLOSED: STATE_CLOSED,
    events.CircuitBreakerState.OPEN: STATE_OPEN,
    events.CircuitBreakerState.HALF_OPEN: STATE_HALF_OPEN,
}


class CircuitBreakerError(RecloserError):
    """A call was rejected, or its failure opened the circuit."""


class RejectedError(CircuitBreakerError, decision.TranslatedRefusalError):
    """A call was rejected, so that no dependency was reached.

    It is therefore not a failure of an outer breaker.
    """

    def __init__(self, message: str, breaker: str = "") -> None:
        super().__init__(message)
        self.breaker = breaker


class CircuitBreakerListener:
    """Receives what a breaker does; override the methods that you need in a subclass."""

    def before_call(
        self, cb: "CircuitBreaker", func: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> None:
        """Called before each call that is let through."""

    def failure(self, cb: "CircuitBreaker", exc: BaseException) -> None:
        """Called after a failed call."""

    def success(self, cb: "CircuitBreaker") -> None:
        """Called after a successful call."""

    def state_change(
        self,
        cb: "CircuitBreaker",
        old_state: "CircuitBreakerState | None",
        new_state: "CircuitBreakerState",
    ) -> None:
        """Called after a change of state; ``old_state`` is None at the first one."""


class CircuitBreakerState:
    """The state of a breaker, as listeners receive it."""

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
    """Calls are let through."""

    _name = STATE_CLOSED

    def _enter(self, cb: "CircuitBreaker") -> None:
        super()._enter(cb)
        cb._state_storage.reset_counter()  # noqa: SLF001  # of this module


class CircuitOpenState(CircuitBreakerState):
    """Calls are rejected."""

    _name = STATE_OPEN


class CircuitHalfOpenState(CircuitBreakerState):
    """One call at a time is let through, as a trial."""

    _name = STATE_HALF_OPEN


class CircuitMemoryStorage:
    """The initial state of a breaker, and the counters that it shows."""

    def __init__(self, state: str) -> None:
        self.name = "memory"
        self.state = state
        self.opened_at: datetime | None = None
        self._fail_counter = 0
        self._success_counter = 0
        self._most_failures: int | None = None

    def increment_counter(self) -> None:
        """Count one more consecutive failure."""
        # Calls that were running when others opened the circuit must not raise the count above the
        # threshold. There is no call between the comparison and the assignment, so the interpreter
        # runs no other thread there.
        most = self._most_failures
        if most is None or self._fail_counter < most:
            self._fail_counter += 1

    def reset_counter(self) -> None:
        """Set the count of consecutive failures to 0."""
        self._fail_counter = 0

    def increment_success_counter(self) -> None:
        """Count one more successful trial."""
        self._success_counter += 1

    def reset_success_counter(self) -> None:
        """Set the count of successful trials to 0."""
        self._success_counter = 0

    @property
    def counter(self) -> int:
        """Number of consecutive failures."""
        return self._fail_counter

    @property
    def success_counter(self) -> int:
        """Number of consecutive successful trials."""
        return self._success_counter


class CircuitRedisStorage:
    """A stand-in, so that imports work: states are kept in the log and not in Redis.

    Raises:
        ConfigError: Always.
    """

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise ConfigError(
            "a breaker's state is kept in its log, not in Redis: give it log=EventLog(folder)"
        )
