"""Limit how many calls are expanded from events that stand for many calls each."""

from typing import Final

from recloser.errors import LogError

_FREE_CALLS: Final = 200_000
_CALLS_PER_EVENT: Final = 10_000
"""An event stands for at most one second of calls; no breaker is expected to make more in a second."""


class ExpansionLimit:
    """Rejects logs whose counted events would expand to an absurd number of calls.

    One log event can stand for many calls (its ``count``). A damaged or hostile log could claim
    billions of them, which would exhaust memory once they are expanded.
    """

    def __init__(self) -> None:
        self._left = _FREE_CALLS

    def add(self, seq: int, count: int) -> None:
        """Count the ``count`` calls that the event ``seq`` stands for.

        Raises:
            LogError: The log has too many such calls.
        """
        self._left += _CALLS_PER_EVENT - count
        if self._left < 0:
            raise LogError(
                f"event {seq} stands for {count:,} calls, too many to be simulated one by one"
            )
