"""Runs: calls that are but counted, until each run is written as one event with a count.

A run is written before anything else happens to its breaker, and before anything is recorded that
is later than its second. So the fold of the log comes to the same as if each call were in it.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Final, Protocol

from recloser.core.events import CallRejected, CallSucceeded, Edge, Event
from recloser.core.fold import to_spare
from recloser.core.log_fold import LogFold
from recloser.core.validation import NS_PER_SECOND
from recloser.live.fast_path import FOREVER, Gate, Refusal, RefusedRun, Run
from recloser.live.pending_calls import rejected
from recloser.live.request import Spendable
from recloser.log.codec import lean

SINGLY: Final = 100
"""Where every outcome is written, so many refusals of a second have an event each."""

_Succeeded: Final = lean(CallSucceeded)
_Rejected: Final = lean(CallRejected)


def second_end(at: int) -> int:
    """The end of the whole second that holds ``at``."""
    return (at // NS_PER_SECOND + 1) * NS_PER_SECOND


class Recorder(Protocol):
    """Who folds and records what was counted.

    Attributes:
        fold: The state of every breaker.
        origin: What the monotonic hand showed when the time of the log was 0.
    """

    fold: LogFold
    origin: int

    def append(
        self, event: Event, *, run: Run | None = None, counted: int = 0, taken: int = 0
    ) -> Sequence[Edge]:
        """Fold the event and record it with the edges that it fires, which are returned.

        Args:
            event: The event.
            run: The run that it writes, with ``counted`` calls counted in it so far.
            counted: As above.
            taken: How many items of what is pending it stands for.
        """

    def count(
        self, run: Run, number: int, took_ns: int, *, once: Spendable | None, taken: int
    ) -> None:
        """Have a run hold more calls, in one step with what a single one spends."""


class Runs:
    """What is but counted of the breakers of one log; all of it is called under the lock.

    Args:
        recorder: Folds and records it.
        gates: Those of all breakers, by name.
        stay_awake: Has runs ended soon after their seconds are over.
        has_successes: Whether successes are counted too, and not only floods of refusals.

    Attributes:
        has_successes: As above.
    """

    def __init__(
        self,
        recorder: Recorder,
        gates: Mapping[str, Gate],
        stay_awake: Callable[[], None],
        *,
        has_successes: bool,
    ) -> None:
        self.has_successes = has_successes
        self._recorder = recorder
        self._gates = gates
        self._stay_awake = stay_awake
        self._ends: list[tuple[int, int, Gate]] = []  # a heap
        self._opened = count()
        self._second_end_ns = 0

    def __bool__(self) -> bool:
        """Whether there may be calls that are counted, and wait for the end of their second."""
        return bool(self._ends)

    @property
    def first_end(self) -> int:
        """When the first of them has to be written, in nanoseconds of the log."""
        return self._ends[0][0] - self._recorder.origin if self._ends else FOREVER

    def hold(
        self,
        breaker: str,
        epoch: int,
        took_ns: int,
        at: int,
        *,
        once: Spendable | None = None,
        number: int = 1,
        slowest_ns: int = 0,
        taken: int = 0,
        may_count: bool,
    ) -> bool:
        """Count successes of one second that can only be counted, if that is how they are recorded.

        Args:
            breaker: Their breaker.
            epoch: The epoch in which they were let through.
            took_ns: How long the first of them took, in nanoseconds.
            at: When the first ended, in nanoseconds of the log.
            once: The permit that the only one spends.
            number: How many they are.
            slowest_ns: How long the slowest of several took.
            taken: How many of the calls that wait they are.
            may_count: Whether later ones may be counted by who makes them: none waits before them.
        """
        gate = self._gates.get(breaker)
        leave = None if gate is None or not self.has_successes else gate.leave
        if gate is None or leave is None or leave.epoch != epoch:
            return False
        spare, until = to_spare(leave.state)
        if max(took_ns, slowest_ns) > leave.slow_ns or spare < 0 or at >= until:
            return False
        ends_ns = self._second_end(at)
        run = leave.counted()
        self._begin(gate, run, ends_ns)
        if may_count:
            leave.until_ns = min(ends_ns, leave.lapses_ns)
        self._recorder.count(run, number, took_ns, once=once, taken=taken)
        return True

    def refuse(self, refused: Refusal, at: int, *, taken: int = 0) -> None:
        """Count a refusal, or record it where each is to have an event.

        Args:
            refused: What the call was refused with.
            at: When, in nanoseconds of the log.
            taken: How many items of what is pending it stands for.
        """
        hand = at + self._recorder.origin
        gate = self._gates[refused.breaker]
        refusal = gate.refusal
        if refusal is None or refusal.reason is not refused.reason:
            self._refuse_singly(refused, at, taken)
            return
        run = refusal.counted()
        if self.has_successes:
            self._begin(gate, run, min(self._second_end(at), refusal.opens_ns))
        elif hand >= run.ends_ns:
            self._write(gate, gate.runs(), at)
            self._begin(gate, run, min(hand + NS_PER_SECOND, refusal.opens_ns))
        if not self.has_successes and run.singly < SINGLY:
            run.singly += 1
            self._refuse_singly(refused, at, taken)
        else:
            refusal.until_ns = run.ends_ns
            self._recorder.count(run, 1, 0, once=None, taken=taken)

    def _refuse_singly(self, refused: Refusal, at: int, taken: int) -> None:
        recorder = self._recorder
        wait_ns = refused.wait_ns(at + recorder.origin)
        recorder.append(rejected(refused, recorder.fold.seq + 1, at, wait_ns), taken=taken)

    def _second_end(self, at: int) -> int:
        """What the monotonic hand shows at the end of the second that holds ``at``.

        It is one and the same object for all breakers of a second, each of which keeps it.
        """
        end_ns = second_end(at) + self._recorder.origin
        if end_ns != self._second_end_ns:
            self._second_end_ns = end_ns
        return self._second_end_ns

    def _begin(self, gate: Gate, run: Run, ends_ns: int) -> None:
        run.begin(ends_ns)
        if ends_ns < gate.ends_ns:
            self._look_at(gate, ends_ns)
            self._stay_awake()

    def _look_at(self, gate: Gate, ends_ns: int) -> None:
        """Have a gate looked at when its run ends."""
        gate.ends_ns = ends_ns
        heapq.heappush(self._ends, (ends_ns, next(self._opened), gate))

    def end_before(self, at: int) -> None:
        """Record the runs that end by then, in the order in which they do."""
        by_ns = at + self._recorder.origin
        while self._ends and self._ends[0][0] <= by_ns:
            ended, _, gate = heapq.heappop(self._ends)
            if gate.ends_ns != ended:
                continue
            gate.ends_ns = FOREVER
            gate.lapse(ended)
            self._write(gate, gate.runs(ended), at)
            following = gate.next_end_ns(ended)
            if following < gate.ends_ns:
                self._look_at(gate, following)

    def end_all(self, at: int) -> None:
        """Record what was counted up to now of all breakers."""
        for gate in tuple(self._gates.values()):
            if gate.may_have_counted:
                self._write(gate, gate.runs(), at)

    def end(self, breaker: str, at: int) -> None:
        """Record what was counted of a breaker: something else is about to happen to it."""
        gate = self._gates.get(breaker)
        if gate is not None and gate.may_have_counted:
            self._write(gate, gate.runs(), at)

    def _write(self, gate: Gate, runs: Iterable[Run], at: int) -> None:
        for run in runs:
            counted = run.read()
            calls = run.held + counted - run.counted
            if calls:
                event = self._event(gate.breaker, run, calls, run.took_ns, at)
                self._recorder.append(event, run=run, counted=counted)
        gate.drop_written()

    def catch_up(self) -> None:
        """Have every gate looked at again: an exception may have come up in the middle of it."""
        self._ends = []
        for gate in tuple(self._gates.values()):
            gate.ends_ns = FOREVER
            if gate.may_have_counted:
                first = gate.next_end_ns(0)
                self._look_at(gate, self._recorder.origin if first == FOREVER else first)

    def _event(self, breaker: str, run: Run, calls: int, took_ns: int, at: int) -> Event:
        fold, origin = self._recorder.fold, self._recorder.origin
        seq, at = fold.seq + 1, max(fold.at, min(at, run.ends_ns - 1 - origin))
        if isinstance(run, RefusedRun):
            return _Rejected(seq, at, breaker, run.reason, run.wait_ns(at + origin), calls)
        return _Succeeded(seq, at, breaker, run.epoch, took_ns, count=calls)

    def stop(self) -> None:
        """Have every call come by itself from now on."""
        self.has_successes = False
        for gate in tuple(self._gates.values()):
            gate.stop_counting()

    def note_fork(self) -> None:
        """In a forked child: note what was counted so far, which is the parent's."""
        for gate in tuple(self._gates.values()):
            gate.note_fork()

    def forget(self) -> None:
        """In a forked child: take no account of what was counted before the fork."""
        for gate in tuple(self._gates.values()):
            gate.forget()
