"""The way past the lock: for calls of which nothing but a count can come.

While a breaker is *steady*, a success fires no edge, whatever else happens first. So such a call
asks nobody: it takes the breaker's leave, and when it comes back appends one tuple to a list. The
order of that list is the order in which its tuples are folded, and it is emptied before anything
else is: under the sequencer's lock, before each event that could change what a leave stands for.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from recloser.fold import is_steady
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


Success: TypeAlias = tuple[Leave, int, int]
"""A call that went well: its leave, and the monotonic hand at its start and its end."""


class Pending(list[Success]):
    """Successes that are not folded yet, in the order in which they will be.

    Attributes:
        limit: Whoever makes it longer than this has it folded; 0 while nobody looks at it.
    """

    __slots__ = ("limit",)

    def __init__(self) -> None:
        super().__init__()
        self.limit = PENDING_LIMIT


class Gate:
    """Lets the calls of one breaker past the lock while it is steady.

    Attributes:
        leave: What they take; None while the gate is shut.
        monotonic_ns: Reads the monotonic hand.
        pending: Where their successes go.
        relieve: Folds what is pending.
    """

    __slots__ = ("leave", "monotonic_ns", "pending", "relieve")

    def __init__(
        self, pending: Pending, monotonic_ns: Callable[[], int], relieve: Callable[[], None]
    ) -> None:
        self.leave: Leave | None = None
        self.monotonic_ns = monotonic_ns
        self.pending = pending
        self.relieve = relieve

    def update(self, state: BreakerState, *, may_open: bool) -> None:
        """Open or shut the gate by what the breaker has become; called under the lock."""
        leave = self.leave
        if may_open and is_steady(state):
            if leave is None or leave.epoch != state.epoch:
                self._change(leave, Leave(state))
        elif leave is not None:
            self._change(leave, None)

    def _change(self, old: Leave | None, new: Leave | None) -> None:
        if old is not None:
            old.is_valid = False
        self.leave = new


SHUT: Final = Gate(Pending(), lambda: 0, lambda: None)
"""A gate that nobody opens."""
