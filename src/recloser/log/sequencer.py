"""The sequencer of one process: a lock that puts events in order.

Whoever holds the lock reads the clock, folds the event and hands it to the log together with its
witnesses. So the order in the log is the order of the fold, and ``at`` never falls.
"""

import os
import platform
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, TypeGuard, get_args

from attrs import asdict, evolve

from recloser.clock import (
    Clock,
    SystemClock,
    after,
    boot_id_of,
    hand_of,
    nanoseconds_between,
    read_monotonic,
    read_wall,
)
from recloser.errors import ConfigError
from recloser.events import (
    FORMAT_VERSION,
    RULES_VERSION,
    BreakerEvent,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogEvent,
    LogOpened,
    LogSealed,
    ProbeAdmitted,
)
from recloser.fold import is_steady, may_probe, steady_until
from recloser.gate import PENDING_LIMIT, Gate, Leave, Pass, Pending, Refusal, RefusedRun, Run
from recloser.listeners import Listener, hears_refusals, hears_successes, notify
from recloser.log.calls import Calls, Successes, rejected, succeeded
from recloser.log.codec import full, lean
from recloser.log.reader import Tail
from recloser.log.runs import SINGLY, Runs, second_end
from recloser.logfold import LogFold
from recloser.machine import HALF_OPEN
from recloser.state import BreakerState, dump
from recloser.validation import NS_PER_SECOND, Seconds, nanoseconds
from recloser.version import __version__
from recloser.windows import FOREVER

Detail: TypeAlias = Literal["full", "runs"]

FEW: Final = 64
"""So many calls may wait where they are but counted: once folded, those behind them needn't wait."""

_ABOUT_ALL: Final = frozenset(event_type.kind for event_type in get_args(LogEvent))
_Succeeded: Final = lean(CallSucceeded)
_Rejected: Final = lean(CallRejected)
_ProbeAdmitted: Final = lean(ProbeAdmitted)


def _is_about_a_breaker(event: Event) -> TypeGuard[BreakerEvent]:
    return event.kind not in _ABOUT_ALL


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

    Raises:
        ConfigError: There is no such detail.
    """

    pending_limit = PENDING_LIMIT

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
        detail: Detail = "full",
    ) -> None:
        if detail not in get_args(Detail):
            raise ConfigError(f"detail must be full or runs, not {detail!r}")
        if detail == "runs":
            self.pending_limit = FEW
        self._clock = clock
        self._tick_ns = None if tick_seconds is None else nanoseconds(tick_seconds)
        self._host = platform.node() if host is None else host
        self._detail: Detail = detail
        self._sequencer: Sequencer | None = None
        self._attaching = threading.Lock()

    def attach(self, clock: Clock | None = None) -> "Sequencer":
        """The sequencer that writes this log; the first call opens a session.

        Raises:
            ConfigError: The log is timed by another clock already.
        """
        with self._attaching:
            if self._sequencer is None:
                self._clock = self._clock or clock or SystemClock()
                self._sequencer = Sequencer(
                    self, self._clock, self._tick_ns, self._host, self._detail
                )
            if clock is not None and clock is not self._clock:
                raise ConfigError("clock: the log is timed by another clock; one log has one clock")
            return self._sequencer

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

    @abstractmethod
    def write(self, events: Sequence[Event]) -> LogSealed | None:
        """Append events, and a seal if one is due, which is returned; called under the lock.

        They are an event and its witnesses, or as many successes as there is ``room`` for.
        """

    def settle(self, seq: int) -> None:  # noqa: B027  # not every log promises more
        """Return when all up to ``seq`` is as safe as was promised; called outside the lock."""

    def begin_in_child(self) -> None:  # noqa: B027  # memory needs no log of its own
        """Begin the log of a forked child, before its first event; called under the lock."""

    def stay_awake(self) -> None:  # noqa: B027  # memory needs no thread
        """Have runs ended soon after their seconds are over; called under the lock."""

    def flush(self) -> None:  # noqa: B027  # not every log has anything to hand on
        """Hand all that was appended to where it can be read."""

    @abstractmethod
    def __iter__(self) -> Iterator[Event]:
        """The events of the log from its beginning."""

    @abstractmethod
    def close(self) -> None:
        """End the session; what was appended is kept."""

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

    As a context it holds the lock, has a tick recorded if one is due, and gives the time; when it
    is left, listeners are told of what was recorded. No code of a user is called under the lock.

    Attributes:
        fold: The state of every breaker in the log; to be read under the lock.
        pending: Calls that were let past the lock and are not folded yet.
        origin: What the monotonic hand showed when the time of the log was 0.
        degraded: Whether it should put others' events in order too, and can't reach them.
    """

    degraded = False

    def __init__(
        self, log: Log, clock: Clock, tick_ns: int | None, host: str, detail: Detail
    ) -> None:
        self._make_locks()
        self._is_forked = False
        self._deferred: deque[Callable[[], None]] = deque()
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._untold: deque[tuple[Listener, BreakerEvent]] = deque()
        self._gates: dict[str, Gate] = {}
        self._runs = Runs()
        self.pending = Pending(log.pending_limit)
        self.fold, tail = log.recovered()
        self._log = log
        self._clock = clock
        self._hand = hand_of(clock)
        self._relieve = self.relieve  # one for all gates
        self._tick_ns = tick_ns
        self._detail = detail
        self._counts = detail == "runs"
        self._lets_pass = True
        monotonic = read_monotonic(clock)
        at = _resumed_at(self.fold, clock, monotonic)
        self.origin = monotonic - at
        self._host = host
        self._session = 1 if self.fold.opened is None else self.fold.opened.session + 1
        with self._lock:
            self._open_session(at, monotonic, tail)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._holder: int | None = None
        self._telling = threading.Lock()

    def after_fork(self) -> None:
        """In a forked child: whoever held a lock is not here to release it."""
        self._make_locks()
        self._is_forked = True
        self.pending.clear()  # the parent has them
        for gate in self._runs:
            gate.forget()
        self.pending.let_wait(0)

    def _open_session(self, at: int, monotonic: int, tail: Tail) -> None:
        self.append(evolve(self._header(at, monotonic), **asdict(tail)))
        for name in self.fold.breakers:
            self.append(self.checkpoint(name))

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

    def checkpoint(self, breaker: str) -> Checkpoint:
        """The state of a breaker, from which a fold can start."""
        return Checkpoint(self.next_seq, self.fold.at, breaker, dump(self.fold.breakers[breaker]))

    def __enter__(self) -> int:
        self._lock.acquire()
        self._holder = threading.get_ident()
        try:
            if self._is_forked:
                self._is_forked = False
                self._log.begin_in_child()
            return self.advance(self.drain())
        except BaseException:
            self._release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        seq = self.fold.seq
        self._release()
        self._log.settle(seq)
        self.do_what_waited()

    def do_what_waited(self) -> None:
        """Do, outside the lock, what was not to be done under it."""
        if self._untold:
            self._tell()
        while self._deferred:
            self._deferred.popleft()()

    def _release(self) -> None:
        self.pending.due_ns = self._due_at() + self.origin
        self._holder = None
        self._lock.release()

    def _due_at(self) -> int:
        """When a tick is due, or a deadline."""
        deadline = self.fold.next_deadline
        tick_at = FOREVER if self._tick_ns is None else self.fold.ticked_at + self._tick_ns
        return tick_at if deadline is None else min(deadline, tick_at)

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock alone, for the log itself."""
        self._lock.acquire()
        self._holder = threading.get_ident()
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def reading(self, breaker: str | None = None) -> Iterator[int]:
        """The lock and the time; nothing is recorded but what happened before.

        Args:
            breaker: Whose state is to be up to date; by default that of all.
        """
        with self.held():
            at = self.drain()
            if breaker is None:
                self.end_runs(at)
            else:
                self.end_run(breaker, at)
            yield at
        self.do_what_waited()

    @property
    def is_mine(self) -> bool:
        """Whether this very thread holds the lock.

        It may when the collection of garbage, which can strike anywhere, ends a protected generator.
        """
        return self._holder == threading.get_ident()

    def defer(self, report: Callable[[], None]) -> None:
        """Have a report made as soon as the lock is free, which this very thread holds."""
        self._deferred.append(report)

    def listen(self, breaker: str, listener: Listener) -> None:
        """Have the listener told of the events about a breaker from now on."""
        self._listeners[breaker] = (*self._listeners.get(breaker, ()), listener)

    def gate(self, breaker: str) -> Gate:
        """The way past the lock for a breaker's calls; called under the lock.

        It stays shut where somebody waits for each success: a listener, or a log that must have it
        before the call returns.
        """
        if breaker not in self._gates:
            self._gates[breaker] = Gate(
                breaker, self.pending, self._hand, self._relieve, self.origin, counts=self._counts
            )
        self._update_gate(breaker)
        return self._gates[breaker]

    def _update_gate(self, breaker: str) -> None:
        gate = self._gates.get(breaker)
        if gate is not None:
            state = self.fold.breakers[breaker]
            listeners = self._listeners.get(breaker, ())
            gate.update(
                state,
                may_let=self._lets_pass
                and self._log.can_wait
                and not any(map(hears_successes, listeners)),
                may_refuse=self._log.can_wait and not any(map(hears_refusals, listeners)),
            )
            if self._counts:
                self._open_lease(gate, self.fold.at)

    def _stays_open(self, breaker: str) -> bool:
        """Whether the gate lets calls past, and will after an event that fired no edge."""
        gate = self._gates.get(breaker)
        is_open = gate is not None and gate.leave is not None
        return is_open and is_steady(self.fold.breakers[breaker])

    def _open_lease(self, gate: Gate, at: int) -> None:
        """Have calls counted that look at the time, as long as a success can fire no edge by it.

        Nor may a deadline of any breaker go unnoticed by them, as it doesn't where they ask.
        """
        lease = gate.lease
        if lease is None or lease.is_firm:
            return
        lapses = min(second_end(at), steady_until(lease.state), self.fold.next_deadline or FOREVER)
        if lapses > at:
            ends_ns = lapses + self.origin
            self._begin(gate, lease.counted(), ends_ns)
            lease.lapses_ns = lease.until_ns = ends_ns  # from now on others count

    def _begin(self, gate: Gate, run: Run, ends_ns: int) -> None:
        run.begin(ends_ns)
        if ends_ns < gate.ends_ns:
            self._runs.open(gate, ends_ns)
            self._log.stay_awake()

    def _shorten_leases(self) -> None:
        """A deadline that is new may come before what leases were given for."""
        deadline = self.fold.next_deadline
        if deadline is None:
            return
        for gate in self._runs if deadline < second_end(self.fold.at) else ():
            lease = gate.lease
            if lease is not None and not lease.is_firm:
                lease.lapses_ns = min(lease.lapses_ns, deadline + self.origin)
                lease.until_ns = min(lease.until_ns, lease.lapses_ns)

    def relieve(self) -> None:
        """Fold what is pending, unless this very thread is at it."""
        if not self.is_mine:
            with self:
                pass

    def let_none_pass(self) -> None:
        """Have each call ask, and each success be folded when it is reported; before any does."""
        self._lets_pass = False

    @property
    def has_runs(self) -> bool:
        """Whether there may be calls that are counted, and wait for the end of their second."""
        return bool(self._runs)

    def stop_counting(self) -> None:
        """Have every call come by itself from now on; called under the lock."""
        self._counts = False
        for gate in self._gates.values():
            gate.stop_counting()

    def drain(self) -> int:
        """Fold what is pending, in its order, and the runs whose second is over; under the lock.

        Returns:
            The time up to which that is done.
        """
        at = self._read_at()
        if self.pending:
            self._take(Calls.take(self.pending))
        at = max(at, self.fold.at)
        if self._runs:
            self._end_runs_before(at)
        return at

    def end_runs(self, at: int) -> None:
        """Fold and record what was counted up to now of all breakers; called under the lock."""
        for gate in self._gates.values():
            if gate.may_have_counted:
                self._end(gate, at)

    def end_run(self, breaker: str, at: int) -> None:
        """Fold and record what was counted of a breaker: something else is about to happen to it."""
        gate = self._gates.get(breaker)
        if gate is not None and gate.may_have_counted:
            self._end(gate, at)

    def _end_runs_before(self, at: int) -> None:
        for gate, ended in self._runs.over(at + self.origin):
            gate.lapse(ended)
            self._write_runs(gate, gate.runs(ended), at)
            ends = gate.next_end_ns(ended)
            if ends < gate.ends_ns:
                self._runs.open(gate, ends)

    def _end(self, gate: Gate, at: int) -> None:
        self._write_runs(gate, gate.runs(), at)

    def _write_runs(self, gate: Gate, runs: Iterable[Run], at: int) -> None:
        for run in runs:
            calls, took_ns = run.take()
            if calls:
                self._write_run(gate.breaker, run, calls, took_ns, at)

    def _write_run(self, breaker: str, run: Run, calls: int, took_ns: int, at: int) -> None:
        fold = self.fold
        at = max(fold.at, min(at, run.ends_ns - 1 - self.origin))
        seq = fold.seq + 1
        event: Event
        if isinstance(run, RefusedRun):
            wait = run.wait_ns(at + self.origin)
            event = _Rejected(seq, at, breaker, run.reason, wait, calls)
        else:
            event = _Succeeded(seq, at, breaker, run.epoch, took_ns, count=calls)
        self.append(event)

    def _take(self, calls: Calls) -> None:
        """Fold calls that were let past the lock, in their order and in blocks that fit a seal."""
        calls.put_in_order(self.fold.at)
        done = 0
        while done < len(calls):
            block = calls.part(done, done + self._log.room())
            first_end = self._runs.first_end_ns - self.origin
            before = bisect_left(block.ats, first_end)
            if before:
                self._take_block(block.part(0, before))
            if before < len(block):
                self._end_runs_before(first_end)
            done += before

    def _take_block(self, calls: Calls) -> None:
        if self._counts:
            self._take_singly(calls)
            return
        if all(map(self._is_plain, set(calls.passes))):
            self._append_successes(calls)
            return
        for is_plain, group in groupby(enumerate(calls.passes), lambda of: self._is_plain(of[1])):
            places = [place for place, _ in group]
            part = calls.part(places[0], places[-1] + 1)
            (self._append_successes if is_plain else self._take_singly)(part)

    def _is_plain(self, passed: Pass) -> bool:
        """Whether what was let past on it is a success that fires no edge."""
        state = self.fold.breakers[passed.breaker]
        return isinstance(passed, Leave) and passed.epoch == state.epoch and is_steady(state)

    def _append_successes(self, calls: Calls) -> None:
        events = Successes(calls, self.next_seq)
        self.fold.apply_successes(events, events.counts)
        sealed = self._log.write(events)
        if sealed is not None:
            self.fold.apply(sealed)

    def _take_singly(self, calls: Calls) -> None:
        for at, took_ns, passed in zip(calls.ats, calls.tooks, calls.passes, strict=True):
            self._end_runs_before(at)
            if isinstance(passed, Refusal):
                self._take_refusal(passed, at)
            elif not self.hold(passed.breaker, passed.epoch, took_ns, at):
                self.end_run(passed.breaker, at)
                self.append(succeeded(passed, self.next_seq, at, took_ns))

    def hold(self, breaker: str, epoch: int, took_ns: int, at: int) -> bool:
        """Count a success of which nothing but a count can come, if that is how it is recorded."""
        gate = self._gates.get(breaker)
        lease = None if gate is None or not self._counts else gate.lease
        if gate is None or lease is None or lease.epoch != epoch:
            return False
        if took_ns > lease.slow_ns or at >= steady_until(lease.state):
            return False
        ends_ns = self._runs.second_end_ns(at, self.origin)
        run = lease.counted()
        self._begin(gate, run, ends_ns)
        run.hold(took_ns)
        if lease.is_firm:
            lease.until_ns = ends_ns
        else:
            self._open_lease(gate, at)
        return True

    def _take_refusal(self, refused: Refusal, at: int) -> None:
        hand = at + self.origin
        wait_ns = max(0, refused.opens_ns - hand) if refused.has_end else None
        gate = self._gates[refused.breaker]
        refusal = gate.refusal
        if refusal is None or refusal.reason is not refused.reason:
            self.append(rejected(refused, self.next_seq, at, wait_ns))
            return
        run = refusal.counted()
        if self._counts:
            self._begin(gate, run, min(self._runs.second_end_ns(at, self.origin), refusal.opens_ns))
        elif hand >= run.ends_ns:
            self._end(gate, at)
            self._begin(gate, run, min(hand + NS_PER_SECOND, refusal.opens_ns))
        if not self._counts and run.singly < SINGLY:
            run.singly += 1
            self.append(rejected(refused, self.next_seq, at, wait_ns))
        else:
            run.hold()
            refusal.until_ns = run.ends_ns

    @property
    def next_seq(self) -> int:
        """The ``seq`` of the next event."""
        return self.fold.seq + 1

    def _read_at(self) -> int:
        """The time in nanoseconds of the log, which never falls whatever the clock does."""
        return max(self.fold.at, self._hand() - self.origin)

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

    def append(self, event: Event) -> Sequence[Edge]:
        """Fold the event and record it with the edges that it fires, which are returned."""
        edges = self.fold.apply(event)
        for edge in edges:
            self.fold.apply(edge)
            self._update_gate(edge.breaker)
        if _is_about_a_breaker(event):
            if edges or not self._stays_open(event.breaker):
                self._update_gate(event.breaker)
        elif event.kind == "log_opened":
            for breaker in self._gates:
                self._update_gate(breaker)  # a new session forgets the probes of the last
        if self._runs and self._counts:
            self._shorten_leases()
        recorded = [event, *edges]
        sealed = self._log.write(recorded)
        if sealed is not None:
            self.fold.apply(sealed)
        if self._listeners:
            self._note(recorded)
        return edges

    def admit_probe(self, state: BreakerState, at: int) -> ProbeAdmitted | None:
        """The admission of one more probe; None if the breaker has no place for it."""
        if state.state is not HALF_OPEN or not may_probe(state):
            return None
        self.end_run(state.breaker, at)
        probe = state.probes_admitted + 1
        admitted = _ProbeAdmitted(self.next_seq, at, state.breaker, state.epoch, probe)
        self.append(admitted)
        return admitted

    def _note(self, events: Sequence[Event]) -> None:
        for event in events:
            if _is_about_a_breaker(event):
                for listener in self._listeners.get(event.breaker, ()):
                    if event.kind != "call_succeeded" or hears_successes(listener):
                        self._untold.append((listener, full(event)))

    def _tell(self) -> None:
        """Tell the listeners in the order of the log; whoever is telling already tells this too."""
        while self._untold and self._telling.acquire(blocking=False):
            try:
                while self._untold:
                    notify(*self._untold.popleft())
            finally:
                self._telling.release()


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
            return at
    gap = nanoseconds_between(fold.utc(fold.at), read_wall(clock))
    return fold.at + max(0, min(gap, fold.longest_wait_ns))
