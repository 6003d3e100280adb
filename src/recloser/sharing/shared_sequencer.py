"""The sequencer of shared breakers: a stream orders the events.

Outcomes recorded here wait in the outbox until the log's thread sends them, and change the states
when their entry is read back. While the stream cannot be reached the member is *offline* (its
breakers show ``degraded``): it orders its own events itself, on copies of the states. The copies are
dropped when the stream is back.

``shared_calls`` has the half that callers' threads use; here is the half that the log's thread uses
to fold entries, to go offline and to come online again.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from attrs import evolve

from recloser.clock import Clock
from recloser.core.events import BreakerConfigured, CallIgnored, Edge, Event
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState
from recloser.live.last_good import LastGood
from recloser.live.live_log import Log
from recloser.live.request import Request
from recloser.sharing.claims import Claims
from recloser.sharing.connection import StreamChangedError
from recloser.sharing.notified_edges import NotifiedEntries
from recloser.sharing.offline import OfflinePeriod
from recloser.sharing.operator_commands import COMMANDS
from recloser.sharing.other_settings import OnOtherConfig
from recloser.sharing.outbox import Batch, Outbox
from recloser.sharing.shared_calls import SharedCalls
from recloser.sharing.stream_entry import Entry, EntryId
from recloser.sharing.stream_fold import NOTHING, FoldedEntry, StreamFold


class StreamSequencer(SharedCalls):
    """Folds the entries of the stream, and provides those that this member sends.

    Two kinds of threads change it, always under the sequencer's lock. Callers' threads add to the
    outbox, and while offline fold on copies. The log's thread folds entries, goes offline and comes
    online. An exception from outside can interrupt either; ``is_whole`` is then False, and the next
    entry under the lock repairs the state in ``_make_whole``.

    Args:
        log: The log of the stream.
        clock: Measures calls and estimates the stream's time, both by its monotonic time.
        wake: Wakes the log's thread; with ``hurry=True`` it sends at once.
        host: Name of this process in reports of offline periods.
        on_other_config: What happens to settings that differ from those in the stream.
        claim_seconds: Longest time for which a call waits for its probe, in seconds.
        timeout_seconds: Longest time for which an operator's command waits for its effect, in seconds.

    Attributes:
        must_reread: Whether the fold may be damaged, so that the stream must be read again.
        notified: The entries whose edges and commands listeners have received.
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
        timeout_seconds: float,
    ) -> None:
        self.must_reread = False
        self.notified = NotifiedEntries()
        self._timeout_seconds = timeout_seconds
        self._restored_commands: set[EntryId] = set()
        self._unfoldable: dict[EntryId, str] = {}
        self._suspect: EntryId | None = None
        self._confirmed_item = 0
        self._rounds = 0
        self._is_in_round = False
        # While ``is_whole`` is False: whether the interrupted change is one of a private fold.
        self._changes_private_fold = True
        super().__init__(
            log,
            clock,
            wake=wake,
            host=host,
            on_other_config=on_other_config,
            claim_seconds=claim_seconds,
        )

    def _open_session(self) -> None:
        """Begin offline, with a header of this process's own."""
        for _, mark in self._unopened[:1]:
            if not mark.is_done:
                header = next(self._first_header())
                super().append(header, spends=mark)
        self._unopened = ()

    def _make_whole(self) -> None:
        """Undo or finish what an exception interrupted.

        An interrupted change of the stream's fold cannot be finished here, because the rest of the
        entries is not at hand. The fold is set back to the last good state and marked to be read
        again; the member goes offline until the log's thread has read the stream from a checkpoint.
        """
        if not self.is_whole and not self._changes_private_fold and self.stream_fold is not None:
            self.last_good.restore(self.stream_fold.fold)
            self.must_reread = True
            # The change may have set ``degraded`` already; ``go_offline`` must run in full.
            self.degraded = False
            self.go_offline("an entry was not folded completely")
            self._wake(hurry=True)
        was_whole = self.is_whole
        super()._make_whole()
        if not was_whole and self.degraded:
            self._make_epochs_private()
        if self.messages:
            self._queue_messages()

    # Settings: called by the thread that makes a breaker.

    def configured(self, request: Request, state: BreakerState) -> BreakerState:
        """Return a breaker's state when the stream has its settings.

        After ``timeout_seconds`` the member goes offline, and uses the settings on its own.
        """
        name = state.breaker
        if self.is_mine:
            return super().configured(request, state)
        self.run(request.carry_out, do_nothing)
        if name not in self.fold.breakers or self._on_other_config == "replace":
            self.await_effect()
        return self.run(
            partial(self._configure_anyway, request, state),
            lambda: self.fold.expect(state),
        )

    def _configure_anyway(self, request: Request, state: BreakerState, _at: int) -> BreakerState:
        """Go offline if the stream does not have the settings yet."""
        name = state.breaker
        if name not in self.fold.breakers:
            self.go_offline("the server does not answer")
            request.carry_out(self.read_at())
        elif self._on_other_config != "replace":
            request.carry_out(self.read_at())  # compares the settings with those in the stream
        if name not in self.fold.breakers:
            # The settings were recorded before the server was lost, and the copy lacks them.
            settings = state.config.to_mapping()
            self._configure(BreakerConfigured(0, 0, name, settings), None)
        return self.fold.breakers[name]

    # Waiting: called without the lock.

    def await_effect(self) -> None:
        """Wait, up to ``timeout_seconds``, until the last outbox item was read back."""
        item = self.outbox.last_item
        self._waits.wait(
            lambda: self._confirmed_item >= item or self.degraded, self._timeout_seconds
        )

    def await_online(self) -> None:
        """Wait until the member is online, for ``timeout_seconds`` at most."""
        self._waits.wait(lambda: not self.degraded, self._timeout_seconds)

    def await_synchronized(self) -> None:
        """Wait until all events were sent and the stream was read to its end.

        The limit is ``timeout_seconds``. A round trip that is under way may have read the stream
        before this call, so another one must follow it.
        """
        outbox = self.outbox
        enough = self._rounds + (2 if self._is_in_round else 1)

        def is_synchronized() -> bool:
            is_empty = not len(outbox) and outbox.in_flight is None
            return self.degraded or (is_empty and self._rounds >= enough)

        self._wake(hurry=True)
        self._waits.wait(is_synchronized, self._timeout_seconds)

    # Folding entries: called by the log's thread under the lock.

    def fold_entries(self, stream_fold: StreamFold, entries: Sequence[Entry], member: str) -> bool:
        """Fold entries.

        Args:
            stream_fold: The fold of the entries before.
            entries: The next entries.
            member: The name of this process in the stream.

        Returns:
            Whether an entry of this member fired an edge, which other members should read at once.
        """
        if self.degraded:
            # Breakers use the private fold, which stays whole whatever happens here. If this is
            # interrupted, ``must_reread`` keeps the value True and the fold is discarded.
            must_reread, self.must_reread = self.must_reread, True
            stream_fold.fold.keeper = None
            is_news = self._fold_each(stream_fold, entries, member)
            self.must_reread = must_reread
        else:
            # Breakers use this very fold. If this is interrupted, ``_make_whole`` finds both flags
            # False, restores the fold from ``good`` and goes offline.
            self._changes_private_fold = self.is_whole = False
            stream_fold.fold.keeper = self.last_good = LastGood(stream_fold.fold)
            is_news = self._fold_each(stream_fold, entries, member)
            self._use_fold(stream_fold.fold)
            self.is_whole = True
        self._waits.ring()
        return is_news

    def _fold_each(self, stream_fold: StreamFold, entries: Sequence[Entry], member: str) -> bool:
        is_news = False
        for entry in entries:
            folded = self._fold_entry(stream_fold, entry)
            batch = self.outbox.confirm(entry.batch) if entry.member == member else None
            if batch is not None:
                now_ns = self._clock.monotonic_ns()
                self._confirmed_item = max(self._confirmed_item, batch.last_item)
                self._claims.record_decision(folded.grants, batch.last_item, now_ns)
                is_news |= any(event.kind == "state_changed" for event in folded.events)
                if stream_fold.is_checkpoint_due():
                    self.outbox.add_body(stream_fold.checkpoint(), now_ns)
            self._notify_of(entry, folded, batch)
        return is_news

    def _fold_entry(self, stream_fold: StreamFold, entry: Entry) -> FoldedEntry:
        """Fold an entry; pass it over if it could not be folded twice in a row.

        The first failure may be an exception from outside, so the entry gets a second chance. All
        members fold by the same rules, so each of them passes over the same entries.
        """
        if entry.id in self._unfoldable:
            stream_fold.pass_over(entry, self._unfoldable[entry.id])
            return NOTHING
        if stream_fold.is_restarted_by(entry):
            raise StreamChangedError("the stream began anew, because its beginning was gone")
        try:
            return stream_fold.fold_entry(entry)
        except Exception as error:
            if self._suspect == entry.id:
                self._unfoldable[entry.id] = f"it can't be folded: {type(error).__name__}"
            self._suspect = entry.id
            raise

    def _notify_of(self, entry: Entry, folded: FoldedEntry, batch: Batch | None) -> None:
        """Pass events of an entry to listeners.

        Listeners receive all edges and all commands of other members, each once, whichever member
        caused them (``notified``). They receive the calls of this member, unless it passed them on
        while it was offline (``batch.is_notified``). Calls of other members are not passed on.
        """
        if not self.notifier:
            return
        shared = ("state_changed", *(COMMANDS if batch is None else ()))
        is_own_news = batch is not None and not batch.is_notified
        is_new = self.notified.is_new(entry.id)
        events = [
            event
            for event in folded.events
            if (is_own_news and event.kind not in shared) or (is_new and event.kind in shared)
        ]
        if is_new and any(event.kind in shared for event in events):
            self.notified.note(entry.id)
        self.notifier.note(events)

    # Going offline and coming online: called under the lock, by the log's thread or in ``_make_whole``.

    def go_offline(self, why: str | None = None) -> None:
        """Continue on a private copy of the states, with all unsent events folded into it.

        Args:
            why: The reason for the log message; None logs nothing.
        """
        if self.degraded:
            return
        assert self.stream_fold is not None
        if why is not None:
            self._log.notice(
                logging.WARNING,
                "%s: this process now decides by its own calls alone: %s",
                self._log,
                why,
            )
        # ``degraded`` is set only after the copy is in use. If an exception comes before, ``_make_whole``
        # finds these two flags and calls this method again from the beginning.
        self._changes_private_fold = self.is_whole = False
        self._queue_messages()
        now_ns = self._clock.monotonic_ns()
        self._is_in_round = False
        self._offline = OfflinePeriod(self._offline.number + 1, now_ns, self.outbox.lost)
        unsent = [
            (event, was_notified)
            for event, was_notified in self.outbox.mark_notified()
            if event.kind != "probe_admitted"
        ]
        sent = self.outbox.in_flight
        self._claims.forget_unsent(0 if sent is None else sent.last_item)
        own = self._live_states.private_copy(self.stream_fold.fold)
        own.expected = self.fold.expected
        self._live_states.adopt(own)
        self.fold = own
        self.renew_last_good()
        self._changes_private_fold = self.degraded = True
        # The copy is whole and in use: from here on an interruption is repaired as in one process.
        for event, was_notified in unsent:
            is_known = getattr(event, "breaker", "") in own.breakers
            if is_known is not isinstance(event, BreakerConfigured):
                again = evolve(event, seq=self.next_seq, at=self.read_at())
                append = self._append_silently if was_notified else super().append
                self._note_offline_edges(append(again))
        self._live_states.adopt(own)
        self._update_fast_paths()
        self._waits.ring()

    def _append_silently(self, event: Event) -> Sequence[Edge]:
        """Fold an event that listeners have received already, with its edges."""
        edges = self.fold.apply(event)
        for edge in edges:
            self.fold.apply(edge)
        good, recorded = self.last_good, (event, *edges)
        good.events += recorded
        good.size += len(recorded)
        self._update_fast_paths_after(event, edges)
        return edges

    def own_settings(self) -> tuple[BreakerConfigured, ...]:
        """Return the settings of all breakers of this process; called without the lock."""
        nothing: tuple[BreakerConfigured, ...] = ()
        return self.hold(lambda: tuple(self._live_states.missing_from(LogFold())), lambda: nothing)

    def begin_joining(self) -> None:
        """Prepare to come online: drop outcomes that are too old to be sent."""
        self._restored_commands.clear()
        self.outbox.drop_aged(self._clock.monotonic_ns())

    def batch_before_rejoining(self, stream_fold: StreamFold) -> Batch | None:
        """Return the next batch to send before going online; None if there is none.

        In this order: the batch in flight, which may have arrived; the settings of breakers that the
        stream does not know; the operators' commands that it has lost; and the items of the outbox
        up to the last command among them. So no member decides without a command that was given.
        """
        if self.outbox.in_flight is not None:
            return self.outbox.in_flight
        unknown = self._live_states.missing_from(stream_fold.fold)
        if unknown:
            return self.outbox.batch_ahead(unknown)
        if self.stream_fold is not None and self.stream_fold is not stream_fold:
            for event, of in self.stream_fold.commands.missing_from(stream_fold.commands):
                if of not in self._restored_commands:
                    self._restored_commands.add(of)
                    return self.outbox.batch_ahead([event], again=of)
        if not self.outbox.commands():
            return None
        self._report_settings_made_offline(stream_fold)
        batch = self.outbox.next_batch()
        self._offline.note_sent(batch)
        return batch

    def go_online(self, stream_fold: StreamFold, at: int) -> bool:
        """Decide by the stream again, and report to it what was done while offline.

        Args:
            stream_fold: The fold of the stream up to now.
            at: The stream's time now, in nanoseconds of the log.

        Returns:
            Whether the member is online; False if something must be sent before.
        """
        if self._live_states.missing_from(stream_fold.fold) or self.outbox.commands():
            return False
        now_ns = self._clock.monotonic_ns()
        self.drain()
        self._changes_private_fold = self.is_whole = False
        self._report_settings_made_offline(stream_fold)
        report = self._offline.report(
            host=self._session.host,
            now_ns=now_ns,
            unsent=self.outbox.calls,
            lost=self.outbox.lost,
            old=self.stream_fold,
            new=stream_fold,
        )
        good = LastGood(stream_fold.fold)
        # If an exception comes before this line, ``stream_fold`` is still the old one, and
        # ``_make_whole`` goes offline on it again. From here on it does so on the new one.
        self.last_good, self.stream_fold = good, stream_fold
        self.degraded = self.must_reread = False
        self._time_jump_ns, self._time_jumped_ns = self.origin - (now_ns - at), now_ns
        self.origin = now_ns - at
        self._use_fold(stream_fold.fold)
        self.is_whole = True
        self._waits.ring()
        if report.sent or report.lost or report.edges:
            self.outbox.add_body(report, now_ns)
            self._log.notice(
                logging.WARNING,
                "%s: back after %.3f s: %d calls are sent late, %d not at all; discarded: %s",
                self._log,
                report.seconds,
                report.sent,
                report.lost,
                ", ".join(report.edges) or "no edge",
            )
        return True

    def _report_settings_made_offline(self, stream_fold: StreamFold) -> None:
        """Warn of settings given while offline that differ from those in the stream."""
        for event in self.outbox.configured():
            known = stream_fold.fold.breakers.get(event.breaker)
            if known is not None:
                self._report_other_settings(known, event)

    # Round trips: called by the log's thread under the lock.

    def begin_round(self, *, is_due: Callable[[int | None], bool]) -> Batch | None:
        """Record pending calls, and return the batch to send now; None if none is due.

        Args:
            is_due: Returns whether it is time to send, given the monotonic time in nanoseconds at
                which the oldest item was added to the outbox (None if it is empty).
        """
        self._is_in_round = True
        if not self.call_buffer and not len(self.outbox) and not self.coalescing:
            # The thread is about to be idle, and the next buffered call must wake it. A call is
            # appended to the buffer before the limit is read: either the caller sees 0 and wakes the
            # thread, or the call was appended before this line and ``drain`` below records it.
            self.call_buffer.limit = 0
        self.drain()
        for probe in self._claims.drop_unused(self._clock.monotonic_ns()):
            self._queue(CallIgnored(0, 0, probe.breaker, probe.epoch, 0, probe.probe))
            self.update_fast_path(probe.breaker)
        outbox = self.outbox
        return outbox.next_batch() if is_due(outbox.oldest_ns) else outbox.in_flight

    def end_round(self, *, latest_ns: int, earliest_ns: int | None) -> None:
        """Improve the estimate of the stream's time, after the stream was read to its end.

        Args:
            latest_ns: Upper bound of the monotonic time at the stream's time 0, in nanoseconds.
            earliest_ns: Lower bound of it; None if unknown.
        """
        origin = min(self.origin, latest_ns)
        self.origin = origin if earliest_ns is None else max(origin, earliest_ns)
        self._rounds += 1
        self._is_in_round = False
        self._waits.ring()

    def begin_in_child(self) -> None:
        """Drop the parent's unsent events, and begin offline; called under the lock."""
        self.outbox = Outbox()
        self.messages = []
        self._claims = Claims()
        self._waits.forget()
        if self.stream_fold is not None:
            self.go_offline()

    def _use_fold(self, fold: LogFold) -> None:
        fold.expected = self.fold.expected
        self._live_states.adopt(fold)
        self.fold = fold
        fold.keeper = self.last_good = LastGood(fold)
        self._update_fast_paths()

    def _update_fast_paths(self) -> None:
        for name in self._fast_paths:
            self.update_fast_path(name)


def do_nothing() -> None:
    """Stand in for a change that a thread inside the sequencer cannot make."""
