"""Retries of stamina that never come before a breaker would let them through."""

from collections.abc import Callable
from typing import TypeAlias

from recloser.integrations import needs
from recloser.live.decision import CircuitOpenError

with needs("stamina", extra="stamina"):
    import stamina  # noqa: F401  # the hook is of no use without it

__all__ = ["after_retry_after"]

Hook: TypeAlias = Callable[[Exception], bool | float]


def after_retry_after(
    on: type[Exception] | tuple[type[Exception], ...] | Hook = (),
) -> Hook:
    """A backoff hook, ``stamina.retry(on=after_retry_after(httpx.HTTPError))``.

    A refused call is tried again once ``retry_after`` is over; where a breaker can't tell how long,
    as when it is held open by hand, after stamina's own backoff. A ``timeout`` of stamina's that is
    shorter than the wait ends the retries.

    Args:
        on: What else to retry on: exception types, or a hook of your own.
    """

    def hook(error: Exception) -> bool | float:
        if isinstance(error, CircuitOpenError):
            wait = error.decision.retry_after
            return True if wait is None else wait
        if isinstance(on, type | tuple):
            return isinstance(error, on)
        return on(error)

    return hook
