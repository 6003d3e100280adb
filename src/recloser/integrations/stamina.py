"""A backoff hook for stamina: retry a rejected call only after ``retry_after``."""

from collections.abc import Callable
from typing import TypeAlias

from recloser.integrations import needs
from recloser.live.decision import CircuitOpenError

with needs("stamina", extra="stamina"):
    import stamina  # noqa: F401  # the hook is useless without it

__all__ = ["after_retry_after"]

Hook: TypeAlias = Callable[[Exception], bool | float]


def after_retry_after(
    on: type[Exception] | tuple[type[Exception], ...] | Hook = (),
) -> Hook:
    """Create a hook for ``stamina.retry(on=after_retry_after(HTTPError))``.

    A rejected call is retried when ``retry_after`` is over. If the breaker does not know how long that
    is, because it is held open by hand, stamina's own backoff applies. A ``timeout`` of stamina that is
    shorter than the wait ends the retries.

    Args:
        on: Other errors to retry on: exception types, or a hook of your own.
    """

    def hook(error: Exception) -> bool | float:
        if isinstance(error, CircuitOpenError):
            wait = error.decision.retry_after
            return True if wait is None else wait
        if isinstance(on, type | tuple):
            return isinstance(error, on)
        return on(error)

    return hook
