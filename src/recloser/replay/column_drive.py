"""Driving by columns: what breakers do with imported traffic, from one edge to the next.

It comes to what ``recloser.replay.drive`` and the fold come to, digest for digest, but passes over
all calls between two edges without looking at them, and writes no log. So it tells no ``seq`` and
no evidence of an edge.
"""

from collections.abc import Iterable, Mapping, Sequence

from attrs import define, frozen

from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError
from recloser.events import CircuitBreakerState, Trigger
from recloser.machine import CLOSED, fire
from recloser.replay.calls import FAILED, IGNORED, SUCCEEDED, UNKNOWN, Calls
from recloser.replay.history import digest_of
from recloser.replay.ledger import Tape
from recloser.replay.lookout import Lookout
from recloser.replay.passage import Passage
from recloser.snapshot import Totals


@frozen
class DrivenEdge:
    """An edge; its attributes are those of ``StateChanged``."""

    breaker: str
    epoch: int
    at: int
    from_state: CircuitBreakerState
    to_state: CircuitBreakerState
    trigger: Trigger


@frozen
class Driven:
    """What breakers did with their calls.

    Attributes:
        edges: Their edges, breaker by breaker.
        states: Where each was at the end.
        totals: How its calls ended.
    """

    edges: Sequence[DrivenEdge]
    states: Mapping[str, CircuitBreakerState]
    totals: Mapping[str, Totals]

    @property
    def in_time(self) -> Sequence[DrivenEdge]:
        """The edges in the order of time."""
        return sorted(self.edges, key=lambda edge: edge.at)

    @property
    def digest(self) -> str:
        """That of the history; see ``recloser.replay.history``."""
        return digest_of(self.edges)


def undrivable(config: CircuitBreakerConfig) -> str | None:
    """Why breakers of this configuration can't be driven by columns; None if they can."""
    if config.mode != "enforce":
        return f"in mode {config.mode} no call is refused"
    return None


def drive_columns(
    several: Iterable[Calls], config: CircuitBreakerConfig, *, together: bool = False
) -> Driven:
    """Let each breaker's calls ask it when they started and report when they ended.

    Args:
        several: The calls of each breaker, none of unknown outcome: one that another breaker refused
            is an ignored one, as it is where calls are driven one by one.
        config: The settings of each breaker.
        together: Whether the breakers share a log, and so its ticks: a call of one then finds the
            cooldown of another passed. The calls must know their ``seqs``. If not, each breaker is
            alone in a log of its own.

    Raises:
        ConfigError: ``undrivable`` says why.
    """
    reason = undrivable(config)
    if reason is not None:
        raise ConfigError(f"breakers can't be driven by columns: {reason}")
    several = list(several)
    assert not any(calls.count(UNKNOWN) for calls in several)
    if together and len(several) > 1:
        from recloser.replay.shared_drive import drive_together

        tapes = drive_together(several, config)
    else:
        tapes = [_alone(calls, config) for calls in several]
    edges: list[DrivenEdge] = []
    states, totals = {}, {}
    for calls, tape in zip(several, tapes, strict=True):
        machine = _Machine(calls.breaker)
        edges += machine.taken(tape)
        states[calls.breaker] = machine.state
        totals[calls.breaker] = _totals(calls, tape)
    return Driven(edges, states, totals)


def _alone(calls: Calls, config: CircuitBreakerConfig) -> Tape:
    tape = Tape()
    if len(calls):
        Passage(Lookout(calls), config, tape, calls.last_end).run()
    return tape


@define
class _Machine:
    """What the declared edges allow."""

    breaker: str
    state: CircuitBreakerState = CLOSED

    def taken(self, tape: Tape) -> Iterable[DrivenEdge]:
        """The edges of a tape.

        Raises:
            FoldError: One does not leave the state that it is taken in.
        """
        assert tape.edges is not None
        for epoch, (at, trigger) in enumerate(tape.edges, start=1):
            left = self.state
            fire(self, trigger)
            yield DrivenEdge(self.breaker, epoch, at, left, self.state, trigger)


def _totals(calls: Calls, tape: Tape) -> Totals:
    assert tape.refused is not None
    assert tape.stale is not None
    stale = bytes(calls.outcome_at[place] for place in tape.stale)
    succeeded, failed, ignored = (
        calls.count(code)
        - stale.count(code)
        - sum(calls.outcomes.count(code, first, behind) for first, behind in tape.refused)
        for code in (SUCCEEDED, FAILED, IGNORED)
    )
    return Totals(
        succeeded=succeeded,
        failed=failed,
        ignored=ignored,
        rejected=sum(behind - first for first, behind in tape.refused),
        stale=len(stale),
    )
