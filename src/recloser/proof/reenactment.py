"""Performing: a log that breakers wrote, given to live breakers again as what was asked of them.

The fold proves that the events lead to the edges. This proves that a live breaker, asked for the
same calls at the same times, takes the same decisions and comes to the same edges; its clock may be
as wrong as wall warps make it.
"""

from collections.abc import Sequence

from attrs import evolve

from recloser.clock import ManualClock
from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    Event,
    LogGap,
    LogOpened,
    ProbeAdmitted,
    Reason,
)
from recloser.core.fold import config_in
from recloser.core.gaps import GapWatch
from recloser.core.state import BreakerState, place, restore
from recloser.core.state_machine import CLOSED
from recloser.errors import FoldError
from recloser.history.driven_breaker import DrivenBreaker
from recloser.history.warping import WarpedClock
from recloser.history.warps import Warp
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import Permit
from recloser.live.live_log import Log


class Performer:
    """Live breakers that are asked what those of a log were asked.

    Args:
        opened: What the log begins with.
        log: An empty log, for what they write.
        warps: What is wrong with their clock, none of which bends time.
    """

    def __init__(self, opened: LogOpened, log: Log, warps: Sequence[Warp] = ()) -> None:
        self._hand = ManualClock(start=opened.wall, boot_id="")
        self._clock = WarpedClock(self._hand, warps)
        self._log = log
        self._sequencer = log.attach(self._clock)
        self._sequencer.disable_fast_paths()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._session = opened.session
        self._is_of_many = opened.pid == 0
        self._now = 0
        self._gap = GapWatch()
        self._parts = CheckpointParts()

    def take(self, event: Event) -> None:
        """Have the next event of the log happen.

        Raises:
            FoldError: A live breaker decides otherwise than the one in the log did.
        """
        self._hand.advance(ns=event.at - self._now)
        self._now = event.at
        if isinstance(event, CallSucceeded | CallFailed | CallIgnored):
            self._end(event)
        elif event.kind == "probe_admitted":
            self._admit(event)
        elif event.kind == "call_rejected":
            self._reject(event)
        elif event.kind == "clock_ticked":
            self._sequencer.fold_buffered()
        elif isinstance(event, LogOpened | LogGap | Checkpoint):
            self._go_on(event)
        else:
            self._command(event)
        self._gap.take(event)

    @property
    def _states(self) -> dict[str, BreakerState]:
        return self._sequencer.fold.breakers

    def _end(self, event: CallSucceeded | CallFailed | CallIgnored) -> None:
        breaker, state = self._breakers[event.breaker], self._states[event.breaker]
        if event.kind == "call_succeeded" and event.count > 1:
            self._record(event, event.breaker)
            return
        if event.epoch == state.epoch and state.state is CLOSED and not event.probe:
            permit = breaker.before_call().permit
            if permit is None:
                raise FoldError(f"{place(event)}: a live breaker refuses this call")
        else:
            permit = Permit(state, event.epoch, event.at - event.took, event.probe)
        if event.kind == "call_succeeded":
            breaker.after_success(permit, took_ns=event.took)
        elif event.kind == "call_failed":
            breaker.after_failure(permit, event.error, took_ns=event.took)
        else:
            breaker.after_ignored(permit, event.error, took_ns=event.took)

    def _admit(self, event: ProbeAdmitted) -> None:
        decision = self._breakers[event.breaker].before_call()
        if decision.permit is None or decision.permit.probe != event.probe:
            raise FoldError(f"{place(event)}: a live breaker answers {decision.reason.value}")

    def _reject(self, event: CallRejected) -> None:
        if self._is_of_many:
            # Each process refuses by what it has read, and says so when the others may be further.
            self._record(event)
            return
        decision = self._breakers[event.breaker].before_call()
        if decision.allowed and decision.reason is not Reason.SHADOW:
            raise FoldError(f"{place(event)}: a live breaker answers {decision.reason.value}")

    def _go_on(self, event: LogOpened | LogGap | Checkpoint) -> None:
        """What a log writes about itself, and no breaker is asked."""
        sequencer = self._sequencer
        if isinstance(event, Checkpoint):
            whole = self._parts.joined(event)
            if whole is None:
                return
            event = whole
        if isinstance(event, LogOpened):
            if event.session == self._session and not self._gap.is_joined:
                return
            self._session = event.session
            opened = sequencer.fold.opened
            assert opened is not None
            event = evolve(event, session=opened.session + 1, wall=self._clock.now())
        elif (
            isinstance(event, Checkpoint)
            and event.breaker in self._breakers
            and not self._gap.is_gap
        ):
            return
        written = event
        sequencer.reading(
            lambda _fold, _at: sequencer.append(evolve(written, seq=sequencer.next_seq))
        )
        if isinstance(event, Checkpoint) and event.breaker not in self._breakers:
            self._make(event.breaker, restore(event).config)

    def _record(self, event: Event, ended: str | None = None) -> None:
        """Record an event as it is, after the calls that were only counted of one breaker."""
        sequencer = self._sequencer

        def record(at: int) -> None:
            if ended is not None:
                sequencer.coalescing.record_of(ended, at)
            sequencer.append(evolve(event, seq=sequencer.next_seq))

        sequencer.run(record, lambda: None)

    def _make(self, breaker: str, config: CircuitBreakerConfig) -> None:
        self._breakers[breaker] = DrivenBreaker(breaker, config, log=self._log)

    def _command(self, event: Event) -> None:
        if isinstance(event, BreakerConfigured):
            self._record(event, event.breaker)
            if event.breaker not in self._breakers:
                self._make(event.breaker, config_in(event))
        elif event.kind == "mode_changed":
            breaker = self._breakers[event.breaker]
            breaker.set_mode(event.mode, actor=event.actor, reason=event.reason)
        elif event.kind == "forced_open":
            self._breakers[event.breaker].force_open(actor=event.actor, reason=event.reason)
        elif event.kind == "forced_closed":
            self._breakers[event.breaker].force_closed(actor=event.actor, reason=event.reason)
        elif event.kind == "reset":
            self._breakers[event.breaker].reset(actor=event.actor, reason=event.reason)
