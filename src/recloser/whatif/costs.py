"""Add up what a breaker costs and saves while its calls are simulated.

Besides the costs, this measures how soon a breaker notices an outage and how soon it recovers. An
outage is a period in which the calls to a dependency failed one after another. Outages depend on
the outcomes of the calls only, so they can be used to compare breakers with different settings.

Where outcomes are unknown, each figure is a range from its lowest to its highest possible value.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Self

from attrs import Factory, define, frozen

from recloser.simulate.call_table import FAILED, SUCCEEDED, UNKNOWN, Calls

OUTAGE_FAILURES: Final = 5
"""The default number of consecutive failures that make an outage."""

FIGURES: Final = ("trips", "open_ns", "rejected", "saved", "lost", "let_through")
_TRIPS, _OPEN, _REJECTED, _SAVED, _LOST, _LET_THROUGH = range(len(FIGURES))


@frozen
class Range:
    """A figure that lies between ``low`` and ``high``, both included.

    The bounds always hold, but they can be wider than what is really possible.
    """

    low: int
    high: int

    @property
    def exact(self) -> bool:
        """Whether the figure is known exactly."""
        return self.low == self.high

    def __add__(self, other: "Range") -> "Range":
        return Range(self.low + other.low, self.high + other.high)


@frozen
class Figures:
    """The result of some settings on some calls.

    Attributes:
        trips: How often the breaker tripped (CLOSED to OPEN).
        open_ns: How long it was not closed, in nanoseconds.
        rejected: How many calls it rejected.
        saved: How many of the rejected calls would have failed.
        lost: How many of the rejected calls would have succeeded.
        let_through: How many failures it let through.
    """

    trips: Range
    open_ns: Range
    rejected: Range
    saved: Range
    lost: Range
    let_through: Range

    @classmethod
    def total(cls, figures: Iterable["Figures"]) -> "Figures":
        """The sum of the figures of several breakers."""
        sums = {name: Range(0, 0) for name in FIGURES}
        for one in figures:
            for name in FIGURES:
                sums[name] += getattr(one, name)
        return cls(**sums)


@frozen
class Outage:
    """Consecutive failures, in the order in which the calls ended.

    Attributes:
        start: When the first failed call ended, in nanoseconds of the log's time.
        end: When the first successful call after them ended, in nanoseconds of the log's time; None
            if no call succeeded after them.
        failures: How many calls failed.
    """

    start: int
    end: int | None
    failures: int


def outages_of(calls: Calls, failures: int = OUTAGE_FAILURES) -> list[Outage]:
    """Find each run of ``failures`` or more failed calls without a success in between.

    Ignored and unknown outcomes neither begin nor end a run.
    """
    outages = []
    start, run = 0, 0
    for end_index, outcome in enumerate(calls.outcomes_by_end):
        if outcome == FAILED:
            if run == 0:
                start = calls.end_time(end_index)
            run += 1
        elif outcome == SUCCEEDED:
            if run >= failures:
                outages.append(Outage(start, calls.end_time(end_index), run))
            run = 0
    if run >= failures:
        outages.append(Outage(start, None, run))
    return outages


@define
class Delay:
    """The range of a delay, over all possible outcomes of the unknown calls.

    Attributes:
        low: The shortest delay, in nanoseconds; None if there is no possibility that it ended.
        high: The longest delay, in nanoseconds; None if it is possible that it did not end.
    """

    low: int | None = None
    high: int | None = None
    _is_empty: bool = True

    def include(self, ns: int | None) -> None:
        """Widen the range to include a delay, in nanoseconds.

        None stands for a delay that did not end.
        """
        if self._is_empty:
            self.low = self.high = ns
            self._is_empty = False
            return
        if ns is None:
            self.high = None
            return
        self.low = ns if self.low is None else min(self.low, ns)
        if self.high is not None:
            self.high = max(self.high, ns)


@define
class Delays:
    """How soon one breaker noticed each outage, and how soon it recovered from it.

    Attributes:
        outages: The outages, in order.
        detection: For each outage, the delay from its start until the breaker was not closed; 0 if
            the breaker was not closed when the outage started.
        recovery: For each outage, the delay from its end until the breaker was closed; 0 if the
            breaker was closed when the outage ended.
    """

    outages: Sequence[Outage]
    detection: list[Delay] = Factory(lambda self: [Delay() for _ in self.outages], takes_self=True)
    recovery: list[Delay] = Factory(lambda self: [Delay() for _ in self.outages], takes_self=True)


class Costs:
    """The running totals of one breaker while its calls are simulated.

    The simulation reports what happens in the order of time. ``open`` and ``close`` delimit the
    open periods; ``note_closed_until`` says how far the breaker has certainly stayed closed.

    Args:
        calls: The breaker's calls.
        delays: Receives the delays of each outage. Simulations of one breaker that differ only in
            what they assume of unknown outcomes share it.

    Attributes:
        low: The lowest possible value of each figure, in the order of ``FIGURES``.
        high: The highest possible value of each figure, in the same order.
    """

    __slots__ = (
        "_counts_before",
        "_next_end",
        "_next_start",
        "_opened_at",
        "delays",
        "high",
        "low",
    )

    def __init__(self, calls: Calls, delays: Delays) -> None:
        self._counts_before = [calls.counts_before(code) for code in (SUCCEEDED, FAILED, UNKNOWN)]
        failed, unknown = calls.count(FAILED), calls.count(UNKNOWN)
        self.low = [0] * len(FIGURES)
        self.high = [0] * len(FIGURES)
        # Each failure counts as let through until a range of rejected calls includes it.
        self.low[_LET_THROUGH], self.high[_LET_THROUGH] = failed, failed + unknown
        self.delays = delays
        # The first outage whose start, and the first whose end, has no delay in `delays` yet.
        self._next_start = self._next_end = 0
        self._opened_at: int | None = None

    def copy(self) -> Self:
        """A copy for a simulation that assumes another outcome from here on."""
        other = object.__new__(type(self))
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other.low, other.high = self.low.copy(), self.high.copy()
        return other

    def widen(self, other: "Costs") -> None:
        """Include the totals of another simulation that has reached the same state."""
        self.low = list(map(min, self.low, other.low))
        self.high = list(map(max, self.high, other.high))

    @property
    def key(self) -> tuple[object, ...]:
        """The values that must be equal before ``widen`` may merge two totals.

        While the breaker is closed, call ``note_closed_until`` before comparing keys.
        """
        return self._next_start, self._next_end, self._opened_at is None

    def reject(self, first: int, end: int) -> None:
        """Count the calls with start indexes from ``first`` up to, not including, ``end``."""
        if first >= end:
            return
        succeeded, failed, unknown = (column[end] - column[first] for column in self._counts_before)
        for figures, possible in ((self.low, 0), (self.high, unknown)):
            figures[_REJECTED] += end - first
            figures[_SAVED] += failed + possible
            figures[_LOST] += succeeded + possible
        self.low[_LET_THROUGH] -= failed
        self.high[_LET_THROUGH] -= failed + unknown

    def assume(self, *, failed: bool) -> None:
        """Count a call of unknown outcome that was let through, as failed or not."""
        if failed:
            self.low[_LET_THROUGH] += 1
        else:
            self.high[_LET_THROUGH] -= 1

    def open(self, at: int) -> None:
        """Count a trip at ``at``, in nanoseconds of the log's time."""
        self.note_closed_until(at - 1)
        for figures in (self.low, self.high):
            figures[_TRIPS] += 1
            figures[_OPEN] -= at
        self._opened_at = at
        outages, next_start = self.delays.outages, self._next_start
        while next_start < len(outages) and outages[next_start].start <= at:
            self.delays.detection[next_start].include(at - outages[next_start].start)
            next_start += 1
        self._next_start = next_start

    def close(self, at: int) -> None:
        """Count the end of an open period at ``at``, in nanoseconds of the log's time."""
        self._end_open_period(at)
        outages = self.delays.outages
        while self._next_start < len(outages) and outages[self._next_start].start < at:
            # The outage started while the breaker was not closed.
            self.delays.detection[self._next_start].include(0)
            self._next_start += 1
        self._note_recovery(at - 1, at)
        self._opened_at = None

    def note_closed_until(self, at: int) -> None:
        """Record that the breaker stayed closed up to and including ``at``.

        Outages that were over by then were not detected, and the breaker had recovered from them.
        """
        outages = self.delays.outages
        while self._next_start < len(outages):
            end = outages[self._next_start].end
            if end is None or end > at:
                break
            self.delays.detection[self._next_start].include(None)
            self._next_start += 1
        self._note_recovery(at, None)

    def _note_recovery(self, until: int, closed_at: int | None) -> None:
        """Record the recovery from outages that ended by ``until``.

        ``closed_at`` is when the breaker was closed; None if it was closed all along.
        """
        outages = self.delays.outages
        while self._next_end < len(outages):
            end = outages[self._next_end].end
            if end is None or end > until:
                break
            self.delays.recovery[self._next_end].include(
                0 if closed_at is None else closed_at - end
            )
            self._next_end += 1

    def finish(self, horizon: int) -> None:
        """End the simulation; an open period lasts until ``horizon``, in nanoseconds."""
        outages = self.delays.outages
        is_open = self._opened_at is not None
        if is_open:
            self._end_open_period(horizon)
        for index in range(self._next_start, len(outages)):
            self.delays.detection[index].include(0 if is_open else None)
        for index in range(self._next_end, len(outages)):
            has_recovered = not is_open and outages[index].end is not None
            self.delays.recovery[index].include(0 if has_recovered else None)

    def _end_open_period(self, at: int) -> None:
        # `open` subtracted the time of the trip, so adding `at` leaves the length of the period.
        self.low[_OPEN] += at
        self.high[_OPEN] += at

    def figures(self) -> Figures:
        """The totals as ranges."""
        return Figures(*map(Range, self.low, self.high))


def widest_figures(calls: Calls, span_ns: int) -> Figures:
    """Bounds that hold for any settings, found without simulating the calls.

    Args:
        calls: The calls of one breaker.
        span_ns: The time from the first call to the end of the log, in nanoseconds.
    """
    succeeded, failed, unknown = map(calls.count, (SUCCEEDED, FAILED, UNKNOWN))
    return Figures(
        trips=Range(0, succeeded + failed + unknown),
        open_ns=Range(0, span_ns),
        rejected=Range(0, len(calls)),
        saved=Range(0, failed + unknown),
        lost=Range(0, succeeded + unknown),
        let_through=Range(0, failed + unknown),
    )
