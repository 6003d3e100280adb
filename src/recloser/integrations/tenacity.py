"""A wait strategy for tenacity: retry a rejected call only after ``retry_after``."""

from recloser.integrations import needs
from recloser.live.decision import CircuitOpenError

with needs("tenacity", extra="tenacity"):
    from tenacity import RetryCallState
    from tenacity.wait import wait_base, wait_exponential_jitter

__all__ = ["wait_retry_after"]


class wait_retry_after(wait_base):  # noqa: N801  # as tenacity names its strategies
    """Waits like another strategy, but after a rejection until ``retry_after``.

    If the breaker does not know how long that is, because it is held open by hand, the other strategy
    decides.

    Args:
        otherwise: The other strategy; by default ``wait_exponential_jitter()``.
    """

    def __init__(self, otherwise: wait_base | None = None) -> None:
        self._otherwise = wait_exponential_jitter() if otherwise is None else otherwise

    def __call__(self, retry_state: RetryCallState) -> float:
        """Return the seconds to wait before the next attempt."""
        wait = self._otherwise(retry_state)
        error = None if retry_state.outcome is None else retry_state.outcome.exception()
        if isinstance(error, CircuitOpenError) and error.decision.retry_after is not None:
            return max(wait, error.decision.retry_after)
        return wait
