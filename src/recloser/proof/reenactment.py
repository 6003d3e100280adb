"""Re-enactment: make live breakers decide again about every call in a log.

A fold proves that the events of a log lead to its edges. A re-enactment proves that live breakers,
asked to let the same calls through at the same times, make the same decisions and take the same
edges. The wall clock of these breakers can be as wrong as wall-clock warps make it.
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
from recloser.core.state import BreakerState, event_label, restore
from recloser.core.state_machine import CLOSED
from recloser.errors import FoldError
from recloser.history.driven_breaker import DrivenBreaker
from recloser.history.warping import WarpedClock
from recloser.history.warps import Warp
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import Permit
from recloser.live.live_log import Log


class Reenactment:
    """Live breakers that decide about the calls of another log.

    Args:
        opened: The first event of the other log.
        log: An empty log, which the live breakers write.
        warps: How the clock of the live breakers is wrong; none may bend the log's time.
    """

    def __init__(self, opened: LogOpened, log: Log, warps: Sequence[Warp] = ()) -> None:
        self._right_clock = ManualClock(start=opened.wall, boot_id="")
        self._clock = WarpedClock(self._right_clock, warps)
        self._log = log
        self._sequencer = log.attach(self._clock)
        # Every call has to reach the sequencer at its own time, not later in a batch.
        self._sequencer.disable_fast_paths()
        self._breakers: dict[str, CircuitBreaker] = {}
        self._session = opened.session
        self._is_merged = opened.pid == 0  # the log of several processes that share a breaker
        self._now = 0
        self._gap = GapWatch()
        self._parts = CheckpointParts()

    def apply(self, event: Event) -> None:
        """Make the next event of the other log happen at its time.

        Raises:
            FoldError: A live breaker decides differently.
        """
        self._right_clock.advance(ns=event.at - self._now)
        self._now = event.at
        if isinstance(event, CallSucceeded | CallFailed | CallIgnored):
            self._end_call(event)
        elif event.kind == "probe_admitted":
            self._admit_probe(event)
        elif event.kind == "call_rejected":
            self._reject_call(event)
        elif event.kind == "clock_ticked":
            self._sequencer.fold_buffered()
        elif isinstance(event, LogOpened | LogGap | Checkpoint):
            self._continue_log(event)
        else:
            self._obey(event)
        self._gap.update(event)

    @property
    def _states(self) -> dict[str, BreakerState]:
        return self._sequencer.fold.breakers

    def _end_call(self, event: CallSucceeded | CallFailed | CallIgnored) -> None:
        breaker, state = self._breakers[event.breaker], self._states[event.breaker]
        if event.kind == "call_succeeded" and event.count > 1:
            self._append_as_is(event, event.breaker)
            return
        if event.epoch == state.epoch and state.state is CLOSED and not event.probe:
            permit = breaker.before_call().permit
            if permit is None:
                raise FoldError(f"{event_label(event)}: a live breaker rejects this call")
        else:
            # The call was let through in the past: an earlier epoch, or as a probe.
            permit = Permit(state, event.epoch, event.at - event.took, event.probe)
        if event.kind == "call_succeeded":
            breaker.after_success(permit, took_ns=event.took)
        elif event.kind == "call_failed":
            breaker.after_failure(permit, event.error, took_ns=event.took)
        else:
            breaker.after_ignored(permit, event.error, took_ns=event.took)

    def _admit_probe(self, event: ProbeAdmitted) -> None:
        decision = self._breakers[event.breaker].before_call()
        if decision.permit is None or decision.permit.probe != event.probe:
            raise FoldError(f"{event_label(event)}: a live breaker answers {decision.reason.value}")

    def _reject_call(self, event: CallRejected) -> None:
        if self._is_merged:
            # A process rejects calls by the part of the shared stream that it has read, while
            # the breaker may already be closed for the others. One breaker can't re-enact that.
            self._append_as_is(event)
            return
        decision = self._breakers[event.breaker].before_call()
        if decision.allowed and decision.reason is not Reason.SHADOW:
            raise FoldError(f"{event_label(event)}: a live breaker answers {decision.reason.value}")

    def _continue_log(self, event: LogOpened | LogGap | Checkpoint) -> None:
        """Append an event that a log writes about itself, which concerns no call."""
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
            return  # it repeats a state that the live breaker has anyway
        appended = event
        sequencer.reading(
            lambda _fold, _at: sequencer.append(evolve(appended, seq=sequencer.next_seq))
        )
        if isinstance(event, Checkpoint) and event.breaker not in self._breakers:
            self._add_breaker(event.breaker, restore(event).config)

    def _append_as_is(self, event: Event, flushed: str | None = None) -> None:
        """Append an event without asking a breaker.

        Args:
            event: The event.
            flushed: The breaker whose coalesced calls to write first; None to write none.
        """
        sequencer = self._sequencer

        def append(at: int) -> None:
            if flushed is not None:
                sequencer.coalescing.record_of(flushed, at)
            sequencer.append(evolve(event, seq=sequencer.next_seq))

        sequencer.run(append, lambda: None)

    def _add_breaker(self, breaker: str, config: CircuitBreakerConfig) -> None:
        self._breakers[breaker] = DrivenBreaker(breaker, config, log=self._log)

    def _obey(self, event: Event) -> None:
        """Give a live breaker the command, or the settings, in an event."""
        if isinstance(event, BreakerConfigured):
            self._append_as_is(event, event.breaker)
            if event.breaker not in self._breakers:
                self._add_breaker(event.breaker, config_in(event))
        elif event.kind == "mode_changed":
            breaker = self._breakers[event.breaker]
            breaker.set_mode(event.mode, actor=event.actor, reason=event.reason)
        elif event.kind == "forced_open":
            self._breakers[event.breaker].force_open(actor=event.actor, reason=event.reason)
        elif event.kind == "forced_closed":
            self._breakers[event.breaker].force_closed(actor=event.actor, reason=event.reason)
        elif event.kind == "reset":
            self._breakers[event.breaker].reset(actor=event.actor, reason=event.reason)
