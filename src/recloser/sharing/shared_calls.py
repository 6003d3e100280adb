"""The callers' half of the shared sequencer: admit calls and record outcomes.

Online, calls are decided by the states that the last entry read has left. An outcome only enters the
outbox; it changes the states when its entry is read back from the stream. Offline, the member also
folds its own events, as the sequencer of a single process does. It folds them on copies of the
states, in *private epochs*, which no epoch of the stream can equal.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from attrs import evolve

from recloser.clock import Clock
from recloser.core.events import (
    BreakerConfigured,
    Checkpoint,
    Edge,
    Event,
    ProbeAdmitted,
)
from recloser.core.kernel import may_probe
from recloser.core.state import BreakerState, dump
from recloser.core.state_machine import HALF_OPEN, OPEN
from recloser.errors import ConfigError
from recloser.live.call_buffer import BUFFER_LIMIT
from recloser.live.call_counter import CallCounter
from recloser.live.call_folding import CallFolding
from recloser.live.live_log import Log
from recloser.live.request import Message, Spendable, spent_before
from recloser.live.sequencer import Sequencer
from recloser.log.codec import full
from recloser.sharing.claims import Claim, Claims
from recloser.sharing.live_states import LiveStates
from recloser.sharing.offline import PRIVATE_EPOCHS, OfflinePeriod
from recloser.sharing.other_settings import OnOtherConfig, other_settings
from recloser.sharing.outbox import Outbox, OutboxItem, call_count
from recloser.sharing.send_priority import is_slow, is_urgent
from recloser.sharing.stream_call_folding import StreamCallFolding
from recloser.sharing.stream_fold import StreamFold
from recloser.sharing.stream_waits import StreamWaits

_PRIVATE_KINDS: Final = frozenset(("clock_ticked", "probe_admitted", "log_opened", "checkpoint"))
"""Events that a member records while offline and never sends."""


class SharedCalls(Sequencer):
    """Admits calls and records outcomes of breakers that a stream keeps in order.

    Every method runs under the sequencer's lock unless it says otherwise.

    Args:
        log: The log of the stream.
        clock: Measures calls and estimates the stream's time, both by its monotonic time.
        wake: Wakes the log's thread; with ``hurry=True`` it sends at once.
        host: Name of this process in reports of offline periods.
        on_other_config: What happens to settings that differ from those in the stream.
        claim_seconds: Longest time for which a call waits for its probe, in seconds.

    Attributes:
        outbox: Events that are not sent yet.
        stream_fold: The fold of the entries read so far; None before the first one.
        degraded: Whether the member is offline: it cannot reach the stream.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        *,
        wake: Callable[..., None],
        host: str,
        on_other_config: OnOtherConfig,
        claim_seconds: float,
    ) -> None:
        self.outbox = Outbox()
        self.stream_fold: StreamFold | None = None
        self._wake = wake
        self._on_other_config = on_other_config
        self._claim_seconds = claim_seconds
        self._live_states = LiveStates()
        self._claims = Claims()
        self._offline = OfflinePeriod(1, clock.monotonic_ns(), 0)
        # By how much the log's time jumped when the member last came online, and when that was.
        self._time_jump_ns = self._time_jumped_ns = 0
        self._waits = StreamWaits(lambda: self.is_mine)
        super().__init__(log, clock, None, host, "full")
        self.messages = []
        self.degraded = True  # until the stream has been read

    # Time.

    def advance(self, at: int) -> int:
        """Return the estimated time of the stream; offline, record a tick if one is due."""
        return super().advance(at) if self.degraded else self.read_at()

    def took_since(self, started_at: int, at: int) -> int:
        """Return how long a call took, even if the log's time jumped while it ran.

        Args:
            started_at: Start of the call in nanoseconds of the log, as the log's time was then.
            at: The present time in nanoseconds of the log.
        """
        took = at - started_at
        # Since the jump no call can have taken longer than the monotonic time shows. A longer or a
        # negative duration means that the call began before the jump.
        if not 0 <= took <= self._clock.monotonic_ns() - self._time_jumped_ns:
            took -= self._time_jump_ns
        return max(0, took)

    # Events.

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
        """Put an event into the outbox; offline, fold it as well.

        Raises:
            ConfigError: The event gives a breaker other settings than the stream has, and
                ``on_other_config`` is ``raise``.
            PermitError: The permit was spent before.
        """
        if isinstance(event, BreakerConfigured):
            return self._configure(event, spends)
        messages = (*messages, *self._items_for(event))
        if self.degraded:
            if event.at < self.fold.at:
                # Its time was read before something else was recorded, such as the start of the
                # offline period.
                event = evolve(full(event), at=self.fold.at)
            edges = super().append(
                event,
                spends=spends,
                counter=counter,
                written=written,
                folded=folded,
                messages=messages,
            )
            self._queue_messages()
            self._note_offline_edges(edges)
            return edges
        waiting_messages, folding = self.messages, self.folding
        if spends is not None:
            try:
                del spends._unspent  # noqa: SLF001  # a method would be a call
            except AttributeError:
                raise spent_before(spends) from None
        # One step, as in the base class: from the ``del`` to the next comment there is no call and no
        # loop, so no exception from outside can spend a permit without recording its outcome.
        waiting_messages += messages
        folding.folded += folded
        if counter is not None:
            counter.written = written
            counter.added = counter.first_took_ns = 0
        # The outcome is final now. If an exception ends this before ``messages`` is in the outbox, the
        # next entry puts it there (see ``_make_whole``).
        self._queue_messages()
        return ()

    def _items_for(self, event: Event) -> Sequence[OutboxItem]:
        """Return what the stream should learn of an event: one item or none."""
        if event.kind in _PRIVATE_KINDS:
            return ()
        if getattr(event, "epoch", 0) >= PRIVATE_EPOCHS:  # of a call admitted while offline
            if self.degraded:
                self._offline.private_calls += call_count(event)
            return ()
        return (self._item(event, is_notified=self.degraded),)

    def _item(
        self, event: Event, *, is_notified: bool = False, replaces: bool = False
    ) -> OutboxItem:
        event = evolve(full(event), seq=0, at=0)
        state = self._live_states.of(getattr(event, "breaker", ""))
        return OutboxItem(
            event,
            self._clock.monotonic_ns(),
            is_notified=is_notified,
            replaces=replaces,
            is_slow=state is not None and is_slow(event, state),
        )

    def _queue(self, event: Event, *, replaces: bool = False) -> None:
        """Put an event into the outbox that spends no permit."""
        items = (self._item(event, replaces=replaces),)
        self.messages += items
        self._queue_messages()

    def _queue_messages(self) -> None:
        """Move ``messages`` into the outbox; wake the log's thread if one is urgent.

        An item leaves ``messages`` only after it is in the outbox. If an exception comes in between,
        the item is added again, which the outbox ignores.
        """
        while self.messages:
            item = self.messages[0]
            assert isinstance(item, OutboxItem)
            event = item.event
            assert event is not None
            self.outbox.add(item)
            del self.messages[0]
            state = self._live_states.of(getattr(event, "breaker", ""))
            failures = self.outbox.unsent_failures
            waiting = 0 if state is None else failures[state.breaker, event.kind]
            if state is None or is_urgent(event, state, waiting):
                self._wake(hurry=True)
        self._wake_idle_thread()

    # Probes.

    def claim_probe(self, state: BreakerState, at: int) -> Claim | None:
        """Ask the stream for a probe; None if there is none to ask for."""
        del at
        if self.degraded or self._claims.has_granted(state.breaker):
            return None
        if not self._claims.may_claim(state, self.read_at()):
            return None
        return self._claim(state)

    def admit_probe(
        self, state: BreakerState, at: int, spends: Spendable | None = None
    ) -> ProbeAdmitted | None:
        """Return a probe granted by the stream; offline, admit one without it."""
        if not self.degraded:
            return self._granted_probe(state)
        granted = self._granted_probe(state)
        if granted is not None:
            return granted
        if state.state is HALF_OPEN and may_probe(state):
            # The stream may grant the same probe of this epoch to another member.
            self._make_epoch_private(state)
        return super().admit_probe(state, at, spends)

    def _claim(self, state: BreakerState) -> Claim:
        # An open breaker becomes half-open, with the next epoch, by the tick before the claim.
        epoch = state.epoch + (state.state is OPEN)
        self._queue(ProbeAdmitted(0, 0, state.breaker, epoch, self._claims.next_number))
        claim = self._claims.make(state.breaker, self._clock.monotonic_ns(), self.outbox.last_item)
        claim.wait_until = lambda is_so: self._waits.wait(
            lambda: is_so() or self.degraded, self._claim_seconds
        )
        return claim

    def _granted_probe(self, state: BreakerState) -> ProbeAdmitted | None:
        probe = self._claims.use_granted(state, self._clock.monotonic_ns())
        self.update_fast_path(state.breaker)
        return None if probe is None else evolve(probe, at=self.read_at())

    # The lock-free fast path.

    def update_fast_path(self, breaker: str) -> None:
        """Allow or forbid the fast path of a breaker.

        A call that could use a granted probe must not take the fast path.
        """
        fast_path = self._fast_paths.get(breaker)
        if fast_path is None:
            return
        # The estimate of the stream's time improves with each round trip.
        fast_path.origin = self.origin
        super().update_fast_path(breaker)
        token = fast_path.admit_token
        if token is not None and not token.never_expires:
            token.expire()  # outcomes of other members may be folded between those of this one
        if self._claims.has_granted(breaker):
            fast_path.stop_rejecting()

    def _renew_fast_path(self, breaker: str) -> None:
        self.update_fast_path(breaker)

    fast_path_takes_failures = False  # the other members must learn of each failure

    def _make_folding(self, log: Log) -> CallFolding:
        return StreamCallFolding(self, self.call_buffer, log.room)

    def fold_buffered(self) -> None:
        """Record pending calls unless this thread is doing so; called without the lock."""
        super().fold_buffered()
        self._wake_idle_thread()

    def _wake_idle_thread(self) -> None:
        """Wake the log's thread if it was idle.

        The log's thread sets the limit to 0 when it finds nothing to do; the next call that is
        buffered then exceeds the limit and comes here. Two threads that both see 0 wake the log's
        thread twice, which is harmless.
        """
        if self.call_buffer.limit == 0:
            self.call_buffer.limit = BUFFER_LIMIT
            self._wake(hurry=False)

    # Settings.

    def _configure(self, event: BreakerConfigured, spends: Spendable | None) -> Sequence[Edge]:
        known = self.fold.breakers.get(event.breaker)
        replaces = self._on_other_config == "replace"
        if known is not None and not replaces:
            self._report_other_settings(known, event)
            return ()
        items = (self._item(event, is_notified=self.degraded, replaces=replaces),)
        if not self.degraded:
            self.messages += items
            self._queue_messages()
            return ()
        event = evolve(event, seq=self.next_seq, at=max(event.at, self.fold.at))
        edges = super().append(event, spends=spends, messages=items)
        self._queue_messages()
        self._live_states.adopt(self.fold)
        return edges

    def _report_other_settings(self, known: BreakerState, event: BreakerConfigured) -> None:
        """Warn, or raise, if settings given here differ from those in the stream."""
        message = other_settings(known, event)
        if message is None:
            return
        if self._on_other_config == "raise" and not self.degraded:
            raise ConfigError(message)
        self._log.notice(logging.WARNING, "%s: %s", self._log, message)

    # Private epochs, while offline.

    def _note_offline_edges(self, edges: Sequence[Edge]) -> None:
        self._offline.note_edges(edges)
        for name in {edge.breaker for edge in edges}:
            self._make_epoch_private(self.fold.breakers[name])

    def _make_epochs_private(self) -> None:
        """Make private the epochs of all breakers that have fired an edge while offline."""
        shared = {} if self.stream_fold is None else self.stream_fold.fold.breakers
        for name, state in tuple(self.fold.breakers.items()):
            known = shared.get(name)
            if state.epoch != (0 if known is None else known.epoch):
                self._make_epoch_private(state)

    def _make_epoch_private(self, state: BreakerState) -> None:
        """Move a breaker to an epoch number that the stream never uses.

        Otherwise an outcome of this epoch that is sent later could count in an epoch of the stream
        that happens to have the same number.
        """
        if state.epoch >= PRIVATE_EPOCHS:
            return
        moved: dict[str, Any] = {**dump(state), "epoch": state.epoch + self._offline.epoch_offset}
        super().append(Checkpoint(self.next_seq, self.fold.at, state.breaker, moved))
