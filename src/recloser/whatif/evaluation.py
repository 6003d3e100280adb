"""Evaluate settings on the calls of a breaker, by simulating them.

Each breaker is evaluated alone, as if it had its own log. Every call keeps the outcome that it had:
the evaluation does not account for a dependency that recovers sooner because it gets fewer calls.

Two properties are tested:

* If every outcome is known, the result equals that of a live breaker driven with the same calls.
* If outcomes are unknown, because the recorded breaker rejected those calls, then the true value of
  each figure lies in its range, whether those calls would have succeeded or failed and whether they
  would have been slow. With a window, a range can be wider than necessary. The duration of such a
  call is an assumption (see ``recloser.simulate.recorded_calls``).

A simulation stops where an unknown outcome matters, and is continued once per possible answer, each
time in a copy. While the breaker is closed, its window keeps an unknown outcome as unknown, and the
simulation only asks whether the window trips the breaker, at those calls where that depends on
unknown outcomes.
"""

import bisect
import heapq
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final, Self, TypeAlias

from attrs import frozen

from recloser.core import kernel, orders
from recloser.core.backoff import cooldown_key
from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.edges import MachineState, take_edges
from recloser.core.events import Trigger
from recloser.core.state_machine import CLOSED
from recloser.simulate.call_table import Calls
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.costs import (
    OUTAGE_FAILURES,
    Costs,
    Delay,
    Delays,
    Figures,
    Outage,
    outages_of,
    widest_figures,
)

MAX_BRANCHES: Final = 150_000
"""How many answers are tried for one breaker before the evaluation gives up and returns bounds."""

Answer: TypeAlias = tuple[bool, bool]
"""Whether the unknown call failed and whether it was slow; or, twice, whether the window trips."""

_ANSWERS: Final[Mapping[int, Sequence[Answer]]] = {
    kernel.ASKS_OUTCOME: ((False, False), (True, False)),
    kernel.ASKS_ALL: ((False, False), (False, True), (True, False), (True, True)),
    kernel.ASKS_WINDOW: ((False, False), (True, True)),
}


@frozen
class Evaluation:
    """The result of some settings on the calls of one breaker.

    Attributes:
        figures: What the breaker cost and saved.
        outages: The outages among the calls; they do not depend on the settings.
        detection: For each outage, the delay from its first failure until the breaker was not closed.
        recovery: For each outage that ended, the delay from its end until the breaker was closed.
        is_complete: Whether all possible outcomes of the unknown calls were tried. If not, the
            figures are bounds that hold for any settings.
    """

    figures: Figures
    outages: Sequence[Outage]
    detection: Sequence[Delay]
    recovery: Sequence[Delay]
    is_complete: bool = True


def what_if(
    traffic: Traffic,
    config: Callable[[str], Settings],
    failures: int = OUTAGE_FAILURES,
) -> Mapping[str, Evaluation]:
    """Evaluate settings on the calls of each breaker.

    Args:
        traffic: The calls.
        config: Returns the settings to try for the breaker with the given name.
        failures: How many consecutive failures make an outage.

    Returns:
        The evaluation of each breaker, by name.
    """
    return {
        name: evaluate(calls, config(name), traffic.horizon, outages_of(calls, failures))
        for name, calls in traffic.calls.items()
    }


def evaluate(
    calls: Calls,
    config: Settings,
    horizon: int,
    outages: Sequence[Outage],
    max_branches: int = MAX_BRANCHES,
) -> Evaluation:
    """Evaluate settings on the calls of one breaker.

    Args:
        calls: The calls.
        config: The settings; the mode is always taken as ``enforce``.
        horizon: When the log ends, in nanoseconds of the log's time.
        outages: The outages among the calls.
        max_branches: How many answers for unknown outcomes to try before giving up.
    """
    settings = as_config(config)
    delays = Delays(outages)
    first = UncertainSimulation(calls, settings, Costs(calls, delays), horizon)
    costs = _costs_of_all_answers(first, max_branches)
    if costs is None:
        unknown = [Delay(0, None) for _ in outages]
        span = horizon - calls.starts[0]
        recovery = of_ended_outages(outages, unknown)
        return Evaluation(
            widest_figures(calls, span), outages, unknown, recovery, is_complete=False
        )
    recovery = of_ended_outages(outages, delays.recovery)
    return Evaluation(costs.figures(), outages, delays.detection, recovery)


def of_ended_outages(outages: Sequence[Outage], delays: Sequence[Delay]) -> Sequence[Delay]:
    """The delays of the outages that ended."""
    return [delay for outage, delay in zip(outages, delays, strict=True) if outage.end is not None]


class UncertainSimulation:
    """A simulation that assumes certain outcomes of the unknown calls so far.

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
        self._state = MachineState(calls.breaker, config)
        self._progress = kernel.Progress(calls.columns, False, False)
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
        return self._progress.next_end - self._asks_window

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
            first, in_flight_count = progress.next_start, progress.next_start - progress.next_end
            probes = progress.probes.to_list()
            where = first, tuple(n for n in probes if calls.end_index[n] >= progress.next_end)
        in_flight = orders.ends_in_flight(
            calls.end_index, first, progress.next_end, in_flight_count
        )
        return (
            progress.next_end,
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
        """Count the calls rejected since the last time, and let the kernel forget them."""
        calls, progress = self._calls, self._progress
        bounds = progress.rejected.to_list()
        for first, end in zip(bounds[::2], bounds[1::2], strict=True):
            self.costs.reject(max(first, self._counted), end)
        if bounds:
            self._counted = max(self._counted, bounds[-1])
        # Every call before this start index has ended, so nothing can ask about it again.
        ended = bisect.bisect_left(calls.highest_end_index, progress.next_end)
        kernel.forget_rejected(progress, ended)


def _costs_of_all_answers(first: UncertainSimulation, max_branches: int) -> Costs | None:
    """Merge the costs of every possible simulation.

    None if there are more than ``max_branches`` of them.
    """
    merged: Costs | None = None
    # Simulations that stopped at an unknown outcome, by key. The heap resumes the one whose call
    # ends first, so that simulations with equal keys meet and are merged before either goes on.
    # Without that, their number would double with each unknown outcome.
    waiting: dict[tuple[object, ...], tuple[UncertainSimulation, Sequence[Answer]]] = {}
    order: list[tuple[int, int, tuple[object, ...]]] = []
    tie_breaker = count()
    running = [first]
    branches = 0
    while running or order:
        for simulation in running:
            answers = simulation.run()
            if not answers:
                if merged is None:
                    merged = simulation.costs
                else:
                    merged.widen(simulation.costs)
                continue
            key = simulation.key
            if key in waiting:
                waiting[key][0].costs.widen(simulation.costs)
            else:
                waiting[key] = simulation, answers
                heapq.heappush(order, (simulation.end_index, next(tie_breaker), key))
        running = []
        if order:
            simulation, answers = waiting.pop(heapq.heappop(order)[2])
            branches += len(answers)
            if branches > max_branches:
                return None
            for answer in answers[1:]:
                other = simulation.copy()
                other.answer(answer)
                running.append(other)
            simulation.answer(answers[0])
            running.append(simulation)
    return merged
