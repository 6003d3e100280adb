"""The way past the lock: for calls of which nothing but a count can come.

While a breaker is *steady*, a success fires no edge, whatever else happens first. So such a call
asks nobody: it takes the breaker's leave, and when it comes back appends one tuple to a list. So
does a call that is refused, as long as the breaker can do nothing else. The order of that list is
the order in which its tuples are folded, and it is emptied before anything else is: under the
sequencer's lock, before each event that could change what a leave or a refusal stands for.
"""

import sys
from collections.abc import Callable
from typing import Final, TypeAlias

from recloser.events import Reason
from recloser.fold import is_steady, refusal_of
from recloser.state import BreakerState

PENDING_LIMIT: Final = 4096
"""Whoever finds more successes waiting than this has them folded."""


class Leave:
    """Leave for any number of calls of one epoch.

    Attributes:
        state: The breaker's state.
        breaker: Its name.
        epoch: The epoch that the calls belong to.
        is_valid: Whether the breaker has been steady ever since.
    """

    __slots__ = ("breaker", "epoch", "is_valid", "state")

    def __init__(self, state: BreakerState) -> None:
        self.state = state
        self.breaker = state.breaker
        self.epoch = state.epoch
        self.is_valid = True


class Refusal:
    """What any number of calls of one epoch are refused with.

    Attributes:
        breaker: The breaker's name.
        epoch: The epoch.
        state: Where the breaker is.
        reason: Why.
        until_ns: What the monotonic hand must show before a call can be let through.
    """

    __slots__ = ("breaker", "epoch", "reason", "state", "until_ns")

    def __init__(self, state: BreakerState, reason: Reason, until_ns: int) -> None:
        self.breaker = state.breaker
        self.epoch = state.epoch
        self.state = state.state
        self.reason = reason
        self.until_ns = until_ns

    def wait_ns(self, monotonic_ns: int) -> int | None:
        """How long until a call may be let through; None where there is no knowing."""
        if self.reason is not Reason.COOLDOWN_ACTIVE:
            return None
        return max(0, self.until_ns - monotonic_ns)


Passed: TypeAlias = tuple[Leave | Refusal, int, int]
"""A call that went well, or was refused, and the monotonic hand at its start and at its end."""


class Pending(list[Passed]):
    """Calls that are not folded yet, in the order in which they will be.

    Attributes:
        limit: Whoever makes it longer than this has it folded; 0 while nobody looks at it.
    """

    __slots__ = ("limit",)

    def __init__(self, limit: int = PENDING_LIMIT) -> None:
        super().__init__()
        self.limit = limit


class Gate:
    """Lets the calls of one breaker past the lock while nothing but a count can come of them.

    Attributes:
        leave: What they take; None unless the breaker is steady.
        refusal: What they are refused with; None unless it can do nothing else.
        monotonic_ns: Reads the monotonic hand.
        pending: Where their successes go.
        relieve: Folds what is pending.
    """

    __slots__ = ("leave", "monotonic_ns", "pending", "refusal", "relieve")

    def __init__(
        self, pending: Pending, monotonic_ns: Callable[[], int], relieve: Callable[[], None]
    ) -> None:
        self.leave: Leave | None = None
        self.refusal: Refusal | None = None
        self.monotonic_ns = monotonic_ns
        self.pending = pending
        self.relieve = relieve

    def update(self, state: BreakerState, origin: int, *, may_let: bool, may_refuse: bool) -> None:
        """Open or shut the gate by what the breaker has become; called under the lock.

        Args:
            state: What it has become.
            origin: What the monotonic hand shows at the time 0 of the log.
            may_let: Whether nobody waits for each single success.
            may_refuse: Whether nobody waits for each single refusal.
        """
        leave = self.leave
        if leave is not None and (leave.epoch != state.epoch or not is_steady(state)):
            leave.is_valid = False
            self.leave = None
        if may_let and self.leave is None and is_steady(state):
            self.leave = Leave(state)
        self.refusal = self._refusal(state, origin) if may_refuse else None

    def refuse(self, refusal: Refusal, monotonic_ns: int) -> None:
        """Record a refused call."""
        self.pending.append((refusal, monotonic_ns, monotonic_ns))
        if len(self.pending) > self.pending.limit:
            self.relieve()

    def _refusal(self, state: BreakerState, origin: int) -> Refusal | None:
        reason = refusal_of(state)
        if reason is None or state.mode != "enforce":
            return None
        until_ns = sys.maxsize if state.deadline is None else state.deadline + origin
        old = self.refusal
        if old is not None and (old.epoch, old.reason, old.until_ns) == (
            state.epoch,
            reason,
            until_ns,
        ):
            return old
        return Refusal(state, reason, until_ns)


SHUT: Final = Gate(Pending(), lambda: 0, lambda: None)
"""A gate that nobody opens."""
