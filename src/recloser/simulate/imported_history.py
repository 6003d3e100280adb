"""Driving by columns: what breakers do with imported traffic, from one edge to the next.

The result is that of ``recloser.history.live_driver`` and the fold, digest for digest, but no log is
written, so edges have no ``seq`` and no evidence.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import frozen

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import CircuitBreakerState
from recloser.core.snapshot import Totals
from recloser.core.state_machine import CLOSED
from recloser.history.history import Transition, digest_of
from recloser.simulate.call_table import UNKNOWN, Calls
from recloser.simulate.simulation import Simulation, SimulatedEdge


@frozen
class SimulatedHistory:
    """What breakers did with their calls.

    Attributes:
        edges: Their edges, breaker by breaker.
        states: Where each was at the end.
        totals: How its calls ended.
    """

    edges: Sequence[Transition]
    states: Mapping[str, CircuitBreakerState]
    totals: Mapping[str, Totals]

    @property
    def in_time(self) -> Sequence[Transition]:
        """The edges in the order of time."""
        return sorted(self.edges, key=lambda edge: edge.at)

    @property
    def digest(self) -> str:
        """That of the history; see ``recloser.history.history``."""
        return digest_of(self.edges)


def simulate_calls(
    several: Iterable[Calls], config: CircuitBreakerConfig, *, together: bool = False
) -> SimulatedHistory:
    """Let each breaker's calls ask it when they started and report when they ended.

    Args:
        several: The calls of each breaker, none of unknown outcome: one that another breaker refused
            is an ignored one, as it is where calls are driven one by one.
        config: The settings of each breaker.
        together: Whether the breakers share a log, and so its ticks: a call of one then finds the
            cooldown of another passed. The calls must know their ``seqs``. If not, each breaker is
            alone in a log of its own.
    """
    several = list(several)
    assert not any(calls.count(UNKNOWN) for calls in several)
    is_shared = together and len(several) > 1
    simulations = [Simulation(calls, config, is_shared=is_shared) for calls in several]
    taken: Sequence[Iterable[SimulatedEdge]]
    if is_shared:
        from recloser.simulate.shared_log import simulate_shared

        taken = simulate_shared(several, simulations)
    else:
        taken = [simulation.edges() for simulation in simulations]
    edges: list[Transition] = []
    for calls, of_one in zip(several, taken, strict=True):
        edges += _driven_edges(calls.breaker, of_one)
    return SimulatedHistory(
        edges,
        {one.state.breaker: one.state.state for one in simulations},
        {one.state.breaker: one.totals() for one in simulations},
    )


def _driven_edges(breaker: str, taken: Iterable[SimulatedEdge]) -> Iterator[Transition]:
    left = CLOSED
    for epoch, (at, trigger, reached) in enumerate(taken, start=1):
        yield Transition(breaker, epoch, at, left, reached, trigger)
        left = reached
