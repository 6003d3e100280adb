"""The sequencer of a fleet: the stream puts events in order, and each process folds what it says.

Calls are decided by the states that the last entry read has left. What a process has to say waits
in the outbox until the log's thread sends it, and changes the states when it comes back. While the
stream can't be reached the sequencer is *degraded*: it puts its own events in order itself, as that
of a single process does, on copies of the states; they are dropped when the stream is back.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Final, Literal, TypeAlias

from attrs import asdict, evolve

from recloser.clock import Clock
from recloser.errors import ConfigError
from recloser.events import (
    BreakerConfigured,
    CallIgnored,
    CallSucceeded,
    Checkpoint,
    Edge,
    Event,
    ProbeAdmitted,
)
from recloser.fleet.absence import OWN_EPOCHS, Absence
from recloser.fleet.claims import Claim, Claims
from recloser.fleet.course import Course, Taken
from recloser.fleet.entry import Entry
from recloser.fleet.faces import Faces
from recloser.fleet.outbox import Batch, Outbox, calls_in
from recloser.fleet.urgency import is_slow, is_urgent
from recloser.fold import may_probe
from recloser.gate import PENDING_LIMIT, Leave, Pass
from recloser.log.calls import Calls
from recloser.log.codec import full
from recloser.log.sequencer import Log, Sequencer
from recloser.log.tail import Tail
from recloser.logfold import LogFold
from recloser.machine import HALF_OPEN, OPEN
from recloser.state import BreakerState, dump

OnOtherConfig: TypeAlias = Literal["follow", "replace", "raise"]

_COMMANDS: Final = frozenset(("forced_open", "forced_closed", "reset", "mode_changed"))
_logger: Final = logging.getLogger("recloser")


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
        self._wake = wake
        self._on_other_config = on_other_config
        self._claim_seconds = claim_seconds
        self._timeout_seconds = timeout_seconds
        self._faces = Faces()
        self._claims = Claims()
        self._absence = Absence(1, clock.monotonic_ns(), 0)
        self._confirmed = 0
        self._rounds = 0
        self._is_in_round = False
        super().__init__(log, clock, None, host, "full")

    def _make_locks(self) -> None:
        super()._make_locks()
        self._changed = threading.Condition(self._lock)

    def _open_session(self, at: int, monotonic: int, tail: Tail) -> None:
        """Be alone until the stream has been read."""
        self.degraded = True
        super().append(evolve(self._header(at, monotonic), **asdict(tail)))

    # What the breakers ask for, under the lock.

    def advance(self, at: int) -> int:
        """About what time it is; alone, after a tick where one is due."""
        return super().advance(at) if self.degraded else self._read_at()

    def append(self, event: Event) -> Sequence[Edge]:
        """Have an event sent; alone, fold it as well.

        Raises:
            ConfigError: It gives a breaker other settings than it has in the stream, and that is to
                be told.
        """
        if isinstance(event, BreakerConfigured):
            return self._configure(event)
        if self.degraded:
            return self._append_alone(event)
        if getattr(event, "epoch", 0) >= OWN_EPOCHS:
            return ()  # of a call that was let through alone
        self._hand_on(event)
        if event.kind in _COMMANDS:
            self._await_confirmed()
        return ()

    def admit_probe(self, state: BreakerState, at: int) -> ProbeAdmitted | None:
        """Claim a probe, and wait until the stream says whose it is, but not for long."""
        if not self.degraded:
            probe = self._granted_probe(state)
            if probe is not None or not self._claims.may_be_made(state, self._read_at()):
                return probe
            claim = self._claim(state)
            self._wait(lambda: claim.settled_ns is not None or self.degraded, self._claim_seconds)
            claim.is_awaited = False
            probe = self._granted_probe(state)
            if probe is not None or not self.degraded:
                return probe
            at = self.advance(self._read_at())
        if state.state is HALF_OPEN and may_probe(state):
            self._part(state)
        return super().admit_probe(state, at)

    def _claim(self, state: BreakerState) -> Claim:
        epoch = state.epoch + (state.state is OPEN)
        self._hand_on(ProbeAdmitted(0, 0, state.breaker, epoch, self._claims.next_number))
        return self._claims.make(state.breaker, self._clock.monotonic_ns(), self.outbox.put)

    def _granted_probe(self, state: BreakerState) -> ProbeAdmitted | None:
        probe = self._claims.use(state, self._clock.monotonic_ns())
        self._update_gate(state.breaker)
        return None if probe is None else evolve(probe, at=self._read_at())

    def _update_gate(self, breaker: str) -> None:
        """Open or shut the way past the lock; a call that could have a probe must not take it."""
        gate = self._gates.get(breaker)
        if gate is None:
            return
        gate.origin = self.origin  # the stream's time is known ever better
        super()._update_gate(breaker)
        if self._claims.has_probe(breaker):
            gate.ask()

    def _is_plain(self, passed: Pass) -> bool:
        return isinstance(passed, Leave)  # what comes of it is the stream's to say

    def _append_successes(self, calls: Calls) -> None:
        done = 0
        for leave, group in groupby(calls.passes):
            first, done = done, done + len(list(group))
            tooks = calls.tooks[first:done]
            if self.fold.breakers[leave.breaker].config.slow_call_ns is None:
                self._succeed(leave.breaker, leave.epoch, sum(tooks) // len(tooks), len(tooks))
            else:
                for took in tooks:
                    self._succeed(leave.breaker, leave.epoch, took, 1)

    def _succeed(self, breaker: str, epoch: int, took: int, count: int) -> None:
        self.append(
            CallSucceeded(self.next_seq, self._read_at(), breaker, epoch, took, count=count)
        )

    def relieve(self) -> None:
        """Take in what is pending, unless this very thread is at it."""
        super().relieve()
        self._be_looked_at()

    def _be_looked_at(self) -> None:
        """If the log's thread was idle, have it come by again."""
        if self.pending.limit == 0:
            self.pending.let_wait(PENDING_LIMIT)
            self._wake(hurry=False)

    def _hand_on(self, event: Event, *, is_told: bool = False, replaces: bool = False) -> None:
        """Put an event into the outbox, and have that looked at when it is time."""
        event = evolve(full(event), seq=0, at=0)
        state = self._faces.of(getattr(event, "breaker", ""))
        self.outbox.add(
            event,
            self._clock.monotonic_ns(),
            is_told=is_told,
            is_slow=state is not None and is_slow(event, state),
            replaces=replaces,
        )
        if state is None or is_urgent(event, state, self.outbox.failures[state.breaker]):
            self._wake(hurry=True)
        self._be_looked_at()

    # Settings and commands.

    def _configure(self, event: BreakerConfigured) -> Sequence[Edge]:
        known = self.fold.breakers.get(event.breaker)
        replaces = self._on_other_config == "replace"
        if known is not None and not replaces:
            self._other_config(known, event)
            return ()
        if self.degraded:
            event = evolve(event, seq=self.next_seq, at=self._read_at())
            self._hand_on(event, is_told=True, replaces=replaces)
            edges = super().append(event)
            self._faces.show(self.fold)
            return edges
        self._hand_on(event, replaces=replaces)
        self._await_confirmed()
        now = self.fold.breakers.get(event.breaker)
        if now is None:
            self.leave("it gives no answer")
            return self._configure(event)
        if not replaces:
            self._other_config(now, event)
        return ()

    def _other_config(self, known: BreakerState, event: BreakerConfigured) -> None:
        """Tell of settings that are not those in the stream, if they are not."""
        settings = known.config.to_mapping()
        if settings == event.config:
            return
        parted = sorted(name for name in settings if settings[name] != event.config.get(name))
        told = (
            f"breaker {event.breaker!r} has other settings in the stream than here: "
            f"{', '.join(parted)}; those of the stream hold. on_other_config='replace' puts "
            "these in their place"
        )
        if self._on_other_config == "raise" and not self.degraded:
            raise ConfigError(told)
        _logger.warning("%s: %s", self._log, told)

    def _note_other_configs(self, course: Course) -> None:
        """Tell of what was configured alone, and has other settings in the stream."""
        for event in self.outbox.configured():
            self._other_config(course.fold.breakers[event.breaker], event)

    def _await_confirmed(self) -> None:
        """Wait until what was put in last has come back, but not for long."""
        upto = self.outbox.put
        self._wait(lambda: self._confirmed >= upto or self.degraded, self._timeout_seconds)

    def _wait(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Let go of the lock until something is so."""
        me = threading.get_ident()

        def is_so_now() -> bool:
            self._holder = me  # others have held the lock meanwhile
            return is_so()

        self._changed.wait_for(is_so_now, seconds)
        self._holder = me

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
        is_news = False
        for entry in entries:
            taken = course.take(entry)
            batch = self.outbox.arrived(entry.batch) if entry.member == member else None
            if batch is not None:
                self._confirmed = max(self._confirmed, batch.upto)
                self._claims.settle(taken.grants, batch.upto, self._clock.monotonic_ns())
                is_news |= any(event.kind == "state_changed" for event in taken.events)
                if course.is_checkpoint_due():
                    self.outbox.add_body(course.checkpoint(), self._clock.monotonic_ns())
            self._note_taken(taken, batch)
        if not self.degraded:
            self._show(course.fold)
        self._changed.notify_all()
        return is_news

    def _note_taken(self, taken: Taken, batch: Batch | None) -> None:
        """Have listeners told of all edges and commands, and of the calls of this process."""
        if not self.audience:
            return
        others = ("state_changed", *(_COMMANDS if batch is None else ()))
        is_untold = batch is not None and not batch.is_told
        self.audience.note([event for event in taken.events if is_untold or event.kind in others])

    def leave(self, why: str | None = None) -> None:
        """Go on alone, from the states that the stream has left and all that was said since.

        Args:
            why: What is logged as the reason; None where that is not worth a word.
        """
        if self.degraded:
            return
        assert self.course is not None
        if why is not None:
            _logger.warning("%s: calls go on by those of this process alone: %s", self._log, why)
        now_ns = self._clock.monotonic_ns()
        self.degraded = True
        self._is_in_round = False
        self._absence = Absence(self._absence.number + 1, now_ns, self.outbox.lost)
        waiting = self.outbox.tell()
        sent = self.outbox.in_flight
        self._claims.forget_unsent(0 if sent is None else sent.upto)
        self.fold = self._faces.apart_from(self.course.fold)
        for event in waiting:
            if event.kind not in ("probe_admitted", "breaker_configured"):
                self._fold_alone(evolve(event, seq=self.next_seq, at=self._read_at()))
        self._update_gates()
        self._changed.notify_all()

    def word_to(self, course: Course) -> Batch | None:
        """What a stream must be told before it can be gone by again.

        That is what it may have been told already, and then of the breakers that it does not know.
        """
        unknown = self._faces.unknown_to(course.fold)
        return self.outbox.take_at_once(unknown) if unknown else self.outbox.in_flight

    def rejoin(self, course: Course, at: int) -> bool:
        """Go by the stream again, and have it told what was done alone meanwhile.

        Args:
            course: What the stream comes to now.
            at: Its time now.

        Returns:
            Whether that could be done; not while it has to be told something before.
        """
        if self._faces.unknown_to(course.fold):
            return False
        now_ns = self._clock.monotonic_ns()
        self.drain()
        self._note_other_configs(course)
        self.outbox.give_up_aged(now_ns)
        away = self._absence.ended(
            host=self._host,
            now_ns=now_ns,
            sent=self.outbox.calls,
            lost=self.outbox.lost,
            old=self.course,
            new=course,
        )
        self.course = course
        self.degraded = False
        self.origin = now_ns - at
        self._show(course.fold)
        self._changed.notify_all()
        if away.sent or away.lost or away.edges:
            self.outbox.add_body(away, now_ns)
            _logger.warning(
                "%s: back after %.3f s: %d calls are sent late, %d not at all; given up: %s",
                self._log,
                away.seconds,
                away.sent,
                away.lost,
                ", ".join(away.edges) or "no edge",
            )
        return True

    def await_level(self) -> None:
        """Wait until all has been sent, and all read that is in the stream, but not for long."""
        with self.held():
            outbox = self.outbox
            # A round that is under way may have read before.
            enough = self._rounds + (2 if self._is_in_round else 1)

            def is_level() -> bool:
                has_all = not len(outbox) and outbox.in_flight is None
                return self.degraded or (has_all and self._rounds >= enough)

            self._wake(hurry=True)
            self._wait(is_level, self._timeout_seconds)

    def begin_round(self, *, is_due: Callable[[int | None], bool]) -> Batch | None:
        """Take in what is pending; the entry to send now, if it is time for one.

        Args:
            is_due: Tells, by when the first thing that waits came, whether it is time.
        """
        self._is_in_round = True
        if not self.pending and not len(self.outbox) and not self.runs:
            self.pending.let_wait(0)  # the next call has to say so
        self.drain()
        for probe in self._claims.unused(self._clock.monotonic_ns()):
            self._hand_on(CallIgnored(0, 0, probe.breaker, probe.epoch, 0, probe.probe))
            self._update_gate(probe.breaker)
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
        self._changed.notify_all()

    def begin_in_child(self) -> None:
        """Have nothing of the parent's to say, and be alone; called under the lock."""
        self.outbox = Outbox()
        self._claims = Claims()
        if self.course is not None:
            self.leave()

    def _show(self, fold: LogFold) -> None:
        self._faces.show(fold)
        self.fold = fold
        self._update_gates()

    def _update_gates(self) -> None:
        for name in self._gates:
            self._update_gate(name)

    # Alone.

    def _append_alone(self, event: Event) -> Sequence[Edge]:
        """Put an event in order here, and keep it for the stream where that can use it."""
        if event.kind not in ("clock_ticked", "probe_admitted"):
            if getattr(event, "epoch", 0) >= OWN_EPOCHS:
                self._absence.kept_apart += calls_in(event)
            else:
                self._hand_on(event, is_told=True)
        return self._fold_alone(event)

    def _fold_alone(self, event: Event) -> Sequence[Edge]:
        edges = super().append(event)
        self._absence.note(edges)
        for name in {edge.breaker for edge in edges}:
            self._part(self.fold.breakers[name])
        return edges

    def _part(self, state: BreakerState) -> None:
        """Begin an epoch that can't be taken for one of the stream's."""
        if state.epoch >= OWN_EPOCHS:
            return
        moved: dict[str, Any] = {**dump(state), "epoch": state.epoch + self._absence.epochs}
        self.fold.apply(Checkpoint(self.next_seq, self.fold.at, state.breaker, moved))
        self._update_gate(state.breaker)
