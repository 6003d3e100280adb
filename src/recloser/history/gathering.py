"""The events of a log gathered by breaker, as rows that the kernel runs over.

Rows come from lines where the module that reads them could be compiled, and from events otherwise;
both come to the same. What the kernel has no row for is kept as an event: among the rows of its
breaker, or, where it is about the whole log, beside them.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, TypeAlias, cast

from attrs import define

from recloser.core import kernel
from recloser.core.events import (
    BreakerEvent,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    StateChanged,
)
from recloser.errors import FoldError
from recloser.history.witnesses import is_witnessed_by
from recloser.log.checkpoint_line import CheckpointLine
from recloser.log.codec import full

Other: TypeAlias = BreakerEvent | CheckpointLine


@define(eq=False)
class BreakerRows:
    """The rows of one breaker, for ``columns.breaker_fold``.

    Attributes:
        breaker: Its name.
        columns: The columns, in which rows of other breakers may stand before and after them.
        seqs, ats: Two of them, as sequences of numbers.
        start, stop: The first row, and one past the last.
        others: The events that the kernel has no row for, by their row, in their order.
    """

    breaker: str
    columns: kernel.Rows
    seqs: Sequence[int]
    ats: Sequence[int]
    start: int
    stop: int
    others: Mapping[int, Other]

    def seq(self, row: int) -> int:
        """The ``seq`` of a row."""
        return self.seqs[row]

    def at(self, row: int) -> int:
        """The time of a row, in nanoseconds."""
        return self.ats[row]

    def place_of(self, seq: int) -> int:
        """The first row that has this ``seq`` or a later one."""
        return bisect_left(self.seqs, seq, self.start, self.stop)

    def event(self, row: int) -> BreakerEvent:
        """The event of a row that is asked for as it can't have happened, unless it begins a state.

        Raises:
            FoldError: It is an outcome. The fold of single events says what is wrong with it.
        """
        event = self.others.get(row)
        if event is None:
            raise FoldError(f"event {self.seq(row)} can't have happened")
        return event.read() if isinstance(event, CheckpointLine) else event


class Gathered(ABC):
    """Neighbouring events of a log, gathered by breaker.

    Attributes:
        seq, at: Those of the last event; -1 and 0 before a first event that may have any.
        size: How many events there are, seals and all.
        readings: The events about the whole log that can move a breaker or that have a reading of
            the clock.
        most: How many events fit into the cache of a processor.
    """

    most: ClassVar[int]

    seq: int
    at: int
    size: int
    readings: list[LogOpened | ClockTicked]

    @abstractmethod
    def begin(self, seq: int, at: int) -> None:
        """Drop all events, and go on after the one that has this ``seq`` and time."""

    @abstractmethod
    def by_breaker(self) -> Iterator[BreakerRows]:
        """The rows of each breaker."""

    @abstractmethod
    def witnessed(self, edges: Sequence[Edge]) -> int:
        """How many edges the log recorded, which are the first of these; -1 where one differs.

        Args:
            edges: The edges that its events lead to, in their lean forms.
        """


def compared(edges: Sequence[Edge], witnesses: Sequence[Event]) -> int:
    """How many witnesses there are, of the first of the edges; -1 where one differs."""
    count = len(witnesses)
    if count > len(edges):
        return -1
    for edge, witness in zip(edges, witnesses, strict=False):
        if not is_witnessed_by(full(edge), cast("StateChanged", full(witness))):
            return -1
    return count
