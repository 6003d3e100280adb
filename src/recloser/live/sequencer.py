"""The sequencer of one process: a lock that puts events in order.

Whoever holds the lock reads the clock, folds the event and hands it to the log together with its
witnesses. So the order in the log is the order of the fold, and ``at`` never falls.
"""

import contextlib
import logging
import os
import platform
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, NoReturn, Self, TypeAlias, TypeVar, get_args

from attrs import asdict, evolve

from recloser.clock import SYSTEM_CLOCK, Clock, boot_id_of, hand_of, read_monotonic, read_wall
from recloser.core.checkpoint_parts import pieces_of
from recloser.core.events import (
    FORMAT_VERSION,
    RULES_VERSION,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogGap,
    LogOpened,
    LogSealed,
    ProbeAdmitted,
    is_about_a_breaker,
)
from recloser.core.kernel import NEVER as FOREVER
from recloser.core.kernel import SUCCEEDED, may_probe
from recloser.core.limits import MAX_AT, MAX_WHOLE, label
from recloser.core.log_fold import LogFold
from recloser.core.moments import after, nanoseconds_between
from recloser.core.state import BreakerState, dump
from recloser.core.state_machine import CLOSED, HALF_OPEN
from recloser.core.validation import (
    Seconds,
    checked_seconds,
    checked_text,
    checked_word,
    nanoseconds,
)
from recloser.errors import ConfigError, MisuseError, RecloserError
from recloser.live.call_buffer import PENDING_LIMIT, Pending
from recloser.live.coalescing import Runs, second_end
from recloser.live.fast_path import Gate, Pass, Refusal, Run
from recloser.live.last_good import LastGood
from recloser.live.notifier import Audience
from recloser.live.pending_calls import Calls, Outcomes, outcome
from recloser.live.request import Once, ProbeClaim, Request, Saying, Spendable, spent_before
from recloser.live.settings_in_force import SettingsInForce
from recloser.log.codec import lean
from recloser.log.tail import Tail
from recloser.process import forks, host_logging
from recloser.process.timed_lock import TimedLock
from recloser.version import __version__

if TYPE_CHECKING:
    from recloser.log.set_aside import Damage

R = TypeVar("R")

Detail: TypeAlias = Literal["full", "runs"]

FEW: Final = 64
"""How many calls may wait where they are only counted: once folded, later ones need not wait."""

_LONGEST_WAIT: Final = 0.5
"""A thread that waits longer for the lock does as one that holds it: it makes no change, and asks."""

_MOST_TRIES: Final = 3
SINGLY, TOGETHER = range(2)
"""How a call that waits is folded: as any event, or with others."""

_ProbeAdmitted: Final = lean(ProbeAdmitted)
_NOTHING_SAID: Final[list[Saying]] = []
"""Of all sequencers that have nobody to say anything to; it stays empty."""


class _Notice:
    """A message to be logged.

    Attributes:
        is_at_work: Whether a thread is logging it.
        tries: How often that was begun.
    """

    __slots__ = ("is_at_work", "level", "message", "tries", "values")

    def __init__(self, level: int, message: str, values: tuple[object, ...]) -> None:
        self.level = level
        self.message = message
        self.values = values
        self.is_at_work = False
        self.tries = 0


_notices: Final[list[_Notice]] = []
"""Messages of all logs that wait to be logged until their threads hold no lock."""


class Log(ABC):
    """Where a sequencer puts its events, and what they were before.

    Args:
        clock: What times the log; by default that of the first breaker on it.
        tick_seconds: While events flow, both hands of the clock are recorded as often as this;
            None records them only where a deadline has passed.
        host: What the log names as its machine; by default the machine's own name.
        detail: ``full`` for an event an outcome, ``runs`` for one event a run: the successes of a
            breaker within a whole second, none of them slow and with nothing in between, or its
            refusals. All states and edges are the same; what single calls took is given up.

    Attributes:
        pending_limit: How many calls may wait to be folded.
        settings_in_force: The settings that this process has given the breakers of the log.
        damage: What was damaged when the log was opened, and is set aside; None if nothing was.

    Raises:
        ConfigError: An argument has a value that it can't have.
    """

    pending_limit = PENDING_LIMIT
    is_in_child = False
    damage: "Damage | None" = None

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
        detail: Detail = "full",
    ) -> None:
        detail = checked_word("detail", detail, get_args(Detail))
        tick_seconds = checked_seconds("tick_seconds", tick_seconds, above_zero=True, optional=True)
        host = checked_text("host", host, optional=True, may_be_empty=True)
        self._settings_in_force: SettingsInForce | None = None
        if detail == "runs":
            self.pending_limit = FEW
        self._clock = clock
        self._tick_ns = None if tick_seconds is None else nanoseconds(tick_seconds)
        self._host = label(platform.node() if host is None else host)
        self._detail: Detail = detail
        self._sequencer: Sequencer | None = None

    def attach(self, clock: Clock | None = None) -> "Sequencer":
        """The sequencer that writes this log; the first call opens a session.

        Raises:
            ConfigError: The log is timed by another clock already.
        """
        # One lock for all logs, which is new in a forked child, and which a signal handler that makes
        # a breaker can take again.
        with forks.renewing:
            if self._sequencer is None:
                given = clock if self._clock is None else self._clock
                made_clock = SYSTEM_CLOCK if given is None else given
                made = self._make_sequencer(made_clock)
                if self._sequencer is None:  # else this very thread has made it meanwhile
                    self._clock, self._sequencer = made_clock, made
            if clock is not None and clock is not self._clock:
                raise ConfigError("clock: the log is timed by another clock; one log has one clock")
            return self._sequencer

    @property
    def settings_in_force(self) -> SettingsInForce:
        """The settings that this process has given the breakers of the log."""
        if self._settings_in_force is None:
            made = SettingsInForce()
            # Another thread, or a signal handler, may have made it meanwhile.
            if self._settings_in_force is None:
                self._settings_in_force = made
        return self._settings_in_force

    def _make_sequencer(self, clock: Clock) -> "Sequencer":
        return Sequencer(self, clock, self._tick_ns, self._host, self._detail)

    @abstractmethod
    def recovered(self) -> tuple[LogFold, Tail]:
        """The fold of what the log holds already, and how that ended."""

    @property
    def can_wait(self) -> bool:
        """Whether a success may be reported before it is in the log's hands."""
        return True

    def room(self) -> int:
        """How many events can be appended at once; called under the lock."""
        return PENDING_LIMIT

    def seal_after(self, events: Sequence[Event]) -> LogSealed | None:
        """The seal that is due after the events; called under the lock, and changes nothing."""
        del events
        return None

    @abstractmethod
    def write(self, events: Sequence[Event], seal: LogSealed | None) -> None:
        """Append events, and the seal that ``seal_after`` gave; called under the lock.

        Events that are appended already are passed over. An exception from outside leaves either
        all of them appended or none.

        Args:
            events: An event and its witnesses, or as many outcomes as there is ``room`` for.
            seal: Their seal, if one is due.
        """

    def catch_up(self, recorded: Sequence["Event | Outcomes"]) -> None:
        """Append what was recorded, and may not be appended; called under the lock."""
        for each in recorded:
            if isinstance(each, Outcomes):
                self.write(each, None)
            elif not isinstance(each, LogSealed):
                self.write([each], None)

    def settle(self, seq: int) -> None:
        """Return when all up to ``seq`` is as safe as was promised; called outside the lock."""
        del seq
        self.look_after()

    def begin_in_child(self) -> None:  # noqa: B027  # memory needs no log of its own
        """Begin the log of a forked child, before its first event; called under the lock."""

    def stay_awake(self) -> None:  # noqa: B027  # memory needs no thread
        """Have runs ended soon after their seconds are over; called under the lock."""

    @staticmethod
    def notice(level: int, message: str, *values: object) -> None:
        """Have a message logged as soon as no lock is held."""
        _notices.append(_Notice(level, message, values))

    def _await_listeners(self) -> None:
        """Wait a second at most for listeners to be called; not where this thread is inside."""
        sequencer = self._sequencer
        if sequencer is not None and not sequencer.is_mine:
            sequencer.audience.wait_until_told()

    def look_after(self) -> None:
        """Log the messages that wait; called where this thread holds no lock."""
        for notice in tuple(_notices):
            # One step: a handler that calls a breaker comes here again.
            if notice.is_at_work:
                continue
            notice.is_at_work = True
            try:
                _log_notice(notice)
            finally:
                notice.is_at_work = False

    def flush(self) -> None:  # noqa: B027  # not every log has anything to hand on
        """Hand all that was appended to where it can be read."""

    @abstractmethod
    def __iter__(self) -> Iterator[Event]:
        """The events of the log from its beginning."""

    @abstractmethod
    def close(self) -> None:
        """End the session; what was appended is kept."""

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            f"a {type(self).__name__} can't be copied or pickled, as one process writes it; "
            "make it in each process"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Sequencer:
    """Orders, folds and records the events of one session.

    Three rules keep it from ever hanging or corrupting its process:

    1. *No thread waits for itself.* The lock can be taken again by the thread that holds it, which
       happens when a signal handler, a ``__del__`` or a logging handler calls a breaker. Such a
       thread finds ``_inside`` taken, and makes no change: a question is answered from the last
       whole state, a report or command is put on ``_asked`` and carried out when the outer entry
       leaves.
    2. *Locks are only taken by ``with``.* CPython 3.11 to 3.13 looks for signals and asynchronous
       exceptions at the start of a function, after a call and at the end of a loop's round, and
       not between taking a lock by ``with`` and the body that releases it. So no exception leaks
       a lock.
    3. *A change becomes final in one step.* Each event is folded first, and then recorded by a few
       statements without a call or a loop, so that no exception can come in between. Where one
       came up before, ``is_whole`` is false, and the next entry folds again from the last good
       state; where one came up after, the next entry hands on what is recorded.

    No code of a user, and no logging, runs under the lock.

    Attributes:
        fold: The state of every breaker in the log; to be read under the lock.
        pending: Calls that were let past the lock and are not folded yet.
        runs: Calls that are only counted.
        audience: The listeners, and the events that they are still to be given.
        origin: What the monotonic hand showed when the time of the log was 0.
        degraded: Whether it should put others' events in order too, and can't reach them.
        sayings: What other processes are to know, and is not on its way to them yet.
        good: The last state that is known to be whole, and what was recorded since.
        is_whole: Whether no change is under way, or was interrupted.
    """

    __slots__ = (
        "__weakref__",
        "_asked",
        "_clock",
        "_detail",
        "_forks",
        "_gates",
        "_hand",
        "_host",
        "_inside",
        "_is_stuck",
        "_lets_pass",
        "_lock",
        "_log",
        "_opened_at",
        "_opened_wall",
        "_parents_calls",
        "_session",
        "_tail",
        "_taken",
        "_tick_ns",
        "_tries",
        "_unopened",
        "audience",
        "fold",
        "good",
        "is_whole",
        "origin",
        "pending",
        "runs",
        "sayings",
    )

    degraded = False
    lets_failures_pass = True

    def __init__(
        self, log: Log, clock: Clock, tick_ns: int | None, host: str, detail: Detail
    ) -> None:
        self._make_locks()
        self._asked: list[Request] = []
        self.sayings = _NOTHING_SAID
        self._tries = 0
        self._is_stuck = False
        self._gates: dict[str, Gate] = {}
        self.audience = Audience()
        self.runs = Runs(self, self._gates, log.stay_awake, has_successes=detail == "runs")
        self.pending = Pending(log.pending_limit, self.relieve)
        self._taken = 0
        self._parents_calls: int | None = None
        self.fold, self._tail = log.recovered()
        # The fold keeps its states elsewhere until the session is opened: a signal handler may have
        # made the log's sequencer meanwhile, and this one is dropped then (``Log.attach``).
        self.good = LastGood(self.fold)
        self.is_whole = True
        self._log = log
        self._clock = clock
        self._hand = hand_of(clock)
        self._tick_ns = tick_ns
        self._detail = detail
        self._lets_pass = True
        self._opened_at = read_monotonic(clock)
        self._opened_wall = self._wall_at(self._opened_at)
        at = _resumed_at(self.fold, clock, self._opened_at)
        self.origin = self._opened_at - at
        self._hand = hand_of(clock, min(self.origin + MAX_AT, MAX_WHOLE))
        self._host = host
        self._session = 1 if self.fold.opened is None else self.fold.opened.session + 1
        firsts: list[Callable[[], Iterator[Event]]] = [self._first_header]
        if log.damage is not None:
            firsts.append(self._gap_at_opening)
        firsts += [partial(self.checkpoints, name) for name in self.fold.breakers]
        self._unopened: Sequence[tuple[Callable[[], Iterator[Event]], Once]] = [
            (make, Once()) for make in firsts
        ]

    def _make_locks(self) -> None:
        self._lock = TimedLock(_LONGEST_WAIT)
        self._inside = threading.Lock()
        self._forks = forks.passed

    def _renew_locks(self) -> None:
        """In a forked child: take new locks, unless this thread itself holds the old ones.

        A thread that held them in the parent is not here to release them, and may have been in the
        middle of a change. The thread that forked may hold them when a signal handler forked.
        """
        if self._lock.is_mine:
            self._forks = forks.passed
            self.audience.after_fork()
            return
        with forks.renewing:
            if self._forks != forks.passed:
                self.is_whole = False
                self.audience.after_fork()
                self._make_locks()

    def after_fork(self) -> None:
        """In a forked child: forget the calls that the parent will record."""
        # This thread may be in the middle of a change, where a signal handler forked: it goes on
        # with the lists that it has, so calls are forgotten before the next change. What it records
        # until then is the parent's, so no call of the child may come into these lists: all ask.
        self._asked = [request for request in self._asked if request.is_for_children]
        self.runs.note_fork()
        # A log in memory is the child's own: there it records what waits itself.
        self._parents_calls = len(self.pending) if self._log.is_in_child else 0
        for gate in tuple(self._gates.values()):
            gate.shut()
        self._renew_locks()
        self.pending.limit = 0

    def _leave_parents_calls(self) -> None:
        """Leave to the parent what it had not folded at the fork: it will record it.

        Failures among it count here too, as those do that it had folded.
        """
        number, taken = self._parents_calls or 0, self._taken
        self.runs.forget()
        self.is_whole = False
        if number > taken:
            self._apply_parents_calls(Calls.of(self.pending).part(taken, number))
        gone = max(number, taken)
        # One step.
        del self.pending[:gone]
        self._taken = 0
        self._parents_calls = None
        self.rest()
        self._update_all_gates()

    def _apply_parents_calls(self, calls: Calls) -> None:
        calls.put_in_order(self.fold.at)
        for sort, part in calls.sorted_by(self._sort_of):
            if sort != SINGLY and not self.fold.apply_outcomes(Outcomes(part, self.next_seq)):
                # One of them opens the breaker. Which one does, only the parent's log will show.
                self.good.restore(self.fold)
                return

    # Entries.

    @property
    def has_waiting(self) -> bool:
        """Whether this process itself has made calls that wait to be recorded."""
        return bool(self._asked) or len(self.pending) > (self._parents_calls or 0)

    @property
    def is_mine(self) -> bool:
        """Whether this very thread holds the lock: it must not wait for anything then."""
        return self._lock.is_mine or (bool(forks.forking) and forks.is_forking())

    def hold(self, change: Callable[[], R], instead: Callable[[], R]) -> R:
        """Do something under the lock, from a whole state.

        Args:
            change: What is done.
            instead: What is done if this thread is inside already, in the middle of a change.
        """
        if forks.forking and forks.is_forking():
            return instead()
        if self._forks != forks.passed:
            self._renew_locks()
        if self._is_stuck and self._inside.locked():
            return instead()
        is_taken = True
        try:
            with self._lock as is_taken:
                if is_taken and not self._inside.locked():
                    with self._inside:
                        result = self._changed(change)  # in the block, where an exception releases
                    return result  # noqa: RET504  # after the inner block, which is then over
        except RuntimeError:
            if is_taken:
                raise
            # What was not taken can't be released. Its holder does not go on: it was interrupted by
            # a handler that waits for this thread, as one that stops a service waits for workers.
            self._is_stuck = True
        return instead()

    def _changed(self, change: Callable[[], R]) -> R:
        self._is_stuck = False
        self._make_whole()
        if self._asked:
            self._carry_out_asked()
        result = change()
        if self.good.is_full:
            self.rest()
        self.pending.due_ns = min(self._due_at() + self.origin, FOREVER)
        return result

    def run(self, change: Callable[[int], R], instead: Callable[[], R]) -> R:
        """Do something under the lock at the present time, after all that came before.

        Args:
            change: What is done; it is given the time in nanoseconds of the log.
            instead: What is done if this thread is inside already, in the middle of a change.
        """
        is_nested = self.is_mine
        try:
            return self.hold(lambda: change(self.advance(self.drain())), instead)
        finally:
            if not is_nested:
                self.leave_entry()

    def carry_out(self, request: Request) -> None:
        """Carry out a report or command now, or when the outer entry of this thread leaves."""
        is_nested = self.is_mine
        try:
            self.hold(
                lambda: request.carry_out(self.advance(self.drain())),
                lambda: self._asked.append(request),
            )
        except RecloserError:
            raise
        except BaseException:
            # It came from outside, at any point: the request must not be lost.
            if not request.is_done:
                self._asked.append(request)
            raise
        finally:
            if not is_nested:
                self.leave_entry()

    def leave_entry(self) -> None:
        """Do what must not be done under the lock; called by each thread that was inside."""
        self._log.settle(self.fold.seq)
        while len(self._asked) > 0 and self.hold(_is_inside, _is_outside):
            self._log.settle(self.fold.seq)
        self.audience.tell()

    def ask(self, request: Request) -> None:
        """Have a request carried out by the entry that this thread is in the middle of."""
        self._asked.append(request)

    def _carry_out_asked(self) -> None:
        at = self.advance(self.drain())
        # Where a signal handler has forked in this entry, what the child asks for waits until its
        # log is begun, at the next one.
        while self._asked and not self._log.is_in_child:
            request = self._asked[0]
            self._tries += 1
            try:
                if not request.is_done:
                    request.carry_out(at)
            except Exception as error:
                # It is tried again where it may have come from outside. Whoever asked is gone, and
                # cannot be given the error.
                may_try = self._tries < _MOST_TRIES or request.is_for_children
                if may_try and not isinstance(error, RecloserError):
                    raise
                self._log.notice(logging.WARNING, "a report could not be recorded: %r", error)
                self._make_whole()
            self._tries = 0
            if self._asked and self._asked[0] is request:  # not in a child, which has none of them
                del self._asked[0]

    def reading(self, look: Callable[[LogFold, int], R], breaker: str | None = None) -> R:
        """Look at the fold at the present time; only what happened before is recorded.

        A thread that is inside already looks at the last whole states of the breakers.

        Args:
            look: What is done with the fold and the time.
            breaker: Whose state is to be up to date; by default that of all.
        """

        def change() -> R:
            at = self.drain()
            if breaker is None:
                self.runs.end_all(at)
            else:
                self.runs.end(breaker, at)
            return look(self.fold, at)

        is_nested = self.is_mine
        try:
            return self.hold(change, lambda: look(self.last_whole(breaker), self.read_at()))
        finally:
            if not is_nested:
                self.leave_entry()

    def last_whole(self, breaker: str | None = None) -> LogFold:
        """The last whole states, for a thread that is itself in the middle of a change.

        Args:
            breaker: Whose state is looked at; by default all are.
        """
        rebuilt = self.good.rebuilt()
        for name in tuple(self.fold.breakers) if breaker is None else (breaker,):
            if name not in rebuilt.breakers:
                state = self.fold.breakers.get(name) or (self.fold.expected or {}).get(name)
                if state is not None:
                    rebuilt.breakers[name] = state
        return rebuilt

    def _make_whole(self) -> None:
        """Undo or finish what an exception interrupted, and begin the session if it is not begun."""
        if not self.is_whole:
            self.good.restore(self.fold)
            self._log.catch_up(self.good.events)
            self._update_all_gates()
            self.runs.catch_up()
            self.is_whole = True
        if self._unopened:
            self._open_session()
        # In the same entry: what a handler asks for meanwhile is recorded after the log's beginning.
        # Where one forks meanwhile, its child has another log to begin, and other calls to forget.
        while self._log.is_in_child or self._parents_calls is not None:
            if self._parents_calls is not None:
                self._leave_parents_calls()
            else:
                self._log.begin_in_child()
                if not self.is_whole:
                    self.good.restore(self.fold)

    def _open_session(self) -> None:
        self.rest()
        for make, once in self._unopened:
            if once.is_done:
                continue
            # Where this is interrupted in the middle, all parts of a checkpoint are written again.
            for event in make():
                is_last = not isinstance(event, Checkpoint) or event.part == event.parts
                self.append(event, once=once if is_last else None)
        self._unopened = ()

    def _first_header(self) -> Iterator[LogOpened]:
        header = self._header(self._opened_at - self.origin, self._opened_at)
        yield evolve(header, wall=self._opened_wall, **asdict(self._tail))

    def _gap_at_opening(self) -> Iterator[LogGap]:
        damage = self._log.damage
        assert damage is not None
        yield LogGap(self.next_seq, self.fold.at, damage.lost, damage.short())

    def _header(self, at: int, monotonic: int) -> LogOpened:
        return LogOpened(
            seq=self.next_seq,
            at=at,
            format=FORMAT_VERSION,
            rules=RULES_VERSION,
            session=self._session,
            wall=self._wall_at(monotonic),
            monotonic=monotonic,
            boot_id=boot_id_of(self._clock),
            host=self._host,
            pid=os.getpid(),
            library=__version__,
            checkpoints=len(self.fold.breakers),
            detail=self._detail,
        )

    def header(self) -> LogOpened:
        """What begins a further segment of this session."""
        at = self.fold.at
        return self._header(at, at + self.origin)

    def _wall_at(self, monotonic: int) -> datetime:
        """What the wall hand showed when the monotonic one did this, which is a moment ago."""
        return after(read_wall(self._clock), monotonic - self._hand())

    def checkpoints(self, breaker: str) -> Iterator[Checkpoint]:
        """The state of a breaker, from which a fold can start, in one part or several.

        Each part is made after the one before it was appended.
        """
        for state, part, parts in pieces_of(dump(self.fold.breakers[breaker])):
            yield Checkpoint(self.next_seq, self.fold.at, breaker, state, part, parts)

    def rest(self) -> None:
        """Take the fold, which is whole, for the last good state."""
        good, fold = LastGood(self.fold), self.fold
        # One step.
        self.good = fold.keeper = good
        self.is_whole = True
        if fold.expected:
            fold.forget_expected()

    def _due_at(self) -> int:
        """When a tick is due, or a deadline."""
        deadline = self.fold.next_deadline
        tick_at = FOREVER if self._tick_ns is None else self.fold.ticked_at + self._tick_ns
        return tick_at if deadline is None else min(deadline, tick_at)

    # Gates.

    def gate(self, breaker: str) -> Gate:
        """The way past the lock for a breaker's calls; called under the lock.

        It stays shut where somebody waits for each success: a listener, or a log that must have it
        before the call returns.
        """
        gate = self.gate_of(breaker)
        self._update_gate(breaker)
        return gate

    def gate_of(self, breaker: str) -> Gate:
        """The gate of a breaker, which stays shut until the breaker is known to the fold."""
        # One step: this thread may be in the middle of a change, or another one inside.
        return self._gates.setdefault(breaker, self._new_gate(breaker))

    def _new_gate(self, breaker: str) -> Gate:
        return Gate(
            breaker,
            self.pending,
            self._hand,
            self.origin,
            counts=self.runs.has_successes,
        )

    def _update_gate(self, breaker: str) -> None:
        gate = self._gates.get(breaker)
        state = self.fold.breakers.get(breaker)
        if gate is None or state is None:
            return
        can_wait = self._log.can_wait
        may_let = self._lets_pass and can_wait and not self.audience.awaits_successes(breaker)
        gate.update(
            state,
            may_let=may_let,
            may_let_bad=may_let
            and self.lets_failures_pass
            and not self.audience.awaits_failures(breaker),
            may_refuse=can_wait and not self.audience.awaits_refusals(breaker),
            is_all_folded=self.is_all_folded,
        )

    def _update_all_gates(self) -> None:
        for breaker in tuple(self._gates):
            self._update_gate(breaker)

    @property
    def is_all_folded(self) -> bool:
        """Whether no call waits that is not folded."""
        return len(self.pending) == self._taken

    def _renew(self, breaker: str) -> None:
        """Bring a gate up to date after an event that fired no edge."""
        gate = self._gates.get(breaker)
        state = self.fold.breakers[breaker]
        if gate is None or not gate.renew(state, is_all_folded=self.is_all_folded):
            self._update_gate(breaker)

    def relieve(self) -> None:
        """Fold what is pending, unless this very thread is at it."""
        if not self.is_mine:
            self.run(_nothing_at, _nothing)

    def let_none_pass(self) -> None:
        """Have each call ask, and each success be folded when it is reported; before any does."""
        self._lets_pass = False

    # Calls that were let past the lock.

    def drain(self) -> int:
        """Fold what is pending, in its order, and the runs whose second is over; under the lock.

        Returns:
            The time up to which that is done.
        """
        at = self.read_at()
        self._drop_taken()
        if self.pending:
            waiting = len(self.pending)
            while waiting > 0:
                calls = Calls.of(self.pending)
                waiting -= len(calls)
                self._take(calls)
                self._drop_taken()
        at = max(at, self.fold.at)
        self.runs.end_before(at)
        return at

    def _drop_taken(self) -> None:
        """Remove the calls that are recorded; without a call in between, so that it is one step."""
        taken, parents = self._taken, self._parents_calls
        if not taken:
            return
        left = None if parents is None else max(0, parents - taken)
        # One step.
        del self.pending[:taken]
        self._taken = 0
        self._parents_calls = left

    def _take(self, calls: Calls) -> None:
        """Fold calls that were let past the lock, in their order and in blocks that fit a seal."""
        calls.put_in_order(self.fold.at)
        done = 0
        while done < len(calls):
            # What was counted of their breakers is written before them.
            before = len(calls.passes) if self.runs.has_successes else 0
            block = calls.part(done, done + max(1, self._log.room() - before))
            first_end = self.runs.first_end
            before = bisect_left(block.ats, first_end)
            if before:
                self._take_block(block.part(0, before))
            if before < len(block):
                self.runs.end_before(first_end)
            done += before

    def _take_block(self, calls: Calls) -> None:
        for sort, part in calls.sorted_by(self._sort_of):
            if sort == SINGLY:
                self._take_singly(part)
            elif self.runs.has_successes:
                self._take_runs(part)
            else:
                self._take_together(part)

    def _sort_of(self, passed: Pass) -> int:
        state = self.fold.breakers[passed.breaker]
        if isinstance(passed, Refusal) or passed.epoch != state.epoch or state.state is not CLOSED:
            return SINGLY
        return TOGETHER

    def _take_runs(self, calls: Calls) -> None:
        """Take outcomes of which those that went well are written as runs."""
        place = calls.end_of_last(lambda passed: passed.kind != SUCCEEDED)
        if place:
            mixed = calls.part(0, place)
            for breaker in mixed.breakers:
                self.runs.end(breaker, mixed.ats[0])
            self._take_together(mixed, mixed.merged())
        if place < len(calls):
            self._take_counted(calls.part(place, len(calls)))

    def _take_together(self, calls: Calls, rows: Calls | None = None) -> None:
        """Take outcomes that fire no edge, as far as is known.

        Args:
            calls: The calls that wait.
            rows: How they are written, where neighbours are merged.
        """
        self.is_whole = False
        outcomes = Outcomes(rows or calls, self.next_seq)
        if not self.fold.apply_outcomes(outcomes):
            # Threads have raced for the last failures that were to spare.
            self.good.restore(self.fold)
            self.is_whole = True
            self._take_singly(calls)
            return
        seal = self._log.seal_after(outcomes)
        if seal is not None:
            self.fold.apply(seal)
        good, number, taken = self.good, len(outcomes), len(calls)
        final = (outcomes,) if seal is None else (outcomes, seal)
        # One step, as in ``append``.
        good.events += final
        good.size += number
        self._taken += taken
        # Final from here on.
        self._log.write(outcomes, seal)
        for breaker in outcomes.breakers:
            self._renew(breaker)
        self.is_whole = True

    def _take_counted(self, calls: Calls) -> None:
        """Take successes that are counted, each by its own where it is slow."""
        done = 0
        while done < len(calls):
            at, passed = calls.ats[done], calls.passes[calls.codes[done]]
            self.runs.end_before(at)
            number = calls.like(done, second_end(at))
            tooks = calls.tooks[done : done + number]
            if not self._hold(passed, tooks, at):
                number = 1
                if not self._hold(passed, tooks[:1], at):
                    self.runs.end(passed.breaker, at)
                    self.append(outcome(passed, self.next_seq, at, tooks[0]), taken=1)
            done += number

    def _hold(self, passed: Pass, tooks: Sequence[int], at: int) -> bool:
        number = len(tooks)
        return self.runs.hold(
            passed.breaker,
            passed.epoch,
            tooks[0],
            at,
            number=number,
            slowest_ns=max(tooks),
            taken=number,
            may_count=len(self.pending) == self._taken + number,
        )

    def _take_singly(self, calls: Calls) -> None:
        for at, took_ns, passed in calls.each():
            self.runs.end_before(at)
            if isinstance(passed, Refusal):
                self.runs.refuse(passed, at, taken=1)
            else:
                self.runs.end(passed.breaker, at)
                self.append(outcome(passed, self.next_seq, at, took_ns), taken=1)

    def count(
        self, run: Run, number: int, took_ns: int, *, once: Spendable | None, taken: int
    ) -> None:
        """Have a run hold more calls, in one step with what a single one spends.

        Raises:
            PermitError: The permit was spent before.
        """
        if once is not None:
            try:
                del once._unspent  # noqa: SLF001  # a method would be a call
            except AttributeError:
                raise spent_before(once) from None
        # One step, as in ``append``.
        if not run.held:
            run.took_ns = took_ns
        run.held += number
        self._taken += taken

    # Events.

    @property
    def next_seq(self) -> int:
        """The ``seq`` of the next event."""
        return self.fold.seq + 1

    def read_at(self) -> int:
        """The time in nanoseconds of the log, which never falls whatever the clock does."""
        return max(self.fold.at, self._hand() - self.origin)

    def took_since(self, started_at: int, at: int) -> int:
        """How long a call has taken that was let through at one time and ended at another."""
        return max(0, at - started_at)

    def advance(self, at: int) -> int:
        """Let it be that time, with a tick recorded where one is due."""
        if at >= self._due_at():
            self.append(
                ClockTicked(
                    seq=self.next_seq,
                    at=at,
                    wall=self._wall_at(at + self.origin),
                    monotonic=at + self.origin,
                )
            )
        return at

    def append(
        self,
        event: Event,
        *,
        once: Spendable | None = None,
        run: Run | None = None,
        counted: int = 0,
        taken: int = 0,
        said: Sequence[Saying] = (),
    ) -> Sequence[Edge]:
        """Fold the event and record it with the edges that it fires, which are returned.

        What the event is made of is marked as used in the same step that records it, so that an
        exception from outside can neither lose it nor have it recorded twice.

        Args:
            event: The next event.
            once: The permit or mark that the event spends.
            run: The run that the event writes, with ``counted`` calls counted in it so far.
            counted: As above.
            taken: How many of the calls that wait the event stands for.
            said: What other processes are to know of it.

        Raises:
            PermitError: The permit was spent before.
        """
        self.is_whole = False
        edges = self.fold.apply(event)
        for edge in edges:
            self.fold.apply(edge)
        recorded: list[Event] = [event, *edges]
        seal = self._log.seal_after(recorded)
        if seal is not None:
            self.fold.apply(seal)
        final = recorded if seal is None else [*recorded, seal]
        heard = recorded if self.audience else ()
        good, number = self.good, len(recorded)
        inbox, sayings = self.audience.inbox, self.sayings
        if once is not None:
            try:
                del once._unspent  # noqa: SLF001  # a method would be a call
            except AttributeError:
                raise spent_before(once) from None
        # From the line above to the next comment there is no call and no loop: one step.
        good.events += final
        good.size += number
        inbox += heard
        sayings += said
        self._taken += taken
        if run is not None:
            run.counted = counted
            run.held = run.took_ns = 0
        # Final from here on: what follows is done again by ``_make_whole`` where it is interrupted.
        self._log.write(recorded, seal)
        self._update_gates_after(event, edges)
        self.is_whole = True
        return edges

    def _update_gates_after(self, event: Event, edges: Sequence[Edge]) -> None:
        for edge in edges:
            self._update_gate(edge.breaker)
        if is_about_a_breaker(event):
            if edges:
                self._update_gate(event.breaker)
            else:
                self._renew(event.breaker)
        elif event.kind == "log_opened":
            self._update_all_gates()  # a new session forgets the probes of the last

    def configured(self, request: Request, state: BreakerState) -> BreakerState:
        """The state of a breaker, once its settings are recorded.

        Args:
            request: Records them.
            state: A new state, for a thread that is in the middle of a change: it becomes the
                breaker's when that is over.
        """

        def configure(at: int) -> None:
            request.carry_out(at)
            self.rest()  # an idle breaker keeps no copy of its state, nor of its first events

        self.run(configure, lambda: self.ask(request))
        return self.fold.expect(state)

    def await_effect(self) -> None:
        """Wait until a command has its effect; here it has it once it is recorded."""

    def claim_probe(self, state: BreakerState, at: int) -> ProbeClaim | None:
        """A claim to a probe, to be waited for while no lock is held, where others decide on it."""
        del state, at
        return None

    def admit_probe(
        self, state: BreakerState, at: int, once: Spendable | None = None
    ) -> ProbeAdmitted | None:
        """The admission of one more probe; None if the breaker has no place for it.

        Args:
            state: The state of the breaker.
            at: The time in nanoseconds of the log.
            once: The mark that the admission spends.
        """
        if state.state is not HALF_OPEN or not may_probe(state):
            return None
        self.runs.end(state.breaker, at)
        probe = state.probes_admitted + 1
        admitted = _ProbeAdmitted(self.next_seq, at, state.breaker, state.epoch, probe)
        self.append(admitted, once=once)
        return admitted


def _log_notice(notice: _Notice) -> None:
    # It goes once it is logged, or after some tries that an exception from outside interrupts: no
    # such exception loses a message, and none has it logged for ever.
    notice.tries += 1
    if notice.tries >= _MOST_TRIES:
        _drop(notice)
    host_logging.log(notice.level, notice.message, *notice.values)
    _drop(notice)


def _drop(notice: _Notice) -> None:
    with contextlib.suppress(ValueError):  # another thread has logged it meanwhile
        _notices.remove(notice)


forks.note_lock(Sequencer.hold, 1, "_lock")


def _is_inside() -> bool:
    return True


def _is_outside() -> bool:
    return False


def _nothing() -> None:
    """Do nothing: the outer entry of this thread does what there is to do."""


def _nothing_at(at: int) -> None:
    del at


def _resumed_at(fold: LogFold, clock: Clock, monotonic: int) -> int:
    """Where the time of a log goes on when it is opened again.

    Within one boot the monotonic hand has gone on, and says how long the pause was. Over a reboot
    only the wall clock can say it, and is believed no further than any breaker still has to wait.
    """
    opened = fold.opened
    if opened is None:
        return 0
    if opened.boot_id and opened.boot_id == boot_id_of(clock):
        at = opened.at + monotonic - opened.monotonic
        if at >= fold.at:
            return min(at, MAX_AT)
    gap = nanoseconds_between(fold.utc(fold.at), read_wall(clock))
    return min(fold.at + max(0, min(gap, fold.longest_wait_ns)), MAX_AT)
