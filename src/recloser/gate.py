"""The way past the lock: for calls of which nothing but a count can come.

While a breaker is *steady*, a success fires no edge, whatever else happens first. So such a call
asks nobody: it takes the breaker's leave, and when it comes back puts itself into a list, or only
counts. So does a call that is refused, as long as the breaker can do nothing else. The order
of that list is the order in which its calls are folded, and it is emptied before anything else is:
under the sequencer's lock, before each event that could change what a leave or a refusal stands for.

What is only counted is a *run*: the successes, or the refusals, of one breaker and epoch within a
second. It is folded and written as one event with a count, before anything else happens to its
breaker and before anything is recorded that is later than its second.
"""

import weakref
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Final, Self, cast

from recloser.events import Reason
from recloser.fold import FOREVER, is_steady, refusal_of, steady_until
from recloser.state import BreakerState

PENDING_LIMIT: Final = 4096
"""Whoever finds more calls waiting than this has them folded."""

PENDING_WIDTH: Final = 3
"""So many items stand for a call that waits."""


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
        breaker: Its name.
        epoch: The epoch that the calls belong to.
        counter: What is counted of them: their ``run``, once there is one.
        until_ns: What the monotonic hand must show before calls are but counted; 0 while none is.
    """

    __slots__ = ("__weakref__", "breaker", "counter", "epoch", "state", "until_ns")

    def __init__(self, state: BreakerState) -> None:
        self.state = state
        self.breaker = state.breaker
        self.epoch = state.epoch
        self.counter: count[int] = _NONE
        self.until_ns = 0

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
        is_firm: Whether a success fires no edge however long the call takes, and whenever it ends.
        lapses_ns: What the monotonic hand must show before it is good for no further call.
        slow_ns: A call that took longer has to ask.
    """

    __slots__ = ("is_firm", "lapses_ns", "slow_ns")

    def __init__(self, state: BreakerState) -> None:
        super().__init__(state)
        self.slow_ns = _slow_ns(state)
        self.is_firm = is_steady(state)
        self.lapses_ns = FOREVER if self.is_firm else 0

    def is_of(self, state: BreakerState) -> bool:
        """Whether it is leave for what the breaker is now: its settings may be others."""
        return self.epoch == state.epoch and self.slow_ns == _slow_ns(state)


def _slow_ns(state: BreakerState) -> int:
    limit = state.config.slow_call_ns
    return FOREVER if limit is None else limit


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
        super().__init__(state)
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


class Pending(list["int | Pass"]):
    """Calls that are not folded yet, in the order in which they will be.

    The list is flat: of each call, when it is recorded, how long it took, both in nanoseconds, and
    what it was let past or refused on. To ``extend`` it with those three is one step that no thread
    can split, and leaves no object a call behind.

    Attributes:
        limit: Whoever makes it longer than this has it folded; 0 while nobody looks at it.
        due_ns: What the monotonic hand shows when a tick is due, or a deadline of any breaker.
    """

    __slots__ = ("due_ns", "limit")

    def __init__(self, calls: int = PENDING_LIMIT) -> None:
        super().__init__()
        self.due_ns = 0
        self.let_wait(calls)

    def let_wait(self, calls: int) -> None:
        """Have so many calls wait at most."""
        self.limit = calls * PENDING_WIDTH

    @property
    def calls(self) -> int:
        """How many there are."""
        return len(self) // PENDING_WIDTH


class Gate:
    """Lets the calls of one breaker past the lock while nothing but a count can come of them.

    Attributes:
        breaker: Its name.
        leave: What they take; None unless a success fires no edge whatever happens first. Where
            successes are counted, nor may it matter in which second one comes.
        lease: What calls take that look at its time; None unless for a while a success fires none.
        refusal: What they are refused with; None unless the breaker can do nothing else.
        counts: Whether successes are counted where that is all that matters.
        monotonic_ns: Reads the monotonic hand.
        origin: What it shows at the time 0 of the log.
        pending: Where they wait to be folded.
        relieve: Folds what is pending.
        ends_ns: What the monotonic hand shows when what was counted must be written; ``FOREVER``
            while nothing is.
    """

    __slots__ = (
        "_past",
        "breaker",
        "counts",
        "ends_ns",
        "lease",
        "leave",
        "monotonic_ns",
        "origin",
        "pending",
        "refusal",
        "relieve",
    )

    def __init__(
        self,
        breaker: str,
        pending: Pending,
        monotonic_ns: Callable[[], int],
        relieve: Callable[[], None],
        origin: int = 0,
        *,
        counts: bool = False,
    ) -> None:
        self.breaker = breaker
        self.leave: Leave | None = None
        self.lease: Leave | None = None
        self.refusal: Refusal | None = None
        self.counts = counts
        self.monotonic_ns = monotonic_ns
        self.origin = origin
        self.pending = pending
        self.relieve = relieve
        self.ends_ns = FOREVER
        self._past: tuple[tuple[weakref.ref[Pass], Run], ...] = ()

    def update(self, state: BreakerState, *, may_let: bool, may_refuse: bool) -> None:
        """Open or shut the gate by what the breaker has become; called under the lock.

        Args:
            state: What it has become.
            may_let: Whether nobody waits for each single success.
            may_refuse: Whether nobody waits for each single refusal.
        """
        is_firm = may_let and is_steady(state)
        lease = self.lease
        if lease is not None and not (may_let and lease.is_of(state)):
            self._retire(lease)
            lease.is_firm = False  # calls that are under way on it have to ask
            lease = self.lease = None
        if may_let and lease is None and (is_firm or (self.counts and steady_until(state))):
            lease = self.lease = Leave(state)
        if lease is not None:
            lease.is_firm = is_firm
            lease.lapses_ns = FOREVER if is_firm else 0
            if not is_firm:
                lease.until_ns = 0
        self.leave = lease if is_firm and not (self.counts and state.config.window) else None
        self._update_refusal(state, may_refuse=may_refuse)

    def _update_refusal(self, state: BreakerState, *, may_refuse: bool) -> None:
        reason = refusal_of(state) if may_refuse and state.mode == "enforce" else None
        old = self.refusal
        new: Refusal | None = None
        if reason is not None:
            opens_ns = FOREVER if state.deadline == FOREVER else state.deadline + self.origin
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
        pending = self.pending
        pending.extend((monotonic_ns - self.origin, took_ns, passed))
        if len(pending) > pending.limit:
            self.relieve()

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
        lease, refusal = self.lease, self.refusal
        return (
            bool(self._past)
            or (lease is not None and lease.counter is not _NONE)
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
        passes = (self.lease, self.refusal)
        runs = [passed.run for passed in passes if passed is not None]
        return [run for run in runs if run is not None]

    def lapse(self, monotonic_ns: int) -> None:
        """Have no call counted on what has ended by now."""
        for passed in (self.lease, self.refusal):
            if passed is not None and passed.until_ns <= monotonic_ns:
                passed.until_ns = 0

    def stop_counting(self) -> None:
        """Have no call counted from now on."""
        self.counts = False
        self.shut()

    def shut(self) -> None:
        """Have every call ask, until the gate is brought up to date."""
        for passed in (self.lease, self.refusal):
            if passed is not None:
                self._retire(passed)
        self.refusal = None
        self.lease = self.leave = None

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


SHUT: Final = Gate("", Pending(), lambda: 0, lambda: None)
"""A gate that nobody opens."""
