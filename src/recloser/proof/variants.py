"""Lanes: the ways to take one history, side by side in one reading of its log.

Each lane is given the same events and gives the edges that it comes to, so that the first event
after which two lanes are no longer the same is where their histories part.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextvars import copy_context
from typing import Final

from attrs import evolve

from recloser.core.checkpoint_parts import CheckpointParts, pieces_of
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import (
    CallObserved,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogGap,
    LogOpened,
    LogSealed,
    StateChanged,
)
from recloser.core.fold import NO_EDGES, FoldedEvent, apply
from recloser.core.log_fold import LogFold, state_begun_by
from recloser.core.state import BreakerState, dump, parted_fields
from recloser.errors import FoldError
from recloser.history.live_driver import LiveDriver
from recloser.history.warping import mapper
from recloser.history.warps import Warp, log_origin
from recloser.history.witnesses import WitnessedFold
from recloser.live.memory_log import PassingLog
from recloser.log.codec import decode, encode, full
from recloser.proof.reenactment import Performer

_READINGS: Final = (LogOpened.kind, ClockTicked.kind)
"""What tells the hands of a clock: all that a warp changes that does not bend time."""


class Lane(ABC):
    """One way to take a history."""

    @abstractmethod
    def take(self, event: Event) -> Sequence[Edge]:
        """Take the next event; the edges that it comes to.

        Raises:
            RecloserError: It can't have happened in this history.
        """

    def finish(self) -> Sequence[Edge]:
        """Take what is left when there are no more events; the edges that it comes to."""
        return NO_EDGES

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The states that the lane ends in; None if they are not to be compared."""
        return None


class FoldLane(Lane):
    """The fold of a log, of which the clocks were wrong.

    Args:
        warps: What was wrong with them, none of which bends time.
    """

    def __init__(self, warps: Sequence[Warp] = ()) -> None:
        self._fold = LogFold()
        self._mappers = [mapper(warp) for warp in warps]

    def take(self, event: Event) -> Sequence[Edge]:
        """Fold the event as the wrong clocks would have timed it."""
        if event.kind in _READINGS:
            for change in self._mappers:
                event = change(event)
        return self._fold.apply(event)

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """Those of the fold."""
        return self._fold.breakers


class LaterLane(Lane):
    """Any lane of a history whose own time begins later; its edges are told in the right time."""

    def __init__(self, ns: int, inner: Lane) -> None:
        self._ns = ns
        self._inner = inner
        self._change = mapper(log_origin(ns))

    def take(self, event: Event) -> Sequence[Edge]:
        """Take the event as of so much later."""
        return self._right(self._inner.take(self._change(event)))

    def finish(self) -> Sequence[Edge]:
        """As above."""
        return self._right(self._inner.finish())

    def _right(self, edges: Sequence[Edge]) -> Sequence[Edge]:
        return [evolve(edge, at=edge.at - self._ns) for edge in edges] if edges else NO_EDGES


class WitnessLane(Lane):
    """The log as it is: the fold, with the witnesses compared.

    Attributes:
        witnessed: What was found so far.
    """

    def __init__(self) -> None:
        self.witnessed = WitnessedFold()

    def take(self, event: Event) -> Sequence[Edge]:
        """Fold the event; one that can't have happened is noted as a difference, and raised."""
        try:
            return self.witnessed.fold_event(event)
        except FoldError as error:
            self.witnessed.note_impossible(event, error)
            raise

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """Those of the fold."""
        return self.witnessed.fold.breakers


class ResumedLane(Lane):
    """A fold that is cut and goes on from the snapshots, at every checkpoint and many times else.

    Each snapshot goes through the bytes of a checkpoint's line. Besides at checkpoints, the fold is
    cut after every event of a small log; in a large one so often that at most every fiftieth event
    costs a snapshot.
    """

    _FREE = 1_000
    _EVENTS_A_SNAPSHOT = 50

    def __init__(self) -> None:
        self._fold = LogFold()
        self._events = 0
        self._snapshots = 0

    def take(self, event: Event) -> Sequence[Edge]:
        """Fold the event, and cut behind it if it is time to.

        Raises:
            FoldError: What is resumed is not what was cut.
        """
        edges = self._fold.apply(event)
        self._events += 1
        allowed = self._FREE + self._events // self._EVENTS_A_SNAPSHOT
        if event.kind == "checkpoint" or self._snapshots + len(self._fold.breakers) <= allowed:
            self._cut()
        return edges

    def _cut(self) -> None:
        cut, resumed = self._fold, LogFold()
        assert cut.opened is not None
        pieces = {name: list(pieces_of(dump(state))) for name, state in cut.breakers.items()}
        first = cut.seq - sum(map(len, pieces.values()))
        resumed.apply(evolve(cut.opened, seq=first, at=cut.at))
        for name, state in cut.breakers.items():
            for piece in pieces[name]:
                seq = resumed.seq + 1
                checkpoint = decode(encode(Checkpoint(max(seq, 0), cut.at, name, *piece)))
                resumed.apply(evolve(checkpoint, seq=seq))
            parted = parted_fields(state, resumed.breakers[name])
            if parted:
                raise FoldError(f"the snapshot of {name!r} does not bring back {', '.join(parted)}")
        self._snapshots += len(cut.breakers)
        resumed.parts = cut.parts
        self._fold = resumed

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """Those of the last fold."""
        return self._fold.breakers


class ApartLane(Lane):
    """Every breaker on its own, given its own events and the time, without the fold of a log."""

    def __init__(self) -> None:
        self._states: dict[str, BreakerState] = {}
        self._session: int | None = None
        self._parts = CheckpointParts()

    def take(self, event: Event) -> Sequence[Edge]:
        """Apply the event to the breakers that it is about."""
        if isinstance(event, Checkpoint):
            whole = self._parts.joined(event)
            if whole is None:
                return NO_EDGES
            event = whole
        if isinstance(event, StateChanged | LogSealed | LogGap | CallObserved):
            return NO_EDGES
        if isinstance(event, ClockTicked):
            due = [
                (state.deadline, name)
                for name, state in self._states.items()
                if state.deadline <= event.at
            ]
            return self._apply_to([name for _, name in sorted(due)], event) if due else NO_EDGES
        if isinstance(event, LogOpened):
            is_first = self._session in (None, event.session)
            self._session = event.session
            return NO_EDGES if is_first else self._apply_to(sorted(self._states), event)
        if event.breaker not in self._states:
            self._states[event.breaker] = state_begun_by(event)
        return apply(self._states[event.breaker], event)

    def _apply_to(self, names: Sequence[str], event: FoldedEvent) -> Sequence[Edge]:
        return [edge for name in names for edge in apply(self._states[name], event)]

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """Those of all breakers."""
        return self._states


class DrivenLane(Lane):
    """Live breakers driven by imported traffic, whose calls come in the order of their starts.

    Args:
        opened: What the trace begins with.
        config: The settings of each breaker.
        warps: What is wrong with the clock of the breakers.
    """

    def __init__(
        self, opened: LogOpened, config: CircuitBreakerConfig, warps: Sequence[Warp] = ()
    ) -> None:
        self._passed: Sequence[Event] = ()
        self._written: Sequence[Event] | None = ()
        self._log = PassingLog(tick_seconds=None, host="")
        # Each lane has its own permits to remember.
        self._context = copy_context()
        self._driver = LiveDriver(opened, config, self._log, warps)

    def take(self, event: Event) -> Sequence[Edge]:
        """Drive the breakers up to the start of the call."""
        assert isinstance(event, CallObserved)
        self._context.run(self._driver.start, event)
        return self._taken()

    def finish(self) -> Sequence[Edge]:
        """Let the calls end that are under way, and what is not folded yet be written."""
        self._context.run(self._driver.finish)
        self._log.flush()
        return self._taken()

    def _taken(self) -> Sequence[Edge]:
        self._passed, self._written = self._log.passed(), None
        return edges_of(self._passed)

    @property
    def written(self) -> Sequence[Event]:
        """What the breakers wrote for the last event."""
        if self._written is None:
            self._written = [full(event) for event in self._passed]
        return self._written

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """Those of the breakers, with all that they have counted."""
        sequencer = self._log.attach()
        return sequencer.reading(lambda fold, _at: fold.breakers)


class FollowingLane(Lane):
    """A lane of the log that driven breakers write, while they write it."""

    def __init__(self, driven: DrivenLane, inner: Lane) -> None:
        self._driven = driven
        self._inner = inner

    def take(self, event: Event) -> Sequence[Edge]:
        """Take what was written when the event drove the breakers."""
        del event
        return self.finish()

    def finish(self) -> Sequence[Edge]:
        """Take what was written last."""
        edges: list[Edge] = []
        for written in self._driven.written:
            edges += self._inner.take(written)
        return edges

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """Those of the lane inside."""
        return self._inner.states


class PerformedLane(Lane):
    """Live breakers that are asked what those of the log were asked.

    Args:
        warps: What is wrong with their clock.
    """

    def __init__(self, warps: Sequence[Warp] = ()) -> None:
        self._warps = warps
        self._log = PassingLog(tick_seconds=None, host="")
        self._context = copy_context()
        self._performer: Performer | None = None

    def take(self, event: Event) -> Sequence[Edge]:
        """Have the event happen."""
        if self._performer is None:
            assert isinstance(event, LogOpened)
            self._performer = Performer(event, self._log, self._warps)
        else:
            self._context.run(self._performer.take, event)
        return edges_of(self._log.passed())


def edges_of(events: Sequence[Event]) -> Sequence[Edge]:
    """The edges among them."""
    return [event for event in events if isinstance(event, StateChanged)] if events else NO_EDGES
