"""Simulate calls of which some outcomes are unknown, by trying every answer that matters.

The simulation stops where an unknown outcome matters and offers the possible answers. The caller
continues once per answer, each time in a copy. While the breaker is closed, its window keeps an
unknown outcome as unknown, and the simulation only asks whether the window trips the breaker, at
those calls where that depends on unknown outcomes.
"""

import bisect
from collections.abc import Mapping, Sequence
from typing import Final, Self, TypeAlias

from recloser.core import kernel, orders
from recloser.core.backoff import cooldown_key
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import Trigger
from recloser.core.state_machine import CLOSED
from recloser.simulate.call_table import Calls
from recloser.simulate.simulation import Simulation, take_edges
from recloser.whatif.costs import Costs

Answer: TypeAlias = tuple[bool, bool]
"""Whether the unknown call failed and whether it was slow; or, twice, whether the window trips."""

_ANSWERS: Final[Mapping[int, Sequence[Answer]]] = {
    kernel.ASKS_OUTCOME: ((False, False), (True, False)),
    kernel.ASKS_ALL: ((False, False), (False, True), (True, False), (True, True)),
    kernel.ASKS_WINDOW: ((False, False), (True, True)),
}


class UncertainSimulation:
    """One possible simulation of a breaker's calls: each answer so far is an assumption.

    Args:
        calls: The calls.
        config: The settings; the mode is always taken as ``enforce``.
        costs: Counts what the breaker does.
        horizon: When the log ends, in nanoseconds of the log's time.

    Attributes:
        costs: What the breaker has cost and saved so far.
    """

    def __init__(
        self, calls: Calls, config: CircuitBreakerConfig, costs: Costs, horizon: int
    ) -> None:
        simulation = Simulation(calls, config, mode="enforce")
        self._state, self._progress = simulation.state, simulation.progress
        self._calls, self._horizon = calls, horizon
        self.costs = costs
        self._asks_window = False
        self._counted = 0  # rejected calls before this start index are in `costs` already

    def copy(self) -> Self:
        """A copy that can go on with another answer."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._state, other._progress = self._state.copy(), self._progress.copy()
        other.costs = self.costs.copy()
        return other

    @property
    def end_index(self) -> int:
        """The end index of the call whose outcome is asked for."""
        return self._progress.place - self._asks_window

    @property
    def key(self) -> tuple[object, ...]:
        """Everything that the rest of the simulation depends on.

        Two simulations of one breaker that stop with equal keys continue in the same way, so the
        caller can merge them into one.
        """
        state, progress, calls = self._state, self._progress, self._calls
        if state.state is CLOSED:
            self.costs.note_closed_until(calls.end_time(self.end_index) - 1)
            first, in_flight_count = progress.since, progress.before
            where: tuple[object, ...] = (
                progress.since if progress.before else 0,
                kernel.window_key_of(progress.lower),
                kernel.window_key_of(progress.upper),
            )
        else:
            first, in_flight_count = progress.number, progress.number - progress.place
            probes = progress.probes.to_list()
            where = first, tuple(n for n in probes if calls.end_index[n] >= progress.place)
        in_flight = orders.under_way(calls.end_index, first, progress.place, in_flight_count)
        return (
            progress.place,
            self._asks_window,
            kernel.key_of(state),
            where,
            cooldown_key(
                state.config.backoff, opening=state.openings, in_a_row=state.openings_in_a_row
            ),
            tuple(n for n in in_flight if kernel.is_let_through(progress, calls.by_end[n])),
            self.costs.key,
        )

    def run(self) -> Sequence[Answer]:
        """Run until an unknown outcome matters, and return the possible answers.

        Returns:
            The answers to choose from; none if the simulation has reached the end of the calls.
        """
        if self._asks_window:
            return _ANSWERS[kernel.ASKS_WINDOW]
        while found := kernel.simulate(self._state, self._progress):
            if found in _ANSWERS:
                self._asks_window = found == kernel.ASKS_WINDOW
                self._count_rejected()
                return _ANSWERS[found]
            self._take_edges(found)
        self._count_rejected()
        self.costs.finish(self._horizon)
        return ()

    def answer(self, answer: Answer) -> None:
        """Assume an answer that ``run`` returned; the next ``run`` goes on from there."""
        failed, slow = answer
        if self._asks_window:
            self._asks_window = False
            if failed:
                self._take_edges(kernel.WINDOW_FAILURES)
            return
        self.costs.assume(failed=failed)
        found = kernel.suppose(self._state, self._progress, failed, slow)
        if found == kernel.ASKS_WINDOW:
            self._asks_window = True
        elif found != kernel.NO_RULE:
            self._take_edges(found)

    def _take_edges(self, rule: int) -> None:
        for at, trigger, to_state in take_edges(self._state, rule, self._progress.at):
            if trigger is Trigger.TRIP:
                self.costs.open(at)
            elif to_state is CLOSED:
                self.costs.close(at)

    def _count_rejected(self) -> None:
        """Count the calls that were rejected since the last time, and let the kernel forget them."""
        calls, progress = self._calls, self._progress
        bounds = progress.rejected.to_list()
        for first, end in zip(bounds[::2], bounds[1::2], strict=True):
            self.costs.reject(max(first, self._counted), end)
        if bounds:
            self._counted = max(self._counted, bounds[-1])
        # Every call before this start index has ended, so nothing can ask about it again.
        ended = bisect.bisect_left(calls.highest_end_index, progress.place)
        kernel.forget_rejected(progress, ended)
