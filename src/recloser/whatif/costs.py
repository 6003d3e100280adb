"""The ledger: what a course of events costs and saves, as it goes along.

Each figure is kept as the least and the most that it can be. Where every outcome is known, the two
are equal.
"""

from collections.abc import Iterable
from typing import Final, Self

from attrs import frozen

from recloser.simulate.call_table import FAILED, SUCCEEDED, UNKNOWN, Calls
from recloser.whatif.outages import Delays

FIGURES: Final = ("trips", "open_ns", "rejected", "saved", "lost", "let_through")
_TRIPS, _OPEN, _REJECTED, _SAVED, _LOST, _LET_THROUGH = range(len(FIGURES))


@frozen
class Range:
    """A figure between its least and its most; both are possible to be reached, or beyond reach."""

    low: int
    high: int

    @property
    def exact(self) -> bool:
        """Whether there is nothing unknown about it."""
        return self.low == self.high

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)


@frozen
class Figures:
    """What a configuration came to.

    Attributes:
        trips: How often it opened from CLOSED.
        open_ns: How long it was not closed, in nanoseconds.
        rejected: Calls that it refused.
        saved: Those of them that would have failed.
        lost: Those of them that would have succeeded.
        let_through: Failures that it let through.
    """

    trips: Range
    open_ns: Range
    rejected: Range
    saved: Range
    lost: Range
    let_through: Range

    @classmethod
    def total(cls, figures: Iterable["Figures"]) -> "Figures":
        """The sums over several breakers."""
        sums = {name: Range(0, 0) for name in FIGURES}
        for one in figures:
            for name in FIGURES:
                sums[name] += getattr(one, name)
        return cls(**sums)


class Costs:
    """Books one course of a breaker over its calls.

    Args:
        calls: The calls.
        delays: Where the delays of each outage are told; shared by all courses of one breaker.

    Attributes:
        low: The least of each figure, in the order of ``FIGURES``.
        high: The most.
    """

    __slots__ = (
        "_before",
        "_next_begin",
        "_next_over",
        "_opened_at",
        "delays",
        "high",
        "low",
    )

    def __init__(self, calls: Calls, delays: Delays) -> None:
        self._before = [calls.before(code) for code in (SUCCEEDED, FAILED, UNKNOWN)]
        failed, unknown = calls.count(FAILED), calls.count(UNKNOWN)
        self.low = [0] * len(FIGURES)
        self.high = [0] * len(FIGURES)
        self.low[_LET_THROUGH], self.high[_LET_THROUGH] = failed, failed + unknown
        self.delays = delays
        self._next_begin = self._next_over = 0
        self._opened_at: int | None = None

    def copy(self) -> Self:
        """The same books, to go on with another course."""
        other = object.__new__(type(self))
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.low, other.high = self.low.copy(), self.high.copy()
        return other

    def widen(self, other: "Costs") -> None:
        """Take in the figures of a course that has come to the same point."""
        self.low = list(map(min, self.low, other.low))
        self.high = list(map(max, self.high, other.high))

    @property
    def key(self) -> tuple[object, ...]:
        """What two courses must agree in, to be booked as one; see ``settle``."""
        return self._next_begin, self._next_over, self._opened_at is None

    def reject(self, first: int, end: int) -> None:
        """Book the calls from number ``first`` up to ``end``, without that, as rejected."""
        if first >= end:
            return
        succeeded, failed, unknown = (column[end] - column[first] for column in self._before)
        for figures, unsure in ((self.low, 0), (self.high, unknown)):
            figures[_REJECTED] += end - first
            figures[_SAVED] += failed + unsure
            figures[_LOST] += succeeded + unsure
        self.low[_LET_THROUGH] -= failed
        self.high[_LET_THROUGH] -= failed + unknown

    def resolve(self, *, failed: bool) -> None:
        """A call of unknown outcome that was let through is taken to have ended so."""
        if failed:
            self.low[_LET_THROUGH] += 1
        else:
            self.high[_LET_THROUGH] -= 1

    def open(self, at: int) -> None:
        """The breaker leaves CLOSED by a trip."""
        self.settle(at - 1)
        for figures in (self.low, self.high):
            figures[_TRIPS] += 1
            figures[_OPEN] -= at
        self._opened_at = at
        outages, next_one = self.delays.outages, self._next_begin
        while next_one < len(outages) and outages[next_one].begin <= at:
            self.delays.detection[next_one].tell(at - outages[next_one].begin)
            next_one += 1
        self._next_begin = next_one

    def close(self, at: int) -> None:
        """The breaker is closed again."""
        self._count_open_until(at)
        outages = self.delays.outages
        while self._next_begin < len(outages) and outages[self._next_begin].begin < at:
            self.delays.detection[self._next_begin].tell(0)
            self._next_begin += 1
        self._overcome(at - 1, at)
        self._opened_at = None

    def settle(self, at: int) -> None:
        """The breaker has been closed up to ``at``, inclusive."""
        outages = self.delays.outages
        while self._next_begin < len(outages):
            over = outages[self._next_begin].over
            if over is None or over > at:
                break
            self.delays.detection[self._next_begin].tell(None)
            self._next_begin += 1
        self._overcome(at, None)

    def _overcome(self, until: int, closed_at: int | None) -> None:
        outages = self.delays.outages
        while self._next_over < len(outages):
            over = outages[self._next_over].over
            if over is None or over > until:
                break
            self.delays.recovery[self._next_over].tell(0 if closed_at is None else closed_at - over)
            self._next_over += 1

    def finish(self, horizon: int) -> None:
        """The calls are at their end; an open breaker is counted as such up to ``horizon``."""
        outages = self.delays.outages
        is_open = self._opened_at is not None
        if is_open:
            self._count_open_until(horizon)
        for index in range(self._next_begin, len(outages)):
            self.delays.detection[index].tell(0 if is_open else None)
        for index in range(self._next_over, len(outages)):
            is_overcome = not is_open and outages[index].over is not None
            self.delays.recovery[index].tell(0 if is_overcome else None)

    def _count_open_until(self, at: int) -> None:
        self.low[_OPEN] += at
        self.high[_OPEN] += at

    def figures(self) -> Figures:
        """What it came to."""
        return Figures(*map(Range, self.low, self.high))


def widest_figures(calls: Calls, span_ns: int) -> Figures:
    """What can be said of calls without following them."""
    succeeded, failed, unknown = map(calls.count, (SUCCEEDED, FAILED, UNKNOWN))
    return Figures(
        trips=Range(0, succeeded + failed + unknown),
        open_ns=Range(0, span_ns),
        rejected=Range(0, len(calls)),
        saved=Range(0, failed + unknown),
        lost=Range(0, succeeded + unknown),
        let_through=Range(0, failed + unknown),
    )
