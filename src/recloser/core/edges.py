"""Edges: how a breaker gets from the rule that fired into its next epoch.

The kernel finds that a rule fires. ``take`` takes its edge on the one declared machine, which is all
that ever changes a state, and has the kernel begin the epoch that follows.
"""

from collections.abc import Iterator
from typing import Final, Self, TypeAlias

from recloser.core import kernel
from recloser.core.backoff import cooldown_ns
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import CircuitBreakerState, FiredRule, Trigger
from recloser.core.rules import rules_of
from recloser.core.state_machine import CLOSED, HALF_OPEN, OPEN, fire

STATES: Final = (CLOSED, OPEN, HALF_OPEN)
"""Each state, by where a kernel's state is."""

_PLACES: Final = {state.name: place for place, state in enumerate(STATES)}
_FORCED: Final = -1

Opened: TypeAlias = tuple[int, int, FiredRule | None]
_NEVER_OPENED: Final[Opened] = (0, 0, None)


class Standing(kernel.State):
    """Where one breaker stands: what its rules know, and what its edges need beside that.

    Args:
        breaker: Its name, by which the jitter of its cooldowns is drawn.
        config: Its settings.
        is_disabled: Whether the breaker lets every call through and decides nothing.

    Attributes:
        opened: How often it has opened by its rules, how often since it was last closed, and the rule
            that opened it, None once it is closed again. Most breakers never open, and share one.
    """

    __slots__ = ("breaker", "config", "opened")

    def __init__(
        self, breaker: str, config: CircuitBreakerConfig, *, is_disabled: bool = False
    ) -> None:
        super().__init__(rules_of(config))
        self.is_disabled = is_disabled
        self.breaker = breaker
        self.config = config
        self.opened: Opened = _NEVER_OPENED

    @property
    def openings(self) -> int:
        """How often it has opened by its rules."""
        return self.opened[0]

    @property
    def openings_in_a_row(self) -> int:
        """How often it has opened by its rules since it was last closed."""
        return self.opened[1]

    @property
    def opened_by(self) -> FiredRule | None:
        """The rule that opened it, as it was made; None once it is closed again."""
        return self.opened[2]

    @opened_by.setter
    def opened_by(self, why: FiredRule | None) -> None:
        if why is not self.opened[2]:
            openings, in_a_row, _ = self.opened
            self.opened = (openings, in_a_row, why)

    @property
    def state(self) -> CircuitBreakerState:
        """CLOSED, OPEN or HALF_OPEN; only the machine changes it."""
        return STATES[self.where]

    @state.setter
    def state(self, state: CircuitBreakerState) -> None:
        self.where = _PLACES[state._name_]  # no hash of an enum's member, which is slow

    def assume(self, other: "Standing") -> None:
        """Be the same as another one, with which it shares nothing that can change."""
        kernel.assume(self, other)
        self.breaker = other.breaker
        self.config = other.config
        self.opened = other.opened

    def copy(self) -> Self:
        """The same standing, to go on apart from this one."""
        other = type(self).__new__(type(self))
        other.assume(self)
        return other


_TRIPS: Final = dict.fromkeys(
    (
        kernel.CONSECUTIVE_FAILURES,
        kernel.WINDOW_FAILURES,
        kernel.FAILURE_RATE,
        kernel.SLOW_CALL_RATE,
    ),
    Trigger.TRIP,
)
_COOLS: Final = {kernel.COOLDOWN: Trigger.COOL}
_ENDS_OF_PROBING: Final = {
    kernel.WINDOW_FAILURES: Trigger.RELAPSE,
    kernel.FAILURE_RATE: Trigger.RELAPSE,
    kernel.SLOW_CALL_RATE: Trigger.RELAPSE,
    kernel.PROBE_FAILED: Trigger.RELAPSE,
    kernel.PROBE_TIMEOUT: Trigger.RELAPSE,
    kernel.HALF_OPEN_TIMEOUT: Trigger.RELAPSE,
    kernel.PROBE_SUCCESSES: Trigger.RECOVER,
    kernel.PROBE_WINDOW: Trigger.RECOVER,
}
_TRIGGERS: Final = (_TRIPS, _COOLS, _ENDS_OF_PROBING)  # by where the breaker is


def trigger_of(state: Standing, rule: int) -> Trigger:
    """The trigger that a rule pulls where the breaker is now."""
    return _TRIGGERS[state.where][rule]


def take(state: Standing, trigger: Trigger, at: int) -> int:
    """Take an edge: change the state, and begin the epoch that follows.

    Args:
        state: The state, which is changed.
        trigger: Names the edge.
        at: When it is taken, in nanoseconds of the log.

    Returns:
        The rule that fires at once in the new epoch, whose edge is to be taken next;
        ``kernel.NO_RULE`` if none does.

    Raises:
        FoldError: No edge of that name leaves the state.
    """
    fire(state, trigger)
    wait_ns = _FORCED
    if state.where == kernel.OPEN and trigger is not Trigger.FORCE_OPEN:
        openings, in_a_row, why = state.opened
        state.opened = (openings + 1, in_a_row + 1, why)
        wait_ns = cooldown_ns(
            state.config.backoff,
            state.config.recovery_timeout_ns,
            state.breaker,
            opening=state.openings,
            in_a_row=state.openings_in_a_row,
        )
    elif state.where == kernel.CLOSED:
        openings, _, why = state.opened
        state.opened = (openings, 0, why)
    return kernel.enter(state, at, wait_ns)


TakenEdge: TypeAlias = tuple[int, Trigger, CircuitBreakerState]
"""When an edge is taken, in nanoseconds of the log's time; its trigger; the state it leads to."""


def take_edges(state: Standing, rule: int, at: int) -> Iterator[TakenEdge]:
    """Take the edge of a rule that fired, then the edges of rules that fire immediately after it."""
    while rule != kernel.NO_RULE:
        trigger = trigger_of(state, rule)
        rule = take(state, trigger, at)
        yield at, trigger, state.state
