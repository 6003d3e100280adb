"""The sequencer of a fleet: the stream puts events in order, and each process folds what it says.

Calls are decided by the states that the last entry read has left. What a process has to say waits
in the outbox until the log's thread sends it, and changes the states when it comes back. While the
stream can't be reached the sequencer is *degraded*: it puts its own events in order itself, as that
of a single process does, on copies of the states; they are dropped when the stream is back.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from attrs import evolve

from recloser.clock import SYSTEM_CLOCK, Clock
from recloser.core.events import (
    BreakerConfigured,
    CallIgnored,
    Checkpoint,
    Edge,
    Event,
    ProbeAdmitted,
)
from recloser.core.kernel import may_probe
from recloser.core.log_fold import LogFold
from recloser.core.state import BreakerState, dump
from recloser.core.state_machine import HALF_OPEN, OPEN
from recloser.errors import ConfigError
from recloser.live.call_buffer import BUFFER_LIMIT
from recloser.live.call_counter import CallCounter
from recloser.live.call_folding import CallFolding
from recloser.live.last_good import LastGood
from recloser.live.live_log import Log
from recloser.live.request import Message, ProbeClaim, Request, Spendable, spent_before
from recloser.live.sequencer import Sequencer
from recloser.log.codec import full
from recloser.process.bell import Bell
from recloser.sharing.claims import Claim, Claims
from recloser.sharing.connection import StreamChangedError
from recloser.sharing.live_states import Faces
from recloser.sharing.notified_edges import Notified
from recloser.sharing.offline import OWN_EPOCHS, Absence
from recloser.sharing.operator_commands import COMMANDS
from recloser.sharing.outbox import Batch, Outbox, Said, calls_in
from recloser.sharing.send_priority import is_slow, is_urgent
from recloser.sharing.stream_call_folding import StreamCallFolding
from recloser.sharing.stream_entry import Entry, EntryId
from recloser.sharing.stream_fold import NOTHING, Course, Taken

OnOtherConfig: TypeAlias = Literal["follow", "replace", "raise"]

_ALONE: Final = frozenset(("clock_ticked", "probe_admitted", "log_opened", "checkpoint"))
"""What one process records while it is alone, and the stream has no use for."""


class StreamSequencer(Sequencer):
    """Folds what the stream says, and hands on what this process has to say.

    Args:
        log: The log of the stream.
        clock: Whose monotonic hand tells how long a call took, and about what time it is.
        wake: Has the log's thread look for what waits; ``hurry`` has it sent at once.
        on_other_config: What becomes of settings that are not those in the stream.
        claim_seconds: So long a call waits for its probe, at most.
        timeout_seconds: So long an operator's command waits for its effect, at most.

    Attributes:
        outbox: What waits to be sent.
        course: What the entries that were read come to; None before the first one.
        degraded: Whether the stream can't be reached.
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
        self.outbox = Outbox()
        self.course: Course | None = None
        self.must_read_again = False
        self._wake = wake
        self._on_other_config = on_other_config
        self._claim_seconds = claim_seconds
        self._timeout_seconds = timeout_seconds
        self._faces = Faces()
        self._claims = Claims()
        self.notified = Notified()
        self._absence = Absence(1, clock.monotonic_ns(), 0)
        self._put_back: set[EntryId] = set()
        self._unfoldable: dict[EntryId, str] = {}
        self._suspect: EntryId | None = None
        self._jump_ns = self._jumped_ns = 0
        self._confirmed = 0
        self._rounds = 0
        self._is_in_round = False
        self._is_alone = True  # whether what is under way is a change of a fold of one's own
        self._bells: list[Bell] = []
        super().__init__(log, clock, None, host, "full")
        self.messages = []
        self.degraded = True  # until the stream has been read

    def _open_session(self) -> None:
        """Be alone until the stream has been read."""
        for _, once in self._unopened[:1]:
            if not once.is_done:
                header = next(self._first_header())
                super().append(header, spends=once)
        self._unopened = ()

    def _make_whole(self) -> None:
        """Undo or finish what an exception interrupted.

        A change of the stream's fold can't be finished here: the process goes on alone, and reads
        the stream again from a checkpoint.
        """
        if not self.is_whole and not self._is_alone and self.course is not None:
            self.last_good.restore(self.course.fold)
            self.must_read_again = True
            self.degraded = False
            self.leave("what it said was not taken in whole")
            self._wake(hurry=True)
        was_whole = self.is_whole
        super()._make_whole()
        if not was_whole and self.degraded:
            self._part_all()
        if self.messages:
            self._hand_on_sayings()

    # What the breakers ask for, under the lock.

    def advance(self, at: int) -> int:
        """About what time it is; alone, after a tick where one is due."""
        return super().advance(at) if self.degraded else self.read_at()

    def took_since(self, started_at: int, at: int) -> int:
        """How long a call has taken; it may have begun when the time of the log was another one."""
        took = at - started_at
        if not 0 <= took <= self._clock.monotonic_ns() - self._jumped_ns:
            took -= self._jump_ns
        return max(0, took)

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
        """Have an event sent; alone, fold it as well.

        Raises:
            ConfigError: It gives a breaker other settings than it has in the stream, and that is an
                error by ``on_other_config``.
            PermitError: The permit was spent before.
        """
        if isinstance(event, BreakerConfigured):
            return self._configure(event, spends)
        messages = (*messages, *self._said_of(event))
        if self.degraded:
            if event.at < self.fold.at:
                # Its time was read before something else was recorded, as by the start of an
                # absence: it is no earlier than that.
                event = evolve(full(event), at=self.fold.at)
            edges = super().append(
                event,
                spends=spends,
                counter=counter,
                written=written,
                folded=folded,
                messages=messages,
            )
            self._hand_on_sayings()
            self._note_edges(edges)
            return edges
        waiting_messages, folding = self.messages, self.folding
        if spends is not None:
            try:
                del spends._unspent  # noqa: SLF001  # a method would be a call
            except AttributeError:
                raise spent_before(spends) from None
        # One step, as alone.
        waiting_messages += messages
        folding.folded += folded
        if counter is not None:
            counter.written = written
            counter.added = counter.first_took_ns = 0
        # Final from here on.
        self._hand_on_sayings()
        return ()

    def _said_of(self, event: Event) -> Sequence[Said]:
        """What the stream is to know of an event."""
        if event.kind in _ALONE:
            return ()
        if getattr(event, "epoch", 0) >= OWN_EPOCHS:  # of a call that was let through alone
            if self.degraded:
                self._absence.kept_apart += calls_in(event)
            return ()
        return (self._saying(event, is_told=self.degraded),)

    def _saying(self, event: Event, *, is_told: bool = False, replaces: bool = False) -> Said:
        event = evolve(full(event), seq=0, at=0)
        state = self._faces.of(getattr(event, "breaker", ""))
        return Said(
            event,
            self._clock.monotonic_ns(),
            is_told=is_told,
            replaces=replaces,
            is_slow=state is not None and is_slow(event, state),
        )

    def _hand_on_sayings(self) -> None:
        """Put what is said into the outbox, each of it once, and have that looked at in time."""
        while self.messages:
            said = self.messages[0]
            assert isinstance(said, Said)
            event = said.event
            assert event is not None
            self.outbox.add(said)
            del self.messages[0]
            state = self._faces.of(getattr(event, "breaker", ""))
            waiting = 0 if state is None else self.outbox.bad[state.breaker, event.kind]
            if state is None or is_urgent(event, state, waiting):
                self._wake(hurry=True)
        self._be_looked_at()

    def _hand_on(self, event: Event, *, is_told: bool = False, replaces: bool = False) -> None:
        """Say an event that nothing is spent for."""
        said = (self._saying(event, is_told=is_told, replaces=replaces),)
        self.messages += said
        self._hand_on_sayings()

    def claim_probe(self, state: BreakerState, at: int) -> ProbeClaim | None:
        """A claim to a probe, on which the stream decides; None where there is nothing to claim."""
        del at
        if self.degraded or self._claims.has_probe(state.breaker):
            return None
        if not self._claims.may_be_made(state, self.read_at()):
            return None
        return self._claim(state)

    def admit_probe(
        self, state: BreakerState, at: int, spends: Spendable | None = None
    ) -> ProbeAdmitted | None:
        """A probe that the stream has granted; alone, the admission of one more."""
        if not self.degraded:
            return self._granted_probe(state)
        granted = self._granted_probe(state)
        if granted is not None:
            return granted
        if state.state is HALF_OPEN and may_probe(state):
            self._part(state)
        return super().admit_probe(state, at, spends)

    def _claim(self, state: BreakerState) -> Claim:
        epoch = state.epoch + (state.state is OPEN)
        self._hand_on(ProbeAdmitted(0, 0, state.breaker, epoch, self._claims.next_number))
        claim = self._claims.make(state.breaker, self._clock.monotonic_ns(), self.outbox.put)
        claim.wait_until = lambda is_so: self._wait(
            lambda: is_so() or self.degraded, self._claim_seconds
        )
        return claim

    def _granted_probe(self, state: BreakerState) -> ProbeAdmitted | None:
        probe = self._claims.use(state, self._clock.monotonic_ns())
        self.update_fast_path(state.breaker)
        return None if probe is None else evolve(probe, at=self.read_at())

    def update_fast_path(self, breaker: str) -> None:
        """Open or shut the way past the lock; a call that could have a probe must not take it."""
        fast_path = self._fast_paths.get(breaker)
        if fast_path is None:
            return
        fast_path.origin = self.origin  # the stream's time is known ever better
        super().update_fast_path(breaker)
        leave = fast_path.admit_token
        if leave is not None and not leave.never_expires:
            leave.expire()  # what others report may come in between
        if self._claims.has_probe(breaker):
            fast_path.stop_rejecting()

    def _renew_fast_path(self, breaker: str) -> None:
        self.update_fast_path(breaker)

    fast_path_takes_failures = False  # each is a word to the others

    def _make_folding(self, log: Log) -> CallFolding:
        return StreamCallFolding(self, self.call_buffer, log.room)

    def fold_buffered(self) -> None:
        """Take in what is pending, unless this very thread is at it."""
        super().fold_buffered()
        self._be_looked_at()

    def _be_looked_at(self) -> None:
        """If the log's thread was idle, have it come by again."""
        if self.call_buffer.limit == 0:
            self.call_buffer.limit = BUFFER_LIMIT
            self._wake(hurry=False)

    # Settings and commands.

    def _configure(self, event: BreakerConfigured, spends: Spendable | None) -> Sequence[Edge]:
        known = self.fold.breakers.get(event.breaker)
        replaces = self._on_other_config == "replace"
        if known is not None and not replaces:
            self._other_config(known, event)
            return ()
        said = (self._saying(event, is_told=self.degraded, replaces=replaces),)
        if not self.degraded:
            self.messages += said
            self._hand_on_sayings()
            return ()
        event = evolve(event, seq=self.next_seq, at=max(event.at, self.fold.at))
        edges = super().append(event, spends=spends, messages=said)
        self._hand_on_sayings()
        self._faces.show(self.fold)
        return edges

    def configured(self, request: Request, state: BreakerState) -> BreakerState:
        """The state of a breaker, once the stream has its settings, or after a while without it."""
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
        """Go on alone if the stream has not taken the settings in."""
        name = state.breaker
        if name not in self.fold.breakers:
            self.leave("it gives no answer")
            request.carry_out(self.read_at())
        elif self._on_other_config != "replace":
            request.carry_out(self.read_at())  # to compare the settings with those of the stream
        if name not in self.fold.breakers:
            # It was recorded before the server was lost, and the copy of the stream lacks it.
            settings = state.config.to_mapping()
            self._configure(BreakerConfigured(0, 0, name, settings), None)
        return self.fold.breakers[name]

    def _other_config(self, known: BreakerState, event: BreakerConfigured) -> None:
        """Warn of settings that are not those in the stream, if they are not."""
        settings = known.config.to_mapping()
        if settings == event.config:
            return
        differing = sorted(name for name in settings if settings[name] != event.config.get(name))
        message = (
            f"breaker {event.breaker!r} has other settings in the stream than here: "
            f"{', '.join(differing)}; those of the stream hold. on_other_config='replace' puts "
            "these in their place"
        )
        if self._on_other_config == "raise" and not self.degraded:
            raise ConfigError(message)
        self._log.notice(logging.WARNING, "%s: %s", self._log, message)

    def _note_other_configs(self, course: Course) -> None:
        """Warn of what was configured alone, and has other settings in the stream."""
        for event in self.outbox.configured():
            known = course.fold.breakers.get(event.breaker)
            if known is not None:
                self._other_config(known, event)

    # Waiting, while no lock is held.

    def await_effect(self) -> None:
        """Wait until what was said last has come back, but not for long."""
        upto = self.outbox.put
        self._wait(lambda: self._confirmed >= upto or self.degraded, self._timeout_seconds)

    def await_joined(self) -> None:
        """Wait until the stream is gone by again, but not for long."""
        self._wait(lambda: not self.degraded, self._timeout_seconds)

    def await_level(self) -> None:
        """Wait until all has been sent, and all read that is in the stream, but not for long."""
        outbox = self.outbox
        # A round that is under way may have read before.
        enough = self._rounds + (2 if self._is_in_round else 1)

        def is_level() -> bool:
            has_all = not len(outbox) and outbox.in_flight is None
            return self.degraded or (has_all and self._rounds >= enough)

        self._wake(hurry=True)
        self._wait(is_level, self._timeout_seconds)

    def _wait(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so, unless this thread is inside: it would wait for itself."""
        if is_so() or self.is_mine:
            return
        bell, now_ns = Bell(), SYSTEM_CLOCK.monotonic_ns
        until_ns = now_ns() + int(seconds * 1e9)
        self._bells += (bell,)
        try:
            while not is_so() and (left_ns := until_ns - now_ns()) > 0:
                bell.wait(left_ns / 1e9)
        finally:
            self._bells = [other for other in self._bells if other is not bell]

    def _ring_bells(self) -> None:
        for bell in tuple(self._bells):
            bell.ring()

    # What the log's thread does, under the lock.

    def take(self, course: Course, entries: Sequence[Entry], member: str) -> bool:
        """Fold entries.

        Args:
            course: What they are the next of.
            entries: The entries.
            member: What this process is called in them.

        Returns:
            Whether something that others do not know of yet has come of this process's own.
        """
        if self.degraded:
            # No breaker uses this fold yet, and the one in use stays whole whatever happens here. If
            # this is interrupted, the stream is read again.
            must_read_again, self.must_read_again = self.must_read_again, True
            course.fold.keeper = None
            is_news = self._fold_entries(course, entries, member)
            self.must_read_again = must_read_again
        else:
            self._is_alone = self.is_whole = False
            course.fold.keeper = self.last_good = LastGood(course.fold)
            is_news = self._fold_entries(course, entries, member)
            self._show(course.fold)
            self.is_whole = True
        self._ring_bells()
        return is_news

    def _fold_entries(self, course: Course, entries: Sequence[Entry], member: str) -> bool:
        is_news = False
        for entry in entries:
            taken = self._fold_entry(course, entry)
            batch = self.outbox.arrived(entry.batch) if entry.member == member else None
            if batch is not None:
                self._confirmed = max(self._confirmed, batch.upto)
                self._claims.settle(taken.grants, batch.upto, self._clock.monotonic_ns())
                is_news |= any(event.kind == "state_changed" for event in taken.events)
                if course.is_checkpoint_due():
                    self.outbox.add_body(course.checkpoint(), self._clock.monotonic_ns())
            self._note_taken(entry, taken, batch)
        return is_news

    def _fold_entry(self, course: Course, entry: Entry) -> Taken:
        """Fold an entry; one that can't be folded, twice in a row, is passed over by all."""
        if entry.id in self._unfoldable:
            course.pass_over(entry, self._unfoldable[entry.id])
            return NOTHING
        if course.is_cut_by(entry):
            raise StreamChangedError("it was begun anew, as its beginning was gone")
        try:
            return course.take(entry)
        except Exception as error:
            if self._suspect == entry.id:
                self._unfoldable[entry.id] = f"it can't be folded: {type(error).__name__}"
            self._suspect = entry.id
            raise

    def _note_taken(self, entry: Entry, taken: Taken, batch: Batch | None) -> None:
        """Have listeners told of all edges and commands, and of the calls of this process."""
        if not self.notifier:
            return
        others = ("state_changed", *(COMMANDS if batch is None else ()))
        is_untold = batch is not None and not batch.is_told
        is_new = self.notified.is_new(entry.id)
        events = [
            event
            for event in taken.events
            if (is_untold and event.kind not in others) or (is_new and event.kind in others)
        ]
        if is_new and any(event.kind in others for event in events):
            self.notified.note(entry.id)
        self.notifier.note(events)

    def leave(self, why: str | None = None) -> None:
        """Go on alone, from the states that the stream has left and all that was said since.

        Args:
            why: What is logged as the reason; None where that is not worth a word.
        """
        if self.degraded:
            return
        assert self.course is not None
        if why is not None:
            self._log.notice(
                logging.WARNING,
                "%s: calls go on by those of this process alone: %s",
                self._log,
                why,
            )
        # Where this is interrupted it is done again from the beginning.
        self._is_alone = self.is_whole = False
        self._hand_on_sayings()
        now_ns = self._clock.monotonic_ns()
        self._is_in_round = False
        self._absence = Absence(self._absence.number + 1, now_ns, self.outbox.lost)
        waiting = [
            (event, was_told)
            for event, was_told in self.outbox.tell()
            if event.kind != "probe_admitted"
        ]
        sent = self.outbox.in_flight
        self._claims.forget_unsent(0 if sent is None else sent.upto)
        own = self._faces.apart_from(self.course.fold)
        own.expected = self.fold.expected
        self._faces.show(own)
        self.fold = own
        self.renew_last_good()
        self._is_alone = self.degraded = True
        for event, was_told in waiting:
            is_known = getattr(event, "breaker", "") in own.breakers
            if is_known is not isinstance(event, BreakerConfigured):
                again = evolve(event, seq=self.next_seq, at=self.read_at())
                append = self._append_silently if was_told else super().append
                self._note_edges(append(again))
        self._faces.show(own)
        self._update_fast_paths()
        self._ring_bells()

    def own_settings(self) -> tuple[BreakerConfigured, ...]:
        """The settings of all breakers that this process has."""
        nothing: tuple[BreakerConfigured, ...] = ()
        return self.hold(lambda: tuple(self._faces.unknown_to(LogFold())), lambda: nothing)

    def begin_joining(self) -> None:
        """Begin to come level with the stream."""
        self._put_back.clear()
        self.outbox.give_up_aged(self._clock.monotonic_ns())

    def word_to(self, course: Course) -> Batch | None:
        """The next entry to send before the stream is used again; None if there is none.

        First the entry in flight, which may have arrived; then the breakers that it does not know,
        and the commands of operators that it has lost; and then what waits, up to the last command in it.
        """
        if self.outbox.in_flight is not None:
            return self.outbox.in_flight
        unknown = self._faces.unknown_to(course.fold)
        if unknown:
            return self.outbox.take_at_once(unknown)
        if self.course is not None and self.course is not course:
            for event, of in self.course.commands.unknown_to(course.commands):
                if of not in self._put_back:
                    self._put_back.add(of)
                    return self.outbox.take_at_once([event], again=of)
        if not self.outbox.commands():
            return None
        self._note_other_configs(course)
        batch = self.outbox.take()
        self._absence.note_sent(batch)
        return batch

    def rejoin(self, course: Course, at: int) -> bool:
        """Go by the stream again, and have it told what was done alone meanwhile.

        Args:
            course: What the stream comes to now.
            at: Its time now.

        Returns:
            Whether that could be done; not while it has to be told something before.
        """
        if self._faces.unknown_to(course.fold) or self.outbox.commands():
            return False
        now_ns = self._clock.monotonic_ns()
        self.drain()
        self._is_alone = self.is_whole = False
        self._note_other_configs(course)
        away = self._absence.ended(
            host=self._session.host,
            now_ns=now_ns,
            sent=self.outbox.calls,
            lost=self.outbox.lost,
            old=self.course,
            new=course,
        )
        good = LastGood(course.fold)
        # From here on this course is the one that is gone by, or left again if it is interrupted.
        self.last_good, self.course = good, course
        self.degraded = self.must_read_again = False
        self._jump_ns, self._jumped_ns = self.origin - (now_ns - at), now_ns
        self.origin = now_ns - at
        self._show(course.fold)
        self.is_whole = True
        self._ring_bells()
        if away.sent or away.lost or away.edges:
            self.outbox.add_body(away, now_ns)
            self._log.notice(
                logging.WARNING,
                "%s: back after %.3f s: %d calls are sent late, %d not at all; given up: %s",
                self._log,
                away.seconds,
                away.sent,
                away.lost,
                ", ".join(away.edges) or "no edge",
            )
        return True

    def begin_round(self, *, is_due: Callable[[int | None], bool]) -> Batch | None:
        """Take in what is pending; the entry to send now, if it is time for one.

        Args:
            is_due: Tells, by when the first thing that waits came, whether it is time.
        """
        self._is_in_round = True
        if not self.call_buffer and not len(self.outbox) and not self.coalescing:
            self.call_buffer.limit = 0  # the next call has to say so
        self.drain()
        for probe in self._claims.unused(self._clock.monotonic_ns()):
            self._hand_on(CallIgnored(0, 0, probe.breaker, probe.epoch, 0, probe.probe))
            self.update_fast_path(probe.breaker)
        return self.outbox.take() if is_due(self.outbox.since_ns) else self.outbox.in_flight

    def end_round(self, *, latest_ns: int, earliest_ns: int | None) -> None:
        """Learn the time of the stream, when it has been read to its end.

        Args:
            latest_ns: What the monotonic hand showed at the stream's time 0, at the latest.
            earliest_ns: And at the earliest, where that is known.
        """
        origin = min(self.origin, latest_ns)
        self.origin = origin if earliest_ns is None else max(origin, earliest_ns)
        self._rounds += 1
        self._is_in_round = False
        self._ring_bells()

    def begin_in_child(self) -> None:
        """Have nothing of the parent's to say, and be alone; called under the lock."""
        self.outbox = Outbox()
        self.messages = []
        self._claims = Claims()
        self._bells = []
        if self.course is not None:
            self.leave()

    def _show(self, fold: LogFold) -> None:
        fold.expected = self.fold.expected
        self._faces.show(fold)
        self.fold = fold
        fold.keeper = self.last_good = LastGood(fold)
        self._update_fast_paths()

    def _update_fast_paths(self) -> None:
        for name in self._fast_paths:
            self.update_fast_path(name)

    # Alone.

    def _note_edges(self, edges: Sequence[Edge]) -> None:
        self._absence.note(edges)
        for name in {edge.breaker for edge in edges}:
            self._part(self.fold.breakers[name])

    def _append_silently(self, event: Event) -> Sequence[Edge]:
        """Fold an event that listeners received in an earlier absence, with its edges."""
        edges = self.fold.apply(event)
        for edge in edges:
            self.fold.apply(edge)
        good, recorded = self.last_good, (event, *edges)
        good.events += recorded
        good.size += len(recorded)
        self._update_fast_paths_after(event, edges)
        return edges

    def _part_all(self) -> None:
        """Part the epochs of all breakers that have taken an edge alone."""
        shared = {} if self.course is None else self.course.fold.breakers
        for name, state in tuple(self.fold.breakers.items()):
            known = shared.get(name)
            if state.epoch != (0 if known is None else known.epoch):
                self._part(state)

    def _part(self, state: BreakerState) -> None:
        """Begin an epoch that can't be taken for one of the stream's."""
        if state.epoch >= OWN_EPOCHS:
            return
        moved: dict[str, Any] = {**dump(state), "epoch": state.epoch + self._absence.epochs}
        super().append(Checkpoint(self.next_seq, self.fold.at, state.breaker, moved))


def do_nothing() -> None:
    """Stand for a change in a thread that is in the middle of one."""
