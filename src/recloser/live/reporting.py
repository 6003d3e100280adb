"""Requests of a live breaker: to record an outcome, a command, or the breaker's settings."""

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
from recloser.live.request import OneTimeMark
from recloser.live.sequencer import Sequencer
from recloser.live.settings_in_force import OnOtherConfig, SettingsDecision, SettingsInForce
from recloser.log.codec import lean

_Succeeded: Final = lean(CallSucceeded)
_Failed: Final = lean(CallFailed)
_Ignored: Final = lean(CallIgnored)


class Report:
    """The outcome of one call, which spends the call's permit when it is recorded.

    Args:
        sequencer: Orders and records the outcome.
        outcome: How the call ended.
        permit: The permit with which the call was admitted.
        took_ns: How long the call took, in nanoseconds; None to measure it when it is recorded.
        error: The type of the call's exception, as text; None if it raised none.
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
        """Record the outcome; called under the lock.

        Args:
            at: The time now, in nanoseconds of the log.

        Raises:
            PermitError: The permit was reported before.
        """
        permit, sequencer, outcome = self._permit, self._sequencer, self._outcome
        breaker, took_ns = permit.breaker, self.took_ns
        took = sequencer.took_since(permit.started_at, at) if took_ns is None else took_ns
        coalescing = sequencer.coalescing
        if (
            outcome is Outcome.SUCCEEDED
            and not permit.probe
            and coalescing.count_successes(
                breaker,
                permit.epoch,
                took,
                at,
                spends=permit,
                may_count=sequencer.is_all_folded,
            )
        ):
            return
        coalescing.record_of(breaker, at)
        call = (sequencer.next_seq, at, breaker, permit.epoch, took, permit.probe)
        event: Event
        if outcome is Outcome.SUCCEEDED:
            event = _Succeeded(*call)
        elif outcome is Outcome.FAILED:
            event = _Failed(*call, self._error)
        else:
            event = _Ignored(*call, self._error)
        sequencer.append(event, spends=permit)


class Command(OneTimeMark):
    """An event that somebody asked for, such as an operator's command.

    Args:
        sequencer: Orders and records the event.
        breaker: The name of the breaker.
        make: Makes the event from its ``seq`` and its time.
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
        """Record the event; called under the lock.

        Args:
            at: The time now, in nanoseconds of the log.
        """
        sequencer = self._sequencer
        sequencer.coalescing.record_of(self._breaker, at)
        sequencer.append(self._make(sequencer.next_seq, at), spends=self)


class Configure:
    """The settings that a breaker is made with, recorded unless others are in force.

    Args:
        sequencer: Orders and records the settings.
        breaker: The name of the breaker.
        in_force: The settings that this process has given the breakers of the log.
        requested: The settings; None to follow those in force.
        made_at: The file and line where the breaker is made.
        on_other_config: What happens to settings that differ from those in force.

    Attributes:
        decision: Which settings are in force; None until that is decided.
    """

    __slots__ = (
        "_breaker",
        "_in_force",
        "_made_at",
        "_on_other_config",
        "_requested",
        "_sequencer",
        "decision",
    )

    is_for_children: ClassVar[bool] = True

    def __init__(
        self,
        sequencer: Sequencer,
        breaker: str,
        *,
        in_force: SettingsInForce,
        requested: CircuitBreakerConfig | None,
        made_at: tuple[str, int],
        on_other_config: OnOtherConfig,
    ) -> None:
        self._sequencer = sequencer
        self._breaker = breaker
        self._in_force = in_force
        self._requested = requested
        self._made_at = made_at
        self._on_other_config = on_other_config
        self.decision: SettingsDecision | None = None

    @property
    def is_done(self) -> bool:
        """Whether it is decided which settings are in force."""
        return self.decision is not None

    def carry_out(self, at: int) -> None:
        """Decide which settings are in force, and record them if they are new.

        Called under the lock. It may be called again if an exception interrupted it: settings that
        the log already has are not recorded twice.

        Args:
            at: The time now, in nanoseconds of the log.

        Raises:
            ConfigError: The settings differ from those in force, and this is to be an error.
        """
        sequencer, breaker, in_force = self._sequencer, self._breaker, self._in_force
        fast_path = sequencer.fast_path_of(breaker)
        known = sequencer.fold.breakers.get(breaker)
        in_log = None if known is None else known.config
        decision = in_force.decide(
            fast_path, self._requested, self._made_at, self._on_other_config, in_log
        )
        if decision.is_new:
            sequencer.coalescing.record_of(breaker, at)
            settings = decision.config.to_mapping()
            sequencer.append(BreakerConfigured(sequencer.next_seq, at, breaker, settings))
        in_force.note(fast_path, decision, self._made_at)
        if self.decision is None:
            self.decision = decision
        sequencer.update_fast_path(breaker)
