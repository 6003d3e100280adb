"""Counters of calls with the same outcome, which the log records as one event."""

from itertools import count
from typing import TYPE_CHECKING, Final, Self, cast

from recloser.core.events import Reason

if TYPE_CHECKING:
    _Count = count[int]
else:
    _Count = count

UNUSED: Final = count()
"""Placeholder for the counter of a token on which no call was counted yet."""


class CallCounter(_Count):
    """Counts calls of one breaker with the same outcome, until the log records them as one event.

    A caller counts its call by taking the counter's next number: ``next(counter)``. This is one step
    that no other thread can split; in builds without a global interpreter lock, from Python 3.14.

    Attributes:
        epoch: The epoch of the calls.
        ends_ns: Monotonic time in nanoseconds by which the calls must be recorded, because their
            second is over or the breaker changes; 0 before the first call.
        written: How many of the numbers taken belong to calls that are recorded.
        added: Calls that are to be recorded and took no number; the sequencer adds these.
        at_fork: How many numbers were taken before this process was forked.
        first_took_ns: Duration of the first of the added calls in nanoseconds; 0 without any.
    """

    __slots__ = ("_reads", "added", "at_fork", "ends_ns", "epoch", "first_took_ns", "written")

    def __new__(cls, *_: object) -> Self:
        """Create a counter that starts at 0, whatever the arguments of ``__init__`` are."""
        return cast("Self", super().__new__(cls))

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.ends_ns = 0
        self._reads = self.written = self.added = self.at_fork = self.first_took_ns = 0

    def begin_period(self, ends_ns: int) -> None:
        """Begin a new counting period, which ends at the given time.

        Args:
            ends_ns: The new monotonic end time in nanoseconds.
        """
        self.ends_ns = ends_ns

    def read(self) -> int:
        """Return how many numbers calls have taken so far."""
        # There is no way to look at an ``itertools.count`` without taking a number, so reading takes
        # one too, and ``_reads`` keeps account of it. An exception from a signal handler or another
        # thread can strike after ``next`` returns, but not between the assignment and ``next``: so
        # every number that a reader took is included in ``_reads``. A child that a signal handler
        # forks in between reads the counter as well, before this call resumes in the child.
        self._reads = reads = self._reads + 1
        number = next(self)
        return number + 1 - reads


class RejectionCounter(CallCounter):
    """Counts rejected calls of one breaker.

    This is a class of its own because most breakers never reject a call, and need no room for the
    fields below.

    Attributes:
        reason: Why the calls were rejected.
        retry_ns: Monotonic time in nanoseconds before which the breaker admits no call.
        recorded_singly: How many rejections of the current second were recorded one by one.
    """

    __slots__ = ("reason", "recorded_singly", "retry_ns")

    def __init__(self, epoch: int, reason: Reason, retry_ns: int) -> None:
        super().__init__(epoch)
        self.reason = reason
        self.retry_ns = retry_ns
        self.recorded_singly = 0

    def begin_period(self, ends_ns: int) -> None:
        """Begin a new counting period, in which single rejections may be recorded again.

        Args:
            ends_ns: The new monotonic end time in nanoseconds.
        """
        if ends_ns != self.ends_ns:
            self.recorded_singly = 0
        super().begin_period(ends_ns)

    def wait_ns(self, monotonic_ns: int) -> int | None:
        """Return the nanoseconds until a call may be admitted; None if that is not known.

        Args:
            monotonic_ns: The monotonic time now, in nanoseconds.
        """
        return wait_ns(self.reason, self.retry_ns, monotonic_ns)


def has_known_retry(reason: Reason) -> bool:
    """Return whether it is known when a call that is rejected for this reason may be retried."""
    return reason is Reason.COOLDOWN_ACTIVE


def wait_ns(reason: Reason, retry_ns: int, monotonic_ns: int) -> int | None:
    """Return the nanoseconds until a call may be admitted; None if that is not known.

    Args:
        reason: Why calls are rejected now.
        retry_ns: Monotonic time in nanoseconds before which no call is admitted.
        monotonic_ns: The monotonic time now, in nanoseconds.
    """
    return max(0, retry_ns - monotonic_ns) if has_known_retry(reason) else None
