"""The sequencer of one process: a lock that puts events in order.

Whoever holds the lock reads the clock, folds the event and hands it to the log together with its
witnesses. So the order in the log is the order of the fold, and ``at`` never falls.
"""

import os
import platform
import threading
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias, get_args

from attrs import asdict, evolve

from recloser.clock import (
    SYSTEM_CLOCK,
    Clock,
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
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    LogSealed,
    ProbeAdmitted,
    is_about_a_breaker,
)
from recloser.fold import is_steady, may_probe
from recloser.gate import PENDING_LIMIT, Gate, Leave, Pass, Pending, Refusal
from recloser.log.audience import Audience
from recloser.log.calls import Calls, Successes, succeeded
from recloser.log.codec import lean
from recloser.log.runs import Runs
from recloser.log.tail import Tail
from recloser.logfold import LogFold
from recloser.machine import HALF_OPEN
from recloser.settings_in_force import SettingsInForce
from recloser.state import BreakerState, dump
from recloser.validation import (
    Seconds,
    checked_seconds,
    checked_text,
    checked_word,
    nanoseconds,
)
from recloser.version import __version__
from recloser.windows import FOREVER

Detail: TypeAlias = Literal["full", "runs"]

FEW: Final = 64
"""So many calls may wait where they are but counted: once folded, those behind them needn't wait."""

_ProbeAdmitted: Final = lean(ProbeAdmitted)


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

    Raises:
        ConfigError: An argument has a value that it can't have.
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
        detail = checked_word("detail", detail, get_args(Detail))
        tick_seconds = checked_seconds("tick_seconds", tick_seconds, above_zero=True, optional=True)
        host = checked_text("host", host, optional=True, may_be_empty=True)
        self.settings_in_force = SettingsInForce()
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
                self._clock = self._clock or clock or SYSTEM_CLOCK
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
        runs: Calls that are but counted.
        audience: Who is told of what is recorded.
        origin: What the monotonic hand showed when the time of the log was 0.
        degraded: Whether it should put others' events in order too, and can't reach them.
    """

    degraded = False

    def __init__(
        self, log: Log, clock: Clock, tick_ns: int | None, host: str, detail: Detail
    ) -> None:
        self._make_locks()
        self._is_forked = False
        self._deferred: list[Callable[[], None]] = []
        self._gates: dict[str, Gate] = {}
        self.audience = Audience()
        self.runs = Runs(self, self._gates, log.stay_awake, has_successes=detail == "runs")
        self.pending = Pending(log.pending_limit)
        self.fold, tail = log.recovered()
        self._log = log
        self._clock = clock
        self._hand = hand_of(clock)
        self._relieve = self.relieve  # one for all gates
        self._tick_ns = tick_ns
        self._detail = detail
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

    def after_fork(self) -> None:
        """In a forked child: whoever held a lock is not here to release it."""
        self._make_locks()
        self._is_forked = True
        self.audience.after_fork()
        self.pending.clear()  # the parent has them
        self.runs.forget()
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
        self.audience.tell()
        while self._deferred:
            report = self._next_deferred()
            if report is not None:
                report()

    def _next_deferred(self) -> Callable[[], None] | None:
        try:
            return self._deferred.pop(0)
        except IndexError:  # another thread has just taken the last
            return None

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
                self.runs.end_all(at)
            else:
                self.runs.end(breaker, at)
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

    def gate(self, breaker: str) -> Gate:
        """The way past the lock for a breaker's calls; called under the lock.

        It stays shut where somebody waits for each success: a listener, or a log that must have it
        before the call returns.
        """
        if breaker not in self._gates:
            self._gates[breaker] = Gate(
                breaker,
                self.pending,
                self._hand,
                self._relieve,
                self.origin,
                counts=self.runs.has_successes,
            )
        self._update_gate(breaker)
        return self._gates[breaker]

    def _update_gate(self, breaker: str) -> None:
        gate = self._gates.get(breaker)
        if gate is not None:
            state = self.fold.breakers[breaker]
            gate.update(
                state,
                may_let=self._lets_pass
                and self._log.can_wait
                and not self.audience.awaits_successes(breaker),
                may_refuse=self._log.can_wait and not self.audience.awaits_refusals(breaker),
            )
            if self.runs.has_successes:
                self.runs.lease(gate, self.fold.at)

    def _stays_open(self, breaker: str) -> bool:
        """Whether the gate lets calls past, and will after an event that fired no edge."""
        gate = self._gates.get(breaker)
        is_open = gate is not None and gate.leave is not None
        return is_open and is_steady(self.fold.breakers[breaker])

    def relieve(self) -> None:
        """Fold what is pending, unless this very thread is at it."""
        if not self.is_mine:
            with self:
                pass

    def let_none_pass(self) -> None:
        """Have each call ask, and each success be folded when it is reported; before any does."""
        self._lets_pass = False

    def drain(self) -> int:
        """Fold what is pending, in its order, and the runs whose second is over; under the lock.

        Returns:
            The time up to which that is done.
        """
        at = self._read_at()
        if self.pending:
            self._take(Calls.take(self.pending))
        at = max(at, self.fold.at)
        self.runs.end_before(at)
        return at

    def _take(self, calls: Calls) -> None:
        """Fold calls that were let past the lock, in their order and in blocks that fit a seal."""
        calls.put_in_order(self.fold.at)
        done = 0
        while done < len(calls):
            block = calls.part(done, done + self._log.room())
            first_end = self.runs.first_end
            before = bisect_left(block.ats, first_end)
            if before:
                self._take_block(block.part(0, before))
            if before < len(block):
                self.runs.end_before(first_end)
            done += before

    def _take_block(self, calls: Calls) -> None:
        if self.runs.has_successes:
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
            self.runs.end_before(at)
            if isinstance(passed, Refusal):
                self.runs.refuse(passed, at)
            elif not self.runs.hold(passed.breaker, passed.epoch, took_ns, at):
                self.runs.end(passed.breaker, at)
                self.append(succeeded(passed, self.next_seq, at, took_ns))

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
        if is_about_a_breaker(event):
            if edges or not self._stays_open(event.breaker):
                self._update_gate(event.breaker)
        elif event.kind == "log_opened":
            for breaker in self._gates:
                self._update_gate(breaker)  # a new session forgets the probes of the last
        if self.runs.has_successes and self.runs:
            self.runs.shorten_leases()
        recorded = [event, *edges]
        sealed = self._log.write(recorded)
        if sealed is not None:
            self.fold.apply(sealed)
        self.audience.note(recorded)
        return edges

    def admit_probe(self, state: BreakerState, at: int) -> ProbeAdmitted | None:
        """The admission of one more probe; None if the breaker has no place for it."""
        if state.state is not HALF_OPEN or not may_probe(state):
            return None
        self.runs.end(state.breaker, at)
        probe = state.probes_admitted + 1
        admitted = _ProbeAdmitted(self.next_seq, at, state.breaker, state.epoch, probe)
        self.append(admitted)
        return admitted


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
