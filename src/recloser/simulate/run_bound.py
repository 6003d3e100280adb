"""A bound on the calls that are taken out of events which stand for several."""

from typing import Final

from recloser.errors import LogError

_FREE: Final = 200_000
_AN_EVENT: Final = 10_000
"""More calls a second, which is what such an event stands for, are not expected of a breaker."""


class ExpansionLimit:
    """Counts the calls of a log that are tried one by one, and refuses absurd numbers of them."""

    def __init__(self) -> None:
        self._left = _FREE

    def take(self, seq: int, count: int) -> None:
        """Take in an event that stands for so many calls.

        Raises:
            LogError: They are more than can be tried.
        """
        self._left += _AN_EVENT - count
        if self._left < 0:
            raise LogError(
                f"event {seq} stands for {count:,} calls, which are too many to be tried one by one"
            )
