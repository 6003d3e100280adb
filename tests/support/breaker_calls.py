"""Calls through breakers that succeed or fail, for tests that need a breaker in a given state."""

from recloser import CircuitBreaker


class ServiceDownError(Exception):
    """The error that a protected call raises while its service is down."""


def work() -> str:
    """Return a result, as a protected call that succeeds."""
    return "done"


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    """Ask for calls, and report that each one failed with a ``TimeoutError``."""
    for _ in range(times):
        breaker.after_failure(breaker.before_call().permit, "TimeoutError")


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    """Ask for calls, and report that each one succeeded."""
    for _ in range(times):
        breaker.after_success(breaker.before_call().permit)
