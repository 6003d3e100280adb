"""Outages: where the calls to a dependency failed one after another, whatever a breaker did.

How soon a breaker notices an outage, and how long after it still refuses calls, is measured
against the outcomes alone, so that settings can be compared by it.
"""

from collections.abc import Sequence
from typing import Final

from attrs import Factory, define, frozen

from recloser.simulate.call_table import FAILED, SUCCEEDED, Calls

OUTAGE_FAILURES: Final = 5
"""So many failures in a row, by default, are an outage."""


@frozen
class Outage:
    """A run of failures that no success breaks, in the order in which the calls ended.

    Attributes:
        begin: When the first of them ended, in nanoseconds of the log.
        over: When the first success behind them ended; None where the calls end before.
        failures: How many there are.
    """

    begin: int
    over: int | None
    failures: int


def outages_of(calls: Calls, failures: int = OUTAGE_FAILURES) -> list[Outage]:
    """The runs of at least so many failures; ignored and unknown outcomes neither make nor break one."""
    found = []
    begin, run = 0, 0
    for place, outcome in enumerate(calls.outcome_at):
        if outcome == FAILED:
            if run == 0:
                begin = calls.end_of(place)
            run += 1
        elif outcome == SUCCEEDED:
            if run >= failures:
                found.append(Outage(begin, calls.end_of(place), run))
            run = 0
    if run >= failures:
        found.append(Outage(begin, None, run))
    return found


@define
class Delay:
    """How long something took, between the shortest and the longest that is possible.

    Attributes:
        low: In nanoseconds; None where it has not happened at all.
        high: In nanoseconds; None where it may not have happened.
    """

    low: int | None = None
    high: int | None = None
    _is_told: bool = False

    def tell(self, ns: int | None) -> None:
        """Take in one possible course; None is one in which it has not happened."""
        if not self._is_told:
            self.low = self.high = ns
            self._is_told = True
            return
        if ns is None:
            self.high = None
            return
        self.low = ns if self.low is None else min(self.low, ns)
        if self.high is not None:
            self.high = max(self.high, ns)


@define
class Delays:
    """For each outage of one breaker, how soon it was noticed and how soon overcome.

    Attributes:
        outages: The outages in their order.
        detection: From the first failure to the first moment at which the breaker is not closed;
            0 where it was not closed before.
        recovery: From the first success behind it to the first moment at which the breaker is
            closed; 0 where it is.
    """

    outages: Sequence[Outage]
    detection: list[Delay] = Factory(lambda self: [Delay() for _ in self.outages], takes_self=True)
    recovery: list[Delay] = Factory(lambda self: [Delay() for _ in self.outages], takes_self=True)
