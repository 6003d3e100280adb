"""Folding and recording of events, each in one step that no exception can split."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from recloser.clock import Clock, monotonic_reader
from recloser.core.events import ClockTicked, Edge, Event, is_about_a_breaker
from recloser.core.limits import MAX_AT, MAX_WHOLE
from recloser.live.call_buffer import CallBuffer
from recloser.live.call_counter import CallCounter
from recloser.live.call_folding import CallFolding
from recloser.live.call_tokens import FOREVER
from recloser.live.coalescing import Coalescing
from recloser.live.fast_path import FastPath
from recloser.live.last_good import LastGood
from recloser.live.notifier import Notifier
from recloser.live.pending_calls import Outcomes
from recloser.live.request import Message, Spendable, spent_before
from recloser.live.session import Detail, Session, resumed_at

if TYPE_CHECKING:
    from recloser.live.live_log import Log

_NO_MESSAGES: Final[list[Message]] = []
"""Shared by all recorders that send no messages; it stays empty."""

_KINDS_OF_CALLS: Final = frozenset(
    ("call_succeeded", "call_failed", "call_ignored", "call_rejected", "probe_admitted")
)
"""Kinds of events that change neither the mode nor the settings of a breaker."""


class EventRecorder(ABC):
    """Folds and records the events of one session; used only under the sequencer's lock.

    *A change becomes final in one step.* Each event is folded first, and then recorded by a few
    statements without a call or a loop, so no exception from a signal handler or another thread can
    come up between them. If one comes up before the step, ``is_whole`` is false, and the next entry
    folds again from the last good state. If one comes up after it, the next entry hands to the log
    what is recorded.

    Attributes:
        fold: The state of every breaker in the log; to be read under the lock.
        call_buffer: Calls of the fast path that are not folded yet.
        folding: Folds the buffered calls.
        coalescing: Calls that are only counted.
        notifier: The listeners, and the events that they have not received yet.
        origin: The monotonic time in nanoseconds at which the log's time is 0.
        messages: Messages for other processes that are not on their way yet.
        last_good: The last state that is known to be whole, and what was recorded since.
        is_whole: Whether no change is under way, or was interrupted.
    """

    __slots__ = (
        "_clock",
        "_fast_paths",
        "_has_fast_paths",
        "_log",
        "_monotonic_ns",
        "_session",
        "_tick_ns",
        "call_buffer",
        "coalescing",
        "fold",
        "folding",
        "is_whole",
        "last_good",
        "messages",
        "notifier",
        "origin",
    )

    fast_path_takes_failures = True

    def __init__(
        self, log: "Log", clock: Clock, tick_ns: int | None, host: str, detail: Detail
    ) -> None:
        self.messages = _NO_MESSAGES
        self._fast_paths: dict[str, FastPath] = {}
        self.notifier = Notifier()
        self.coalescing = Coalescing(
            self, self._fast_paths, log.wake_writer, counts_successes=detail == "runs"
        )
        self.call_buffer = CallBuffer(log.buffer_limit, self.fold_buffered)
        self.folding = self._make_folding(log)
        self.fold, tail = log.recovered()
        # The fold gets a keeper of its old states only when the session is opened: a signal handler
        # may have made the log's sequencer meanwhile, and this one is dropped then (``Log.attach``).
        self.last_good = LastGood(self.fold)
        self.is_whole = True
        self._log = log
        self._clock = clock
        self._tick_ns = tick_ns
        self._has_fast_paths = True
        self._session = Session(
            clock, monotonic_reader(clock), self.fold, tail, host, detail=detail
        )
        opened_ns = self._session.opened_ns
        self.origin = opened_ns - resumed_at(self.fold, clock, opened_ns)
        self._monotonic_ns = monotonic_reader(clock, min(self.origin + MAX_AT, MAX_WHOLE))

    @abstractmethod
    def fold_buffered(self) -> None:
        """Fold the buffered calls; takes the lock."""

    @abstractmethod
    def _make_folding(self, log: "Log") -> CallFolding:
        """Make what folds the buffered calls."""

    # Time.

    @property
    def next_seq(self) -> int:
        """The ``seq`` of the next event."""
        return self.fold.seq + 1

    def read_at(self) -> int:
        """Return the time in nanoseconds of the log, which never falls whatever the clock does."""
        return max(self.fold.at, self._monotonic_ns() - self.origin)

    def took_since(self, started_at: int, at: int) -> int:
        """Return how long a call has taken, in nanoseconds.

        Args:
            started_at: When the call was admitted, in nanoseconds of the log.
            at: When it ended, in nanoseconds of the log.
        """
        return max(0, at - started_at)

    def _due_at(self) -> int:
        """Return when a tick or a deadline is due, in nanoseconds of the log."""
        deadline = self.fold.next_deadline
        tick_at = FOREVER if self._tick_ns is None else self.fold.ticked_at + self._tick_ns
        return tick_at if deadline is None else min(deadline, tick_at)

    def advance(self, at: int) -> int:
        """Advance the log to a time, with a tick if one is due, and return the time.

        Args:
            at: The time, in nanoseconds of the log.
        """
        if at >= self._due_at():
            monotonic_ns = at + self.origin
            wall = self._session.wall_at(monotonic_ns, self._monotonic_ns)
            self.append(ClockTicked(seq=self.next_seq, at=at, wall=wall, monotonic=monotonic_ns))
        return at

    # Recording.

    def append(
        self,
        event: Event,
        *,
        spends: Spendable | None = None,
        counter: CallCounter | None = None,
        written: int = 0,
        folded: int = 0,
        messages: Sequence[Message] = (),
    ) -> Sequence[Edge]:
        """Fold an event, record it with the edges that it fires, and return the edges.

        What the event is made of is marked as used in the same step that records it, so that an
        exception from outside can neither lose it nor have it recorded twice.

        Args:
            event: The next event.
            spends: The permit or mark that the event spends.
            counter: The counter whose calls the event records, if any.
            written: The value of that counter when the event was made.
            folded: How many buffered calls the event records.
            messages: Messages about the event for other processes.

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
        heard = recorded if self.notifier else ()
        good, size = self.last_good, len(recorded)
        inbox, waiting_messages, folding = self.notifier.inbox, self.messages, self.folding
        if spends is not None:
            try:
                del spends._unspent  # noqa: SLF001  # a method would be a call
            except AttributeError:
                raise spent_before(spends) from None
        # From the line above to the next comment there is no call and no loop: one step.
        good.events += final
        good.size += size
        inbox += heard
        waiting_messages += messages
        folding.folded += folded
        if counter is not None:
            counter.written = written
            counter.added = counter.first_took_ns = 0
        # Final from here on: if what follows is interrupted, ``_make_whole`` does it again.
        self._log.write(recorded, seal)
        self._update_fast_paths_after(event, edges)
        self.is_whole = True
        return edges

    def append_outcomes(self, outcomes: Outcomes, *, folded: int) -> bool:
        """Fold and record outcomes of buffered calls as one block, if they fire no edge.

        Args:
            outcomes: The outcomes.
            folded: How many buffered calls they record.

        Returns:
            Whether they were recorded; if not, nothing has changed.
        """
        self.is_whole = False
        if not self.fold.apply_outcomes(outcomes):
            self.last_good.restore(self.fold)
            self.is_whole = True
            return False
        seal = self._log.seal_after(outcomes)
        if seal is not None:
            self.fold.apply(seal)
        good, size, folding = self.last_good, len(outcomes), self.folding
        final = (outcomes,) if seal is None else (outcomes, seal)
        # One step, as in ``append``.
        good.events += final
        good.size += size
        folding.folded += folded
        # Final from here on.
        self._log.write(outcomes, seal)
        for breaker in outcomes.breakers:
            self._renew_fast_path(breaker)
        self.is_whole = True
        return True

    def count(
        self,
        counter: CallCounter,
        calls: int,
        took_ns: int,
        *,
        spends: Spendable | None,
        folded: int,
    ) -> None:
        """Add calls to a counter, in one step with spending the permit of a single call.

        Args:
            counter: The counter.
            calls: How many calls to add.
            took_ns: The duration of the first of them, in nanoseconds.
            spends: The permit of the call, if it has one.
            folded: How many buffered calls these are.

        Raises:
            PermitError: The permit was spent before.
        """
        folding = self.folding
        if spends is not None:
            try:
                del spends._unspent  # noqa: SLF001  # a method would be a call
            except AttributeError:
                raise spent_before(spends) from None
        # One step, as in ``append``.
        if not counter.added:
            counter.first_took_ns = took_ns
        counter.added += calls
        folding.folded += folded

    # Fast paths.

    def fast_path_of(self, breaker: str) -> FastPath:
        """Return the fast path of a breaker, which has no token before the breaker is in the fold.

        Args:
            breaker: The breaker's name.
        """
        # ``setdefault`` is one step: this thread may be in the middle of a change, or another thread
        # may be.
        made = FastPath(breaker, self.call_buffer, self._monotonic_ns, self.origin)
        return self._fast_paths.setdefault(breaker, made)

    def update_fast_path(self, breaker: str) -> None:
        """Bring a breaker's fast path up to date with its state; called under the lock.

        There is no token while somebody needs each outcome at once: a listener, or a log that must
        have it before the call returns.

        Args:
            breaker: The breaker's name.
        """
        fast_path = self._fast_paths.get(breaker)
        state = self.fold.breakers.get(breaker)
        if fast_path is None or state is None:
            return
        may_buffer, notifier = self._log.allows_buffering, self.notifier
        may_admit = self._has_fast_paths and may_buffer and not notifier.wants_successes(breaker)
        fast_path.update(
            state,
            may_admit=may_admit,
            may_record_bad=may_admit
            and self.fast_path_takes_failures
            and not notifier.wants_failures(breaker),
            may_reject=may_buffer and not notifier.wants_rejections(breaker),
            is_all_folded=self.is_all_folded,
        )

    def update_all_fast_paths(self) -> None:
        """Bring the fast paths of all breakers up to date; called under the lock."""
        for breaker in tuple(self._fast_paths):
            self.update_fast_path(breaker)

    @property
    def is_all_folded(self) -> bool:
        """Whether every buffered call is folded."""
        return len(self.call_buffer) == self.folding.folded

    def _renew_fast_path(self, breaker: str) -> None:
        """Bring a fast path up to date after the event of a call that fired no edge."""
        fast_path = self._fast_paths.get(breaker)
        state = self.fold.breakers[breaker]
        if fast_path is None or not fast_path.renew(state, is_all_folded=self.is_all_folded):
            self.update_fast_path(breaker)

    def _update_fast_paths_after(self, event: Event, edges: Sequence[Edge]) -> None:
        for edge in edges:
            self.update_fast_path(edge.breaker)
        if is_about_a_breaker(event):
            if edges or event.kind not in _KINDS_OF_CALLS:
                self.update_fast_path(event.breaker)
            else:
                self._renew_fast_path(event.breaker)
        elif event.kind == "log_opened":
            self.update_all_fast_paths()  # a new session forgets the probes of the last one

    def disable_fast_paths(self) -> None:
        """Make every call take the lock; to be called before the first call."""
        self._has_fast_paths = False
