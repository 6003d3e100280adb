"""Breakers without a log while all that comes of their calls is a count of successes.

Most breakers never see a failure. One that has no log needs neither a lock nor an order of its
events until something other than a success happens to it, or until somebody listens. Until then it
*rests*: its state, the leave that its calls take, and how often they took it, are all there is.
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
from recloser.live.call_buffer import Pending
from recloser.live.fast_path import Gate, Leave, Run
from recloser.live.last_good import LastGood
from recloser.live.memory_log import NoLog
from recloser.live.request import Once
from recloser.live.sequencer import Sequencer


class Resting:
    """The parts that all breakers share which rest and are timed by one clock.

    Args:
        clock: The clock.

    Attributes:
        log: Stands for the log of each of them.
        clock: As above.
        monotonic_ns: Reads the clock's monotonic hand.
        origin: What that showed when the time of their logs was 0.
        mark: Where the log of each of them stands.

    Raises:
        ConfigError: The clock shows what no clock can show.
    """

    __slots__ = ("_pending", "clock", "log", "mark", "monotonic_ns", "origin")

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log = NoLog()
        first = self.log.attach(clock)
        gate = first.gate_of("")
        self.mark: FoldMark = first.reading(_mark_of)
        self.monotonic_ns = gate.monotonic_ns
        self.origin = gate.origin
        self._pending = Pending()
        self._pending.due_ns = NEVER

    @property
    def is_begun(self) -> bool:
        """Whether its log has a beginning; it has none where it was made in the middle of a fork."""
        opened = self.mark[2]
        return opened is not None

    def times(self, clock: Clock) -> bool:
        """Whether it goes by that clock, which has not been set back since."""
        return clock is self.clock and self.monotonic_ns() <= read_monotonic(clock)

    def gate(self, state: BreakerState) -> Gate:
        """A gate that counts the successes of a breaker, and lets nothing else past."""
        gate = Gate(state.breaker, self._pending, self.monotonic_ns, self.origin, counts=True)
        leave = Leave(state)
        leave.counter = count()
        # Its successes are counted for as long as it rests.
        leave.lapses_ns = leave.until_ns = NEVER
        gate.leave = leave
        return gate


class Woken(Sequencer):
    """The sequencer of a breaker that has rested.

    The gate stays the same, as the functions that the breaker protects refer to it; what was counted
    there is written before anything else.

    Args:
        resting: What the breaker has shared with others.
        state: Its state.
        gate: Its gate.
    """

    __slots__ = ()

    def __init__(self, resting: Resting, state: BreakerState, gate: Gate) -> None:
        super().__init__(resting.log, resting.clock, NS_PER_SECOND, "", "runs")
        self.fold = LogFold.resumed(resting.mark, {state.breaker: state})
        self.good = LastGood(self.fold)
        self._hand = gate.monotonic_ns
        self.origin = gate.origin
        # It is given settings only once, so nobody asks its gate for them.
        self._gates[state.breaker] = gate
        # In place of a session's beginning, which is in the fold already. Like that it is done under the
        # lock, at the first entry, and again where it is interrupted.
        self._unopened = ((partial(self._take_over, gate), Once()),)

    def _take_over(self, gate: Gate) -> Iterator[Event]:
        """Have the calls of a gate come here, and what it has counted written; records nothing."""
        if gate.pending is not self.pending:
            leave = gate.leave
            if leave is not None:
                if leave.run is None:
                    leave.counter = _Counted(leave)
                # Before the gate is shut: a thread that finds it shut must not put its call into the
                # list that was there until now.
                leave.end()
            gate.shut()
            gate.pending = self.pending
        self._update_gate(gate.breaker)
        return iter(())


class _Counted(Run):
    """The calls that were counted on a leave while its breaker rested, and those that still are."""

    __slots__ = ("_counter",)

    def __init__(self, leave: Leave) -> None:
        super().__init__(leave.epoch)
        self.ends_ns = NEVER
        self._counter = leave.counter  # a thread may be just about to take its next number

    def read(self) -> int:
        """How many calls were counted so far."""
        return super().read() + taken_from(self._counter)


def taken_from(counter: "count[int]") -> int:
    """How many numbers were taken from a counter, without taking another."""
    return int(repr(counter)[len("count(") : -1])


_shared: Final[dict[bool, Resting]] = {}
"""The parts shared by the breakers on the system's clock, and on the last other one."""


def resting_of(clock: Clock | None) -> Resting | None:
    """The parts that breakers share which rest; None in the middle of a fork, where none can be made.

    Args:
        clock: What times them; by default the system's clock.

    Raises:
        ConfigError: The clock shows what no clock can show.
    """
    given = SYSTEM_CLOCK if clock is None else clock
    is_system = type(given) is SystemClock
    resting = _shared.get(is_system)
    if resting is None or not (is_system or resting.times(given)):
        resting = Resting(given)
        if not resting.is_begun:
            return None
        _shared[is_system] = resting
    return resting


def can_rest(config: CircuitBreakerConfig) -> bool:
    """Whether all that can come of a success is a count, however long the call takes."""
    return (
        config.window is None
        and config.slow_call_ns is None
        and config.failure_result is None
        and config.mode != "disabled"
    )


def snapshot_of(state: BreakerState, leave: Leave | None) -> Snapshot | None:
    """A breaker that rests, as it is now; None where it does not rest any more."""
    counter = None if leave is None else leave.counter
    if type(counter) is not count:
        return None
    snapshot = take_snapshot(state, 0, _no_time)
    succeeded = snapshot.totals.succeeded + taken_from(counter)
    return evolve(snapshot, totals=evolve(snapshot.totals, succeeded=succeeded))


def _mark_of(fold: LogFold, at: int) -> FoldMark:
    del at
    return fold.mark()


def _no_time(at: int) -> datetime:
    """Any time: a closed breaker shows none."""
    del at
    return datetime.min.replace(tzinfo=UTC)
