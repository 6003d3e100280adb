"""The answers of a breaker: decisions, permits, and the error of a rejected call."""

from types import CodeType
from typing import ClassVar, Final, NoReturn

import msgspec

from recloser.core.events import CircuitBreakerState, Reason
from recloser.core.state import BreakerState
from recloser.errors import MisuseError, PermitError, RecloserError


class Permit:
    """Permission for one call, with which the call's outcome is reported once.

    Attributes:
        breaker: The name of the breaker that gave the permit.
        epoch: The epoch in which it was given; after that epoch, the outcome changes nothing.
        probe: The number of the probe that the call is; 0 if it is none.
        started_at: When the permit was given, in nanoseconds of the log.
        giver: The state of the breaker that gave it.
        rides: Whether the call is part of another call, whose permit reports for both.
    """

    __slots__ = (
        "_unspent",
        "below",
        "breaker",
        "code",
        "epoch",
        "frame_id",
        "giver",
        "lost",
        "probe",
        "started_at",
    )

    # Set by ``recloser.live.blocks`` only, on the permits of blocks.
    below: "Permit | None"
    code: CodeType | None
    lost: bool
    frame_id: int

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
        """Whether the outcome of the call was reported."""
        return not hasattr(self, "_unspent")

    def spend(self) -> None:
        """Mark the permit as reported; if several threads do this at once, one succeeds.

        Raises:
            PermitError: The permit was reported before.
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
    """Permit for a call inside a probe of the same breaker, whose outcome covers both."""

    __slots__ = ()

    rides = True


class BreakerDecision(msgspec.Struct, frozen=True):
    """The answer of ``before_call``.

    Attributes:
        allowed: Whether the call may be made.
        reason: Why, or why not; ``shadow`` if only the mode admits it.
        retry_after: Seconds until a call may be admitted; None if that is not known, or if there is
            nothing to wait for.
        permit: The permit with which the outcome is reported; None if the call is rejected.
        state: The state of the breaker.
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
    """A call was rejected; ``decision`` has the reason, and when a call may be made again.

    The arguments are the name of the breaker and the decision. Tests that raise the error themselves
    may leave out either; without a decision, the breaker counts as open for an unknown time.
    """

    # There is no ``__init__``: a flood of rejections makes a million of these errors per second, and a
    # constructor in Python would take half of that time.

    @property
    def breaker(self) -> str:
        """The name of the breaker; empty if the error was made without one."""
        return str(self.args[0]) if self.args else ""

    @property
    def decision(self) -> BreakerDecision:
        """The breaker's decision."""
        decision = self.args[1] if len(self.args) > 1 else None
        return decision if isinstance(decision, BreakerDecision) else _UNEXPLAINED

    @property
    def retry_after(self) -> float | None:
        """Seconds from the rejection until a call may be admitted; None if that is not known."""
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
    """A rejected call, as the error that the interface of another library raises for it.

    Attributes:
        breaker: The name of the breaker that rejected the call.
    """

    breaker: str


REFUSALS: Final = (CircuitOpenError, TranslatedRefusalError)
"""The types of all errors of rejected calls."""
