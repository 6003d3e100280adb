"""The search for the next event that may fire an edge of a closed breaker.

What is found is only a candidate: the fold decides on it. So a search may name an event too many,
but none too few. What may fire is known of each rule:

* Consecutive failures: a failure, with enough of them in a row.
* A window: a failed or slow call, which brings the share up; the outcome with which it holds as
  many as a rate asks for; and in a window of seconds, the first outcome of a second, with which
  those of an old second leave.
"""

from typing import Protocol

from recloser.columns.block import Block
from recloser.columns.count_search import CountSearch
from recloser.columns.limits import limits_of
from recloser.columns.rows import Rows
from recloser.columns.run_search import RunSearch
from recloser.columns.time_search import TimeSearch
from recloser.config import CircuitBreakerConfig, CountWindow
from recloser.state import BreakerState


class Scan(Protocol):
    """One rule's view of some rows."""

    def next(self, state: BreakerState, start: int, stop: int) -> int:
        """The first row from ``start`` on at which the rule may fire; ``stop`` if there is none.

        Args:
            state: The closed breaker as it is before ``start``.
            start: A row.
            stop: The end of rows that are all of the breaker's epoch.
        """


class Search(Scan, Protocol):
    """One rule's view of all rows of a part."""

    def scan(self, block: Block) -> Scan:
        """The same for a block of them, to be looked at row by row."""


def searches_of(rows: Rows, config: CircuitBreakerConfig) -> list[Search] | None:
    """A search for each rule that is on; None where one can't be searched for."""
    searches: list[Search] = []
    if config.failure_threshold is not None:
        searches.append(RunSearch(rows, config.failure_threshold))
    if config.window is None:
        return searches
    limits = limits_of(rows, config, config.window)
    if limits is None:
        return None
    if isinstance(config.window, CountWindow):
        searches.append(CountSearch(rows, config.window, limits))
    else:
        searches.append(TimeSearch(rows, config.window, limits))
    return searches
