"""Coalescing: calls that are only counted until the log records them as one event with a count.

Counted calls are recorded before anything else happens to their breaker, and before anything is
recorded that is later than their second. So the fold of the log has the same result as if every call
had its own event.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Final, Protocol

from recloser.core.events import CallRejected, CallSucceeded, Edge, Event
from recloser.core.fold import spare_calls
from recloser.core.log_fold import LogFold
from recloser.core.validation import NS_PER_SECOND
from recloser.live.call_counter import CallCounter, RejectionCounter
from recloser.live.call_tokens import FOREVER, RejectToken
from recloser.live.fast_path import FastPath
from recloser.live.pending_calls import rejection_event
from recloser.live.request import Spendable
from recloser.log.codec import lean

SINGLE_REJECTIONS: Final = 100
"""In a log that records every outcome, this many rejections per second have an event of their own."""

_Succeeded: Final = lean(CallSucceeded)
_Rejected: Final = lean(CallRejected)


def second_end(at: int) -> int:
    """Return the end of the whole second that contains a time.

    Args:
        at: The time, in nanoseconds of the log.
    """
    return (at // NS_PER_SECOND + 1) * NS_PER_SECOND


class Recorder(Protocol):
    """The part of the sequencer that coalescing uses: it folds and records the counted calls.

    Attributes:
        fold: The state of every breaker.
        origin: The monotonic time in nanoseconds at which the log's time is 0.
    """

    fold: LogFold
    origin: int

    def append(
        self, event: Event, *, counter: CallCounter | None = None, written: int = 0, folded: int = 0
    ) -> Sequence[Edge]:
        """Fold an event, record it with the edges that it fires, and return the edges.

        Args:
            event: The event.
            counter: The counter whose calls the event records, if any.
            written: The value of that counter when the event was made.
            folded: How many buffered calls the event records.
        """

    def count(
        self,
        counter: CallCounter,
        calls: int,
        took_ns: int,
        *,
        spends: Spendable | None,
        folded: int,
    ) -> None:
        """Add calls to a counter, in one step with spending the permit of a single call.

        Args:
            counter: The counter.
            calls: How many calls to add.
            took_ns: The duration of the first of them, in nanoseconds.
            spends: The permit of the call, if it has one.
            folded: How many buffered calls these are.
        """


class Coalescing:
    """Calls of one log that are only counted so far; all methods are called under the lock.

    A heap has the end of each breaker's current second, so that a sequencer with 100,000 breakers
    looks only at those whose counters are due.

    Args:
        recorder: Folds and records counted calls.
        fast_paths: The fast paths of all breakers, by name.
        wake_writer: Makes the log's thread record counted calls soon after their second is over.
        counts_successes: Whether successes are counted too, and not only floods of rejections.

    Attributes:
        counts_successes: Whether successes are counted too, and not only floods of rejections.
    """

    def __init__(
        self,
        recorder: Recorder,
        fast_paths: Mapping[str, FastPath],
        wake_writer: Callable[[], None],
        *,
        counts_successes: bool,
    ) -> None:
        self.counts_successes = counts_successes
        self._recorder = recorder
        self._fast_paths = fast_paths
        self._wake_writer = wake_writer
        self._ends: list[tuple[int, int, FastPath]] = []  # a heap
        self._ties = count()  # orders entries of one time in the heap
        self._second_end_ns = 0

    def __bool__(self) -> bool:
        """Return whether there may be counted calls that wait for the end of their second."""
        return bool(self._ends)

    @property
    def first_end(self) -> int:
        """When the first counted calls must be recorded, in nanoseconds of the log."""
        return self._ends[0][0] - self._recorder.origin if self._ends else FOREVER

    def count_successes(
        self,
        breaker: str,
        epoch: int,
        took_ns: int,
        at: int,
        *,
        spends: Spendable | None = None,
        calls: int = 1,
        slowest_ns: int = 0,
        folded: int = 0,
        may_count: bool,
    ) -> bool:
        """Count successes of one second, if this is how they are to be recorded.

        Args:
            breaker: The breaker's name.
            epoch: The epoch in which the calls were admitted.
            took_ns: The duration of the first call in nanoseconds.
            at: When the first call ended, in nanoseconds of the log.
            spends: The permit of a single call, if it has one.
            calls: How many calls these are.
            slowest_ns: The duration of the slowest of several calls in nanoseconds.
            folded: How many of the calls come from the call buffer.
            may_count: Whether callers may count later calls themselves, since no call is buffered
                before them.

        Returns:
            Whether they were counted; if not, each needs an event of its own.
        """
        fast_path = self._fast_paths.get(breaker)
        token = None if fast_path is None or not self.counts_successes else fast_path.admit_token
        if fast_path is None or token is None or token.epoch != epoch:
            return False
        spare, until = spare_calls(token.state)
        if max(took_ns, slowest_ns) > token.slow_ns or spare < 0 or at >= until:
            return False
        ends_ns = self._second_end(at)
        counter = token.ensure_counter()
        self._begin_period(fast_path, counter, ends_ns)
        if may_count:
            token.count_until_ns = min(ends_ns, token.expires_ns)
        self._recorder.count(counter, calls, took_ns, spends=spends, folded=folded)
        return True

    def count_rejection(self, rejected: RejectToken, at: int, *, folded: int = 0) -> None:
        """Count a rejection, or record it if it is to have an event of its own.

        Args:
            rejected: The token with which the call was rejected.
            at: When it was rejected, in nanoseconds of the log.
            folded: How many buffered calls this is.
        """
        monotonic_ns = at + self._recorder.origin
        fast_path = self._fast_paths[rejected.breaker]
        token = fast_path.reject_token
        if token is None or token.reason is not rejected.reason:
            self._record_rejection(rejected, at, folded)
            return
        counter = token.ensure_counter()
        if self.counts_successes:
            self._begin_period(fast_path, counter, min(self._second_end(at), token.retry_ns))
        elif monotonic_ns >= counter.ends_ns:
            self._record(fast_path, fast_path.counters(), at)
            ends_ns = min(monotonic_ns + NS_PER_SECOND, token.retry_ns)
            self._begin_period(fast_path, counter, ends_ns)
        if not self.counts_successes and counter.recorded_singly < SINGLE_REJECTIONS:
            counter.recorded_singly += 1
            self._record_rejection(rejected, at, folded)
        else:
            token.count_until_ns = counter.ends_ns
            self._recorder.count(counter, 1, 0, spends=None, folded=folded)

    def _record_rejection(self, rejected: RejectToken, at: int, folded: int) -> None:
        recorder = self._recorder
        wait_ns = rejected.wait_ns(at + recorder.origin)
        event = rejection_event(rejected, recorder.fold.seq + 1, at, wait_ns)
        recorder.append(event, folded=folded)

    def _second_end(self, at: int) -> int:
        """Return the monotonic time at the end of the second that contains ``at``.

        The result is one object for all breakers of a second, since each of them keeps it.
        """
        end_ns = second_end(at) + self._recorder.origin
        if end_ns != self._second_end_ns:
            self._second_end_ns = end_ns
        return self._second_end_ns

    def _begin_period(self, fast_path: FastPath, counter: CallCounter, ends_ns: int) -> None:
        counter.begin_period(ends_ns)
        if ends_ns < fast_path.ends_ns:
            self._schedule(fast_path, ends_ns)
            self._wake_writer()

    def _schedule(self, fast_path: FastPath, ends_ns: int) -> None:
        # An earlier entry of this fast path may stay in the heap. ``record_until`` passes over it, as
        # it no longer has the time that the fast path names.
        fast_path.ends_ns = ends_ns
        heapq.heappush(self._ends, (ends_ns, next(self._ties), fast_path))

    def record_until(self, at: int) -> None:
        """Record the counted calls whose second ends by a time, in the order of these ends.

        Args:
            at: The time, in nanoseconds of the log.
        """
        until_ns = at + self._recorder.origin
        while self._ends and self._ends[0][0] <= until_ns:
            ended_ns, _, fast_path = heapq.heappop(self._ends)
            if fast_path.ends_ns != ended_ns:
                continue
            fast_path.ends_ns = FOREVER
            fast_path.expire_counters(ended_ns)
            self._record(fast_path, fast_path.counters(ended_ns), at)
            next_end_ns = fast_path.next_end_ns(ended_ns)
            if next_end_ns < fast_path.ends_ns:
                self._schedule(fast_path, next_end_ns)

    def record_all(self, at: int) -> None:
        """Record all counted calls of all breakers.

        Args:
            at: The time now, in nanoseconds of the log.
        """
        for fast_path in tuple(self._fast_paths.values()):
            if fast_path.may_have_counted:
                self._record(fast_path, fast_path.counters(), at)

    def record_of(self, breaker: str, at: int) -> None:
        """Record all counted calls of a breaker, before another event of the breaker is recorded.

        Args:
            breaker: The breaker's name.
            at: The time now, in nanoseconds of the log.
        """
        fast_path = self._fast_paths.get(breaker)
        if fast_path is not None and fast_path.may_have_counted:
            self._record(fast_path, fast_path.counters(), at)

    def _record(self, fast_path: FastPath, counters: Iterable[CallCounter], at: int) -> None:
        for counter in counters:
            written = counter.read()
            calls = counter.added + written - counter.written
            if calls:
                event = self._event(fast_path.breaker, counter, calls, at)
                self._recorder.append(event, counter=counter, written=written)
        fast_path.drop_written()

    def catch_up(self) -> None:
        """Rebuild the heap, which an exception from outside may have left incomplete."""
        self._ends = []
        for fast_path in tuple(self._fast_paths.values()):
            fast_path.ends_ns = FOREVER
            if fast_path.may_have_counted:
                first = fast_path.next_end_ns(0)
                self._schedule(fast_path, self._recorder.origin if first == FOREVER else first)

    def _event(self, breaker: str, counter: CallCounter, calls: int, at: int) -> Event:
        fold, origin = self._recorder.fold, self._recorder.origin
        seq, at = fold.seq + 1, max(fold.at, min(at, counter.ends_ns - 1 - origin))
        if isinstance(counter, RejectionCounter):
            return _Rejected(seq, at, breaker, counter.reason, counter.wait_ns(at + origin), calls)
        took_ns = counter.first_took_ns
        return _Succeeded(seq, at, breaker, counter.epoch, took_ns, count=calls)

    def stop(self) -> None:
        """Count no further calls: every call takes the lock from now on."""
        self.counts_successes = False
        for fast_path in tuple(self._fast_paths.values()):
            fast_path.disable()

    def note_fork(self) -> None:
        """In a forked child: note which calls were counted before the fork; the parent records them."""
        for fast_path in tuple(self._fast_paths.values()):
            fast_path.note_fork()

    def drop_parent_counts(self) -> None:
        """In a forked child: drop the calls counted before the fork; the parent records them."""
        for fast_path in tuple(self._fast_paths.values()):
            fast_path.drop_parent_counts()
