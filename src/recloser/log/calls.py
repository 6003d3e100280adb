"""Calls that were let past the lock: columns, until somebody looks at one as an event."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Final, Self, cast, overload

from recloser.events import CallRejected, CallSucceeded
from recloser.gate import PENDING_WIDTH, Pass, Pending, Refusal
from recloser.log.codec import around_success, lean

if TYPE_CHECKING:
    from recloser.log.success_lines import Block

_Succeeded: Final = lean(CallSucceeded)
_Rejected: Final = lean(CallRejected)
_FEW: Final = 8
"""So few calls of a pass are not worth finding out what their lines have in common."""

_breaker_of: Final = attrgetter("breaker")
_epoch_of: Final = attrgetter("epoch")


class Calls:
    """Calls in the order in which they are folded, not numbered.

    Attributes:
        ats: When each was recorded, in nanoseconds of the log.
        tooks: How long each took, in nanoseconds.
        passes: What each was let past on, or refused on.
    """

    __slots__ = ("ats", "passes", "tooks")

    def __init__(self, ats: list[int], tooks: list[int], passes: list[Pass]) -> None:
        self.ats = ats
        self.tooks = tooks
        self.passes = passes

    @classmethod
    def of(cls, pending: Pending) -> Self:
        """A copy of all that are pending now."""
        flat = pending[:]
        columns = [flat[place::PENDING_WIDTH] for place in range(PENDING_WIDTH)]
        return cls(*cast("tuple[list[int], list[int], list[Pass]]", columns))

    def __len__(self) -> int:
        return len(self.ats)

    def part(self, start: int, stop: int) -> "Calls":
        """Those from one place to another."""
        if start == 0 and stop >= len(self):
            return self
        return Calls(self.ats[start:stop], self.tooks[start:stop], self.passes[start:stop])

    def put_in_order(self, at: int) -> None:
        """Have no time fall, nor be before ``at``.

        Threads may have come here in another order than they read the clock in.
        """
        if self.ats[0] < at or self.ats != sorted(self.ats):
            self.ats = list(accumulate(self.ats, max, initial=at))[1:]


def succeeded(passed: Pass, seq: int, at: int, took_ns: int, count: int = 1) -> CallSucceeded:
    """The lean event of successes that took leave."""
    return _Succeeded(seq, at, passed.breaker, passed.epoch, took_ns, count=count)


def rejected(refusal: Refusal, seq: int, at: int, wait_ns: int | None) -> CallRejected:
    """The lean event of a call that was refused."""
    return _Rejected(seq, at, refusal.breaker, refusal.reason, wait_ns)


class Successes(Sequence[CallSucceeded]):
    """Successes in the order of the log, each made an event when it is looked at.

    Args:
        calls: What they are.
        first_seq: The ``seq`` of the first.

    Attributes:
        counts: How many they are, by breaker.
    """

    __slots__ = ("_ats", "_first_seq", "_leaves", "_tooks", "counts")

    def __init__(self, calls: Calls, first_seq: int) -> None:
        self._first_seq = first_seq
        self._ats = calls.ats
        self._tooks = calls.tooks
        if calls.passes.count(calls.passes[0]) == len(calls):
            self._leaves = calls.passes[:1]
            self.counts: Mapping[str, int] = {self._leaves[0].breaker: len(calls)}
        else:
            self._leaves = calls.passes
            self.counts = Counter(map(_breaker_of, calls.passes))

    def __len__(self) -> int:
        return len(self._ats)

    def __iter__(self) -> Iterator[CallSucceeded]:
        seqs = range(self._first_seq, self._first_seq + len(self))
        names: Iterator[str]
        epochs: Iterator[int]
        if len(self._leaves) == 1:
            names, epochs = repeat(self._leaves[0].breaker), repeat(self._leaves[0].epoch)
        else:
            names, epochs = map(_breaker_of, self._leaves), map(_epoch_of, self._leaves)
        return map(_Succeeded, seqs, self._ats, names, epochs, self._tooks)

    @overload
    def __getitem__(self, index: int) -> CallSucceeded: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CallSucceeded]: ...
    def __getitem__(self, index: int | slice) -> CallSucceeded | Sequence[CallSucceeded]:
        if isinstance(index, slice):
            return list(self)[index]
        place = range(len(self))[index]
        leave = self._leaves[place if len(self._leaves) > 1 else 0]
        return succeeded(leave, self._first_seq + place, self._ats[place], self._tooks[place])

    def block(self) -> "Block | None":
        """What their lines are made of; None where too few of them have anything in common."""
        passes = set(self._leaves)
        if len(self) < _FEW * len(passes):
            return None
        between = {each: around_success(each.breaker, each.epoch)[2] for each in passes}
        return self._first_seq, self._ats, self._tooks, [between[leave] for leave in self._leaves]
