"""The calls of one breaker as columns of integers.

A call has two positions: its start index, which counts the calls in the order in which they
started, and its end index, which counts them in the order in which they ended. Both begin at 0.

Calls that start, or end, at the same nanosecond keep the order of the log. Where a start and an end
fall on the same nanosecond, the end comes first; only a call without duration ends after its own
start.
"""

from array import array
from collections.abc import Sequence
from functools import cached_property
from typing import Final, Self, cast

from attrs import define, field

from recloser.core import orders
from recloser.core.kernel import FAILED, IGNORED, SUCCEEDED, UNKNOWN, CallColumns

__all__ = ["FAILED", "IGNORED", "OUTCOME_CODES", "SUCCEEDED", "UNKNOWN", "Calls"]

OUTCOME_CODES: Final = {"succeeded": SUCCEEDED, "failed": FAILED, "ignored": IGNORED}
"""The outcome code for each outcome name that a log can contain."""


@define(eq=False)
class Calls:
    """The calls of one breaker, as columns ordered by start.

    A column is a buffer of 64-bit integers, such as an ``array`` or a ``memoryview`` of a numpy
    array. Derived columns are computed at first use and cached.

    Attributes:
        breaker: Name of the breaker.
        starts: When each call started, in nanoseconds of the log's time, by start index.
        ends: When each call ended, in nanoseconds of the log's time, by start index.
        durations: How long each call took, in nanoseconds, by start index.
        outcomes: The outcome code of each call, by start index.
        by_end: The start index of each call, by end index.
        seqs: The ``seq`` of each call's event, by start index; empty if the calls of this breaker
            are not simulated together with those of other breakers.
    """

    breaker: str
    starts: Sequence[int]
    ends: Sequence[int]
    durations: Sequence[int]
    outcomes: bytes
    by_end: Sequence[int] = field()
    seqs: Sequence[int] = ()
    _counts: dict[int, int] = field(init=False, factory=dict)
    _counts_before: dict[int, Sequence[int]] = field(init=False, factory=dict)
    __dict__: dict[str, object] = field(init=False, factory=dict)

    @by_end.default
    def _default_by_end(self) -> Sequence[int]:
        return orders.order_of_ends(self.starts, self.ends)

    @classmethod
    def from_log(
        cls,
        breaker: str,
        starts: Sequence[int],
        ends: Sequence[int],
        durations: Sequence[int],
        outcomes: bytes,
        *,
        seqs: Sequence[int] = (),
    ) -> Self:
        """Make the table from rows in the order of a log.

        A call of unknown outcome is assumed to take the median duration of the breaker's other
        calls.

        Args:
            breaker: Name of the breaker.
            starts: When each row's call started, in nanoseconds of the log's time.
            ends: When it ended, in nanoseconds of the log's time; not before its start.
            durations: How long it took, in nanoseconds.
            outcomes: Its outcome code.
            seqs: The ``seq`` of each row's event, if breakers that share the log are simulated
                together.
        """
        if UNKNOWN in outcomes:
            ends, durations = _with_assumed_durations(starts, ends, durations, outcomes)
        order = orders.order_of(starts)
        by_end = orders.reordered(orders.inverse_order(order), orders.order_of_ends(starts, ends))
        return cls(
            breaker,
            orders.reordered(starts, order),
            orders.reordered(ends, order),
            orders.reordered(durations, order),
            orders.reordered_codes(outcomes, order),
            by_end,
            orders.reordered(seqs, order) if len(seqs) else (),
        )

    def __len__(self) -> int:
        return len(self.starts)

    def __reduce__(self) -> tuple[type["Calls"], tuple[object, ...]]:
        # A memoryview can't be pickled, so columns travel to other processes as arrays.
        starts, ends, durations, by_end = (
            array("q", column) for column in (self.starts, self.ends, self.durations, self.by_end)
        )
        return Calls, (self.breaker, starts, ends, durations, self.outcomes, by_end)

    @cached_property
    def end_index(self) -> Sequence[int]:
        """The end index of each call, by start index."""
        return orders.inverse_order(self.by_end)

    @cached_property
    def ended_before(self) -> Sequence[int]:
        """How many calls ended before each call started, by start index."""
        return orders.ended_before(self.starts, self.ends, self.by_end)

    @cached_property
    def columns(self) -> CallColumns:
        """The calls in the form that ``recloser.core.kernel`` simulates."""
        ends, durations = (
            orders.reordered(each, self.by_end) for each in (self.ends, self.durations)
        )
        columns = (self.starts, self.ended_before, self.by_end)
        starts, ended_before, by_end = (cast("memoryview", each) for each in columns)
        return CallColumns(starts, ended_before, by_end, ends, durations, self.outcomes_by_end)

    @cached_property
    def last_end(self) -> int:
        """When the last call ended, in nanoseconds of the log's time."""
        return self.end_time(len(self) - 1)

    def end_time(self, end_index: int) -> int:
        """When the call with this end index ended, in nanoseconds of the log's time."""
        return self.ends[self.by_end[end_index]]

    @cached_property
    def outcomes_by_end(self) -> bytes:
        """The outcome code of each call, by end index."""
        return orders.reordered_codes(self.outcomes, self.by_end)

    @cached_property
    def highest_end_index(self) -> Sequence[int]:
        """The highest end index among the calls up to and including each start index."""
        return orders.running_maximum(self.end_index)

    def counts_before(self, code: int) -> Sequence[int]:
        """How many calls before each start index have this outcome.

        The last of the ``len(self) + 1`` items is the number of all calls with this outcome.
        """
        counts = self._counts_before.get(code)
        if counts is None:
            counts = self._counts_before[code] = orders.count_before(self.outcomes, code)
        return counts

    def count(self, code: int) -> int:
        """How many calls have this outcome."""
        count = self._counts.get(code)
        if count is None:
            count = self._counts[code] = self.outcomes.count(code)
        return count

    def until(self, start_index: int) -> "Calls":
        """The calls before ``start_index``, as a table of their own."""
        return self._only(orders.index_range(0, start_index))

    def since(self, start_index: int) -> "Calls":
        """The calls from ``start_index`` on, as a table of their own."""
        return self._only(orders.index_range(start_index, len(self)))

    def known(self) -> "Calls":
        """The calls whose outcome is known, as a table of their own."""
        if not self.count(UNKNOWN):
            return self
        return self._only(orders.indexes_of(self.outcomes, SUCCEEDED, IGNORED))

    def _only(self, start_indexes: Sequence[int]) -> "Calls":
        return Calls(
            self.breaker,
            orders.reordered(self.starts, start_indexes),
            orders.reordered(self.ends, start_indexes),
            orders.reordered(self.durations, start_indexes),
            orders.reordered_codes(self.outcomes, start_indexes),
            orders.restricted_order(self.by_end, start_indexes),
        )


def _with_assumed_durations(
    starts: Sequence[int], ends: Sequence[int], durations: Sequence[int], outcomes: bytes
) -> tuple[Sequence[int], Sequence[int]]:
    """Ends and durations in which calls of unknown outcome take the median duration."""
    known = sorted(orders.reordered(durations, orders.indexes_of(outcomes, SUCCEEDED, IGNORED)))
    median = known[len(known) // 2] if known else 0
    ends, durations = array("q", ends), array("q", durations)
    for row in orders.indexes_of(outcomes, UNKNOWN, UNKNOWN):
        durations[row], ends[row] = median, starts[row] + median
    return ends, durations
