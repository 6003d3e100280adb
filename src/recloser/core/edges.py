"""Edges: how a rule that fired leads a breaker into its next epoch.

The kernel finds that a rule fires. ``take_edge`` then takes the edge on the declared state machine, which
alone changes CLOSED, OPEN and HALF_OPEN, and lets the kernel begin the next epoch.
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
"""The states, indexed by ``kernel.State.where``."""

_WHERE: Final = {state.name: where for where, state in enumerate(STATES)}
_FORCED: Final = -1

Opened: TypeAlias = tuple[int, int, FiredRule | None]
_NEVER_OPENED: Final[Opened] = (0, 0, None)


class MachineState(kernel.State):
    """The state of one breaker as its rules and edges need it.

    Args:
        breaker: Name of the breaker; the jitter of its cooldowns depends on it.
        config: Its settings.
        is_disabled: Whether the breaker lets every call through and decides nothing.

    Attributes:
        opened: How often its rules have opened it, how often since it was last closed, and the rule
            that opened it, which is None once it is closed again. It is one tuple, to save memory:
            most breakers never open, and share one.
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
        """How often the rules of the breaker have opened it."""
        return self.opened[0]

    @property
    def openings_in_a_row(self) -> int:
        """How often the rules of the breaker have opened it since it was last closed."""
        return self.opened[1]

    @property
    def opened_by(self) -> FiredRule | None:
        """The rule that opened the breaker, or None once it is closed again.

        It is an object of the class that the fold was given; ``why_open`` is a ``FiredRule``.
        """
        return self.opened[2]

    @opened_by.setter
    def opened_by(self, cause: FiredRule | None) -> None:
        if cause is not self.opened[2]:
            openings, in_a_row, _ = self.opened
            self.opened = (openings, in_a_row, cause)

    @property
    def state(self) -> CircuitBreakerState:
        """CLOSED, OPEN or HALF_OPEN; only the state machine sets it."""
        return STATES[self.where]

    @state.setter
    def state(self, state: CircuitBreakerState) -> None:
        self.where = _WHERE[state._name_]  # by name, since hashing a member of an enum is slow

    def assume(self, other: "MachineState") -> None:
        """Become a copy of another state that shares nothing with it that changes."""
        kernel.assume(self, other)
        self.breaker = other.breaker
        self.config = other.config
        self.opened = other.opened

    def copy(self) -> Self:
        """A copy that shares nothing with this state that changes."""
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
_TRIGGERS: Final = (_TRIPS, _COOLS, _ENDS_OF_PROBING)  # indexed by ``State.where``


def trigger_of(state: MachineState, rule: int) -> Trigger:
    """The trigger of a rule that fired, which depends on the state that the breaker is in."""
    return _TRIGGERS[state.where][rule]


def take_edge(state: MachineState, trigger: Trigger, at: int) -> int:
    """Take an edge: change the state, and begin the next epoch.

    Args:
        state: The state, which is changed.
        trigger: The name of the edge.
        at: When it is taken, in nanoseconds of the log.

    Returns:
        The rule that fires at once in the new epoch, whose edge must be taken next; or
        ``kernel.NO_RULE``.

    Raises:
        FoldError: No edge of that name leaves the state.
    """
    fire(state, trigger)
    wait_ns = _FORCED
    if state.where == kernel.OPEN and trigger is not Trigger.FORCE_OPEN:
        openings, in_a_row, cause = state.opened
        state.opened = (openings + 1, in_a_row + 1, cause)
        wait_ns = cooldown_ns(
            state.config.backoff,
            state.config.recovery_timeout_ns,
            state.breaker,
            opening=state.openings,
            in_a_row=state.openings_in_a_row,
        )
    elif state.where == kernel.CLOSED:
        openings, _, cause = state.opened
        state.opened = (openings, 0, cause)
    return kernel.enter(state, at, wait_ns)


TakenEdge: TypeAlias = tuple[int, Trigger, CircuitBreakerState]
"""When an edge is taken, in nanoseconds of the log's time; its trigger; the state it leads to."""


def take_edges(state: MachineState, rule: int, at: int) -> Iterator[TakenEdge]:
    """Take the edge of a rule that fired, then the edges of rules that fire immediately after it."""
    while rule != kernel.NO_RULE:
        trigger = trigger_of(state, rule)
        rule = take_edge(state, trigger, at)
        yield at, trigger, state.state
