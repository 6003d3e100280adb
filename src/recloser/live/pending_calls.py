"""Buffered calls as columns, which become events only when somebody looks at them."""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import compress, groupby, repeat
from typing import TYPE_CHECKING, Final, overload

from recloser.core import kernel
from recloser.core.events import CallFailed, CallIgnored, CallRejected, CallSucceeded
from recloser.core.kernel import Rows
from recloser.live.call_buffer import CallBuffer, count_from, merged, put_in_order
from recloser.live.call_tokens import AdmitToken, CallToken, OutcomeToken, RejectToken
from recloser.log.codec import around_outcome, lean

if TYPE_CHECKING:
    from recloser.live.outcome_lines import Block

_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)
_Rejected: Final = lean(CallRejected)
_FEW_PER_TOKEN: Final = 8
"""With fewer calls than this per token, preparing what their lines have in common is not worth it."""

Outcome = CallSucceeded | CallFailed | CallIgnored


class PendingCalls:
    """Calls in the order in which they are folded, which have no ``seq`` yet.

    Attributes:
        ats: When each call was recorded, in nanoseconds of the log.
        tooks: How long each call took, in nanoseconds.
        codes: The index of each call's token in ``tokens``.
        tokens: The tokens of the calls; there may be further tokens that none of the calls has.
        counts: How many calls each row stands for; None if each row is one call.
    """

    __slots__ = ("ats", "codes", "counts", "tokens", "tooks")

    def __init__(
        self,
        ats: "array[int]",
        tooks: "array[int]",
        codes: bytes,
        tokens: list[CallToken],
        counts: "array[int] | None" = None,
    ) -> None:
        self.ats = ats
        self.tooks = tooks
        self.codes = codes
        self.tokens = tokens
        self.counts = counts

    @classmethod
    def of(cls, call_buffer: CallBuffer) -> "PendingCalls":
        """Copy the calls that are buffered now, or as many of the first as one copy can hold.

        Args:
            call_buffer: The buffer, which is not changed.
        """
        return cls(*call_buffer.columns())

    def __len__(self) -> int:
        return len(self.ats)

    @property
    def used_tokens(self) -> list[CallToken]:
        """The tokens that these calls have, each once."""
        if len(self.tokens) == 1:
            return self.tokens
        return [self.tokens[code] for code in sorted(set(self.codes))]

    @property
    def breakers(self) -> Sequence[str]:
        """The names of the calls' breakers, each once."""
        return _breakers_of(self.used_tokens)

    def slice(self, start: int, stop: int) -> "PendingCalls":
        """Return the calls from index ``start`` up to, and without, index ``stop``."""
        if start == 0 and stop >= len(self):
            return self
        ats, tooks, codes = self.ats[start:stop], self.tooks[start:stop], self.codes[start:stop]
        return PendingCalls(ats, tooks, codes, self.tokens)

    def merged(self) -> "PendingCalls":
        """Return the same calls, with consecutive successes of a breaker and second as one row.

        Slow calls are not merged, and calls of a breaker are consecutive if none of its other calls
        is between them.
        """
        limits = array(
            "q", (each.slow_ns if isinstance(each, AdmitToken) else -1 for each in self.tokens)
        )
        names = [each.breaker for each in self.tokens]
        breakers = bytes(map(names.index, names))
        ats, tooks, codes, counts = merged(self.ats, self.tooks, self.codes, limits, breakers)
        return PendingCalls(ats, tooks, codes, self.tokens, counts)

    def index_after_last(self, is_meant: Callable[[CallToken], bool]) -> int:
        """Return the index just past the last call whose token meets a condition; 0 if none does.

        Args:
            is_meant: The condition.
        """
        return self.codes.translate(_table(list(map(is_meant, self.tokens)))).rfind(1) + 1

    def put_in_order(self, at: int) -> None:
        """Raise each call's time to the latest time before it, and to ``at`` at least.

        Threads may have appended their calls in another order than the one in which they read the
        clock; the order of the buffer is the one that counts.

        Args:
            at: The time of the log so far, in nanoseconds.
        """
        put_in_order(self.ats, at)

    def each(self) -> Iterator[tuple[int, int, CallToken]]:
        """Iterate over the time, the duration and the token of each call."""
        return zip(self.ats, self.tooks, map(self.tokens.__getitem__, self.codes), strict=True)

    def count_alike(self, start: int, end: int) -> int:
        """Count consecutive calls of one token that ended before a time; at least 1.

        Args:
            start: The index of the first call.
            end: The time in nanoseconds of the log.
        """
        codes = self.codes[start : bisect_left(self.ats, end, start)]
        return max(1, len(codes) - len(codes.lstrip(codes[:1])))

    def grouped_by(self, key: Callable[[CallToken], int]) -> Iterator[tuple[int, "PendingCalls"]]:
        """Split the calls into groups of neighbours whose tokens have the same key.

        Args:
            key: Gives the key of a token, from 0 to 255.

        Yields:
            The key and the calls of each group.
        """
        keys = [key(token) for token in self.tokens]
        if len(set(keys)) == 1:
            yield keys[0], self
            return
        start = 0
        for each, group in groupby(self.codes.translate(_table(keys))):
            stop = start + sum(1 for _ in group)
            yield each, self.slice(start, stop)
            start = stop


def _breakers_of(tokens: Sequence[CallToken]) -> Sequence[str]:
    return list(dict.fromkeys(token.breaker for token in tokens))


def _table(values: Sequence[int]) -> bytes:
    """Return a table for ``bytes.translate`` from codes to values of their tokens."""
    return bytes(values).ljust(256, b"\0")


def outcome_event(token: CallToken, seq: int, at: int, took_ns: int, count: int = 1) -> Outcome:
    """Make the lean event of an admitted call, or of several successful calls.

    Args:
        token: The token of the calls.
        seq: The event's ``seq``.
        at: The event's time in nanoseconds of the log.
        took_ns: The duration of the call, or of the first call, in nanoseconds.
        count: How many calls the event records.
    """
    call = (seq, at, token.breaker, token.epoch, took_ns)
    return _event(token.kind, call, _error_of(token), count)


def _event(
    kind: int, call: tuple[int, int, str, int, int], error: str | None, count: int = 1
) -> Outcome:
    if kind == kernel.SUCCEEDED:
        return _Succeeded(*call, count=count)
    return (_Failed if kind == kernel.FAILED else _Ignored)(*call, 0, error)


def _error_of(token: CallToken) -> str | None:
    return token.error if isinstance(token, OutcomeToken) else None


def rejection_event(token: RejectToken, seq: int, at: int, wait_ns: int | None) -> CallRejected:
    """Make the lean event of a rejected call.

    Args:
        token: The token with which the call was rejected.
        seq: The event's ``seq``.
        at: The event's time in nanoseconds of the log.
        wait_ns: Nanoseconds until a call may be admitted; None if that is not known.
    """
    return _Rejected(seq, at, token.breaker, token.reason, wait_ns)


class Outcomes(Sequence[Outcome]):
    """Outcomes in the order of the log, each made into an event only when it is looked at.

    Args:
        calls: The calls, as columns.
        first_seq: The ``seq`` of the first call.

    Attributes:
        tokens: The tokens of the calls, each once.
        first_seq: The ``seq`` of the first call.
    """

    __slots__ = ("_calls", "first_seq", "tokens")

    def __init__(self, calls: PendingCalls, first_seq: int) -> None:
        self.first_seq = first_seq
        self._calls = calls
        self.tokens = calls.used_tokens

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def last_at(self) -> int:
        """The time of the last outcome, in nanoseconds of the log."""
        return self._calls.ats[-1]

    def __iter__(self) -> Iterator[Outcome]:
        calls = self._calls
        seqs = range(self.first_seq, self.first_seq + len(calls))
        only = self.tokens[0]
        if calls.counts is None and len(self.tokens) == 1 and only.kind == kernel.SUCCEEDED:
            names, epochs = repeat(only.breaker), repeat(only.epoch)
            return map(_Succeeded, seqs, calls.ats, names, epochs, calls.tooks)
        tokens = map(calls.tokens.__getitem__, calls.codes)
        return map(outcome_event, tokens, seqs, calls.ats, calls.tooks, calls.counts or repeat(1))

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, index: int | slice) -> Outcome | Sequence[Outcome]:
        if isinstance(index, slice):
            return list(self)[index]
        calls, row = self._calls, range(len(self))[index]
        token, seq = calls.tokens[calls.codes[row]], self.first_seq + row
        count = 1 if calls.counts is None else calls.counts[row]
        return outcome_event(token, seq, calls.ats[row], calls.tooks[row], count)

    @property
    def breakers(self) -> Sequence[str]:
        """The names of the outcomes' breakers, each once."""
        return _breakers_of(self.tokens)

    def count_if_plain(self, breaker: str) -> int:
        """Return the number of a breaker's outcomes if all are single successes, or else 0.

        Args:
            breaker: The breaker's name.
        """
        calls, total = self._calls, 0
        if calls.counts is not None:
            return 0
        if len(self.tokens) == 1:
            return len(calls) if self.tokens[0].kind == kernel.SUCCEEDED else 0
        for code, token in enumerate(calls.tokens):
            if token.breaker == breaker:
                count = calls.codes.count(code)
                if count and token.kind != kernel.SUCCEEDED:
                    return 0
                total += count
        return total

    def rows(self, breaker: str) -> tuple[Rows, int]:
        """Return the outcomes of one breaker, which have one epoch, as rows for the kernel.

        Args:
            breaker: The breaker's name.

        Returns:
            The rows, and how many there are.
        """
        calls = self._calls
        ats, tooks, codes = calls.ats, calls.tooks, calls.codes
        counts = _full(1, len(codes)) if calls.counts is None else calls.counts
        seqs = count_from(self.first_seq, len(codes))
        if len(self.tokens) > 1 and any(token.breaker != breaker for token in self.tokens):
            is_mine = codes.translate(_table([each.breaker == breaker for each in calls.tokens]))
            columns = (ats, tooks, seqs, counts)
            ats, tooks, seqs, counts = (array("q", compress(each, is_mine)) for each in columns)
            codes = bytes(compress(codes, is_mine))
        epoch = next(token.epoch for token in self.tokens if token.breaker == breaker)
        kinds = codes.translate(_table([token.kind for token in calls.tokens]))
        size = len(codes)
        rows = Rows(kinds, seqs, ats, tooks, _full(epoch, size), _full(0, size), counts)
        return rows, size

    def block(self) -> "Block | None":
        """Return what ``outcome_lines`` needs to write the lines; None if that is not worth it."""
        calls = self._calls
        if len(self) < _FEW_PER_TOKEN * len(self.tokens) or calls.counts is not None:
            return None
        around = [_around(each) for each in calls.tokens]
        return self.first_seq, calls.ats, calls.tooks, calls.codes, around


def _full(value: int, size: int) -> "array[int]":
    return array("q", (value,)) * size


def _around(token: CallToken) -> tuple[bytes, bytes, bytes, bytes]:
    return _around_like(token.kind, token.breaker, token.epoch, _error_of(token))


@lru_cache(maxsize=1024)
def _around_like(
    kind: int, breaker: str, epoch: int, error: str | None
) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the parts of a line around its ``seq``, ``at`` and ``took``, which differ by call."""
    return around_outcome(_event(kind, (0, 1, breaker, epoch, 2), error))
