"""The sequencer of one process: it puts events in order under its lock.

The thread that holds the sequencer's lock reads the clock, folds the event and hands it to the log
together with its witnesses. So the order of the log is the order of the fold, and the time of the
events (``at``) never falls.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from recloser.clock import Clock
from recloser.core.events import (
    Checkpoint,
    Event,
    LogGap,
    LogOpened,
    ProbeAdmitted,
)
from recloser.core.kernel import may_probe
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState
from recloser.core.state_machine import HALF_OPEN
from recloser.errors import RecloserError
from recloser.live.call_folding import CallFolding
from recloser.live.call_tokens import FOREVER
from recloser.live.entry_lock import EntryLock
from recloser.live.event_recorder import EventRecorder
from recloser.live.last_good import LastGood
from recloser.live.own_events import checkpoints_of
from recloser.live.request import (
    OneTimeMark,
    ProbeClaim,
    Request,
    Spendable,
)
from recloser.live.request_queue import RequestQueue
from recloser.live.session import Detail
from recloser.log.codec import lean

if TYPE_CHECKING:
    from recloser.live.live_log import Log

R = TypeVar("R")

_ProbeAdmitted: Final = lean(ProbeAdmitted)


class Sequencer(EventRecorder):
    """Orders, folds and records the events of one session.

    Three rules keep it from ever hanging or corrupting its process:

    1. *No thread waits for itself.* A signal handler, a ``__del__`` or a logging handler may call a
       breaker while its thread is in the middle of a change. Such a nested entry makes no change: a
       question is answered from the last whole state, and a report or command is queued and carried
       out when the outer entry is over. See ``EntryLock``.
    2. *No exception leaks a lock.* Locks are taken by ``with`` only. See ``EntryLock``.
    3. *A change becomes final in one step.* See ``EventRecorder``.

    No code of the user, and no logging, runs under the lock.

    Attributes:
        degraded: Whether other processes should order events too, and can't be reached.
    """

    __slots__ = ("__weakref__", "_entry", "_requests", "_unopened")

    degraded = False

    def __init__(
        self, log: "Log", clock: Clock, tick_ns: int | None, host: str, detail: Detail
    ) -> None:
        self._entry = EntryLock(self._changed, self._note_new_locks)
        self._requests = RequestQueue()
        super().__init__(log, clock, tick_ns, host, detail)
        opening: list[Callable[[], Iterator[Event]]] = [self._first_header]
        if log.damage is not None:
            opening.append(self._gap_at_opening)
        opening += [partial(checkpoints_of, self.fold, name) for name in self.fold.breakers]
        # What makes the events that open the session, each with the mark that the last event spends.
        self._unopened: Sequence[tuple[Callable[[], Iterator[Event]], OneTimeMark]] = [
            (make, OneTimeMark()) for make in opening
        ]

    def _make_folding(self, log: "Log") -> CallFolding:
        return CallFolding(self, self.call_buffer, log.room)

    # Entries.

    @property
    def has_waiting(self) -> bool:
        """Whether this process itself has made calls that wait to be recorded."""
        return bool(self._requests.waiting) or self.folding.has_own_calls

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds the lock, so that it must not wait for anything."""
        return self._entry.is_mine

    def hold(self, change: Callable[[], R], instead: Callable[[], R]) -> R:
        """Do something under the lock, from a whole state.

        Args:
            change: What is done.
            instead: What is done instead if this thread is in the middle of a change.
        """
        return self._entry.hold(change, instead)

    def _changed(self, change: Callable[[], R]) -> R:
        self._make_whole()
        if self._requests.waiting:
            self._carry_out_deferred()
        result = change()
        if self.last_good.is_full:
            self.renew_last_good()
        self.call_buffer.due_ns = min(self._due_at() + self.origin, FOREVER)
        return result

    def run(self, change: Callable[[int], R], instead: Callable[[], R]) -> R:
        """Do something under the lock at the present time, after all that came before.

        Args:
            change: What is done; it is given the time in nanoseconds of the log.
            instead: What is done instead if this thread is in the middle of a change.
        """
        is_nested = self.is_mine
        try:
            return self.hold(lambda: change(self.advance(self.drain())), instead)
        finally:
            if not is_nested:
                self.after_unlock()

    def carry_out(self, request: Request) -> None:
        """Carry out a request now, or when the outer entry of this thread is over.

        Args:
            request: The report or command.
        """
        is_nested = self.is_mine
        try:
            self.hold(
                lambda: request.carry_out(self.advance(self.drain())),
                lambda: self.defer(request),
            )
        except RecloserError:
            raise
        except BaseException:
            # It came from outside, at any point: the request must not be lost.
            if not request.is_done:
                self.defer(request)
            raise
        finally:
            if not is_nested:
                self.after_unlock()

    def after_unlock(self) -> None:
        """Write, carry out requests and notify listeners; each thread calls this after releasing the lock."""
        self._log.ensure_safe(self.fold.seq)
        while len(self._requests.waiting) > 0 and self.hold(_is_inside, _is_outside):
            self._log.ensure_safe(self.fold.seq)
        self.notifier.notify()

    def defer(self, request: Request) -> None:
        """Queue a request until the outer entry of this thread ends; needs no lock.

        Args:
            request: The report or command.
        """
        self._requests.add(request)

    def _carry_out_deferred(self) -> None:
        # If a signal handler forks in this entry, the requests of the child wait until its log is
        # begun, at the next entry.
        self._requests.carry_out(
            self.advance(self.drain()),
            may_go_on=lambda: not self._log.is_in_child,
            make_whole=self._make_whole,
        )

    def reading(self, look: Callable[[LogFold, int], R], breaker: str | None = None) -> R:
        """Look at the fold at the present time, after recording earlier calls.

        In the middle of a change, this thread looks at the last whole states of the breakers.

        Args:
            look: What is done with the fold and the time in nanoseconds of the log.
            breaker: The name of the breaker whose state is to be up to date; None for all breakers.
        """

        def change() -> R:
            at = self.drain()
            if breaker is None:
                self.coalescing.record_all(at)
            else:
                self.coalescing.record_of(breaker, at)
            return look(self.fold, at)

        is_nested = self.is_mine
        try:
            return self.hold(change, lambda: look(self.last_whole(breaker), self.read_at()))
        finally:
            if not is_nested:
                self.after_unlock()

    def fold_buffered(self) -> None:
        """Fold the buffered calls, unless this thread is in the middle of a change."""
        if not self.is_mine:
            self.run(_do_nothing_at, _do_nothing)

    def drain(self) -> int:
        """Fold the buffered calls and record the counted calls whose second is over.

        Called under the lock, before anything else is recorded.

        Returns:
            The time now, in nanoseconds of the log.
        """
        return self.folding.drain()

    # Whole states.

    def last_whole(self, breaker: str | None = None) -> LogFold:
        """Return the last whole states, for a thread that is in the middle of a change itself.

        Args:
            breaker: The name of the breaker whose state is needed; None for all breakers.
        """
        rebuilt = self.last_good.rebuilt()
        for name in tuple(self.fold.breakers) if breaker is None else (breaker,):
            if name not in rebuilt.breakers:
                state = self.fold.breakers.get(name) or (self.fold.expected or {}).get(name)
                if state is not None:
                    rebuilt.breakers[name] = state
        return rebuilt

    def renew_last_good(self) -> None:
        """Make the present state of the fold, which is whole, the last good state."""
        good, fold = LastGood(self.fold), self.fold
        # One step.
        self.last_good = fold.keeper = good
        self.is_whole = True
        if fold.expected:
            fold.forget_expected()

    def _make_whole(self) -> None:
        """Undo or complete what an exception interrupted, and open the session if it is not open."""
        if not self.is_whole:
            self.last_good.restore(self.fold)
            self._log.catch_up(self.last_good.events)
            self.update_all_fast_paths()
            self.coalescing.catch_up()
            self.is_whole = True
        if self._unopened:
            self._open_session()
        # In the same entry, so that requests of a signal handler are recorded after the log's header.
        # If a handler forks meanwhile, its child has another log to begin, and other calls to leave
        # to its parent.
        while self._log.is_in_child or self.folding.parents is not None:
            if self.folding.parents is not None:
                self.folding.leave_to_parent()
            else:
                self._log.begin_in_child()
                if not self.is_whole:
                    self.last_good.restore(self.fold)

    def _open_session(self) -> None:
        self.renew_last_good()
        for make, mark in self._unopened:
            if mark.is_done:
                continue
            # If this is interrupted in the middle, all parts of a checkpoint are written again.
            for event in make():
                is_last = not isinstance(event, Checkpoint) or event.part == event.parts
                self.append(event, spends=mark if is_last else None)
        self._unopened = ()

    def _first_header(self) -> Iterator[LogOpened]:
        yield self._session.first_header(self.fold, self.origin, self._monotonic_ns)

    def _gap_at_opening(self) -> Iterator[LogGap]:
        damage = self._log.damage
        assert damage is not None
        yield LogGap(self.next_seq, self.fold.at, damage.lost, damage.short())

    def header(self) -> LogOpened:
        """Return the header that begins a further segment of this session."""
        return self._session.header(self.fold, self.origin, self._monotonic_ns)

    # Forks.

    def after_fork(self) -> None:
        """In a forked child: note which calls the parent records; called before the child runs.

        A signal handler may have forked while this thread was in the middle of a change. The change
        then continues in the child, and still needs the parent's buffered and counted calls. So they
        are removed later, before the child's next change (``CallFolding.leave_to_parent``). Until
        then no call of the child may be added to them, so every call takes the lock.
        """
        self._requests.keep_for_children()
        self.coalescing.note_fork()
        # A log in memory is the child's own: there, the child records what is buffered itself.
        self.folding.parents = len(self.call_buffer) if self._log.is_in_child else 0
        for fast_path in tuple(self._fast_paths.values()):
            fast_path.disable()
        self._entry.renew()
        self.call_buffer.limit = 0

    def _note_new_locks(self, holds_lock: bool) -> None:
        """In a forked child: note that the parent's threads, and their unfinished changes, are gone."""
        if not holds_lock:
            self.is_whole = False
        self.notifier.after_fork()

    # What other processes may decide on; see ``recloser.sharing``.

    def configured(self, request: Request, state: BreakerState) -> BreakerState:
        """Record the settings of a breaker, and return its state.

        Args:
            request: Records the settings.
            state: A new state. In the middle of a change of this thread it is returned, and becomes
                the breaker's when the change is over.
        """

        def configure(at: int) -> None:
            request.carry_out(at)
            self.renew_last_good()  # so that no copy is kept of the state of an idle breaker

        self.run(configure, lambda: self.defer(request))
        return self.fold.expect(state)

    def await_effect(self) -> None:
        """Wait until a command has taken effect; within one process it has once it is recorded."""

    def claim_probe(self, state: BreakerState, at: int) -> ProbeClaim | None:
        """Return a claim to a probe if other processes decide on it; None if they do not.

        Args:
            state: The state of the breaker.
            at: The time now, in nanoseconds of the log.
        """
        del state, at
        return None

    def admit_probe(
        self, state: BreakerState, at: int, spends: Spendable | None = None
    ) -> ProbeAdmitted | None:
        """Record and return the admission of a probe; None if the breaker admits no further one.

        Args:
            state: The state of the breaker.
            at: The time now, in nanoseconds of the log.
            spends: The mark that the admission spends.
        """
        if state.state is not HALF_OPEN or not may_probe(state):
            return None
        self.coalescing.record_of(state.breaker, at)
        probe = state.probes_admitted + 1
        admitted = _ProbeAdmitted(self.next_seq, at, state.breaker, state.epoch, probe)
        self.append(admitted, spends=spends)
        return admitted


def _is_inside() -> bool:
    return True


def _is_outside() -> bool:
    return False


def _do_nothing() -> None:
    """Do nothing in a nested entry, because the outer entry makes the change."""


def _do_nothing_at(at: int) -> None:
    del at
