"""The events of one breaker as columns, and what can be found in them without a loop."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from recloser.events import (
    BreakerEvent,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ProbeAdmitted,
    Reason,
)
from recloser.log.codec import lean
from recloser.validation import NS_PER_SECOND

Whole: TypeAlias = NDArray[np.int64]
Places: TypeAlias = NDArray[np.intp]
Flags: TypeAlias = NDArray[np.bool_]

SUCCEEDED: Final = 0
FAILED: Final = 1
IGNORED: Final = 2
REJECTED: Final = 3
PROBE: Final = 4
OTHER: Final = 5

_FEWEST: Final = 64  # about an edge stand fewer rows, which are quicker taken one by one
_MOST: Final = 1024
_AT_ONCE: Final = 1 << 16
_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)
_Rejected: Final = lean(CallRejected)
_Admitted: Final = lean(ProbeAdmitted)


def slices(count: int) -> Iterator[slice]:
    """So many rows in slices small enough for a cache.

    What is made of a slice lies in memory that is at hand, and new memory is dearer than most of
    what numpy does with it.
    """
    return (slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE))


def where(count: int, flagged: Callable[[slice], Flags]) -> Places:
    """Which of so many rows are flagged."""
    found = [flagged(part).nonzero()[0] + part.start for part in slices(count)]
    return np.concatenate(found) if found else np.zeros(0, np.intp)


@frozen(eq=False, slots=False)
class Rows:
    """Events of one breaker in their order, a stretch of its history; all arrays have shape (n,).

    Attributes:
        breaker: Its name.
        letters: What each event is, a byte each: one of the six codes of this module. Python is
            quicker to look at them one by one than at an array.
        seqs: Their ``seq``.
        ats: Their times, in nanoseconds of the log.
        epochs: Their epochs; for events that have none, that of the row before.
        tooks: How long each call took, in nanoseconds; 0 where that makes no difference.
        counts: How many like outcomes or refusals each stands for.
        others: The events of code ``OTHER``, by their row.
        probes: The number of each outcome's probe.
    """

    breaker: str
    letters: bytes
    seqs: Whole
    ats: Whole
    epochs: NDArray[np.integer]
    tooks: Whole
    counts: Whole
    probes: Whole
    others: Mapping[int, BreakerEvent] = field(factory=dict)

    def __len__(self) -> int:
        return len(self.letters)

    def events(self, start: int, stop: int) -> list[BreakerEvent]:
        """The events of these rows, in their lean form."""
        part = slice(start, stop)
        columns = (self.kinds, self.seqs, self.ats, self.epochs, self.tooks, self.probes)
        fields = (column[part].tolist() for column in (*columns, self.counts))
        return [
            self._event(row, values) for row, values in enumerate(zip(*fields, strict=True), start)
        ]

    def event(self, row: int) -> BreakerEvent:
        """The event of this row, in its lean form."""
        kind = self.letters[row]
        if kind == OTHER:
            return self.others[row]
        seq, at, epoch = self.seqs.item(row), self.ats.item(row), self.epochs.item(row)
        took, probe, count = self.tooks.item(row), self.probes.item(row), self.counts.item(row)
        return self._event(row, (kind, seq, at, epoch, took, probe, count))

    def _event(self, row: int, values: tuple[int, ...]) -> BreakerEvent:
        kind, seq, at, epoch, took, probe, count = values
        if kind == SUCCEEDED:
            return _Succeeded(seq, at, self.breaker, epoch, took, probe, count)
        if kind == FAILED:
            return _Failed(seq, at, self.breaker, epoch, took, probe)
        if kind == IGNORED:
            return _Ignored(seq, at, self.breaker, epoch, took, probe)
        if kind == REJECTED:
            # Why a call was refused decides nothing.
            return _Rejected(seq, at, self.breaker, Reason.COOLDOWN_ACTIVE, None, count)
        if kind == PROBE:
            return _Admitted(seq, at, self.breaker, epoch, probe)
        return self.others[row]

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """The letters as an array."""
        return np.frombuffer(self.letters, np.uint8)

    @cached_property
    def failures(self) -> Places:
        """The rows of failures."""
        failures: Places = self._unusual[self.kinds[self._unusual] == FAILED]
        return failures

    @cached_property
    def outside(self) -> Places:
        """The rows of what is neither a success nor a failure."""
        outside: Places = self._unusual[self.kinds[self._unusual] > FAILED]
        return outside

    @cached_property
    def _unusual(self) -> Places:
        """The rows of all but successes."""
        kinds = self.kinds
        return where(len(self), lambda part: kinds[part] != SUCCEEDED)

    @cached_property
    def breaks(self) -> Places:
        """The rows that are other than the row before in more than how a call ended."""
        before, after = self.epochs[:-1], self.epochs[1:]
        changes = where(len(after), lambda part: after[part] != before[part]) + 1
        others = self.outside[self.kinds[self.outside] > REJECTED]
        return np.union1d(changes, others) if len(others) else changes

    def codes(self, part: slice, slow_ns: int | None) -> Whole:
        """The successes and failures among some rows, each as ``CountedOutcomes`` has it."""
        kinds = self.kinds[part]
        codes: Whole = self.seqs[part] << 2 | (kinds == FAILED).astype(np.int64) << 1
        if slow_ns is not None:
            codes |= self.tooks[part] > slow_ns
        return codes[kinds <= FAILED]

    def slow(self, limit_ns: int) -> Places:
        """The rows of outcomes that took longer than this."""
        return where(
            len(self), lambda part: (self.tooks[part] > limit_ns) & (self.kinds[part] <= FAILED)
        )

    @cached_property
    def failure_ranks(self) -> Places:
        """The rank of each failure."""
        return self.ranks(self.failures)

    @cached_property
    def failure_gaps(self) -> Places:
        """How many successes stand before each failure."""
        return self.failure_ranks - np.arange(len(self.failures))

    def rank(self, row: int) -> int:
        """How many outcomes that count stand before a row, 0 <= row <= n."""
        if self.weights is not None:
            return int(self.weights[row])
        return row - int(self.outside.searchsorted(row))

    def ranks(self, rows: Places) -> Places:
        """How many outcomes that count stand before each of these rows."""
        if self.weights is not None:
            return self.weights[rows]
        return rows - self.outside.searchsorted(rows)

    def row_of(self, rank: int) -> int:
        """The row of the outcome of this rank; n if there is none."""
        if self.weights is not None:
            return int(self.weights.searchsorted(rank, "right")) - 1
        return min(len(self), rank + int(self._inside.searchsorted(rank, "right")))

    @cached_property
    def _inside(self) -> Places:
        """How many successes and failures stand before each row outside."""
        return self.outside - np.arange(len(self.outside))

    @cached_property
    def weights(self) -> Places | None:
        """The rank of each row, shape (n + 1,), where some rows stand for several outcomes."""
        if self.counts.strides == (0,) and self.counts[0] == 1:
            return None  # one number that stands for all rows
        several = np.flatnonzero(self.counts != 1)
        if not (self.kinds[several] <= FAILED).any():
            return None
        counted = np.where(self.kinds <= FAILED, self.counts, 0)
        return np.concatenate(([0], np.cumsum(counted)))

    def first_at(self, at: int, start: int, stop: int) -> int:
        """The first of the rows start..stop-1 whose time is ``at`` or later; ``stop`` if none is."""
        return start + int(self.ats[start:stop].searchsorted(at))

    def first_behind(self, seq: int, start: int, stop: int) -> int:
        """The first of the rows start..stop-1 behind an event of this ``seq``; ``stop`` if none."""
        return start + int(self.seqs[start:stop].searchsorted(seq))

    @cached_property
    def seconds(self) -> tuple[Whole, Places]:
        """The whole seconds of ``at`` that hold any row, and the first row of each."""
        first, last = (int(at) // NS_PER_SECOND for at in (self.ats[0], self.ats[-1]))
        if last - first < len(self) // 8:
            seconds = np.arange(first, last + 1)
            starts = self.ats.searchsorted(seconds * NS_PER_SECOND)
            held = np.diff(starts, append=len(self)) > 0
            return seconds[held], starts[held]
        of_row = self.ats // NS_PER_SECOND
        starts = np.flatnonzero(np.diff(of_row, prepend=of_row[0] - 1))
        return of_row[starts], starts


class Cursor:
    """Hands out the events of rows one by one; the longer it is in one place, the more at once."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._start = self._stop = 0
        self._events: Sequence[BreakerEvent] = ()
        self._size = 1

    def event(self, row: int) -> BreakerEvent:
        """The event of this row."""
        if not self._start <= row < self._stop:
            self._size = min(_MOST, 2 * self._size) if row == self._stop else 1
            if self._size < _FEWEST:
                self._start = self._stop = row + 1
                return self._rows.event(row)
            self._start, self._stop = row, min(len(self._rows), row + self._size)
            self._events = self._rows.events(self._start, self._stop)
        return self._events[row - self._start]
