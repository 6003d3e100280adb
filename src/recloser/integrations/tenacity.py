"""Retries of tenacity that never come before a breaker would let them through."""

from recloser.integrations import needs
from recloser.live.decision import CircuitOpenError

with needs("tenacity", extra="tenacity"):
    from tenacity import RetryCallState
    from tenacity.wait import wait_base, wait_exponential_jitter

__all__ = ["wait_retry_after"]


class wait_retry_after(wait_base):  # noqa: N801  # as tenacity names its strategies
    """Waits as another strategy does, and after a refused call at least until ``retry_after``.

    Where a breaker can't tell how long, as when it is held open by hand, the other strategy decides.

    Args:
        otherwise: That strategy; by default ``wait_exponential_jitter()``.
    """

    def __init__(self, otherwise: wait_base | None = None) -> None:
        self._otherwise = wait_exponential_jitter() if otherwise is None else otherwise

    def __call__(self, retry_state: RetryCallState) -> float:
        """Seconds to wait before the next attempt."""
        wait = self._otherwise(retry_state)
        error = None if retry_state.outcome is None else retry_state.outcome.exception()
        if isinstance(error, CircuitOpenError) and error.decision.retry_after is not None:
            return max(wait, error.decision.retry_after)
        return wait
