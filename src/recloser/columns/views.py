"""Two ways to look at rows.

From afar, what may move a breaker is searched for in whole arrays: next to nothing a row, but so
much a search that it pays only over long stretches. From nearby, rows are looked at one by one.
"""

from collections.abc import Sequence
from typing import Protocol

from recloser.columns.block import Block
from recloser.columns.rows import Cursor, Rows
from recloser.columns.search import Scan, Search, searches_of
from recloser.columns.stretches import refused_in, refused_of, stretch_in, stretch_of
from recloser.config import CircuitBreakerConfig
from recloser.events import BreakerEvent
from recloser.fold import Stretch
from recloser.state import BreakerState


class View(Protocol):
    """Rows, up to one.

    Attributes:
        stop: The row behind the last.
    """

    stop: int

    def event(self, row: int) -> BreakerEvent:
        """The event of a row, in its lean form."""

    def next_break(self, row: int) -> int:
        """The next row behind this that is other than the one before; see ``Rows.breaks``."""

    def scans(self, config: CircuitBreakerConfig) -> Sequence[Scan] | None:
        """What finds the rows that may fire each rule; None where a rule can't be searched for."""

    def stretch(self, state: BreakerState, start: int, stop: int) -> Stretch:
        """Rows of the epoch of a closed breaker, none of which fires an edge, summed up."""

    def refused(self, start: int, stop: int) -> Stretch:
        """Rows of an open breaker, none of which fires an edge, summed up."""


class Far:
    """All rows of a part, from afar."""

    def __init__(self, rows: Rows) -> None:
        self.rows, self.stop = rows, len(rows)
        self.event = Cursor(rows).event
        self._searches: tuple[CircuitBreakerConfig | None, list[Search] | None] = None, None

    def next_break(self, row: int) -> int:
        """The next row behind this that is other than the one before; see ``Rows.breaks``."""
        breaks = self.rows.breaks
        place = int(breaks.searchsorted(row, "right"))
        return int(breaks[place]) if place < len(breaks) else self.stop

    def scans(self, config: CircuitBreakerConfig) -> Sequence[Search] | None:
        """What finds the rows that may fire each rule; None where a rule can't be searched for."""
        known, found = self._searches
        if known is not config:  # to compare by value takes as long as a search
            if known != config:
                found = searches_of(self.rows, config)
            self._searches = config, found
        return found

    def stretch(self, state: BreakerState, start: int, stop: int) -> Stretch:
        """Rows of the epoch of a closed breaker, none of which fires an edge, summed up."""
        return stretch_of(self.rows, state, start, stop)

    def refused(self, start: int, stop: int) -> Stretch:
        """Rows of an open breaker, none of which fires an edge, summed up."""
        return refused_of(self.rows, start, stop)


class Near:
    """Some rows of a part, from nearby.

    Args:
        far: All of them.
        start: The first of them.
        stop: The row behind the last.
    """

    def __init__(self, far: Far, start: int, stop: int) -> None:
        self.stop = stop
        self.event = far.rows.event
        self._far, self._block = far, Block(far.rows, start, stop)
        self._scans: tuple[CircuitBreakerConfig, list[Scan] | None] | None = None

    def next_break(self, row: int) -> int:
        """The next row behind this that is other than the one before; see ``Rows.breaks``."""
        return self._block.next_break(row)

    def scans(self, config: CircuitBreakerConfig) -> Sequence[Scan] | None:
        """What finds the rows that may fire each rule; None where a rule can't be searched for."""
        # Told apart by identity: to compare two by value takes as long as a short stretch does.
        if self._scans is None or self._scans[0] is not config:
            searches = self._far.scans(config)
            found = None if searches is None else [each.scan(self._block) for each in searches]
            self._scans = config, found
        return self._scans[1]

    def stretch(self, state: BreakerState, start: int, stop: int) -> Stretch:
        """Rows of the epoch of a closed breaker, none of which fires an edge, summed up."""
        return stretch_in(self._block, state, start, stop)

    def refused(self, start: int, stop: int) -> Stretch:
        """Rows of an open breaker, none of which fires an edge, summed up."""
        return refused_in(self._block, start, stop)
