"""Calls that were let past the lock: columns, until somebody looks at one as an event."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import compress, groupby, repeat
from typing import TYPE_CHECKING, Final, overload

from recloser.core import kernel
from recloser.core.events import CallFailed, CallIgnored, CallRejected, CallSucceeded
from recloser.core.kernel import Rows
from recloser.live.call_buffer import Pending, count_from, merged, put_in_order
from recloser.live.fast_path import Ending, Leave, Pass, Refusal
from recloser.log.codec import around_outcome, lean

if TYPE_CHECKING:
    from recloser.live.outcome_lines import Block

_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)
_Rejected: Final = lean(CallRejected)
_FEW: Final = 8
"""So few calls of a pass are not worth finding out what their lines have in common."""

Outcome = CallSucceeded | CallFailed | CallIgnored


class Calls:
    """Calls in the order in which they are folded, not numbered.

    Attributes:
        ats: When each was recorded, in nanoseconds of the log.
        tooks: How long each took, in nanoseconds.
        codes: The place of each one's pass in ``passes``.
        passes: What they were let past on or refused on, or what they ended with.
        counts: How many calls each stands for; None where that is one.
    """

    __slots__ = ("ats", "codes", "counts", "passes", "tooks")

    def __init__(
        self,
        ats: "array[int]",
        tooks: "array[int]",
        codes: bytes,
        passes: list[Pass],
        counts: "array[int] | None" = None,
    ) -> None:
        self.ats = ats
        self.tooks = tooks
        self.codes = codes
        self.passes = passes
        self.counts = counts

    @classmethod
    def of(cls, pending: Pending) -> "Calls":
        """A copy of those that are pending now: of all, or of the first that one copy can hold."""
        return cls(*pending.columns())

    def __len__(self) -> int:
        return len(self.ats)

    @property
    def used(self) -> list[Pass]:
        """The passes of these calls, each once: ``passes`` may have those of others too."""
        if len(self.passes) == 1:
            return self.passes
        return [self.passes[code] for code in sorted(set(self.codes))]

    @property
    def breakers(self) -> Sequence[str]:
        """Their breakers, each once."""
        return _breakers_of(self.used)

    def part(self, start: int, stop: int) -> "Calls":
        """Those from one place to another."""
        if start == 0 and stop >= len(self):
            return self
        ats, tooks, codes = self.ats[start:stop], self.tooks[start:stop], self.codes[start:stop]
        return Calls(ats, tooks, codes, self.passes)

    def merged(self) -> "Calls":
        """The same calls, with those of a breaker in one row that went well in one second.

        None of them is slow, and nothing else of the breaker is in between.
        """
        limits = array(
            "q", (each.slow_ns if isinstance(each, Leave) else -1 for each in self.passes)
        )
        names = [each.breaker for each in self.passes]
        breakers = bytes(map(names.index, names))
        ats, tooks, codes, counts = merged(self.ats, self.tooks, self.codes, limits, breakers)
        return Calls(ats, tooks, codes, self.passes, counts)

    def end_of_last(self, is_meant: Callable[[Pass], bool]) -> int:
        """The place after the last call whose pass is meant; 0 if none is."""
        return self.codes.translate(_table(list(map(is_meant, self.passes)))).rfind(1) + 1

    def put_in_order(self, at: int) -> None:
        """Have no time fall, nor be before ``at``.

        Threads may have come here in another order than they read the clock in.
        """
        put_in_order(self.ats, at)

    def each(self) -> Iterator[tuple[int, int, Pass]]:
        """When each was recorded, how long it took, and its pass."""
        return zip(self.ats, self.tooks, map(self.passes.__getitem__, self.codes), strict=True)

    def like(self, start: int, end: int) -> int:
        """How many from ``start`` on are of the same pass and end before ``end``; at least one."""
        codes = self.codes[start : bisect_left(self.ats, end, start)]
        return max(1, len(codes) - len(codes.lstrip(codes[:1])))

    def sorted_by(self, sort_of: Callable[[Pass], int]) -> Iterator[tuple[int, "Calls"]]:
        """Neighbours whose passes are of one sort, together with that."""
        sorts = [sort_of(passed) for passed in self.passes]
        if len(set(sorts)) == 1:
            yield sorts[0], self
            return
        start = 0
        for sort, group in groupby(self.codes.translate(_table(sorts))):
            stop = start + sum(1 for _ in group)
            yield sort, self.part(start, stop)
            start = stop


def _breakers_of(passes: Sequence[Pass]) -> Sequence[str]:
    return list(dict.fromkeys(passed.breaker for passed in passes))


def _table(values: Sequence[int]) -> bytes:
    """What turns codes into the values of their passes."""
    return bytes(values).ljust(256, b"\0")


def outcome(passed: Pass, seq: int, at: int, took_ns: int, count: int = 1) -> Outcome:
    """The lean event of a call that was let past, or of several that went well."""
    call = (seq, at, passed.breaker, passed.epoch, took_ns)
    return _event(passed.kind, call, _error_of(passed), count)


def _event(
    kind: int, call: tuple[int, int, str, int, int], error: str | None, count: int = 1
) -> Outcome:
    if kind == kernel.SUCCEEDED:
        return _Succeeded(*call, count=count)
    return (_Failed if kind == kernel.FAILED else _Ignored)(*call, 0, error)


def _error_of(passed: Pass) -> str | None:
    return passed.error if isinstance(passed, Ending) else None


def rejected(refusal: Refusal, seq: int, at: int, wait_ns: int | None) -> CallRejected:
    """The lean event of a call that was refused."""
    return _Rejected(seq, at, refusal.breaker, refusal.reason, wait_ns)


class Outcomes(Sequence[Outcome]):
    """Outcomes in the order of the log, each made an event when it is looked at.

    Args:
        calls: What they are.
        first_seq: The ``seq`` of the first.

    Attributes:
        passes: The passes of the calls, each once.
        first_seq: As above.
    """

    __slots__ = ("_calls", "first_seq", "passes")

    def __init__(self, calls: Calls, first_seq: int) -> None:
        self.first_seq = first_seq
        self._calls = calls
        self.passes = calls.used

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def last_at(self) -> int:
        """The time of the last, in nanoseconds of the log."""
        return self._calls.ats[-1]

    def __iter__(self) -> Iterator[Outcome]:
        calls = self._calls
        seqs = range(self.first_seq, self.first_seq + len(calls))
        only = self.passes[0]
        if calls.counts is None and len(self.passes) == 1 and only.kind == kernel.SUCCEEDED:
            names, epochs = repeat(only.breaker), repeat(only.epoch)
            return map(_Succeeded, seqs, calls.ats, names, epochs, calls.tooks)
        passes = map(calls.passes.__getitem__, calls.codes)
        return map(outcome, passes, seqs, calls.ats, calls.tooks, calls.counts or repeat(1))

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        if isinstance(index, slice):
            return list(self)[index]
        calls, place = self._calls, range(len(self))[index]
        passed = calls.passes[calls.codes[place]]
        count = 1 if calls.counts is None else calls.counts[place]
        return outcome(passed, self.first_seq + place, calls.ats[place], calls.tooks[place], count)

    @property
    def breakers(self) -> Sequence[str]:
        """Their breakers, each once."""
        return _breakers_of(self.passes)

    def count_if_plain(self, breaker: str) -> int:
        """How many of a breaker they are if all of them went well, and each by itself; else 0."""
        calls, number = self._calls, 0
        if calls.counts is not None:
            return 0
        if len(self.passes) == 1:
            return len(calls) if self.passes[0].kind == kernel.SUCCEEDED else 0
        for code, passed in enumerate(calls.passes):
            if passed.breaker == breaker:
                count = calls.codes.count(code)
                if count and passed.kind != kernel.SUCCEEDED:
                    return 0
                number += count
        return number

    def rows(self, breaker: str) -> tuple[Rows, int]:
        """The outcomes of one breaker as rows for the kernel, and their number.

        All of them are of one epoch.
        """
        calls = self._calls
        ats, tooks, codes = calls.ats, calls.tooks, calls.codes
        counts = _full(1, len(codes)) if calls.counts is None else calls.counts
        seqs = count_from(self.first_seq, len(codes))
        if len(self.passes) > 1 and any(passed.breaker != breaker for passed in self.passes):
            mine = codes.translate(_table([each.breaker == breaker for each in calls.passes]))
            columns = (ats, tooks, seqs, counts)
            ats, tooks, seqs, counts = (array("q", compress(each, mine)) for each in columns)
            codes = bytes(compress(codes, mine))
        epoch = next(passed.epoch for passed in self.passes if passed.breaker == breaker)
        kinds = codes.translate(_table([passed.kind for passed in calls.passes]))
        number = len(codes)
        rows = Rows(kinds, seqs, ats, tooks, _full(epoch, number), _full(0, number), counts)
        return rows, number

    def block(self) -> "Block | None":
        """What their lines are made of; None where too few of them have anything in common."""
        calls = self._calls
        if len(self) < _FEW * len(self.passes) or calls.counts is not None:
            return None
        around = [_around(each) for each in calls.passes]
        return self.first_seq, calls.ats, calls.tooks, calls.codes, around


def _full(value: int, number: int) -> "array[int]":
    return array("q", (value,)) * number


def _around(passed: Pass) -> tuple[bytes, bytes, bytes, bytes]:
    return _around_like(passed.kind, passed.breaker, passed.epoch, _error_of(passed))


@lru_cache(maxsize=1024)
def _around_like(
    kind: int, breaker: str, epoch: int, error: str | None
) -> tuple[bytes, bytes, bytes, bytes]:
    return around_outcome(_event(kind, (0, 1, breaker, epoch, 2), error))
