"""An incident out of the log: all that belongs to one trip, gathered in one pass over the events."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

from attrs import Factory, define, evolve

from recloser.config import CircuitBreakerConfig, Mode
from recloser.events import (
    BreakerConfigured,
    CallFailed,
    CallSucceeded,
    Checkpoint,
    CircuitBreakerState,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    ModeChanged,
    Trigger,
)
from recloser.events import Command as CommandEvent
from recloser.fold import FoldedEvent, apply
from recloser.logfold import LogFold
from recloser.machine import CLOSED, HALF_OPEN
from recloser.state import BreakerState, dump, restore

Outcome: TypeAlias = CallSucceeded | CallFailed
Act: TypeAlias = CommandEvent | ModeChanged | BreakerConfigured
Reading: TypeAlias = LogOpened | ClockTicked

_MARK_EVERY: Final = 4096
_NOTHING_HELD: Final = 1 << 63


@define
class Run:
    """A stretch of one breaker's events that can be folded again, under other settings too.

    Attributes:
        start: The state before the first of them, as a checkpoint carries it.
        events: The events about the breaker.
        counted: Those of them that are outcomes which counted.
    """

    start: Mapping[str, object]
    events: list[FoldedEvent] = Factory(list)
    counted: list[Outcome] = Factory(list)

    def state(self, breaker: str, config: CircuitBreakerConfig | None = None) -> BreakerState:
        """A state to fold the events from; under ``config`` where it is given."""
        state = restore(Checkpoint(seq=0, at=0, breaker=breaker, state=self.start))
        if config is not None:
            state.config = config
        return state

    def trips_at(
        self,
        breaker: str,
        config: CircuitBreakerConfig | None = None,
        change: Callable[[FoldedEvent], FoldedEvent] = lambda event: event,
    ) -> int | None:
        """The ``seq`` of the first event at which the breaker trips; None if it does not."""
        state = self.state(breaker, config)
        for event in self.events:
            if any(edge.trigger is Trigger.TRIP for edge in apply(state, change(event))):
                return event.seq
        return None


class Runs:
    """The latest runs of one closed epoch: as many as what its counters still hold reaches back."""

    def __init__(self) -> None:
        self._runs: list[Run] = []

    def begin(self, state: BreakerState) -> None:
        """A new epoch begins, or counting starts anew."""
        self._runs = [Run(dump(state))] if state.state is CLOSED else []

    def add(self, event: FoldedEvent, state: BreakerState, *, is_counted: bool) -> None:
        """Take in an event that has been folded into ``state``."""
        if not self._runs:
            return
        run = self._runs[-1]
        run.events.append(event)
        if is_counted and isinstance(event, Outcome):
            run.counted.append(event)
        if state.state is not CLOSED:
            return  # it has just tripped: all that is here led to it
        if len(run.events) >= _MARK_EVERY:
            self._runs.append(Run(dump(state)))
        oldest = oldest_held(state)
        while len(self._runs) > 1 and self._runs[0].events[-1].seq < oldest:
            del self._runs[0]

    def joined(self) -> Run | None:
        """All of it as one run."""
        if not self._runs:
            return None
        first = self._runs[0]
        return Run(
            first.start,
            [event for run in self._runs for event in run.events],
            [event for run in self._runs for event in run.counted],
        )


def oldest_held(state: BreakerState) -> int:
    """The ``seq`` of the oldest outcome that a state's counters still hold."""
    held = list(state.failure_seqs[:1])
    if state.window is not None and state.window.calls:
        held.append(state.window.span()[0])
    return min(held, default=_NOTHING_HELD)


@define
class Incident:
    """What belongs to one trip.

    Attributes:
        opened: The edge.
        config: The settings that it tripped under.
        mode: What the breaker did with its decisions.
        run: The outcomes that led to it, up to the one that fired it.
        since: The ``seq`` at which the epoch that it ended began, as far as that was read.
        opening: How often the breaker had opened by its rules, with this trip.
        in_a_row: How often since it was last closed.
        cooldowns_ns: How long this opening cools, and each relapse.
        closed: The edge that closed it again.
        last_at: The last moment that was looked at.
        rejected: Calls refused until then.
        probes: Probes let through until then.
        relapses: Times that it opened again from HALF_OPEN.
        late: Outcomes after the trip of calls let through before it.
        acts: What operators did, from the beginning of the epoch on.
        readings: The readings of both hands, from one before the evidence to one behind the close.
    """

    opened: Edge
    config: CircuitBreakerConfig
    mode: Mode
    run: Run | None = None
    since: int = 0
    opening: int = 0
    in_a_row: int = 0
    cooldowns_ns: list[int] = Factory(list)
    closed: Edge | None = None
    last_at: int = 0
    rejected: int = 0
    probes: int = 0
    relapses: int = 0
    late: list[Outcome] = Factory(list)
    acts: list[Act] = Factory(list)
    readings: list[Reading] = Factory(list)


def gather(events: Iterable[Event], opened: Edge) -> Incident:
    """Gather what belongs to the trip ``opened``, in one pass.

    Args:
        events: A log's events from a ``log_opened`` on, as far as the fold went.
        opened: An edge from CLOSED to OPEN that they fold to.
    """
    gatherer = _Gatherer(opened)
    for event in events:
        if gatherer.take(event):
            break
    assert gatherer.incident is not None
    return gatherer.incident


class _Gatherer:
    def __init__(self, opened: Edge) -> None:
        self._opened = opened
        self._fold = LogFold()
        self._runs = Runs()
        self._acts: list[Act] = []
        self._readings: list[Reading] = []
        self._since = 0
        self._is_gap = False
        self.incident: Incident | None = None

    def take(self, event: Event) -> bool:
        """Fold the next event; True once nothing more belongs to the incident."""
        if isinstance(event, Reading):
            self._read(event)
        if event.kind not in ("checkpoint", "log_sealed"):
            self._is_gap = event.kind == "log_gap"
        if self.incident is not None and self.incident.closed is not None:
            return isinstance(event, Reading)
        is_mine = getattr(event, "breaker", None) == self._opened.breaker
        before = self._counts() if is_mine else None
        edges = self._fold.apply(event)
        if self.incident is None:
            if is_mine:
                self._lead_up(event, before)
        else:
            self.incident.last_at = event.at
            if is_mine:
                self._follow(event)
        for edge in edges:
            if edge.breaker == self._opened.breaker:
                self._pass_edge(edge)
        return False

    def _read(self, reading: Reading) -> None:
        self._readings.append(reading)
        if self.incident is None:
            # The last one before the oldest outcome that counts is kept, and those behind it.
            state = self._fold.breakers.get(self._opened.breaker)
            oldest = _NOTHING_HELD if state is None else oldest_held(state)
            while len(self._readings) > 1 and self._readings[1].seq <= oldest:
                del self._readings[0]

    def _counts(self) -> tuple[int, int] | None:
        state = self._fold.breakers.get(self._opened.breaker)
        return None if state is None else (state.epoch, state.succeeded + state.failed)

    def _lead_up(self, event: Event, before: tuple[int, int] | None) -> None:
        state = self._fold.breakers[self._opened.breaker]
        if isinstance(event, Act) and before is not None:
            self._acts.append(event)
        if event.kind == "breaker_configured" or before is None:
            self._runs.begin(state)
            return
        if event.kind == "checkpoint":
            # Anywhere but behind a gap it is what the events before it lead to.
            if self._is_gap:
                self._runs.begin(state)
            return
        if event.kind in ("state_changed", "call_observed"):
            return
        is_counted = state.succeeded + state.failed > before[1] and state.mode != "disabled"
        assert not isinstance(event, LogOpened | ClockTicked)
        self._runs.add(event, state, is_counted=is_counted)  # type: ignore[arg-type]

    def _pass_edge(self, edge: Edge) -> None:
        state = self._fold.breakers[edge.breaker]
        if self.incident is None:
            if edge.seq == self._opened.seq:
                self._begin(edge, state)
                return
            self._runs.begin(state)
            self._since = edge.seq
            self._acts = [act for act in self._acts if act.seq == edge.seq - 1]
            return
        if edge.to_state is CircuitBreakerState.CLOSED:
            self.incident.closed = edge
            self.incident.last_at = edge.at
        elif edge.from_state is HALF_OPEN and edge.trigger is Trigger.RELAPSE:
            self.incident.relapses += 1
            self._note_cooldown(state)

    def _begin(self, edge: Edge, state: BreakerState) -> None:
        self.incident = Incident(
            opened=edge,
            config=state.config,
            mode=state.mode,
            run=self._runs.joined(),
            since=self._since,
            opening=state.openings,
            in_a_row=state.openings_in_a_row,
            last_at=edge.at,
            acts=self._acts,
            readings=self._readings,
        )
        self._note_cooldown(state)

    def _note_cooldown(self, state: BreakerState) -> None:
        assert self.incident is not None
        if state.deadline is not None and state.opened_at is not None:
            self.incident.cooldowns_ns.append(state.deadline - state.opened_at)

    def _follow(self, event: Event) -> None:
        incident = self.incident
        assert incident is not None
        if event.kind == "call_rejected":
            incident.rejected += event.count
        elif event.kind == "probe_admitted":
            incident.probes += 1
        elif isinstance(event, Act):
            incident.acts.append(event)
        elif isinstance(event, Outcome) and event.epoch == incident.opened.epoch - 1:
            incident.late.append(event)


def went_well(event: FoldedEvent, limit_ns: int | None) -> FoldedEvent:
    """The outcome gone the other way: a success, and not slow."""
    if not isinstance(event, CallSucceeded | CallFailed):
        return event
    took = event.took if limit_ns is None else min(event.took, limit_ns)
    if isinstance(event, CallSucceeded):
        return evolve(event, took=took)
    return CallSucceeded(event.seq, event.at, event.breaker, event.epoch, took, event.probe)
