"""The calls of one breaker, as columns.

A call is known by its number in the order of the starts, from 0, or by its place in the order of
the ends. That is the order in which they are driven: by time, and at one instant the ends before
the starts; a call without duration ends behind its own start.
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
"""The code of each known outcome, by its name in a log."""


@define(eq=False)
class Calls:
    """The calls of one breaker, in the order of their starts.

    Columns are buffers of whole numbers of 64 bits, such as an ``array`` or a numpy column seen
    through a ``memoryview``; what is derived from them is found when it is first asked for, by
    ``recloser.core.orders``, and kept.

    Attributes:
        breaker: Its name.
        starts: When each call started, in nanoseconds of the log; shape (n,), as all are.
        ends: When it ended, by its number.
        tooks: How long it took, by its number.
        outcomes: How it ended, by its number: one of the four codes of this module.
        by_end: The number of each call, by its place.
        seqs: Where it stands in the log, by its number, if several breakers share that.
    """

    breaker: str
    starts: Sequence[int]
    ends: Sequence[int]
    tooks: Sequence[int]
    outcomes: bytes
    by_end: Sequence[int] = field()
    seqs: Sequence[int] = ()
    _counts: dict[int, int] = field(init=False, factory=dict)
    _before: dict[int, Sequence[int]] = field(init=False, factory=dict)
    __dict__: dict[str, object] = field(init=False, factory=dict)

    @by_end.default
    def _as_started(self) -> Sequence[int]:
        return orders.order_of_ends(self.starts, self.ends)

    @classmethod
    def from_log(
        cls,
        breaker: str,
        starts: Sequence[int],
        ends: Sequence[int],
        tooks: Sequence[int],
        outcomes: bytes,
        *,
        seqs: Sequence[int] = (),
    ) -> Self:
        """The calls that stand in the columns of a log, in its order.

        Calls that start, or end, at one instant do so in the order of the log. One of unknown
        outcome is taken to last as long as the median of the others.

        Args:
            breaker: Its name.
            starts: When each row's call started, in nanoseconds of the log, from 0.
            ends: When it ended, not before it started.
            tooks: How long it took.
            outcomes: How it ended, as one of the codes of this module.
            seqs: The ``seq`` of each row, where the log is shared by several breakers.
        """
        if UNKNOWN in outcomes:
            ends, tooks = _supposed(starts, ends, tooks, outcomes)
        order = orders.order_of(starts)
        by_end = orders.taken(orders.inverse(order), orders.order_of_ends(starts, ends))
        return cls(
            breaker,
            orders.taken(starts, order),
            orders.taken(ends, order),
            orders.taken(tooks, order),
            orders.codes_taken(outcomes, order),
            by_end,
            orders.taken(seqs, order) if len(seqs) else (),
        )

    def __len__(self) -> int:
        return len(self.starts)

    def __reduce__(self) -> tuple[type["Calls"], tuple[object, ...]]:
        starts, ends, tooks, by_end = (
            array("q", column) for column in (self.starts, self.ends, self.tooks, self.by_end)
        )
        return Calls, (self.breaker, starts, ends, tooks, self.outcomes, by_end)

    @cached_property
    def place(self) -> Sequence[int]:
        """The place of each call, by its number."""
        return orders.inverse(self.by_end)

    @cached_property
    def ended_before(self) -> Sequence[int]:
        """How many calls have ended before each starts, by its number."""
        return orders.ended_before(self.starts, self.ends, self.by_end)

    @cached_property
    def columns(self) -> CallColumns:
        """The calls as the kernel takes them."""
        ends, tooks = (orders.taken(each, self.by_end) for each in (self.ends, self.tooks))
        columns = (self.starts, self.ended_before, self.by_end)
        starts, ended_before, by_end = (cast("memoryview", each) for each in columns)
        return CallColumns(starts, ended_before, by_end, ends, tooks, self.outcome_at)

    @cached_property
    def last_end(self) -> int:
        """When the last of them ended."""
        return self.end_of(len(self) - 1)

    def end_of(self, place: int) -> int:
        """When the call at this place ended."""
        return self.ends[self.by_end[place]]

    @cached_property
    def outcome_at(self) -> bytes:
        """How the call at each place ended."""
        return orders.codes_taken(self.outcomes, self.by_end)

    @cached_property
    def last_place(self) -> Sequence[int]:
        """The last place of all calls up to each number."""
        return orders.highest_so_far(self.place)

    def before(self, code: int) -> Sequence[int]:
        """How many calls of this outcome stand before each number; shape (n + 1,)."""
        found = self._before.get(code)
        if found is None:
            found = self._before[code] = orders.count_before(self.outcomes, code)
        return found

    def count(self, code: int) -> int:
        """How many calls ended so."""
        found = self._counts.get(code)
        if found is None:
            found = self._counts[code] = self.outcomes.count(code)
        return found

    def until(self, number: int) -> "Calls":
        """The first calls alone, up to ``number``."""
        return self._only(orders.numbers_from(0, number))

    def since(self, number: int) -> "Calls":
        """The calls from ``number`` on alone."""
        return self._only(orders.numbers_from(number, len(self)))

    def known(self) -> "Calls":
        """The calls alone whose outcome is known."""
        if not self.count(UNKNOWN):
            return self
        return self._only(orders.places_of(self.outcomes, SUCCEEDED, IGNORED))

    def _only(self, numbers: Sequence[int]) -> "Calls":
        return Calls(
            self.breaker,
            orders.taken(self.starts, numbers),
            orders.taken(self.ends, numbers),
            orders.taken(self.tooks, numbers),
            orders.codes_taken(self.outcomes, numbers),
            orders.kept(self.by_end, numbers),
        )


def _supposed(
    starts: Sequence[int], ends: Sequence[int], tooks: Sequence[int], outcomes: bytes
) -> tuple[Sequence[int], Sequence[int]]:
    """The ends and durations, with those of unknown outcomes supposed."""
    known = sorted(orders.taken(tooks, orders.places_of(outcomes, SUCCEEDED, IGNORED)))
    median = known[len(known) // 2] if known else 0
    ends, tooks = array("q", ends), array("q", tooks)
    for row in orders.places_of(outcomes, UNKNOWN, UNKNOWN):
        tooks[row], ends[row] = median, starts[row] + median
    return ends, tooks
