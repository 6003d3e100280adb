"""What a breaker answers: decisions, permits, and the error of a refused call."""

from types import CodeType
from typing import ClassVar, Final, NoReturn

import msgspec

from recloser.core.events import CircuitBreakerState, Reason
from recloser.core.state import BreakerState
from recloser.errors import MisuseError, PermitError, RecloserError


class Permit:
    """Leave for one call, to be reported once.

    Attributes:
        breaker: Name of the breaker that gave it.
        epoch: The epoch in which it was given; once that has passed, its outcome changes nothing.
        probe: The number of the probe that it is for, or 0.
        started_at: When it was given, in nanoseconds of the log.
        giver: The state of that breaker.
        rides: Whether its call is part of another one, whose permit reports for both.
    """

    __slots__ = (
        "_unspent",
        "below",
        "breaker",
        "code",
        "epoch",
        "giver",
        "lost",
        "place",
        "probe",
        "started_at",
    )

    # Set by ``recloser.live.blocks`` alone, on the permits of blocks.
    below: "Permit | None"
    code: CodeType | None
    lost: bool
    place: int

    rides: ClassVar[bool] = False

    def __init__(self, giver: BreakerState, epoch: int, started_at: int, probe: int = 0) -> None:
        self.breaker = giver.breaker
        self.epoch = epoch
        self.probe = probe
        self.started_at = started_at
        self.giver = giver
        self._unspent = True

    @property
    def spent(self) -> bool:
        """Whether its outcome was reported."""
        return not hasattr(self, "_unspent")

    def spend(self) -> None:
        """Have it be for no further report; of threads that come at once, one succeeds.

        Raises:
            PermitError: It was reported before.
        """
        try:
            del self._unspent
        except AttributeError:
            raise PermitError(f"{self!r} was reported before; a permit is for one call") from None

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise MisuseError(
            f"{self!r} can't be copied or pickled, as a permit is for one call; report it in the "
            "process that asked, or ask again"
        )

    def __repr__(self) -> str:
        return f"<Permit of {self.breaker!r}, epoch {self.epoch}>"


class Ride(Permit):
    """Permit for a call inside a probe of the same breaker: its outcome is part of the probe's."""

    __slots__ = ()

    rides = True


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


_UNEXPLAINED: Final = BreakerDecision(
    False, Reason.COOLDOWN_ACTIVE, None, None, CircuitBreakerState.OPEN
)


class CircuitOpenError(RecloserError):
    """A call was refused; ``decision`` says why, and when to come back.

    It is made of the name of the breaker and of the decision. A test may leave out either: without
    a decision, the breaker counts as open for an unknown time.
    """

    # A flood of refusals makes a million of these a second, and a constructor would be half of it.

    @property
    def breaker(self) -> str:
        """The name of the breaker; empty if the error was made without one."""
        return str(self.args[0]) if self.args else ""

    @property
    def decision(self) -> BreakerDecision:
        """The breaker's answer."""
        decision = self.args[1] if len(self.args) > 1 else None
        return decision if isinstance(decision, BreakerDecision) else _UNEXPLAINED

    @property
    def retry_after(self) -> float | None:
        """Seconds until a call may be let through, from the refusal on; None if unknown."""
        return self.decision.retry_after

    def __str__(self) -> str:
        who = repr(self.breaker) if self.args else "the breaker"
        decision = self.decision
        if decision is _UNEXPLAINED:
            return f"{who} refused the call"
        wait = decision.retry_after
        hint = "" if wait is None else f"; try again in {wait:.3f} s"
        return f"{who} refused the call: {decision.reason.value}{hint}"


class TranslatedRefusalError(RecloserError):
    """A refusal of a breaker, as the error that another library's interface raises for it.

    Attributes:
        breaker: The name of the breaker that refused.
    """

    breaker: str


REFUSALS: Final = (CircuitOpenError, TranslatedRefusalError)
