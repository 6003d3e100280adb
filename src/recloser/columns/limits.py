"""The thresholds of a window, in integers of 64 bits."""

from typing import Final

from attrs import frozen

from recloser.columns.rows import Flags, Places, Rows, Whole
from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.validation import MAX_SECONDS, Rate, exact
from recloser.windows import CountedOutcomes, TimedOutcomes

_MOST: Final = 1 << 62
_MOST_HELD: Final = 1 << 31
_MOST_EXPANDED: Final = 1 << 20
"""A window of more outcomes is not written out call by call where one event stands for several."""


@frozen(eq=False)
class Limit:
    """One threshold of a window.

    Attributes:
        bad: The rows of what it counts, failures or slow calls.
        ranks: The rank of each.
        bit: Which bit of an outcome's code tells it; see ``CountedOutcomes``.
        number: So many fire it, however few calls there are; None for a rate.
        numerator, denominator: The rate.
        needed: So many calls must be there for a rate.
    """

    bad: Places
    ranks: Places
    bit: int
    number: int | None
    numerator: int
    denominator: int
    needed: int

    def reached(self, bad: Whole, calls: Whole) -> Flags:
        """Whether so many of so many calls reach it."""
        if self.number is not None:
            return bad >= self.number
        reached: Flags = bad * self.denominator >= self.numerator * calls
        return reached & (calls >= self.needed)

    def is_reached(self, bad: int, calls: int) -> bool:
        """Whether so many of so many calls reach it."""
        if self.number is not None:
            return bad >= self.number
        return calls >= self.needed and bad * self.denominator >= self.numerator * calls

    def may_be_reached(
        self, window: CountedOutcomes | TimedOutcomes, start: int, stop: int
    ) -> bool:
        """Whether it may be at any of these rows, even if nothing left the window meanwhile."""
        first, last = self.bad.searchsorted((start, stop))
        held = window.failures if self.bit else window.slow
        return held + int(last - first) >= self.least(self.needed)

    def least(self, calls: int) -> int:
        """How few of so many calls may reach it."""
        if self.number is not None:
            return self.number
        return max(1, -(-self.numerator * calls // self.denominator))


def limits_of(
    rows: Rows, config: CircuitBreakerConfig, window: CountWindow | TimeWindow
) -> list[Limit] | None:
    """The thresholds of a window; None where integers of 64 bits or rows can't tell them."""
    if isinstance(window, CountWindow):
        if window.size > _MOST_EXPANDED and rows.weights is not None:
            return None
    elif window.seconds > MAX_SECONDS:
        return None
    limits = []
    failed = (rows.failures, rows.failure_ranks, 1)
    if window.failures is not None:
        limits.append(Limit(*failed, window.failures, 0, 1, 1))
    if window.failure_rate is not None:
        limits.append(Limit(*failed, None, *_parts(window.failure_rate), window.needed))
    if window.slow_call_rate is not None:
        assert config.slow_call_ns is not None
        slow = rows.slow(config.slow_call_ns)
        if (rows.counts[slow] != 1).any():
            return None
        limits.append(
            Limit(slow, rows.ranks(slow), 0, None, *_parts(window.slow_call_rate), window.needed)
        )
    held = window.size if isinstance(window, CountWindow) else _MOST_HELD
    most = rows.rank(len(rows)) + held + window.needed
    if any(max(limit.numerator, limit.denominator) * most >= _MOST for limit in limits):
        return None
    return limits


def _parts(rate: Rate) -> tuple[int, int]:
    share = exact(rate)
    return share.numerator, share.denominator
