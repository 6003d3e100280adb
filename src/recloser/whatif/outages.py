"""Outages: periods in which the calls to a dependency failed one after another.

Outages depend on the outcomes of the calls only, not on any breaker. So they can measure breakers
with different settings: how soon each one opens after an outage begins, and how long it stays open
after the outage is over.
"""

from collections.abc import Sequence
from typing import Final

from attrs import Factory, define, frozen

from recloser.simulate.call_table import FAILED, SUCCEEDED, Calls

OUTAGE_FAILURES: Final = 5
"""The default number of consecutive failures that make an outage."""


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
    """The shortest and longest possible delay, over all possible outcomes of the unknown calls.

    Attributes:
        low: The shortest delay, in nanoseconds; None if there is no possibility that it ended.
        high: The longest delay, in nanoseconds; None if it is possible that it did not end.
    """

    low: int | None = None
    high: int | None = None
    _is_empty: bool = True

    def include(self, ns: int | None) -> None:
        """Widen the range to include a delay in nanoseconds, or None for one that did not end."""
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
