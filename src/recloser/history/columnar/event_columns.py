"""The events of one breaker as columns, which the kernel runs over."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final, TypeAlias

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from recloser.core import kernel
from recloser.core.events import (
    BreakerEvent,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ProbeAdmitted,
    Reason,
)
from recloser.log.codec import lean

Whole: TypeAlias = NDArray[np.int64]
Kinds: TypeAlias = NDArray[np.uint8]

OTHER: Final = kernel.ADMITTED + 1
"""The kind of an event that the kernel has no row for."""

_AT_ONCE: Final = 1 << 16
_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)
_Rejected: Final = lean(CallRejected)
_Admitted: Final = lean(ProbeAdmitted)


def slices(count: int) -> Iterator[slice]:
    """Slices of ``count`` rows, each small enough for the cache of a processor.

    What is made of a slice lies in memory that is at hand; new memory costs more than most of what
    numpy does with it.
    """
    return (slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE))


@frozen(eq=False, slots=False)
class Rows:
    """Events of one breaker in their order, a part of its history; all arrays have shape (n,).

    Attributes:
        breaker: Its name.
        kinds: What each event is: a kind of the kernel's rows, or ``OTHER``.
        seqs: Their ``seq``.
        ats: Their times, in nanoseconds of the log.
        epochs: Their epochs; for events that have none, that of the row before.
        tooks: How long each call took, in nanoseconds; 0 where that makes no difference.
        counts: How many like outcomes or refusals each stands for.
        probes: The number of each outcome's probe.
        others: The events of kind ``OTHER``, by their row, in their order.
    """

    breaker: str
    kinds: Kinds
    seqs: Whole
    ats: Whole
    epochs: Whole
    tooks: Whole
    counts: Whole
    probes: Whole
    others: Mapping[int, BreakerEvent] = field(factory=dict)

    def __len__(self) -> int:
        return len(self.kinds)

    @cached_property
    def columns(self) -> kernel.Rows:
        """The columns for the kernel, which shares their memory.

        Compiled, it takes any array. Interpreted, it computes with the numbers that it finds in
        one, and those of a numpy array would overflow: those of a ``memoryview`` are Python's.
        """
        return kernel.Rows(
            self.kinds.data,
            self.seqs.data,
            self.ats.data,
            self.tooks.data,
            self.epochs.data,
            self.probes.data,
            self.counts.data,
        )

    @property
    def start(self) -> int:
        """The first row."""
        return 0

    @property
    def stop(self) -> int:
        """One past the last row."""
        return len(self.kinds)

    def seq(self, row: int) -> int:
        """The ``seq`` of a row."""
        return self.seqs.item(row)

    def at(self, row: int) -> int:
        """The time of a row."""
        return self.ats.item(row)

    def place_of(self, seq: int) -> int:
        """The first row that has this ``seq`` or a later one."""
        return int(self.seqs.searchsorted(seq))

    def event(self, row: int) -> BreakerEvent:
        """The event of this row; an outcome or a refusal in its lean form."""
        kind = self.kinds.item(row)
        seq, at, epoch = self.seqs.item(row), self.ats.item(row), self.epochs.item(row)
        took, probe, count = self.tooks.item(row), self.probes.item(row), self.counts.item(row)
        if kind == kernel.SUCCEEDED:
            return _Succeeded(seq, at, self.breaker, epoch, took, probe, count)
        if kind == kernel.FAILED:
            return _Failed(seq, at, self.breaker, epoch, took, probe)
        if kind == kernel.IGNORED:
            return _Ignored(seq, at, self.breaker, epoch, took, probe)
        if kind == kernel.REJECTED:
            # Why a call was refused decides nothing.
            return _Rejected(seq, at, self.breaker, Reason.COOLDOWN_ACTIVE, None, count)
        if kind == kernel.ADMITTED:
            return _Admitted(seq, at, self.breaker, epoch, probe)
        return self.others[row]
