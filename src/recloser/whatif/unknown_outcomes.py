"""Simulations of calls of which some outcomes are unknown: where one matters, it stops and asks.

Each answer is followed in a copy. In the window of a closed breaker an unknown outcome is kept
unknown, and it is only asked whether the window trips where that depends on such outcomes.
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
from recloser.simulate.simulation import Simulation, taken
from recloser.whatif.costs import Costs

Answer: TypeAlias = tuple[bool, bool]
"""Whether the unknown call failed, and was slow; or, twice, whether the window trips."""

_ANSWERS: Final[Mapping[int, Sequence[Answer]]] = {
    kernel.ASKS_OUTCOME: ((False, False), (True, False)),
    kernel.ASKS_ALL: ((False, False), (False, True), (True, False), (True, True)),
    kernel.ASKS_WINDOW: ((False, False), (True, True)),
}


class UncertainSimulation:
    """One breaker's way through its calls, or one of those that are possible.

    Args:
        calls: The calls.
        config: The settings; their mode is taken for ``enforce``.
        ledger: Books what it results in.
        horizon: When the record ends, in nanoseconds of the log.

    Attributes:
        ledger: The books.
    """

    def __init__(
        self, calls: Calls, config: CircuitBreakerConfig, ledger: Costs, horizon: int
    ) -> None:
        simulation = Simulation(calls, config, mode="enforce")
        self._state, self._progress = simulation.state, simulation.progress
        self._calls, self._horizon = calls, horizon
        self.ledger = ledger
        self._is_window_asked = False
        self._booked = 0  # rejected calls before this number are in the ledger

    def copy(self) -> Self:
        """The same course, to be gone on with another answer."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other._state, other._progress = self._state.copy(), self._progress.copy()
        other.ledger = self.ledger.copy()
        return other

    @property
    def place(self) -> int:
        """The place of the outcome that is asked for."""
        return self._progress.place - self._is_window_asked

    @property
    def key(self) -> tuple[object, ...]:
        """All that decides how a simulation that asks goes on: with equal keys they are one."""
        state, progress, calls = self._state, self._progress, self._calls
        if state.state is CLOSED:
            self.ledger.settle(calls.end_of(self.place) - 1)
            first, under_way = progress.since, progress.before
            where: tuple[object, ...] = (
                progress.since if progress.before else 0,
                kernel.window_key_of(progress.lower),
                kernel.window_key_of(progress.upper),
            )
        else:
            first, under_way = progress.number, progress.number - progress.place
            probes = progress.probes.to_list()
            where = first, tuple(n for n in probes if calls.place[n] >= progress.place)
        out = orders.under_way(calls.place, first, progress.place, under_way)
        return (
            progress.place,
            self._is_window_asked,
            kernel.key_of(state),
            where,
            cooldown_key(
                state.config.backoff, opening=state.openings, in_a_row=state.openings_in_a_row
            ),
            tuple(n for n in out if kernel.is_let_through(progress, calls.by_end[n])),
            self.ledger.key,
        )

    def run(self) -> Sequence[Answer]:
        """Go on to the end, or to what is unknown: then the answers that there are."""
        if self._is_window_asked:
            return _ANSWERS[kernel.ASKS_WINDOW]
        while found := kernel.simulate(self._state, self._progress):
            if found in _ANSWERS:
                self._is_window_asked = found == kernel.ASKS_WINDOW
                self._book_rejected()
                return _ANSWERS[found]
            self._take(found)
        self._book_rejected()
        self.ledger.finish(self._horizon)
        return ()

    def answer(self, answer: Answer) -> None:
        """Take what was asked for to be so; then ``run`` goes on."""
        failed, slow = answer
        if self._is_window_asked:
            self._is_window_asked = False
            if failed:
                self._take(kernel.WINDOW_FAILURES)
            return
        self.ledger.resolve(failed=failed)
        found = kernel.suppose(self._state, self._progress, failed, slow)
        if found == kernel.ASKS_WINDOW:
            self._is_window_asked = True
        elif found != kernel.NO_RULE:
            self._take(found)

    def _take(self, rule: int) -> None:
        for at, trigger, reached in taken(self._state, rule, self._progress.at):
            if trigger is Trigger.TRIP:
                self.ledger.open(at)
            elif reached is CLOSED:
                self.ledger.close(at)

    def _book_rejected(self) -> None:
        """Book the calls that were rejected since this was last done."""
        calls, progress = self._calls, self._progress
        numbers = progress.rejected.to_list()
        for first, end in zip(numbers[::2], numbers[1::2], strict=True):
            self.ledger.reject(max(first, self._booked), end)
        if numbers:
            self._booked = max(self._booked, numbers[-1])
        # All calls before this number have ended.
        ended = bisect.bisect_left(calls.last_place, progress.place)
        kernel.forget_rejected(progress, ended)
