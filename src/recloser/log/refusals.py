"""Refusals by the thousand: the first of a second are written one by one, the rest as a count."""

from typing import Final

from recloser.gate import Refusal
from recloser.validation import NS_PER_SECOND

SINGLY: Final = 100
"""So many refusals of a second have an event each."""


class Tally:
    """The refusals of one breaker within a second of the first of them.

    Attributes:
        refusal: What they were refused with.
        until_ns: What the monotonic hand shows at the end of that second.
        surplus: How many are still to be written, as one event.
        last_ns: When the last of these came, by the monotonic hand.
    """

    __slots__ = ("_written", "last_ns", "refusal", "surplus", "until_ns")

    def __init__(self, refusal: Refusal, monotonic_ns: int) -> None:
        self.refusal = refusal
        self.until_ns = monotonic_ns + NS_PER_SECOND
        self.surplus = 0
        self.last_ns = monotonic_ns
        self._written = 0

    def holds(self, refusal: Refusal, monotonic_ns: int) -> bool:
        """Whether a refusal belongs to it."""
        return self.refusal is refusal and monotonic_ns < self.until_ns

    def is_single(self, monotonic_ns: int) -> bool:
        """Whether the next refusal is to be written now; else it is counted."""
        if self._written < SINGLY:
            self._written += 1
            return True
        self.surplus += 1
        self.last_ns = monotonic_ns
        return False
