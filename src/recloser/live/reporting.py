"""What a live breaker asks of its sequencer: to record an outcome, a command, or its settings."""

from collections.abc import Callable
from typing import ClassVar, Final

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallSucceeded,
    Event,
    Outcome,
)
from recloser.live.decision import Permit
from recloser.live.request import Once
from recloser.live.sequencer import Sequencer
from recloser.live.settings_in_force import Decision, OnOtherConfig, SettingsInForce
from recloser.log.codec import lean

_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)


class Report:
    """The outcome of one call, which spends the call's permit when it is recorded.

    Args:
        sequencer: Orders and records it.
        outcome: How the call ended.
        permit: What the call was let through with.
        took_ns: How long the call took in nanoseconds; None to measure it when it is recorded.
        error: The type of what the call raised, as text.
    """

    __slots__ = ("_error", "_outcome", "_permit", "_sequencer", "took_ns")

    is_for_children: ClassVar[bool] = False

    def __init__(
        self,
        sequencer: Sequencer,
        outcome: Outcome,
        permit: Permit,
        took_ns: int | None,
        error: str | None,
    ) -> None:
        self._sequencer = sequencer
        self._outcome = outcome
        self._permit = permit
        self._error = error
        self.took_ns = took_ns

    @property
    def is_done(self) -> bool:
        """Whether the permit is spent."""
        return self._permit.spent

    def carry_out(self, at: int) -> None:
        """Record the outcome at ``at`` nanoseconds of the log; called under the lock.

        Raises:
            PermitError: The permit was reported before.
        """
        permit, sequencer, outcome = self._permit, self._sequencer, self._outcome
        breaker, took_ns = permit.breaker, self.took_ns
        took = sequencer.took_since(permit.started_at, at) if took_ns is None else took_ns
        if outcome is Outcome.SUCCEEDED and not permit.probe:
            runs = sequencer.runs
            if runs.hold(
                breaker, permit.epoch, took, at, once=permit, may_count=sequencer.is_all_folded
            ):
                return
        sequencer.runs.end(breaker, at)
        call = (sequencer.next_seq, at, breaker, permit.epoch, took, permit.probe)
        event: Event
        if outcome is Outcome.SUCCEEDED:
            event = _Succeeded(*call)
        elif outcome is Outcome.FAILED:
            event = _Failed(*call, self._error)
        else:
            event = _Ignored(*call, self._error)
        sequencer.append(event, once=permit)


class Command(Once):
    """An event that somebody asked for, such as an operator's command.

    Args:
        sequencer: Orders and records it.
        breaker: The name of the breaker.
        make: Makes the event of its ``seq`` and its time.
    """

    __slots__ = ("_breaker", "_make", "_sequencer")

    is_for_children: ClassVar[bool] = False

    def __init__(
        self, sequencer: Sequencer, breaker: str, make: Callable[[int, int], Event]
    ) -> None:
        super().__init__()
        self._sequencer = sequencer
        self._breaker = breaker
        self._make = make

    def carry_out(self, at: int) -> None:
        """Record the event at ``at`` nanoseconds of the log; called under the lock."""
        sequencer = self._sequencer
        sequencer.runs.end(self._breaker, at)
        sequencer.append(self._make(sequencer.next_seq, at), once=self)


class Admission(Once):
    """A probe that is being admitted, which the admission spends.

    Attributes:
        permit: What the call reports with, if the probe is admitted.
    """

    __slots__ = ("permit",)

    permit: Permit


class Configure:
    """The settings that a breaker is made with, recorded unless others hold.

    Args:
        sequencer: Orders and records them.
        breaker: The name of the breaker.
        in_force: The settings that this process has given the breakers of the log.
        asked: Its settings; None follows those that hold.
        place: The file and line where it is made.
        on_other: What becomes of settings that differ from those that hold.

    Attributes:
        decision: Which settings hold; None until that is decided.
    """

    __slots__ = ("_asked", "_breaker", "_in_force", "_on_other", "_place", "_sequencer", "decision")

    is_for_children: ClassVar[bool] = True

    def __init__(
        self,
        sequencer: Sequencer,
        breaker: str,
        *,
        in_force: SettingsInForce,
        asked: CircuitBreakerConfig | None,
        place: tuple[str, int],
        on_other: OnOtherConfig,
    ) -> None:
        self._sequencer = sequencer
        self._breaker = breaker
        self._in_force = in_force
        self._asked = asked
        self._place = place
        self._on_other = on_other
        self.decision: Decision | None = None

    @property
    def is_done(self) -> bool:
        """Whether it is decided which settings hold."""
        return self.decision is not None

    def carry_out(self, at: int) -> None:
        """Decide, and record the settings at ``at`` nanoseconds of the log if they are new.

        It may be done again, as where an exception interrupted it: settings that the log has
        already are not recorded twice.

        Raises:
            ConfigError: The settings differ from those that hold, and that is an error.
        """
        sequencer, breaker, in_force = self._sequencer, self._breaker, self._in_force
        gate = sequencer.gate_of(breaker)
        known = sequencer.fold.breakers.get(breaker)
        in_log = None if known is None else known.config
        decision = in_force.decide(gate, self._asked, self._place, self._on_other, in_log)
        if decision.is_new:
            sequencer.runs.end(breaker, at)
            settings = decision.config.to_mapping()
            sequencer.append(BreakerConfigured(sequencer.next_seq, at, breaker, settings))
        in_force.note(gate, decision, self._place)
        if self.decision is None:
            self.decision = decision
        sequencer.gate(breaker)
