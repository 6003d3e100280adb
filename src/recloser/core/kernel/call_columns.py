# cython: language_level=3, annotation_typing=False, freethreading_compatible=True
# cython: boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Calls whose starts and ends are known, and how far a simulation of a breaker has come in them.

The *start index* of a call is its index in the order of the starts, from 0; its *end index* is that in
the order of the ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recloser.core.kernel.ring import Ring
from recloser.core.kernel.rows import Buffer, Rows
from recloser.core.kernel.window import Window

if TYPE_CHECKING:
    import cython  # by this line the compiler knows the name; it is never run
else:
    from recloser.core import interpreted as cython

if not cython.compiled:  # compiled code has these as C, from the .pxd files
    from recloser.core.kernel.ring import (
        first_index,
        last_position,
        pop_item,
        position_of,
        push_item,
    )
    from recloser.core.kernel.rows import first_from


class CallColumns:
    """The calls of one breaker, as columns of equal length.

    Args:
        starts: When each started, in nanoseconds of the log, by start index.
        ended_before: How many calls have ended before each starts, by start index.
        by_end: The start index of each call, by end index.
        ends, tooks: When each ended and how long it took, in nanoseconds, by end index.
        outcomes: How each ended, by end index: ``SUCCEEDED``, ``FAILED``, ``IGNORED`` or
            ``UNKNOWN``, as 8-bit integers; all other columns are of 64-bit integers.
    """

    __slots__ = ("by_end", "ended_before", "ends", "outcomes", "size", "starts", "tooks")

    def __init__(
        self,
        starts: Buffer,
        ended_before: Buffer,
        by_end: Buffer,
        ends: Buffer,
        tooks: Buffer,
        outcomes: Buffer,
    ) -> None:
        self.starts = memoryview(starts)
        self.ended_before = memoryview(ended_before)
        self.by_end = memoryview(by_end)
        self.ends = memoryview(ends)
        self.tooks = memoryview(tooks)
        self.outcomes = memoryview(outcomes)
        self.size = len(starts)


class Progress:
    """How far a simulated breaker has come in its calls.

    Args:
        calls: The calls.
        is_shadow: Whether rejected calls are made all the same, so that their ends are noticed.
        is_shared: Whether to stop where a deadline is due, since other breakers on the same log may
            notice it earlier.

    Attributes:
        next_start: Start index of the next start to look at. While the breaker is closed it is
            right only where a rule has fired.
        next_end: End index of the next end to look at.
        at: When the rule fired, or when the start or end is at which ``simulate`` has stopped.
        epoch: The epoch of the state when it was last looked at.
        since: Start index of the first call that starts in this epoch.
        before: How many calls that started earlier end at ``next_end`` or later.
        rejected: Each range of calls that were rejected: its first start index, and one past its
            last.
        probes: Start index of each call of this epoch that was let through as a probe.
        lower, upper: The window of a closed breaker while it holds unknown outcomes: as if each of
            them was a quick success, and as if each was a slow failure; else None.
        rows: The rows that the next ends are applied as; None before the first.
        dated: How many entries of ``epochs`` hold this epoch.
        epochs: The epoch column of ``rows``.
    """

    __slots__ = (
        "at",
        "before",
        "calls",
        "dated",
        "epoch",
        "epochs",
        "is_shadow",
        "is_shared",
        "lower",
        "next_end",
        "next_start",
        "probes",
        "rejected",
        "rows",
        "since",
        "upper",
    )
    epochs: memoryview

    def __init__(
        self, calls: CallColumns, is_shadow: bool = False, is_shared: bool = False
    ) -> None:
        self.calls = calls
        self.is_shadow = is_shadow
        self.is_shared = is_shared
        self.next_start = 0
        self.next_end = 0
        self.at = 0
        self.epoch = -1
        self.since = 0
        self.before = 0
        self.rejected = Ring(2)
        self.probes = Ring(1)
        self.lower: Window | None = None
        self.upper: Window | None = None
        self.rows: Rows | None = None
        self.dated = 0

    def copy(self) -> Progress:
        """A copy that can go on independently of this one."""
        other = Progress(self.calls, self.is_shadow, self.is_shared)
        other.next_start = self.next_start
        other.next_end = self.next_end
        other.at = self.at
        other.epoch = self.epoch
        other.since = self.since
        other.before = self.before
        other.rejected = self.rejected.copy()
        other.probes = self.probes.copy()
        other.lower = None if self.lower is None else self.lower.copy()
        other.upper = None if self.upper is None else self.upper.copy()
        return other


def is_let_through(progress: Progress, call: int) -> bool:
    """Whether the breaker let a call through that has started, given by its start index."""
    if progress.is_shadow:
        return True
    ranges = progress.rejected
    index = first_index(ranges, 1, call + 1)  # the first range that ends after the call
    return index == ranges.length or call < ranges.items[position_of(ranges, index)]


def forget_rejected(progress: Progress, start_index: int) -> None:
    """Drop the ranges of rejected calls before a start index, all of which have ended."""
    ranges = progress.rejected
    while ranges.length and ranges.items[position_of(ranges, 0) + 1] <= start_index:
        pop_item(ranges)


def probe_of(progress: Progress, call: int) -> int:
    """Which probe of this epoch a call is, from 1; 0 if it is none. It is given by start index."""
    probes = progress.probes
    index = first_index(probes, 0, call)
    if index == probes.length or probes.items[position_of(probes, index)] != call:
        return 0
    return index + 1


def reject_until(progress: Progress, start_index: int) -> None:
    """Reject the calls from the next start up to one before ``start_index``."""
    ranges = progress.rejected
    if ranges.length and ranges.items[last_position(ranges) + 1] == progress.next_start:
        ranges.items[last_position(ranges) + 1] = start_index
    elif start_index > progress.next_start:
        position = push_item(ranges)
        ranges.items[position] = progress.next_start
        ranges.items[position + 1] = start_index
    progress.next_start = start_index


def started_before(calls: CallColumns, end_index: int) -> int:
    """How many calls have started before the one with this end index ends."""
    return first_from(calls.ended_before, end_index + 1, calls.size, end_index + 1)
