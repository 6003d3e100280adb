"""Breakers without a log, which need no sequencer while they only count successes.

Most breakers never see a failure. A breaker without a log needs neither a lock nor an order of its
events before the first call that does not succeed, the first command or the first listener. Until
then it *rests*: it consists of its state, the token on which its calls are admitted, and the count of
calls on that token.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Final

from attrs import evolve

from recloser.clock import SYSTEM_CLOCK, Clock, SystemClock, read_monotonic
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Event
from recloser.core.kernel import NEVER
from recloser.core.log_fold import FoldMark, LogFold
from recloser.core.snapshot import Snapshot, take_snapshot
from recloser.core.state import BreakerState
from recloser.core.validation import NS_PER_SECOND
from recloser.live.call_buffer import CallBuffer
from recloser.live.call_counter import CallCounter
from recloser.live.call_tokens import AdmitToken
from recloser.live.fast_path import FastPath
from recloser.live.last_good import LastGood
from recloser.live.memory_log import NoLog
from recloser.live.request import OneTimeMark
from recloser.live.sequencer import Sequencer


class RestingGroup:
    """The objects that are shared by all resting breakers of one clock.

    Args:
        clock: The clock.

    Attributes:
        log: Stands for the log of each breaker.
        clock: The clock.
        monotonic_ns: Reads the clock's monotonic time, in nanoseconds.
        origin: The monotonic time in nanoseconds at which the time of the breakers' logs is 0.
        mark: The position of each breaker's log while it rests.

    Raises:
        ConfigError: The clock returned an invalid time.
    """

    __slots__ = ("_call_buffer", "clock", "log", "mark", "monotonic_ns", "origin")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log = NoLog()
        first = self.log.attach(clock)
        fast_path = first.fast_path_of("")
        self.mark: FoldMark = first.reading(_mark_of)
        self.monotonic_ns = fast_path.monotonic_ns
        self.origin = fast_path.origin
        self._call_buffer = CallBuffer()
        self._call_buffer.due_ns = NEVER

    @property
    def is_begun(self) -> bool:
        """Whether the group's log has a header; it has none if it was made in the middle of a fork."""
        opened = self.mark[2]
        return opened is not None

    def times(self, clock: Clock) -> bool:
        """Return whether the group is timed by a clock that has not been set back since."""
        return clock is self.clock and self.monotonic_ns() <= read_monotonic(clock)

    def fast_path(self, state: BreakerState) -> FastPath:
        """Return a fast path that counts the successes of a breaker and admits nothing else.

        Args:
            state: The state of the breaker.
        """
        fast_path = FastPath(state.breaker, self._call_buffer, self.monotonic_ns, self.origin)
        token = AdmitToken(state)
        token.counter = count()
        token.expires_ns = token.count_until_ns = NEVER  # for as long as the breaker rests
        fast_path.admit_token = token
        return fast_path


class AwakeSequencer(Sequencer):
    """The sequencer of a breaker that has rested.

    It uses the breaker's fast path, since the functions that the breaker protects refer to it. What
    was counted there is recorded before anything else.

    Args:
        group: What the breaker has shared with other resting breakers.
        state: The breaker's state.
        fast_path: The breaker's fast path.
    """

    __slots__ = ()

    def __init__(self, group: RestingGroup, state: BreakerState, fast_path: FastPath) -> None:
        super().__init__(group.log, group.clock, NS_PER_SECOND, "", "runs")
        self.fold = LogFold.resumed(group.mark, {state.breaker: state})
        self.last_good = LastGood(self.fold)
        self._monotonic_ns = fast_path.monotonic_ns
        self.origin = fast_path.origin
        # The breaker is given settings only once, so its fast path needs no ``given_settings``.
        self._fast_paths[state.breaker] = fast_path
        # This takes the place of a session's header, which the fold has already. So it is done under
        # the lock, at the first entry, and again if it is interrupted.
        self._unopened = ((partial(self._take_over, fast_path), OneTimeMark()),)

    def _take_over(self, fast_path: FastPath) -> Iterator[Event]:
        """Direct the calls of a fast path to this sequencer, which records the calls counted so far.

        The sequencer calls it in place of a function that makes an opening event; it makes no event.
        """
        if fast_path.call_buffer is not self.call_buffer:
            token = fast_path.admit_token
            if token is not None:
                if token.call_counter is None:
                    token.counter = _ContinuedCounter(token)
                # Before the fast path is disabled: a thread that still finds the token must find it
                # expired, or it would put its call into the buffer that was there until now.
                token.expire()
            fast_path.disable()
            fast_path.call_buffer = self.call_buffer
        self.update_fast_path(fast_path.breaker)
        return iter(())


class _ContinuedCounter(CallCounter):
    """Adds the calls counted while a breaker rested to those that are counted on its token since."""

    __slots__ = ("_counter",)

    def __init__(self, token: AdmitToken) -> None:
        super().__init__(token.epoch)
        self.ends_ns = NEVER
        self._counter = token.counter  # a thread may be just about to take its next number

    def read(self) -> int:
        """Return how many calls were counted so far."""
        return super().read() + numbers_taken(self._counter)


def numbers_taken(counter: "count[int]") -> int:
    """Return how many numbers were taken from a counter, without taking one."""
    return int(repr(counter)[len("count(") : -1])


_groups: Final[dict[bool, RestingGroup]] = {}
"""The group of the breakers on the system's clock (True), and of those on the last other clock."""


def group_of(clock: Clock | None) -> RestingGroup | None:
    """Return the group of the resting breakers that a clock times, made if there is none.

    None if there is no group and the process is just being forked, when no group can be made.

    Args:
        clock: The clock; None for the system's clock.

    Raises:
        ConfigError: The clock returned an invalid time.
    """
    given = SYSTEM_CLOCK if clock is None else clock
    is_system = type(given) is SystemClock
    group = _groups.get(is_system)
    if group is None or not (is_system or group.times(given)):
        group = RestingGroup(given)
        if not group.is_begun:
            return None
        _groups[is_system] = group
    return group


def can_rest(config: CircuitBreakerConfig) -> bool:
    """Return whether a success can only change a count, however long the call takes.

    Args:
        config: The settings of the breaker.
    """
    return (
        config.window is None
        and config.slow_call_ns is None
        and config.failure_result is None
        and config.mode != "disabled"
    )


def resting_snapshot(state: BreakerState, token: AdmitToken | None) -> Snapshot | None:
    """Return the snapshot of a breaker that rests; None if it does not rest any more.

    Args:
        state: The state of the breaker.
        token: The token on which its calls are admitted now.
    """
    counter = None if token is None else token.counter
    if type(counter) is not count:
        return None
    snapshot = take_snapshot(state, 0, _no_time)
    succeeded = snapshot.totals.succeeded + numbers_taken(counter)
    return evolve(snapshot, totals=evolve(snapshot.totals, succeeded=succeeded))


def _mark_of(fold: LogFold, at: int) -> FoldMark:
    del at
    return fold.mark()


def _no_time(at: int) -> datetime:
    """Return an arbitrary time, because the snapshot of a closed breaker shows no time."""
    del at
    return datetime.min.replace(tzinfo=UTC)
