"""What a live breaker asks of its sequencer: to record an outcome, a command, or its settings."""

from collections.abc import Callable
from typing import Final

from recloser.config import CircuitBreakerConfig
from recloser.decision import Permit
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallSucceeded,
    Event,
    Outcome,
)
from recloser.log.codec import lean
from recloser.log.request import Once
from recloser.log.sequencer import Sequencer

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
        took = max(0, at - permit.started_at) if took_ns is None else took_ns
        if outcome is Outcome.SUCCEEDED and not permit.probe:
            runs = sequencer.runs
            if runs.hold(breaker, permit.epoch, took, at, once=permit):
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


class Configure(Once):
    """The settings of a breaker, recorded unless they are those in force.

    Args:
        sequencer: Orders and records them.
        breaker: The name of the breaker.
        config: Its settings.
    """

    __slots__ = ("_breaker", "_config", "_sequencer")

    def __init__(self, sequencer: Sequencer, breaker: str, config: CircuitBreakerConfig) -> None:
        super().__init__()
        self._sequencer = sequencer
        self._breaker = breaker
        self._config = config

    def carry_out(self, at: int) -> None:
        """Record the settings at ``at`` nanoseconds of the log; called under the lock."""
        sequencer, breaker = self._sequencer, self._breaker
        known = sequencer.fold.breakers.get(breaker)
        settings = self._config.to_mapping()
        if known is None or known.config.to_mapping() != settings:
            sequencer.runs.end(breaker, at)
            event = BreakerConfigured(sequencer.next_seq, at, breaker, settings)
            sequencer.append(event, once=self)
        sequencer.gate(breaker)
