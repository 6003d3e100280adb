# cython: language_level=3, annotation_typing=False
"""The way past the lock: for calls of which nothing but a count can come.

A breaker has failures *to spare* while a number of calls can fail or be slow, in any order and with any
other calls in between, without firing an edge. Up to that number such a call asks nobody, and neither
does one that goes well: it takes the breaker's leave, and when it comes back is put into a list, or is
only counted. So does a call that is refused, as long as the breaker can do nothing else. The order of
that list is the order in which its calls are folded, and it is emptied before anything else is: under
the sequencer's lock, before each event that could change what a leave or a refusal stands for.

Threads race for what is to spare. A thread may take one of the last while another one, under the
lock, has just recorded a failure that makes it one too many. Then the edge fires where the list is
folded, in its place among the calls: later by the time that the list waits, and no less exact.

What is only counted is a *run*: the successes, or the refusals, of one breaker and epoch within a
second. It is folded and written as one event with a count, before anything else happens to its
breaker and before anything is recorded that is later than its second.

This file is compiled with the types of ``gate.pxd``, and runs interpreted where there is no compiler.
"""

import weakref
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple, Self, cast

from recloser.clock import SYSTEM_CLOCK
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Reason
from recloser.core.fold import refusal_of, to_spare
from recloser.core.kernel import NEVER, REJECTED, SUCCEEDED
from recloser.core.state import BreakerState
from recloser.live.call_buffer import Pending

FOREVER: Final = NEVER
"""Later than any time of a log."""

if TYPE_CHECKING:
    _Count = count[int]
else:
    _Count = count


class Run(_Count):
    """Like calls of one breaker that are still to be written as one event.

    Whoever has a call counted takes its next number. No thread can split that step, in builds
    without a global lock from Python 3.14.

    Attributes:
        epoch: The epoch that they belong to.
        ends_ns: What the monotonic hand shows when they must be written, their second being over or
            the breaker no longer where it was; 0 before the first.
        counted: How many numbers were taken by calls that are written.
        held: How many calls are to be written that took no number.
        parents: How many numbers were taken before this process was forked.
        took_ns: How long the first of those took, in nanoseconds; 0 without any.
    """

    __slots__ = ("_reads", "counted", "ends_ns", "epoch", "held", "parents", "took_ns")

    def __new__(cls, *_: object) -> Self:
        """It counts from 0, whatever it is of."""
        return cast("Self", super().__new__(cls))

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.ends_ns = 0
        self._reads = self.counted = self.held = self.parents = self.took_ns = 0

    def begin(self, ends_ns: int) -> None:
        """Begin with a new second."""
        self.ends_ns = ends_ns

    def read(self) -> int:
        """How many numbers calls have taken so far."""
        # To read is to take a number too. An exception from outside can come up after ``next``, and
        # not between the line before and it: so each number that a reader took is known. A child that
        # a signal handler forks there reads too, before this goes on in it.
        self._reads = reads = self._reads + 1
        number = next(self)
        return number + 1 - reads


class RefusedRun(Run):
    """Like refusals; what only they need, as most breakers never refuse a call.

    Attributes:
        reason: Why they were refused.
        opens_ns: What the monotonic hand must show before a call can be let through.
        singly: How many of its second were written one by one.
    """

    __slots__ = ("opens_ns", "reason", "singly")

    def __init__(self, epoch: int, reason: Reason, opens_ns: int) -> None:
        super().__init__(epoch)
        self.reason = reason
        self.opens_ns = opens_ns
        self.singly = 0

    def begin(self, ends_ns: int) -> None:
        """As above."""
        if ends_ns != self.ends_ns:
            self.singly = 0
        super().begin(ends_ns)

    def wait_ns(self, monotonic_ns: int) -> int | None:
        """How long until a call may be let through; None where there is no knowing."""
        return _wait_ns(self.reason, self.opens_ns, monotonic_ns)


def _has_end(reason: Reason) -> bool:
    return reason is Reason.COOLDOWN_ACTIVE


def _wait_ns(reason: Reason, opens_ns: int, monotonic_ns: int) -> int | None:
    return max(0, opens_ns - monotonic_ns) if _has_end(reason) else None


_NONE: Final = count()


class Pass:
    """What any number of calls of one epoch are let past the lock on.

    Attributes:
        state: The breaker's state.
        epoch: The epoch that the calls belong to.
        kind: What they are to the kernel, such as ``kernel.SUCCEEDED``.
        counter: What is counted of them: their ``run``, once there is one.
        until_ns: What the monotonic hand must show before calls are only counted; 0 while none is.
    """

    __slots__ = ("__weakref__", "counter", "epoch", "kind", "state", "until_ns")

    def __init__(self, state: BreakerState, kind: int) -> None:
        self.state = state
        self.epoch = state.epoch
        self.kind = kind
        self.counter: count[int] = _NONE
        self.until_ns = 0

    @property
    def breaker(self) -> str:
        """The breaker's name."""
        return self.state.breaker

    @property
    def run(self) -> Run | None:
        """What is counted of them; None before anything is."""
        return self.counter if isinstance(self.counter, Run) else None

    def counted(self) -> Run:
        """What is counted of them from now on."""
        run = self.run
        if run is None:
            run = self.counter = self._new_run()
        return run

    def _new_run(self) -> Run:
        return Run(self.epoch)


class Leave(Pass):
    """Leave for calls.

    Attributes:
        lapses_ns: What the monotonic hand must show before a call may use it; ``FOREVER`` where time
            makes no difference.
        slow_ns: A call that took longer is slow.
        ignores_ends: Whether it makes no difference to a success when it ends.
        bad_let: How many calls that fail or are slow were let past on it.
        bad_most: How many may be let past so far; 0 where such calls have to ask.
        endings: What calls end with on it, by the type of their error or by what was said of it; None
            before any does.
    """

    __slots__ = (
        "bad_let",
        "bad_most",
        "endings",
        "ignores_ends",
        "lapses_ns",
        "slow_ns",
    )

    def __init__(self, state: BreakerState) -> None:
        super().__init__(state, SUCCEEDED)
        self.slow_ns = _slow_ns(state)
        self.ignores_ends = _ignores_ends(state)
        self.lapses_ns = 0
        self.bad_let = self.bad_most = 0
        self.endings: dict[object, Ending] | None = None

    @property
    def is_firm(self) -> bool:
        """Whether a success that is not slow fires no edge whenever it ends."""
        return self.lapses_ns == FOREVER

    def is_of(self, state: BreakerState) -> bool:
        """Whether it is leave for what the breaker is now: its settings may be others."""
        return (
            self.epoch == state.epoch
            and self.slow_ns == _slow_ns(state)
            and self.ignores_ends == _ignores_ends(state)
        )

    def end(self) -> None:
        """Have it be good for nothing: calls that are under way on it have to ask."""
        self.lapses_ns = self.bad_most = 0


def _slow_ns(state: BreakerState) -> int:
    limit = state.config.slow_call_ns
    return FOREVER if limit is None else limit


def _ignores_ends(state: BreakerState) -> bool:
    return state.config.window is None and state.config.slow_call_ns is None


class Ending(Pass):
    """What calls end with that were let past on a leave, and did not go well.

    Attributes:
        error: What the log is to say of the error.
        error_type: The type of the error, where that alone says how the call ended.
    """

    __slots__ = ("error", "error_type")

    def __init__(self, leave: Leave, kind: int, error: str | None) -> None:
        super().__init__(leave.state, kind)
        self.epoch = leave.epoch
        self.error = error
        self.error_type: type[BaseException] | None = None


class Refusal(Pass):
    """What calls are refused with.

    Attributes:
        where: Where the breaker is.
        reason: Why.
        opens_ns: What the monotonic hand must show before a call can be let through.
        has_end: Whether that is known.
    """

    __slots__ = ("has_end", "opens_ns", "reason", "where")

    def __init__(self, state: BreakerState, reason: Reason, opens_ns: int) -> None:
        super().__init__(state, REJECTED)
        self.where = state.state
        self.reason = reason
        self.opens_ns = opens_ns
        self.has_end = _has_end(reason)

    def wait_ns(self, monotonic_ns: int) -> int | None:
        """How long until a call may be let through; None where there is no knowing."""
        return _wait_ns(self.reason, self.opens_ns, monotonic_ns)

    def counted(self) -> RefusedRun:
        """As above."""
        return cast("RefusedRun", super().counted())

    def _new_run(self) -> RefusedRun:
        return RefusedRun(self.epoch, self.reason, self.opens_ns)


class Given(NamedTuple):
    """Settings that a breaker was made with.

    Attributes:
        config: The settings.
        place: The file and line where the breaker was made.
    """

    config: CircuitBreakerConfig
    place: tuple[str, int]


class Gate:
    """Lets the calls of one breaker past the lock while nothing but a count can come of them.

    Attributes:
        breaker: Its name.
        leave: What calls take before it lapses; None while all have to ask.
        refusal: What they are refused with; None unless the breaker can do nothing else.
        counts: Whether successes are counted where that is all that matters.
        lets_bad: Whether calls that fail, are slow or are ignored may be let past.
        monotonic_ns: Reads the monotonic hand.
        is_system: Whether that is the hand of the system.
        origin: What it shows at the time 0 of the log.
        pending: Where they wait to be folded.
        ends_ns: What the monotonic hand shows when what was counted must be written; ``FOREVER``
            while nothing is.
        given: The settings that this process has given the breaker: those that it was made with
            first, or that have replaced these; None before. By name in a dictionary of their own they
            would take several times as much memory.
    """

    __slots__ = (
        "_past",
        "breaker",
        "counts",
        "ends_ns",
        "given",
        "is_system",
        "leave",
        "lets_bad",
        "monotonic_ns",
        "origin",
        "pending",
        "refusal",
    )

    def __init__(
        self,
        breaker: str,
        pending: Pending,
        monotonic_ns: Callable[[], int],
        origin: int = 0,
        *,
        counts: bool = False,
    ) -> None:
        self.breaker = breaker
        self.leave: Leave | None = None
        self.refusal: Refusal | None = None
        self.counts = counts
        self.lets_bad = False
        self.monotonic_ns = monotonic_ns
        self.is_system = monotonic_ns is SYSTEM_CLOCK.monotonic_ns
        self.origin = origin
        self.pending = pending
        self.ends_ns = FOREVER
        self.given: Given | None = None
        self._past: tuple[tuple[weakref.ref[Pass], Run], ...] = ()

    def update(
        self,
        state: BreakerState,
        *,
        may_let: bool,
        may_let_bad: bool,
        may_refuse: bool,
        is_all_folded: bool,
    ) -> None:
        """Open or shut the gate by what the breaker has become; called under the lock.

        Args:
            state: What it has become.
            may_let: Whether nobody waits for each single success.
            may_let_bad: Whether nobody waits for each single failure, nor for each slow success.
            may_refuse: Whether nobody waits for each single refusal.
            is_all_folded: Whether no call waits that is not folded.
        """
        self.lets_bad = may_let_bad
        leave = self.leave
        if leave is not None and not (may_let and leave.is_of(state)):
            self._retire(leave)
            leave.end()
            leave = self.leave = None
        if may_let and leave is None and to_spare(state)[0] >= 0:
            leave = Leave(state)
        if leave is not None:
            self._renew(leave, state, is_all_folded)
        self.leave = leave
        self._update_refusal(state, may_refuse=may_refuse)

    def renew(self, state: BreakerState, *, is_all_folded: bool) -> bool:
        """Renew the leave after an event that fired no edge; whether that was enough."""
        leave = self.leave
        if leave is None or not leave.is_of(state):
            return False
        self._renew(leave, state, is_all_folded)
        return True

    def _renew(self, leave: Leave, state: BreakerState, is_all_folded: bool) -> None:
        """Have it be good for as long, and for as many bad calls, as the state allows now."""
        spare, until = to_spare(state)
        most = leave.bad_let + max(spare, 0) if self.lets_bad else 0
        # Where some of those that were let past may wait, none is added to them.
        leave.bad_most = most if is_all_folded else min(leave.bad_most, most)
        if spare < 0:
            leave.lapses_ns = 0
        elif until == FOREVER:
            leave.lapses_ns = FOREVER
        else:
            leave.lapses_ns = min(until + self.origin, FOREVER - 1)
        leave.until_ns = min(leave.until_ns, leave.lapses_ns)

    def _update_refusal(self, state: BreakerState, *, may_refuse: bool) -> None:
        reason = refusal_of(state) if may_refuse and state.mode == "enforce" else None
        old = self.refusal
        new: Refusal | None = None
        if reason is not None:
            deadline = state.deadline
            opens_ns = FOREVER if deadline == FOREVER else min(deadline + self.origin, FOREVER)
            if old is not None and (old.epoch, old.reason, old.opens_ns) == (
                state.epoch,
                reason,
                opens_ns,
            ):
                return
            new = Refusal(state, reason, opens_ns)
        if old is not None:
            self._retire(old)  # first: an exception from outside in between would lose its count
        self.refusal = new

    def record(self, monotonic_ns: int, took_ns: int, passed: Pass) -> None:
        """Have a call folded that was let past, or refused, and ended at ``monotonic_ns``."""
        if self.pending.record(monotonic_ns - self.origin, took_ns, passed):
            self.pending.relieve()

    def relieve(self) -> None:
        """Fold all calls that wait."""
        self.pending.relieve()

    def ask(self) -> None:
        """Refuse no call here: one might have a probe, which only the sequencer knows."""
        if self.refusal is not None:
            self._retire(self.refusal)
            self.refusal = None

    def _retire(self, passed: Pass) -> None:
        """Nothing is to be counted on it any more, though some thread may be just about to."""
        passed.until_ns = 0
        run = passed.run
        if run is not None:
            self._past = (*self._past, (weakref.ref(passed), run))

    @property
    def may_have_counted(self) -> bool:
        """Whether there may be calls that were counted and are not written."""
        leave, refusal = self.leave, self.refusal
        return (
            bool(self._past)
            or (leave is not None and leave.counter is not _NONE)
            or (refusal is not None and refusal.counter is not _NONE)
        )

    def runs(self, ended_ns: int = FOREVER) -> list[Run]:
        """What there may be to write by then, in its order.

        Of what was retired that is all, whenever it ends, for as long as anybody holds it: some
        thread may have looked at the time before, and count only now.
        """
        past = [run for _, run in self._past]
        return past + [run for run in self._current() if run.ends_ns <= ended_ns]

    def drop_written(self) -> None:
        """Forget runs that were retired, are written, and can have no further call counted."""
        if self._past:
            # Whether a thread still holds what it was let past on comes first: it may count until
            # then.
            gone = [(run, held() is None) for held, run in self._past]
            done = {
                id(run)
                for run, is_gone in gone
                if is_gone and not (run.held + run.read() - run.counted)
            }
            self._past = tuple(pair for pair in self._past if id(pair[1]) not in done)

    def next_end_ns(self, ended_ns: int) -> int:
        """When the next run ends of those that have not by then; ``FOREVER`` without any."""
        ends = (run.ends_ns for run in self._current())
        return min((end for end in ends if end > ended_ns), default=FOREVER)

    def _current(self) -> list[Run]:
        passes = (self.leave, self.refusal)
        runs = [passed.run for passed in passes if passed is not None]
        return [run for run in runs if run is not None]

    def lapse(self, monotonic_ns: int) -> None:
        """Have no call counted on what has ended by now."""
        for passed in (self.leave, self.refusal):
            if passed is not None and passed.until_ns <= monotonic_ns:
                passed.until_ns = 0

    def stop_counting(self) -> None:
        """Have no call counted from now on."""
        self.counts = False
        self.shut()

    def shut(self) -> None:
        """Have every call ask, until the gate is brought up to date."""
        for passed in (self.leave, self.refusal):
            if passed is not None:
                self._retire(passed)
        self.refusal = None
        self.leave = None

    def forget(self) -> None:
        """In a forked child: take no account of what was counted before the fork."""
        for run in self.runs():
            run.counted = max(run.counted, run.parents)
            run.held = run.took_ns = 0

    def note_fork(self) -> None:
        """In a forked child: note what was counted so far, and have each call come by."""
        self.lapse(FOREVER)
        for run in self.runs():
            run.parents = run.read()


SHUT: Final = Gate("", Pending(), lambda: 0)
"""A gate that nobody opens."""
