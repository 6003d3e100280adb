"""What a breaker answers: decisions, permits, and the error of a refused call."""

from typing import cast

import msgspec

from recloser.errors import RecloserError
from recloser.events import CircuitBreakerState, Reason
from recloser.state import BreakerState


class Permit:
    """Leave for one call, to be reported once.

    Attributes:
        breaker: Name of the breaker that gave it.
        epoch: The epoch in which it was given; once that has passed, its outcome changes nothing.
        probe: The number of the probe that it is for, or 0.
        started_at: When it was given, in nanoseconds of the log.
        giver: The state of that breaker.
        spent: Whether its outcome was reported.
    """

    __slots__ = ("breaker", "epoch", "giver", "probe", "spent", "started_at")

    def __init__(self, giver: BreakerState, epoch: int, started_at: int, probe: int = 0) -> None:
        self.breaker = giver.breaker
        self.epoch = epoch
        self.probe = probe
        self.started_at = started_at
        self.giver = giver
        self.spent = False

    def __repr__(self) -> str:
        return f"<Permit of {self.breaker!r}, epoch {self.epoch}>"


class BreakerDecision(msgspec.Struct, frozen=True):
    """The answer to ``before_call``.

    Attributes:
        allowed: Whether the call may be made.
        reason: Why, or why not; ``shadow`` where only the mode lets it through.
        retry_after: Seconds until a call may be let through; None where there is no knowing, or
            nothing to wait for.
        permit: What the outcome is to be reported with; None if the call is refused.
        state: Where the breaker is.
    """

    allowed: bool
    reason: Reason
    retry_after: float | None
    permit: Permit | None
    state: CircuitBreakerState


class CircuitOpenError(RecloserError):
    """A call was refused; ``decision`` says why, and when to come back."""

    # A flood of refusals makes a million of these a second: nothing is done that nobody asks for.

    def __new__(cls, breaker: str, decision: BreakerDecision) -> "CircuitOpenError":
        """Keep both as they are."""
        return super().__new__(cls, breaker, decision)

    @property
    def breaker(self) -> str:
        """The name of the breaker."""
        return cast("str", self.args[0])

    @property
    def decision(self) -> BreakerDecision:
        """Its answer."""
        return cast("BreakerDecision", self.args[1])

    def __str__(self) -> str:
        wait = self.decision.retry_after
        hint = "" if wait is None else f"; try again in {wait:.3f} s"
        return f"{self.breaker!r} refused the call: {self.decision.reason.value}{hint}"
