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

OTHER: Final = kernel.OTHER
"""Kind of an event that the kernel has no row for."""

_AT_ONCE: Final = 1 << 16
_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)
_Rejected: Final = lean(CallRejected)
_Admitted: Final = lean(ProbeAdmitted)


def slices(count: int) -> Iterator[slice]:
    """Yield slices of ``count`` rows, each small enough for the processor's cache.

    What numpy computes from one slice reuses the memory of the slice before. Allocating new memory
    would cost more than most of the computations.
    """
    return (slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE))


@frozen(eq=False, slots=False)
class EventColumns:
    """Consecutive events of one breaker; all arrays have shape (n,).

    Attributes:
        breaker: The breaker's name.
        kinds: The kind of each event: a kind of the kernel's rows, or ``OTHER``.
        seqs: The ``seq`` of each.
        ats: The time of each, in nanoseconds of the log.
        epochs: The epoch of each; for an event without one, that of the row before.
        tooks: The duration of each call, in nanoseconds; 0 if it makes no difference.
        counts: The number of equal outcomes or rejections that each stands for.
        probes: The number of each outcome's probe; 0 for none.
        others: The events of kind ``OTHER``, by row, in order.
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

        The compiled kernel accepts any array. The interpreted one computes with the numbers that
        it gets from an array. Those of numpy would overflow, so it gets a ``memoryview``, which
        returns numbers of Python.
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
        """The row after the last."""
        return len(self.kinds)

    def seq(self, row: int) -> int:
        """Return the ``seq`` of a row."""
        return self.seqs.item(row)

    def at(self, row: int) -> int:
        """Return the time of a row, in nanoseconds of the log."""
        return self.ats.item(row)

    def first_row_from(self, seq: int) -> int:
        """Return the first row that has this ``seq`` or a later one."""
        return int(self.seqs.searchsorted(seq))

    def event(self, row: int) -> BreakerEvent:
        """Return the event of a row; an outcome or rejection in its lean form."""
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
            # The reason has no effect on the state, so any will do.
            return _Rejected(seq, at, self.breaker, Reason.COOLDOWN_ACTIVE, None, count)
        if kind == kernel.ADMITTED:
            return _Admitted(seq, at, self.breaker, epoch, probe)
        return self.others[row]
