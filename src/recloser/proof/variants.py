"""Variants: different ways to compute the history of one log.

All variants of a proof run side by side while the log is read once. Each gets every event and
returns the edges that follow from it, so the first event at which two variants differ is known.
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
from recloser.core.log_fold import LogFold, initial_state
from recloser.core.state import BreakerState, differing_fields, dump
from recloser.errors import FoldError
from recloser.history.live_driver import LiveDriver
from recloser.history.warping import mapper
from recloser.history.warps import Warp, log_origin
from recloser.history.witnesses import WitnessedFold
from recloser.live.memory_log import PassingLog
from recloser.log.codec import decode, encode, full
from recloser.proof.reenactment import Reenactment

_CLOCK_READINGS: Final = (LogOpened.kind, ClockTicked.kind)
"""The events that hold clock readings. A warp that does not bend the log's time changes only these."""


class Variant(ABC):
    """One way to compute a history."""

    @abstractmethod
    def apply(self, event: Event) -> Sequence[Edge]:
        """Apply the next event and return the edges that follow from it.

        Raises:
            RecloserError: The event is impossible in this variant.
        """

    def finish(self) -> Sequence[Edge]:
        """Return the edges that remain when there are no more events."""
        return NO_EDGES

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The states of the breakers, by name; None if they are not to be compared."""
        return None


class FoldVariant(Variant):
    """Fold the events as if the clock that timed them had been wrong.

    Args:
        warps: How the clock was wrong; none of them may bend the log's time.
    """

    def __init__(self, warps: Sequence[Warp] = ()) -> None:
        self._fold = LogFold()
        self._mappers = [mapper(warp) for warp in warps]

    def apply(self, event: Event) -> Sequence[Edge]:
        """Fold the event with the clock readings that the wrong clock would have given."""
        if event.kind in _CLOCK_READINGS:
            for change in self._mappers:
                event = change(event)
        return self._fold.apply(event)

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The states in the fold, by breaker."""
        return self._fold.breakers


class ShiftedVariant(Variant):
    """Run another variant on events whose log time is later, and shift its edges back.

    Args:
        ns: How much later, in nanoseconds.
        inner: The other variant.
    """

    def __init__(self, ns: int, inner: Variant) -> None:
        self._ns = ns
        self._inner = inner
        self._change = mapper(log_origin(ns))

    def apply(self, event: Event) -> Sequence[Edge]:
        """Apply the event at its later time."""
        return self._shifted_back(self._inner.apply(self._change(event)))

    def finish(self) -> Sequence[Edge]:
        """Finish the other variant."""
        return self._shifted_back(self._inner.finish())

    def _shifted_back(self, edges: Sequence[Edge]) -> Sequence[Edge]:
        return [evolve(edge, at=edge.at - self._ns) for edge in edges] if edges else NO_EDGES


class WitnessVariant(Variant):
    """Fold the log as it is, and compare each edge with the one recorded live.

    Attributes:
        witnessed: The fold and the differences found so far.
    """

    def __init__(self) -> None:
        self.witnessed = WitnessedFold()

    def apply(self, event: Event) -> Sequence[Edge]:
        """Fold the event; an impossible one is noted as a difference before it is raised."""
        try:
            return self.witnessed.fold_event(event)
        except FoldError as error:
            self.witnessed.note_impossible(event, error)
            raise

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The states in the fold, by breaker."""
        return self.witnessed.fold.breakers


class ResumedVariant(Variant):
    """Interrupt the fold again and again, and resume it from a snapshot each time.

    A snapshot is encoded and decoded as the checkpoint lines that a log would hold. The fold is
    interrupted at every checkpoint. In a small log it is also interrupted after every event; in a
    large one, as often as one snapshot per 50 events allows.
    """

    _FREE_SNAPSHOTS = 1_000
    _EVENTS_PER_SNAPSHOT = 50

    def __init__(self) -> None:
        self._fold = LogFold()
        self._events = 0
        self._snapshots = 0

    def apply(self, event: Event) -> Sequence[Edge]:
        """Fold the event, then interrupt and resume the fold if it is time to.

        Raises:
            FoldError: The event is impossible, or the resumed state differs from the interrupted one.
        """
        edges = self._fold.apply(event)
        self._events += 1
        allowed = self._FREE_SNAPSHOTS + self._events // self._EVENTS_PER_SNAPSHOT
        if event.kind == "checkpoint" or self._snapshots + len(self._fold.breakers) <= allowed:
            self._resume()
        return edges

    def _resume(self) -> None:
        interrupted, resumed = self._fold, LogFold()
        assert interrupted.opened is not None
        pieces = {
            name: list(pieces_of(dump(state))) for name, state in interrupted.breakers.items()
        }
        # Checkpoints have a seq of their own. Numbering the resumed log so that the last of them
        # gets the seq of the last event makes the next event follow without a gap.
        first = interrupted.seq - sum(map(len, pieces.values()))
        resumed.apply(evolve(interrupted.opened, seq=first, at=interrupted.at))
        for name, state in interrupted.breakers.items():
            for piece in pieces[name]:
                seq = resumed.seq + 1
                # `first` can be negative in a short log, and a line can't hold a negative seq.
                checkpoint = decode(encode(Checkpoint(max(seq, 0), interrupted.at, name, *piece)))
                resumed.apply(evolve(checkpoint, seq=seq))
            differing = differing_fields(state, resumed.breakers[name])
            if differing:
                raise FoldError(f"the snapshot of {name!r} does not restore {', '.join(differing)}")
        self._snapshots += len(interrupted.breakers)
        resumed.parts = interrupted.parts
        self._fold = resumed

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The state of each breaker in the last resumed fold, by name."""
        return self._fold.breakers


class IsolatedVariant(Variant):
    """Fold each breaker on its own, without a ``LogFold``.

    A breaker gets its own events and the clock readings.
    """

    def __init__(self) -> None:
        self._states: dict[str, BreakerState] = {}
        self._session: int | None = None
        self._parts = CheckpointParts()

    def apply(self, event: Event) -> Sequence[Edge]:
        """Apply the event to the breakers that it concerns."""
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
            is_same_session = self._session in (None, event.session)
            self._session = event.session
            return NO_EDGES if is_same_session else self._apply_to(sorted(self._states), event)
        if event.breaker not in self._states:
            self._states[event.breaker] = initial_state(event)
        return apply(self._states[event.breaker], event)

    def _apply_to(self, names: Sequence[str], event: FoldedEvent) -> Sequence[Edge]:
        return [edge for name in names for edge in apply(self._states[name], event)]

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The states of all breakers, by name."""
        return self._states


class DrivenVariant(Variant):
    """Drive live breakers with imported traffic.

    Args:
        opened: The first event of the traffic.
        config: The settings of every breaker.
        warps: How the clock of the breakers is wrong.
    """

    def __init__(
        self, opened: LogOpened, config: CircuitBreakerConfig, warps: Sequence[Warp] = ()
    ) -> None:
        self._passed: Sequence[Event] = ()
        self._written: Sequence[Event] | None = ()
        self._log = PassingLog(tick_seconds=None, host="")
        # Live breakers keep the permits of calls in flight in context variables. A context of its
        # own keeps the permits of this variant apart from those of the others.
        self._context = copy_context()
        self._driver = LiveDriver(opened, config, self._log, warps)

    def apply(self, event: Event) -> Sequence[Edge]:
        """Drive the breakers up to the start of the call."""
        assert isinstance(event, CallObserved)
        self._context.run(self._driver.start, event)
        return self._new_edges()

    def finish(self) -> Sequence[Edge]:
        """End the calls in flight, and have the log write what it has buffered."""
        self._context.run(self._driver.finish)
        self._log.flush()
        return self._new_edges()

    def _new_edges(self) -> Sequence[Edge]:
        self._passed, self._written = self._log.passed(), None
        return edges_among(self._passed)

    @property
    def written(self) -> Sequence[Event]:
        """The events that the breakers wrote because of the last event applied."""
        if self._written is None:
            self._written = [full(event) for event in self._passed]
        return self._written

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The states of the live breakers, by name, with every call counted."""
        sequencer = self._log.attach()
        return sequencer.reading(lambda fold, _at: fold.breakers)


class FollowingVariant(Variant):
    """Run another variant on the log that driven breakers write, while they write it.

    Args:
        driven: The driven breakers; each event must have been applied to them before.
        inner: The other variant.
    """

    def __init__(self, driven: DrivenVariant, inner: Variant) -> None:
        self._driven = driven
        self._inner = inner

    def apply(self, event: Event) -> Sequence[Edge]:
        """Apply the events that the breakers wrote because of ``event``."""
        del event
        return self.finish()

    def finish(self) -> Sequence[Edge]:
        """Apply the events that the breakers wrote last."""
        edges: list[Edge] = []
        for written in self._driven.written:
            edges += self._inner.apply(written)
        return edges

    @property
    def states(self) -> Mapping[str, BreakerState] | None:
        """The states in the other variant, by breaker."""
        return self._inner.states


class ReenactedVariant(Variant):
    """Make live breakers decide again about every call in the log.

    Args:
        warps: How the clock of the breakers is wrong.
    """

    def __init__(self, warps: Sequence[Warp] = ()) -> None:
        self._warps = warps
        self._log = PassingLog(tick_seconds=None, host="")
        # The permits of these breakers stay apart from those of other variants.
        self._context = copy_context()
        self._reenactment: Reenactment | None = None

    def apply(self, event: Event) -> Sequence[Edge]:
        """Re-enact the event."""
        if self._reenactment is None:
            assert isinstance(event, LogOpened)
            self._reenactment = Reenactment(event, self._log, self._warps)
        else:
            self._context.run(self._reenactment.apply, event)
        return edges_among(self._log.passed())


def edges_among(events: Sequence[Event]) -> Sequence[Edge]:
    """The edges among some events."""
    return [event for event in events if isinstance(event, StateChanged)] if events else NO_EDGES
