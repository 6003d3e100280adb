"""The sequencer of a fleet: the stream puts events in order, and each process folds what it says.

Calls are decided by the states that the last entry read has left. What a process has to say waits
in the outbox until the log's thread sends it, and changes the states when it comes back. While the
stream can't be reached the sequencer is *degraded*: it puts its own events in order itself, as that
of a single process does, on copies of the states; they are dropped when the stream is back.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from itertools import groupby
from typing import Any, Final, Literal, TypeAlias

from attrs import asdict, define, evolve

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
from recloser.fleet.course import Course, Taken
from recloser.fleet.entry import Away, Entry
from recloser.fleet.outbox import Batch, Outbox, calls_in
from recloser.fold import may_probe
from recloser.gate import PENDING_LIMIT, Leave
from recloser.log.codec import full
from recloser.log.reader import Tail
from recloser.log.sequencer import Log, Sequencer
from recloser.logfold import LogFold
from recloser.machine import CLOSED, HALF_OPEN, OPEN
from recloser.state import BreakerState, dump
from recloser.validation import exact

OnOtherConfig: TypeAlias = Literal["follow", "replace", "raise"]

OWN_EPOCHS: Final = 1_000_000_000
"""The epochs that a process begins on its own are above this, and differ with each absence."""

HOLD_NS: Final = 1_000_000_000
"""A probe that was granted after its call had given up is kept so long for the next one."""

_NS_PER_MS: Final = 1_000_000
_GAVE_UP: Final = 100
_COMMANDS: Final = frozenset(("forced_open", "forced_closed", "reset", "mode_changed"))
_OUTCOMES: Final = frozenset(("call_succeeded", "call_failed", "call_ignored"))
_logger: Final = logging.getLogger("recloser")


@define(eq=False)
class _Claim:
    """A probe that was asked for.

    Attributes:
        number: Which claim of this process it is.
        breaker: The breaker.
        epoch: In which epoch the probe is to be.
        made_ns: When it was asked for, by the monotonic hand.
        upto: Which thing in the outbox it is.
        granted: The probe; None until the stream has granted it.
        settled_ns: When the stream had decided, by the monotonic hand; None until then.
        is_awaited: Whether a call waits for it.
    """

    number: int
    breaker: str
    epoch: int
    made_ns: int
    upto: int
    granted: ProbeAdmitted | None = None
    settled_ns: int | None = None
    is_awaited: bool = True


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
        self._faces: dict[str, BreakerState] = {}
        self._claims: list[_Claim] = []
        self._claims_made = 0
        self._confirmed = 0
        self._rounds = 0
        self._is_in_round = False
        self._gave_up: list[str] = []
        self._own_epochs = OWN_EPOCHS
        self._left_ns = 0
        self._lost_before = 0
        self._kept_apart = 0
        super().__init__(log, clock, None, host)

    def _make_locks(self) -> None:
        super()._make_locks()
        self._changed = threading.Condition(self._lock)

    def _open_session(self, at: int, monotonic: int, tail: Tail) -> None:
        """Be alone until the stream has been read."""
        self.degraded = True
        self._left_ns = monotonic
        super().append(evolve(self._header(at, monotonic), **asdict(tail)))

    # What the breakers ask for, under the lock.

    def advance(self) -> int:
        """About what time it is; alone, after a tick where one is due."""
        return super().advance() if self.degraded else self._read_at()

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
            held = self._held_probe(state)
            if held is not None or not self._may_claim(state):
                return held
            claim = self._claim(state)
            self._wait(lambda: claim.settled_ns is not None or self.degraded, self._claim_seconds)
            claim.is_awaited = False
            probe = self._held_probe(state)
            if probe is not None or not self.degraded:
                return probe
            at = self.advance()
        if state.state is HALF_OPEN and may_probe(state):
            self._part(state)
        return super().admit_probe(state, at)

    def _take_successes(
        self, batch: Sequence[tuple[Leave, int, int]], leaves: AbstractSet[Leave]
    ) -> None:
        del leaves
        for leave, calls in groupby(batch, lambda entry: entry[0]):
            tooks = [max(0, ended - started) for _, started, ended in calls]
            if leave.state.config.slow_call_ns is None:
                self._succeed(leave, sum(tooks) // len(tooks), len(tooks))
            else:
                for took in tooks:
                    self._succeed(leave, took, 1)

    def _succeed(self, leave: Leave, took: int, count: int) -> None:
        self.append(
            CallSucceeded(
                self.next_seq, self._read_at(), leave.breaker, leave.epoch, took, count=count
            )
        )

    def relieve(self) -> None:
        """Take in what is pending, unless this very thread is at it."""
        super().relieve()
        self._be_looked_at()

    def _be_looked_at(self) -> None:
        """If the log's thread was idle, have it come by again."""
        if self.pending.limit == 0:
            self.pending.limit = PENDING_LIMIT
            self._wake(hurry=False)

    def _hand_on(self, event: Event, *, is_told: bool = False, replaces: bool = False) -> None:
        state = self._faces.get(getattr(event, "breaker", ""))
        limit = None if state is None else state.config.slow_call_ns
        event = _without_numbers(event)
        self.outbox.add(
            event,
            self._clock.monotonic_ns(),
            is_told=is_told,
            is_slow=limit is not None and getattr(event, "took", 0) > limit,
            replaces=replaces,
        )
        if state is None or self._is_urgent(event, state):
            self._wake(hurry=True)
        self._be_looked_at()

    def _is_urgent(self, event: Event, state: BreakerState) -> bool:
        """Whether an edge may hang on it, so that it can't wait for company."""
        if event.kind == "call_rejected":
            return False
        if event.kind not in _OUTCOMES or getattr(event, "probe", 0) > 0:
            return True
        limit = state.config.slow_call_ns
        is_slow = limit is not None and getattr(event, "took", 0) > limit
        is_bad = is_slow or event.kind == "call_failed"
        return is_bad and is_near_a_limit(state, self.outbox.failures[state.breaker])

    # Claims.

    def _may_claim(self, state: BreakerState) -> bool:
        """Whether a probe may be granted, as far as can be known here."""
        config = state.config
        places = config.half_open_max_probes
        if config.half_open_window is not None:
            places = config.half_open_window.size
        if state.state is OPEN:
            # The stream counts in whole milliseconds.
            if state.deadline is None or self._read_at() < state.deadline + _NS_PER_MS:
                return False
        elif state.state is HALF_OPEN and may_probe(state):
            reported = 0 if state.probe_window is None else state.probe_window.calls
            places -= len(state.probes) + reported
        else:
            return False
        return places > sum(claim.breaker == state.breaker for claim in self._claims)

    def _claim(self, state: BreakerState) -> _Claim:
        self._claims_made += 1
        number = self._claims_made
        epoch = state.epoch + (state.state is OPEN)
        self._hand_on(ProbeAdmitted(0, 0, state.breaker, epoch, number))
        now_ns = self._clock.monotonic_ns()
        claim = _Claim(number, state.breaker, epoch, now_ns, self.outbox.put)
        self._claims.append(claim)
        return claim

    def _held_probe(self, state: BreakerState) -> ProbeAdmitted | None:
        """A probe that was granted to this process and is not used yet, if it still stands."""
        now_ns = self._clock.monotonic_ns()
        for claim in [c for c in self._claims if c.breaker == state.breaker and not c.is_awaited]:
            probe = claim.granted
            if claim.settled_ns is None:
                continue
            self._claims.remove(claim)
            self._update_gate(state.breaker)
            if probe is None:
                continue
            # Whoever was stopped for long does not know what has happened since.
            is_fresh = now_ns - claim.made_ns < state.config.probe_timeout_ns
            stands = state.state is HALF_OPEN and state.epoch == probe.epoch
            if is_fresh and stands and probe.probe in state.probes:
                return evolve(probe, at=self._read_at())
        return None

    def _settle_claims(self, taken: Taken, upto: int) -> None:
        now_ns = self._clock.monotonic_ns()
        for claim in self._claims:
            if claim.settled_ns is None and claim.upto <= upto:
                claim.granted = taken.grants.get(claim.number)
                claim.settled_ns = now_ns

    def _give_back(self) -> None:
        """Give back the probes that no call has come for."""
        now_ns = self._clock.monotonic_ns()
        for claim in list(self._claims):
            if claim.settled_ns is None or claim.is_awaited:
                continue
            if claim.granted is None:
                self._claims.remove(claim)
            elif now_ns - claim.settled_ns > HOLD_NS:
                self._claims.remove(claim)
                probe = claim.granted
                self._hand_on(CallIgnored(0, 0, probe.breaker, probe.epoch, 0, probe.probe))
                self._update_gate(claim.breaker)

    def _update_gate(self, breaker: str) -> None:
        """Open or shut the way past the lock; a call that could have a probe must not take it."""
        super()._update_gate(breaker)
        if breaker in self._gates and any(
            claim.breaker == breaker and claim.granted is not None for claim in self._claims
        ):
            self._gates[breaker].refusal = None

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
            self._faces[event.breaker] = self.fold.breakers[event.breaker]
            return edges
        self._hand_on(event, replaces=replaces)
        self._await_confirmed()
        now = self.fold.breakers.get(event.breaker)
        if now is None:
            self.leave("it gives no answer")
            return self._configure(event)
        if not replaces and now.config.to_mapping() != event.config:
            self._other_config(now, event)
        return ()

    def _other_config(self, known: BreakerState, event: BreakerConfigured) -> None:
        settings = known.config.to_mapping()
        parted = sorted(name for name in settings if settings[name] != event.config.get(name))
        told = (
            f"breaker {event.breaker!r} has other settings in the stream than here: "
            f"{', '.join(parted)}; those of the stream hold. on_other_config='replace' puts "
            "these in their place"
        )
        if self._on_other_config == "raise":
            raise ConfigError(told)
        _logger.warning("%s: %s", self._log, told)

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
                self._settle_claims(taken, batch.upto)
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
        if not self._listeners:
            return
        others = ("state_changed", *(_COMMANDS if batch is None else ()))
        is_untold = batch is not None and not batch.is_told
        self._note([event for event in taken.events if is_untold or event.kind in others])

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
        waiting = self.outbox.events()
        self.degraded = True
        self._is_in_round = False
        self._left_ns = self._clock.monotonic_ns()
        self._lost_before = self.outbox.lost
        self.outbox.drop_claims()
        sent = self.outbox.in_flight
        self._claims = [c for c in self._claims if sent is not None and c.upto <= sent.upto]
        self._own_epochs += OWN_EPOCHS
        self.fold = self._own_fold(self.course.fold)
        for event in waiting:
            if event.kind not in ("probe_admitted", "breaker_configured"):
                self._fold_alone(evolve(event, seq=self.next_seq, at=self._read_at()))
        for name in self._gates:
            self._update_gate(name)
        self._changed.notify_all()

    def word_to(self, course: Course) -> Batch | None:
        """What a stream must be told before it can be gone by again.

        That is what it may have been told already, and then of the breakers that it does not know.
        """
        unknown = self._unknown_to(course)
        return self.outbox.take_at_once(unknown) if unknown else self.outbox.in_flight

    def _unknown_to(self, course: Course) -> Sequence[BreakerConfigured]:
        return [
            BreakerConfigured(0, 0, name, face.config.to_mapping())
            for name, face in self._faces.items()
            if name not in course.fold.breakers
        ]

    def rejoin(self, course: Course, at: int) -> bool:
        """Go by the stream again, and have it told what was done alone meanwhile.

        Args:
            course: What the stream comes to now.
            at: Its time now.

        Returns:
            Whether that could be done; not while it has to be told something before.
        """
        if self._unknown_to(course):
            return False
        now_ns = self._clock.monotonic_ns()
        self.drain()
        self.outbox.give_up_aged(now_ns)
        edges = [*_edges_lost(self.course, course), *self._gave_up]
        away = Away(
            host=self._host,
            seconds=(now_ns - self._left_ns) / 1e9,
            sent=self.outbox.calls,
            lost=self.outbox.lost - self._lost_before + self._kept_apart,
            edges=tuple(edges[:_GAVE_UP]),
        )
        self._gave_up, self._kept_apart = [], 0
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
        if not self.pending and not len(self.outbox):
            self.pending.limit = 0  # the next call has to say so
        self.drain(keep=True)
        self._give_back()
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
        self._claims.clear()
        if self.course is not None:
            self.leave()

    # Which states the breakers see.

    def _show(self, fold: LogFold) -> None:
        """Make the states that the breakers hold those of a fold, and the fold's own."""
        for name, state in fold.breakers.items():
            face = self._faces.setdefault(name, state)
            if face is not state:
                _become(face, state)
                fold.breakers[name] = face
        self.fold = fold
        for name in self._gates:
            self._update_gate(name)

    def _own_fold(self, fold: LogFold) -> LogFold:
        """A fold of this process's own with the states shown, of which the other keeps copies."""
        own = LogFold()
        assert fold.opened is not None
        own.apply(evolve(fold.opened, seq=fold.seq + 1, at=fold.at, wall=fold.utc(fold.at)))
        for name, shown in list(fold.breakers.items()):
            own.apply(Checkpoint(own.seq + 1, fold.at, name, dump(shown)))
            fold.breakers[name], own.breakers[name] = own.breakers[name], shown
        return own

    # Alone.

    def _append_alone(self, event: Event) -> Sequence[Edge]:
        """Put an event in order here, and keep it for the stream where that can use it."""
        if event.kind not in ("clock_ticked", "probe_admitted"):
            if getattr(event, "epoch", 0) >= OWN_EPOCHS:
                self._kept_apart += calls_in(event)
            else:
                self._hand_on(event, is_told=True)
        return self._fold_alone(event)

    def _fold_alone(self, event: Event) -> Sequence[Edge]:
        edges = super().append(event)
        for edge in edges:
            if len(self._gave_up) < _GAVE_UP:
                self._gave_up.append(f"{edge.breaker} {edge.trigger.value}")
        for name in {edge.breaker for edge in edges}:
            self._part(self.fold.breakers[name])
        return edges

    def _part(self, state: BreakerState) -> None:
        """Begin an epoch that can't be taken for one of the stream's."""
        if state.epoch >= OWN_EPOCHS:
            return
        moved: dict[str, Any] = {**dump(state), "epoch": state.epoch + self._own_epochs}
        self.fold.apply(Checkpoint(self.next_seq, self.fold.at, state.breaker, moved))
        self._update_gate(state.breaker)


def is_near_a_limit(state: BreakerState, waiting: int) -> bool:
    """Whether about as many failures are there as it takes to open a breaker.

    Half a run will do, as others may have the other half; of a window it is nine tenths, for one
    that is filled as far as usual would be near all the time.

    Args:
        state: What is known of the breaker.
        waiting: Failures that are not known yet.
    """
    if state.state is not CLOSED:
        return False
    config = state.config
    threshold = config.failure_threshold
    if threshold is not None and 2 * (state.consecutive_failures + waiting) >= threshold:
        return True
    window = state.window
    if window is None or config.window is None:
        return False
    limit = config.window.failures
    if limit is not None and 10 * (window.failures + waiting) >= 9 * limit:
        return True
    bad = max(window.failures, window.slow) + waiting
    calls = max(window.calls, config.window.needed)
    rates = [config.window.failure_rate, config.window.slow_call_rate]
    return any(
        10 * bad * exact(rate).denominator >= 9 * exact(rate).numerator * calls
        for rate in rates
        if rate is not None
    )


def _without_numbers(event: Event) -> Event:
    return evolve(full(event), seq=0, at=0)


def _become(state: BreakerState, other: BreakerState) -> None:
    for name in BreakerState.__slots__:
        if name != "__weakref__":
            setattr(state, name, getattr(other, name))


def _edges_lost(old: Course | None, new: Course) -> list[str]:
    """The edges of a stream that it knows nothing of any more."""
    if old is None or old is new:
        return []
    if old.begin.generation == new.begin.generation:
        known = {(place, edge.breaker, edge.epoch) for place, edge in new.edges}
        lost = [
            edge
            for place, edge in old.edges
            if place > new.start and (place, edge.breaker, edge.epoch) not in known
        ]
    else:
        states = new.fold.breakers
        lost = [
            edge
            for _, edge in old.edges
            if edge.breaker not in states or edge.epoch > states[edge.breaker].epoch
        ]
    return [f"{edge.breaker} {edge.trigger.value}" for edge in lost]
