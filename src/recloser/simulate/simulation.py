"""Simulations: what a breaker does with given calls.

The kernel asks at each call's start and reports at its end, and stops at each rule that fires; here
its edge is taken on the declared machine. No event is made, and no evidence is kept.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from recloser.core.config import CircuitBreakerConfig
from recloser.core.edges import Standing, take, trigger_of
from recloser.core.events import CircuitBreakerState, Trigger
from recloser.core.kernel import NO_RULE, Progress, simulate
from recloser.core.snapshot import Totals
from recloser.simulate.call_table import Calls

SimulatedEdge: TypeAlias = tuple[int, Trigger, CircuitBreakerState]
"""When an edge was taken, in nanoseconds of the log, by which trigger, and where it leads."""


class Simulation:
    """One breaker and how far it has come in its calls.

    Args:
        calls: The calls.
        config: The settings.
        mode: Its mode; by default that of the settings.
        is_shared: Whether it shares a log, so that others may find its deadlines passed.

    Attributes:
        state: Where the breaker stands.
        progress: How far it has come.
    """

    def __init__(
        self,
        calls: Calls,
        config: CircuitBreakerConfig,
        *,
        mode: str | None = None,
        is_shared: bool = False,
    ) -> None:
        mode = config.mode if mode is None else mode
        self.state = Standing(calls.breaker, config)
        self.state.is_disabled = mode == "disabled"
        self.progress = Progress(calls.columns, mode == "shadow", is_shared)

    def edges(self) -> Iterator[SimulatedEdge]:
        """Take the edges one after another, until the calls are at their end.

        The outcome of each call must be known.
        """
        state, progress = self.state, self.progress
        rule = simulate(state, progress)
        while rule != NO_RULE:
            yield from taken(state, rule, progress.at)
            rule = simulate(state, progress)

    @property
    def rejected(self) -> Sequence[tuple[int, int]]:
        """Each range of calls that were rejected: its first number, and the one after its last."""
        numbers = self.progress.rejected.to_list()
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def totals(self) -> Totals:
        """How the calls ended, once they are at their end."""
        state, calls = self.state, len(self.progress.calls.starts)
        rejected = sum(end - first for first, end in self.rejected)
        let_through = calls if self.progress.is_shadow else calls - rejected
        return Totals(
            succeeded=state.succeeded,
            failed=state.failed,
            ignored=state.ignored,
            rejected=rejected,
            stale=let_through - state.succeeded - state.failed - state.ignored,
        )


def taken(state: Standing, rule: int, at: int) -> Iterator[SimulatedEdge]:
    """Take the edge of a rule that has fired, and those of the rules that fire at once after it."""
    while rule != NO_RULE:
        trigger = trigger_of(state, rule)
        rule = take(state, trigger, at)
        yield at, trigger, state.state
