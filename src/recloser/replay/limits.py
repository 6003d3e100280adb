"""The limits of a window: the whole numbers that its counts are held against."""

from typing import Self

from attrs import frozen

from recloser.config import CountWindow, TimeWindow
from recloser.validation import Rate, exact


@frozen
class Limits:
    """When a window trips.

    Attributes:
        failures: So many failures do it, however few calls there are; None where no number does.
        needed: So many calls must be in it before a share of them does it.
        failed: The share of failures as numerator and denominator; None where none does it.
        slow: The share of slow calls, likewise.
    """

    failures: int | None
    needed: int
    failed: tuple[int, int] | None
    slow: tuple[int, int] | None

    @classmethod
    def of(cls, window: CountWindow | TimeWindow) -> Self:
        """Those of a window's settings."""
        return cls(
            window.failures,
            window.needed,
            _share(window.failure_rate),
            _share(window.slow_call_rate),
        )

    def reached(self, calls: int, failures: int, slow: int) -> bool:
        """Whether these counts reach one of them."""
        if self.failures is not None and failures >= self.failures:
            return True
        if calls < self.needed:
            return False
        if self.failed is not None and failures * self.failed[1] >= self.failed[0] * calls:
            return True
        return self.slow is not None and slow * self.slow[1] >= self.slow[0] * calls

    def failures_in(self, calls: int) -> int | None:
        """The fewest failures among so many calls, at least ``needed``, that reach one."""
        told = [] if self.failures is None else [self.failures]
        if self.failed is not None:
            told.append(-(-self.failed[0] * calls // self.failed[1]))
        return min(told, default=None)

    def slow_in(self, calls: int) -> int | None:
        """The fewest slow calls among so many, at least ``needed``, that reach one."""
        return None if self.slow is None else -(-self.slow[0] * calls // self.slow[1])


def _share(rate: Rate | None) -> tuple[int, int] | None:
    return None if rate is None else exact(rate).as_integer_ratio()
