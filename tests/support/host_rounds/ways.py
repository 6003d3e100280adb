"""The ways in which the load calls a breaker, and the functions that it protects."""

import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

from host_rounds.ledger import FAILED, IGNORED, REJECTED
from recloser import CircuitBreaker

BAD: Final = "bad"
SEE_RESULTS: Final = ("call", "decorated", "coroutine", "generator")
"""The ways in which a breaker sees what the protected function returns."""

_SLOW_SECONDS: Final = 0.003


class ServiceDownError(Exception):
    """The dependency failed."""


class NotOursError(Exception):
    """The caller's fault, which breakers ignore."""


class Once:
    """An awaitable that suspends its coroutine once."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Ways:
    """Calls breakers in each way, and caches the decorated functions."""

    def __init__(self) -> None:
        self._wrapped: dict[tuple[str, str], Callable[..., Any]] = {}

    def call(self, breaker: CircuitBreaker, way: str, outcome: str) -> object:
        """Call a breaker in a way.

        Returns:
            The result of the protected function; ``rejected`` if ``before_call`` rejected the call.
        """
        if way == "decorated":
            return self._protected(breaker, work)(outcome)
        if way == "coroutine":
            return driven(self._protected(breaker, work_later)(outcome))
        if way == "generator":
            return _end_of(self._protected(breaker, work_by_steps)(outcome))
        return _OTHERS[way](breaker, outcome)

    def _protected(self, breaker: CircuitBreaker, function: Callable[..., Any]) -> Any:
        key = (breaker.name, function.__name__)
        if key not in self._wrapped:
            self._wrapped[key] = breaker(function)
        return self._wrapped[key]


def work(outcome: str) -> str:
    """Succeed, fail or sleep as ``outcome`` says; this is the protected function."""
    if outcome == FAILED:
        raise ServiceDownError
    if outcome == IGNORED:
        raise NotOursError
    if outcome == "slow":
        time.sleep(_SLOW_SECONDS)
    return outcome


async def work_later(outcome: str) -> str:
    """Suspend once, then work; this is the protected coroutine function."""
    await Once()
    return work(outcome)


def work_by_steps(outcome: str) -> Generator[int, None, str]:
    """Yield, work, and yield again; this is the protected generator."""
    yield 1
    result = work(outcome)
    yield 2
    return result


def driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine without an event loop, because attacks would break the loop."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value


async def _in_async_block(breaker: CircuitBreaker, outcome: str) -> str:
    async with breaker:
        await Once()
        return work(outcome)


def _end_of(steps: Generator[int, None, str]) -> str:
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return str(end.value)


def _with_permits(breaker: CircuitBreaker, outcome: str) -> str:
    decision = breaker.before_call()
    if not decision.allowed:
        return REJECTED
    try:
        result = work(outcome)
    except ServiceDownError as error:
        breaker.after_failure(decision.permit, error)
        raise
    except NotOursError as error:
        breaker.after_ignored(decision.permit, error)
        raise
    breaker.after_success(decision.permit)
    return result


def is_bad(result: object) -> bool:
    """Return whether a result counts as a failure."""
    return result == BAD


def _in_call(breaker: CircuitBreaker, outcome: str) -> str:
    return breaker.call(work, outcome)


def _in_block(breaker: CircuitBreaker, outcome: str) -> str:
    with breaker:
        return work(outcome)


_OTHERS: Final[dict[str, Callable[[CircuitBreaker, str], object]]] = {
    "call": _in_call,
    "block": _in_block,
    "permits": _with_permits,
    "async block": lambda breaker, outcome: driven(_in_async_block(breaker, outcome)),
}
