"""The sequencer of one process: a lock that puts events in order.

Whoever holds the lock reads the clock, folds the event and hands it to the log together with its
witnesses. So the order in the log is the order of the fold, and ``at`` never falls.
"""

import os
import platform
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import accumulate, count, groupby
from types import TracebackType
from typing import Final, Self, TypeGuard, cast, get_args

from attrs import asdict, evolve

from recloser.clock import (
    Clock,
    SystemClock,
    boot_id_of,
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
from recloser.fold import may_probe
from recloser.gate import PENDING_LIMIT, Gate, Leave, Passed, Pending, Refusal
from recloser.listeners import Listener, hears_refusals, hears_successes, notify
from recloser.log.codec import full, lean
from recloser.log.reader import Tail
from recloser.log.refusals import Tally
from recloser.logfold import LogFold
from recloser.machine import HALF_OPEN
from recloser.state import BreakerState, dump
from recloser.validation import Seconds, nanoseconds
from recloser.version import __version__

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

    Attributes:
        pending_limit: How many calls may wait to be folded.
    """

    pending_limit = PENDING_LIMIT

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
    ) -> None:
        self._clock = clock
        self._tick_ns = None if tick_seconds is None else nanoseconds(tick_seconds)
        self._host = platform.node() if host is None else host
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
                self._sequencer = Sequencer(self, self._clock, self._tick_ns, self._host)
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
        pending: Successes that were let past the lock and are not folded yet.
        origin: What the monotonic hand showed when the time of the log was 0.
        degraded: Whether it should put others' events in order too, and can't reach them.
    """

    degraded = False

    def __init__(self, log: Log, clock: Clock, tick_ns: int | None, host: str) -> None:
        self._make_locks()
        self._is_forked = False
        self._deferred: deque[Callable[[], None]] = deque()
        self._listeners: dict[str, tuple[Listener, ...]] = {}
        self._untold: deque[tuple[Listener, BreakerEvent]] = deque()
        self._gates: dict[str, Gate] = {}
        self._tallies: dict[str, Tally] = {}
        self.pending = Pending(log.pending_limit)
        self.fold, tail = log.recovered()
        self._log = log
        self._clock = clock
        self._tick_ns = tick_ns
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
        self.pending.limit = 0

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
            wall=read_wall(self._clock),
            monotonic=monotonic,
            boot_id=boot_id_of(self._clock),
            host=self._host,
            pid=os.getpid(),
            library=__version__,
            checkpoints=len(self.fold.breakers),
        )

    def header(self) -> LogOpened:
        """What begins a further segment of this session."""
        at = self.fold.at
        return self._header(at, at + self.origin)

    def checkpoint(self, breaker: str) -> Checkpoint:
        """The state of a breaker, from which a fold can start."""
        return Checkpoint(self.next_seq, self.fold.at, breaker, dump(self.fold.breakers[breaker]))

    def __enter__(self) -> int:
        return self._enter(keep=False)

    def _enter(self, *, keep: bool) -> int:
        self._lock.acquire()
        self._holder = threading.get_ident()
        try:
            if self._is_forked:
                self._is_forked = False
                self._log.begin_in_child()
            self.drain(keep=keep)
            return self.advance()
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
        self._holder = None
        self._lock.release()

    @contextmanager
    def held(self) -> Iterator[None]:
        """The lock alone, for the log itself."""
        with self._lock:
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = None

    @contextmanager
    def reading(self) -> Iterator[int]:
        """The lock and the time; nothing is recorded but what happened before."""
        with self.held():
            self.drain()
            yield self._read_at()
        self.do_what_waited()

    def defer_if_held(self, report: Callable[[], None]) -> bool:
        """Put off a report that comes while this very thread holds the lock.

        That happens when the collection of garbage, which can strike anywhere, ends a protected
        generator. True if the report was taken, to be made as soon as the lock is free.
        """
        if self._holder != threading.get_ident():
            return False
        self._deferred.append(report)
        return True

    def listen(self, breaker: str, listener: Listener) -> None:
        """Have the listener told of the events about a breaker from now on."""
        self._listeners[breaker] = (*self._listeners.get(breaker, ()), listener)

    def gate(self, breaker: str) -> Gate:
        """The way past the lock for a breaker's calls; called under the lock.

        It stays shut where somebody waits for each success: a listener, or a log that must have it
        before the call returns.
        """
        if breaker not in self._gates:
            self._gates[breaker] = Gate(self.pending, self._clock.monotonic_ns, self.relieve)
        self._update_gate(breaker)
        return self._gates[breaker]

    def _update_gate(self, breaker: str) -> None:
        gate = self._gates.get(breaker)
        if gate is not None:
            listeners = self._listeners.get(breaker, ())
            gate.update(
                self.fold.breakers[breaker],
                self.origin,
                may_let=self._log.can_wait and not any(map(hears_successes, listeners)),
                may_refuse=self._log.can_wait and not any(map(hears_refusals, listeners)),
            )

    def relieve(self) -> None:
        """Fold what is pending, unless this very thread is at it."""
        if self._holder != threading.get_ident():
            self._enter(keep=True)
            self.__exit__(None, None, None)

    @property
    def keeps_refusals(self) -> bool:
        """Whether there are refusals that wait for the end of their second."""
        return any(tally.surplus for tally in self._tallies.values())

    def drain(self, *, keep: bool = False) -> None:
        """Fold and record what is pending, in its order; called under the lock.

        Args:
            keep: Whether refusals beyond the first hundred of a second may wait for its end.
        """
        if self.pending:
            batch = self.pending[:]
            del self.pending[: len(batch)]
            self._take(batch)
        if not self._tallies:
            return
        for tally in [t for t in self._tallies.values() if t.surplus]:
            if not keep or self._read_at() + self.origin >= tally.until_ns:
                self._write_surplus(tally)

    def _take(self, batch: Sequence[Passed]) -> None:
        while len(batch) > (room := self._log.room()):
            self._take(batch[:room])
            batch = batch[room:]
        passes = {passed for passed, _, _ in batch}
        kinds = {type(passed) for passed in passes}
        if len(kinds) > 1:
            for _, entries in groupby(batch, lambda entry: type(entry[0])):
                self._take(list(entries))
        elif Refusal in kinds:
            self._take_refusals(cast("Sequence[tuple[Refusal, int, int]]", batch))
        elif kinds:
            self._take_successes(
                cast("Sequence[tuple[Leave, int, int]]", batch), cast("set[Leave]", passes)
            )

    def _take_refusals(self, batch: Sequence[tuple[Refusal, int, int]]) -> None:
        for refusal, hand, _ in batch:
            tally = self._tallies.get(refusal.breaker)
            if tally is None or not tally.holds(refusal, hand):
                if tally is not None and tally.surplus:
                    self._write_surplus(tally)
                tally = self._tallies[refusal.breaker] = Tally(refusal, hand)
            if tally.is_single(hand):
                self._append_refusals(refusal, hand, 1)

    def _write_surplus(self, tally: Tally) -> None:
        surplus, tally.surplus = tally.surplus, 0
        self._append_refusals(tally.refusal, tally.last_ns, surplus)

    def _append_refusals(self, refusal: Refusal, hand: int, count: int) -> None:
        at = max(self.fold.at, hand - self.origin)
        wait = refusal.wait_ns(at + self.origin)
        self.append(_Rejected(self.next_seq, at, refusal.breaker, refusal.reason, wait, count))

    def _take_successes(
        self, batch: Sequence[tuple[Leave, int, int]], leaves: AbstractSet[Leave]
    ) -> None:
        origin, floor = self.origin, self.fold.at + self.origin
        ends = [ended for _, _, ended in batch]
        if ends[0] < floor or ends != sorted(ends):
            # Threads may have come here in another order than they read the clock in.
            ends = [max(floor, ended) for ended in accumulate(ends, max)]
        events = [
            _Succeeded(
                seq,
                at - origin,
                leave.breaker,
                leave.epoch,
                ended - started if ended > started else 0,
            )
            for seq, at, (leave, started, ended) in zip(
                count(self.next_seq), ends, batch, strict=False
            )
        ]
        if not all(leave.is_valid for leave in leaves):
            for event in events:
                self.append(
                    _Succeeded(self.next_seq, event.at, event.breaker, event.epoch, event.took)
                )
            return
        self.fold.apply_successes(events, {leave.breaker for leave in leaves})
        sealed = self._log.write(events)
        if sealed is not None:
            self.fold.apply(sealed)

    @property
    def next_seq(self) -> int:
        """The ``seq`` of the next event."""
        return self.fold.seq + 1

    def _read_at(self) -> int:
        """The time in nanoseconds of the log, which never falls whatever the clock does."""
        return max(self.fold.at, self._clock.monotonic_ns() - self.origin)

    def advance(self) -> int:
        """The time, after a tick has been recorded where one is due."""
        at = self._read_at()
        fold = self.fold
        deadline = fold.next_deadline
        if (deadline is not None and at >= deadline) or (
            self._tick_ns is not None and at - fold.ticked_at >= self._tick_ns
        ):
            self.append(
                ClockTicked(
                    seq=self.next_seq,
                    at=at,
                    wall=read_wall(self._clock),
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
            self._update_gate(event.breaker)
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
