"""Rules for all HTTP clients: which breaker to ask, and what is a failure.

A call ends when the headers of its answer arrive, so a long download is not a slow call. An answer with
a status of 500 or above is a failure. So is an error that the client raises, unless the breaker's
``record`` and ``ignore`` settings decide otherwise. Mistakes of the caller are ignored, unless
``record`` lists their own type: an invalid header or address, a connection pool that is used up, an
upload whose source fails.

**Retry-After.** If a failing server sends ``Retry-After`` and the breaker opened, calls are rejected
until that time, even if the breaker's cooldown is shorter, and the error carries the longer wait. The
breaker's state does not change, because only events in the log may change it. A probe that its rules
let through meanwhile is admitted, not sent, and reported as ignored, with ``Retry-After`` as its error.
So the log shows each of them.
"""

import re
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final, TypeAlias

from msgspec import structs

from recloser.clock import SYSTEM_CLOCK, Clock, read_monotonic, read_wall
from recloser.core.events import CircuitBreakerState, Reason
from recloser.core.moments import nanoseconds_between
from recloser.core.validation import NS_PER_SECOND
from recloser.integrations.callers_faults import report_error
from recloser.integrations.given_breakers import checked_breakers
from recloser.live.arguments import checked_clock
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import BreakerDecision, CircuitOpenError, Permit

NameOf: TypeAlias = Callable[[str, str, str], str]
"""Returns the name of the breaker for a request, from its method, host with any port, and path."""

BreakersOrOne: TypeAlias = Mapping[str, CircuitBreaker] | CircuitBreaker
"""Breakers by name, such as a ``Breakers``, or one breaker for all requests."""

_SERVER_ERROR: Final = 500
_LONGEST_HOLD_NS: Final = 3600 * NS_PER_SECOND
"""The longest ``Retry-After`` that is respected, in nanoseconds: one hour."""


def by_host(_method: str, host: str, _path: str) -> str:
    """Name a breaker after the host."""
    return host


def by_route(*templates: str) -> NameOf:
    """Name a breaker after the host and a route: ``/users/{id}`` matches ``/users/7``.

    A path that matches no template uses the breaker of its host. So the number of breakers is limited,
    whatever paths are requested.

    Args:
        templates: The routes; the first one that matches is used.
    """
    patterns = [(re.compile(_pattern_of(template)), template) for template in templates]

    def name(_method: str, host: str, path: str) -> str:
        for pattern, template in patterns:
            if pattern.fullmatch(path):
                return host + template
        return host

    return name


def _pattern_of(template: str) -> str:
    parts = re.split(r"\{\w+\}", template)
    return "[^/]+".join(re.escape(part) for part in parts)


def host_and_port(host: str | None, port: int | None) -> str:
    """Return a host for a breaker's name, with its port if that is explicit."""
    return f"{host or ''}" if port is None else f"{host or ''}:{port}"


def is_server_error(status: int) -> bool:
    """Return whether a status is a failure of the server: 500 and above."""
    return status >= _SERVER_ERROR


class HttpGuard:
    """Asks the breaker before each request, and reports the outcome to it.

    Args:
        breakers: Breakers by name, such as a ``Breakers``, or one breaker for all requests.
        name: Returns the breaker's name for a request; by default its host.
        is_failure: Returns whether a status is a failure; by default, 500 and above are.
        clock: Times ``Retry-After``; use the breakers' clock if they have one of their own.
    """

    def __init__(
        self,
        breakers: BreakersOrOne,
        *,
        name: NameOf = by_host,
        is_failure: Callable[[int], bool] = is_server_error,
        clock: Clock | None = None,
    ) -> None:
        self._breakers = checked_breakers(breakers)
        self._name = name
        self._is_failure = is_failure
        timed_by = checked_clock(clock)
        self._clock = SYSTEM_CLOCK if timed_by is None else timed_by
        self._held_until: dict[str, int] = {}

    def admit(self, method: str, host: str, path: str) -> "GuardedCall":
        """Admit one request.

        Raises:
            CircuitOpenError: The breaker rejects it, or the server's ``Retry-After`` is not over.
        """
        breaker = self._breakers
        if not isinstance(breaker, CircuitBreaker):
            name = self._name(method, host, path)
            if not name:  # no host: the client will raise its own error
                return GuardedCall(self, None)
            breaker = breaker[name]
        held_ns = self._held_ns(breaker)
        try:
            permit = breaker.admit()
        except CircuitOpenError as rejection:
            if held_ns > (rejection.decision.retry_after or 0) * NS_PER_SECOND:
                raise _held(breaker, rejection.decision, held_ns) from None
            raise
        if held_ns and permit.probe:
            breaker.after_ignored(permit, "Retry-After")
            raise _held(breaker, _HALF_OPEN, held_ns)
        if breaker.current_state() is CircuitBreakerState.CLOSED:
            self._held_until.pop(breaker.name, None)
        return GuardedCall(self, (breaker, permit))

    def _held_ns(self, breaker: CircuitBreaker) -> int:
        """Return the nanoseconds until the server's ``Retry-After`` is over."""
        until = self._held_until.get(breaker.name)
        return 0 if until is None else max(0, until - read_monotonic(self._clock))

    def note_answer(
        self, breaker: CircuitBreaker, permit: Permit, status: int, retry_after: str | None
    ) -> None:
        """Report an answer, and remember its ``Retry-After``."""
        if not self._is_failure(status):
            breaker.after_success(permit)
            return
        breaker.after_failure(permit, f"HTTP {status}")
        wait_ns = self._wait_ns(retry_after)
        if wait_ns > 0 and breaker.current_state() is not CircuitBreakerState.CLOSED:
            self._held_until[breaker.name] = read_monotonic(self._clock) + wait_ns

    def _wait_ns(self, retry_after: str | None) -> int:
        """Parse a Retry-After header; return nanoseconds, 0 if it is invalid."""
        text = (retry_after or "").strip()
        if re.fullmatch("[0-9]{1,9}", text):
            return min(int(text) * NS_PER_SECOND, _LONGEST_HOLD_NS)
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            return 0
        if date.tzinfo is None:
            return 0
        return min(nanoseconds_between(read_wall(self._clock), date), _LONGEST_HOLD_NS)


class GuardedCall:
    """One admitted request, whose outcome is reported once.

    Args:
        guard: The guard that admitted it.
        admitted: The breaker and its permit; None for a request without a host.
    """

    __slots__ = ("_admitted", "_guard")

    def __init__(self, guard: HttpGuard, admitted: tuple[CircuitBreaker, Permit] | None) -> None:
        self._guard = guard
        self._admitted = admitted

    def answered(self, status: int, retry_after: str | None) -> None:
        """Report an answer with its status and its Retry-After header, if any."""
        if self._admitted is not None:
            breaker, permit = self._admitted
            self._guard.note_answer(breaker, permit, status, retry_after)

    def raised(self, error: BaseException, *, is_callers: bool) -> None:
        """Report that the client raised an error instead of returning an answer.

        Args:
            error: The error.
            is_callers: Whether the caller is at fault, instead of the server or the network.
        """
        if self._admitted is not None:
            breaker, permit = self._admitted
            report_error(breaker, permit, error, is_callers=is_callers)


_HALF_OPEN: Final = BreakerDecision(
    False, Reason.COOLDOWN_ACTIVE, None, None, CircuitBreakerState.HALF_OPEN
)


def _held(breaker: CircuitBreaker, decision: BreakerDecision, held_ns: int) -> CircuitOpenError:
    wait = held_ns / NS_PER_SECOND
    return CircuitOpenError(breaker.name, structs.replace(decision, retry_after=wait))
