"""Simulation: which edges one breaker takes over given calls.

``recloser.core.kernel`` goes through the calls by time: each start asks the breaker to let the call
through, each end reports an outcome. It stops where a rule fires. The edge is then taken by the same
state machine that live breakers use. A simulation makes no events and records no evidence.
"""

from collections.abc import Iterator, Sequence

from recloser.core.config import CircuitBreakerConfig
from recloser.core.edges import MachineState, TakenEdge, take_edges
from recloser.core.kernel import NO_RULE, Progress, simulate
from recloser.core.snapshot import Totals
from recloser.simulate.call_table import Calls


class Simulation:
    """One breaker, part of the way through its calls.

    Args:
        calls: The calls.
        config: The breaker's settings.
        mode: The breaker's mode; by default the mode in ``config``.
        is_shared: Whether other breakers share the log, so that their events can end this breaker's
            cooldown.

    Attributes:
        state: The breaker's state.
        progress: How far the simulation is.
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
        self.state = MachineState(calls.breaker, config, is_disabled=mode == "disabled")
        self.progress = Progress(calls.columns, mode == "shadow", is_shared)

    def edges(self) -> Iterator[TakenEdge]:
        """Run to the end of the calls and yield each edge; every outcome must be known."""
        state, progress = self.state, self.progress
        rule = simulate(state, progress)
        while rule != NO_RULE:
            yield from take_edges(state, rule, progress.at)
            rule = simulate(state, progress)

    @property
    def rejected(self) -> Sequence[tuple[int, int]]:
        """Ranges of rejected calls: the first start index, and the one after the last."""
        bounds = self.progress.rejected.to_list()
        return list(zip(bounds[::2], bounds[1::2], strict=True))

    def totals(self) -> Totals:
        """How many calls ended in which way, once the simulation is at its end."""
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
