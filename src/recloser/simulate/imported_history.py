"""Simulate the breakers of imported traffic and collect their edges.

The edges, their digest and the totals equal those of live breakers that are driven call by call
(``recloser.history.live_driver``). No log is written, so the edges have no ``seq`` and no evidence.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from recloser.core.config import CircuitBreakerConfig
from recloser.core.edges import TakenEdge
from recloser.core.events import CircuitBreakerState
from recloser.core.snapshot import Totals
from recloser.core.state_machine import CLOSED
from recloser.history.history import Transition, digest_of
from recloser.simulate.call_table import UNKNOWN, Calls
from recloser.simulate.simulation import Simulation


@frozen
class SimulatedHistory:
    """What simulated breakers did with their calls.

    Attributes:
        edges: The edges, grouped by breaker.
        states: The last state of each breaker, by name.
        totals: How many calls of each breaker ended in which way, by name.
    """

    edges: Sequence[Transition]
    states: Mapping[str, CircuitBreakerState]
    totals: Mapping[str, Totals]

    @property
    def edges_by_time(self) -> Sequence[Transition]:
        """The edges of all breakers, sorted by time."""
        return sorted(self.edges, key=lambda edge: edge.at)

    @property
    def digest(self) -> str:
        """The digest of the edges, defined as for ``recloser.History``."""
        return digest_of(self.edges)


def simulate_calls(
    tables: Iterable[Calls], config: CircuitBreakerConfig, *, is_shared: bool = False
) -> SimulatedHistory:
    """Simulate one breaker for each table of calls.

    Args:
        tables: The calls of each breaker. Every outcome must be known: a call that the recorded
            breaker rejected counts as ignored, as it does when live breakers are driven.
        config: The settings of every breaker.
        is_shared: Whether the breakers share a log, so that a call of one can end the cooldown of
            another; the tables must then have ``seqs``. If not, each breaker has its own log.
    """
    tables = list(tables)
    assert not any(calls.count(UNKNOWN) for calls in tables)
    is_shared = is_shared and len(tables) > 1
    simulations = [Simulation(calls, config, is_shared=is_shared) for calls in tables]
    simulated: Sequence[Iterable[TakenEdge]]
    if is_shared:
        from recloser.simulate.shared_log import simulate_shared

        simulated = simulate_shared(tables, simulations)
    else:
        simulated = [simulation.edges() for simulation in simulations]
    edges: list[Transition] = []
    for calls, edges_of_one in zip(tables, simulated, strict=True):
        edges += _transitions(calls.breaker, edges_of_one)
    return SimulatedHistory(
        edges,
        {one.state.breaker: one.state.state for one in simulations},
        {one.state.breaker: one.totals() for one in simulations},
    )


def _transitions(breaker: str, edges: Iterable[TakenEdge]) -> Iterator[Transition]:
    from_state = CLOSED
    for epoch, (at, trigger, to_state) in enumerate(edges, start=1):
        yield Transition(breaker, epoch, at, from_state, to_state, trigger)
        from_state = to_state
