"""What all HTTP clients share: which breaker a request is for, and what its answer means.

A call ends with the headers of its answer, so that a stream may take its time. An answer with a
status from 500 up is a failure, and so is what the client raises, unless ``record`` and ``ignore``
of the breaker's settings tell it otherwise. Errors that the caller made are ignored, unless
``record`` names their very type: an invalid header or address, a connection pool that is used up,
an upload whose source breaks off.

**Retry-After.** A server that fails and asks to be left alone for a while is left alone: if the
breaker opened, calls are refused until that time has passed, even where its own cooldown is shorter,
and the error carries the longer wait. The breaker's state is not touched by it, as only events in
the log may: a probe that its rules would let through meanwhile is admitted, not sent, and given
back as ignored, with ``Retry-After`` in place of an error. So the log shows each.
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
"""The name of the breaker for a request, from its method, its host with any port, and its path."""

BreakersOrOne: TypeAlias = Mapping[str, CircuitBreaker] | CircuitBreaker
"""Breakers by name, as ``Breakers`` are, or the one that all requests share."""

_SERVER_ERROR: Final = 500
_LONGEST_HOLD_NS: Final = 3600 * NS_PER_SECOND
"""No server is believed that wants to be left alone for longer than an hour."""


def by_host(_method: str, host: str, _path: str) -> str:
    """A breaker for each host."""
    return host


def by_route(*templates: str) -> NameOf:
    """A breaker for each host and route, such as ``/users/{id}``, which matches ``/users/7``.

    A path that no template matches belongs to the breaker of its host, so that there are no more
    breakers than templates, whatever paths are asked for.
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
    """A host as breakers are named: with its port where it is none that goes without saying."""
    return f"{host or ''}" if port is None else f"{host or ''}:{port}"


def is_server_error(status: int) -> bool:
    """Whether a status is a failure of the server: 500 and above."""
    return status >= _SERVER_ERROR


class HttpGuard:
    """Asks the breaker of each request, and tells it how the request went.

    Args:
        breakers: The breakers by name, or one for all requests.
        name: What the breaker of a request is called; by default its host.
        is_failure: Whether an answer with this status is a failure; by default from 500 up.
        clock: What times ``Retry-After``; give it the clock of the breakers where they have one.
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
        """Leave for one request.

        Raises:
            CircuitOpenError: The breaker refuses it, or the server wants to be left alone.
        """
        breaker = self._breakers
        if not isinstance(breaker, CircuitBreaker):
            name = self._name(method, host, path)
            if not name:  # a request for no host, which the client is left to refuse
                return GuardedCall(self, None)
            breaker = breaker[name]
        held_ns = self._held_ns(breaker)
        try:
            permit = breaker.admit()
        except CircuitOpenError as refused:
            if held_ns > (refused.decision.retry_after or 0) * NS_PER_SECOND:
                raise _held(breaker, refused.decision, held_ns) from None
            raise
        if held_ns and permit.probe:
            breaker.after_ignored(permit, "Retry-After")
            raise _held(breaker, _HALF_OPEN, held_ns)
        if breaker.current_state() is CircuitBreakerState.CLOSED:
            self._held_until.pop(breaker.name, None)
        return GuardedCall(self, (breaker, permit))

    def _held_ns(self, breaker: CircuitBreaker) -> int:
        """For how much longer the server wants to be left alone."""
        until = self._held_until.get(breaker.name)
        return 0 if until is None else max(0, until - read_monotonic(self._clock))

    def note_answer(
        self, breaker: CircuitBreaker, permit: Permit, status: int, retry_after: str | None
    ) -> None:
        """Report an answer, and remember when the server wants to be asked again."""
        if not self._is_failure(status):
            breaker.after_success(permit)
            return
        breaker.after_failure(permit, f"HTTP {status}")
        wait_ns = self._wait_ns(retry_after)
        if wait_ns > 0 and breaker.current_state() is not CircuitBreakerState.CLOSED:
            self._held_until[breaker.name] = read_monotonic(self._clock) + wait_ns

    def _wait_ns(self, retry_after: str | None) -> int:
        """What a Retry-After header asks for, in seconds or as a date; 0 if it can't be read."""
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
    """One request that was let through, to be ended once.

    Args:
        guard: The guard that let it through.
        admitted: The breaker and its permit; None for a request that no breaker is for.
    """

    __slots__ = ("_admitted", "_guard")

    def __init__(self, guard: HttpGuard, admitted: tuple[CircuitBreaker, Permit] | None) -> None:
        self._guard = guard
        self._admitted = admitted

    def answered(self, status: int, retry_after: str | None) -> None:
        """The server answered with this status, and this Retry-After header if any."""
        if self._admitted is not None:
            breaker, permit = self._admitted
            self._guard.note_answer(breaker, permit, status, retry_after)

    def raised(self, error: BaseException, *, is_callers: bool) -> None:
        """The client raised this instead of giving an answer.

        Args:
            error: What it raised.
            is_callers: Whether the caller is at fault, and not the server or the network.
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
