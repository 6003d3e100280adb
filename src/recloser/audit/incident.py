"""Gather the events that belong to each trip, in one pass over a log."""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from attrs import Factory, define

from recloser.core import kernel
from recloser.core.checkpoint_parts import is_part
from recloser.core.config import CircuitBreakerConfig, Mode
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallSucceeded,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    ModeChanged,
    Trigger,
)
from recloser.core.events import Command as CommandEvent
from recloser.core.gaps import GapWatch
from recloser.core.kernel import NEVER
from recloser.core.log_fold import LogFold
from recloser.core.rules import rules_of
from recloser.core.state import BreakerState, numbers_of
from recloser.core.state_machine import CLOSED, OPEN

Outcome: TypeAlias = CallSucceeded | CallFailed
Act: TypeAlias = CommandEvent | ModeChanged | BreakerConfigured
Reading: TypeAlias = LogOpened | ClockTicked

_EVENTS_PER_RUN: Final = 256
_MAX_READINGS: Final = 100_000
_NOTHING_HELD: Final = 1 << 63  # above every seq


@define
class OutcomeRun:
    """Consecutive outcomes of a breaker, to be folded again with other settings.

    Attributes:
        start: The state of the breaker before the first outcome.
        counted: The outcomes that the breaker counted.
        events: How many events about the breaker the run covers.
        last_seq: The last of these events.
    """

    start: BreakerState
    counted: list[Outcome] = Factory(list)
    events: int = 0
    last_seq: int = 0
    _columns: Sequence[kernel.Numbers] | None = None

    def folded(self, config: CircuitBreakerConfig, gone_well: Collection[int] = ()) -> BreakerState:
        """Fold the outcomes with other settings, up to where the breaker trips.

        Args:
            config: The settings; the window must have the size that it had.
            gone_well: The ``seq`` of each outcome that is folded as a success in time instead.

        Returns:
            The state. Its ``fired`` is the rule that trips the breaker, or ``kernel.NO_RULE``; the
            edge is not taken.
        """
        if self._columns is None:
            columns = zip(*map(_row_of, self.counted), strict=True)
            self._columns = [
                array(code, column) for code, column in zip("Bqqqqqq", columns, strict=True)
            ]
        kinds, seqs, ats, tooks, *others = self._columns
        state = self.start.copy()
        kernel.judge_by(state, rules_of(config))
        if gone_well:
            kinds, tooks = kinds[:], tooks[:]
            for seq in gone_well:
                row = bisect_left(seqs, seq)
                kinds[row] = kernel.SUCCEEDED
                tooks[row] = min(tooks[row], state.rules.slow_ns)
        kernel.run(state, kernel.Rows(kinds, seqs, ats, tooks, *others), 0, len(kinds))
        return state


def _row_of(outcome: Outcome) -> Sequence[int]:
    kind, count = kernel.FAILED, 1
    if isinstance(outcome, CallSucceeded):
        kind, count = kernel.SUCCEEDED, outcome.count
    return kind, outcome.seq, outcome.at, outcome.took, outcome.epoch, outcome.probe, count


class RecentRuns:
    """The latest outcomes of a closed breaker, back to the oldest in its counters.

    They are kept as several runs, each with the state before it, so that old ones can be dropped.
    """

    def __init__(self) -> None:
        self._runs: list[OutcomeRun] = []

    def begin(self, state: BreakerState) -> None:
        """Start again from this state, because an epoch begins or the counters are reset."""
        self._runs = [OutcomeRun(state.copy())] if state.state is CLOSED else []

    def add(self, event: Event, state: BreakerState, *, is_counted: bool) -> None:
        """Add an event that has already been folded into ``state``."""
        if not self._runs:
            return
        run = self._runs[-1]
        run.events += 1
        run.last_seq = event.seq
        if is_counted and isinstance(event, Outcome):
            run.counted.append(event)
        if state.state is not CLOSED:
            return  # the event tripped the breaker: keep everything that led to it
        entries = 0 if state.window is None else state.window.length
        # A run begins with a copy of the state, so a large window is copied less often.
        if run.events >= max(_EVENTS_PER_RUN, entries):
            self._runs.append(OutcomeRun(state.copy()))
        oldest = oldest_held(state)
        while len(self._runs) > 1 and self._runs[0].last_seq < oldest:
            del self._runs[0]

    def joined(self) -> OutcomeRun | None:
        """The runs joined into one; None if the breaker was not closed."""
        if not self._runs:
            return None
        counted = [event for run in self._runs for event in run.counted]
        return OutcomeRun(self._runs[0].start, counted)


def oldest_held(state: BreakerState) -> int:
    """The ``seq`` of the oldest outcome in a state's counters.

    If the counters are empty, a number above every ``seq``.
    """
    held = numbers_of(state.failure_seqs)[:1]
    if state.window is not None and state.window.calls:
        held.append(state.window.span()[0])
    return min(held, default=_NOTHING_HELD)


@define
class Incident:
    """A trip and the events that belong to it, until the breaker was closed again.

    Attributes:
        opened: The edge of the trip.
        config: The breaker's settings at the trip.
        mode: The breaker's mode at the trip.
        run: The outcomes up to the trip; None if the breaker's closed epoch was not read.
        opening: How often the breaker's rules had opened it, with this trip.
        in_a_row: How often its rules had opened it since it was last closed, with this trip.
        cooldowns_ns: The cooldowns of the trip and of each relapse, in nanoseconds.
        closed: The edge that closed the breaker; None if the log ends before.
        last_at: When the breaker was closed or the log ended, in nanoseconds of the log's time.
        rejected: How many calls were rejected in the open period.
        probes: How many probes were admitted in the open period.
        relapses: How often the breaker went from HALF_OPEN back to OPEN.
        late: Outcomes in the open period of calls that were let through before the trip.
        acts: The operators' commands, from the beginning of the epoch that the trip ended.
        readings: The clock readings, from the last one before the evidence to the end.
    """

    opened: Edge
    config: CircuitBreakerConfig
    mode: Mode
    run: OutcomeRun | None = None
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


def gather_incident(events: Iterable[Event], opened: Edge) -> Incident:
    """Gather the incident of one trip.

    Args:
        events: A log's events, from a ``log_opened`` event on.
        opened: The edge of the trip, which must be among the edges that the events fold to.
    """
    return next(
        gather_incidents(events, lambda edge: edge.seq == opened.seq, breaker=opened.breaker)
    )


def gather_incidents(
    events: Iterable[Event],
    is_wanted: Callable[[Edge], bool] = lambda _edge: True,
    *,
    breaker: str | None = None,
    watch: Callable[[Event, LogFold, Sequence[Edge]], None] = lambda *_: None,
) -> Iterator[Incident]:
    """Gather the incidents of a log in one pass, and yield each when it is over.

    Args:
        events: A log's events, from a ``log_opened`` event on.
        is_wanted: Decides for the edge of each trip whether to gather its incident.
        breaker: The only breaker to gather incidents of; None for all breakers.
        watch: Called with each event, the fold after it, and the edges that followed from it.
    """
    gathering = _Gathering(is_wanted, breaker, watch)
    for event in events:
        yield from gathering.add(event)
    yield from gathering.finish()


class _Gathering:
    """Gathers the incidents of all breakers in one pass over a log."""

    def __init__(
        self,
        is_wanted: Callable[[Edge], bool],
        breaker: str | None,
        watch: Callable[[Event, LogFold, Sequence[Edge]], None],
    ) -> None:
        self._is_wanted = is_wanted
        self._breaker = breaker
        self._watch = watch
        self._fold = LogFold()
        self._readings: deque[Reading] = deque(maxlen=_MAX_READINGS)
        self._gatherers: dict[str, _Gatherer] = {}
        self._gap = GapWatch()

    def add(self, event: Event) -> Iterator[Incident]:
        """Fold the next event and yield the incidents that end with it."""
        if isinstance(event, Reading):
            self._readings.append(event)
        self._gap.update(event)
        name: str = getattr(event, "breaker", "")
        gatherer = self._gatherer_of(event, name)
        if gatherer is not None:
            gatherer.prepare(self._fold.breakers.get(name))
        edges = self._fold.apply(event)
        self._watch(event, self._fold, edges)
        if event.kind == "checkpoint" and is_part(event):
            return
        state = self._fold.breakers.get(name)
        # A damaged log can hold a witness of a breaker that was never configured.
        if gatherer is not None and state is not None:
            gatherer.add(event, state, is_gap=self._gap.is_gap)
        for edge in edges:
            if edge.breaker in self._gatherers:
                state = self._fold.breakers[edge.breaker]
                done = self._gatherers[edge.breaker].add_edge(edge, state)
                if done is not None:
                    yield done

    def finish(self) -> Iterator[Incident]:
        """Yield the incidents that are not over at the end of the log."""
        for gatherer in self._gatherers.values():
            if gatherer.incident is not None:
                yield gatherer.finish(self._fold.at)

    def _gatherer_of(self, event: Event, name: str) -> "_Gatherer | None":
        if event.kind == "call_observed" or not hasattr(event, "breaker"):
            return None
        if self._breaker not in (None, name):
            return None
        if name not in self._gatherers:
            self._gatherers[name] = _Gatherer(self._is_wanted, self._readings)
        return self._gatherers[name]


class _Gatherer:
    """Gathers the incidents of one breaker."""

    def __init__(self, is_wanted: Callable[[Edge], bool], readings: Sequence[Reading]) -> None:
        self._is_wanted = is_wanted
        self._all_readings = readings
        self._runs = RecentRuns()
        self._acts: list[Act] = []
        self._counted_before: int | None = None
        self.incident: Incident | None = None

    def prepare(self, state: BreakerState | None) -> None:
        """Note the state before an event about the breaker is folded."""
        self._counted_before = None if state is None else state.succeeded + state.failed

    def add(self, event: Event, state: BreakerState, *, is_gap: bool) -> None:
        """Add an event about the breaker; ``state`` is the state after it."""
        if self.incident is None:
            self._lead_up(event, state, is_gap=is_gap)
        else:
            self._follow(event)

    def finish(self, at: int) -> Incident:
        """End the incident at this time, in nanoseconds of the log's time, and return it."""
        incident, self.incident = self.incident, None
        assert incident is not None
        incident.last_at = at
        counted = incident.run.counted if incident.run else []
        first = counted[0].seq if counted else incident.opened.seq
        for reading in reversed(self._all_readings):
            incident.readings.insert(0, reading)
            if reading.seq < first:
                break
        return incident

    def _lead_up(self, event: Event, state: BreakerState, *, is_gap: bool) -> None:
        before = self._counted_before
        if isinstance(event, Act) and before is not None:
            self._acts.append(event)
        if event.kind == "breaker_configured" or before is None:
            self._runs.begin(state)
            return
        if event.kind == "checkpoint":
            # A checkpoint only repeats the state, except after a gap: then it replaces the state.
            if is_gap:
                self._runs.begin(state)
            return
        if event.kind in ("state_changed", "call_observed"):
            return
        is_counted = state.succeeded + state.failed > before and state.mode != "disabled"
        self._runs.add(event, state, is_counted=is_counted)

    def add_edge(self, edge: Edge, state: BreakerState) -> Incident | None:
        """Add an edge of the breaker; return the incident if the edge ends it."""
        incident = self.incident
        if incident is None:
            is_trip = edge.from_state is CLOSED and edge.to_state is OPEN
            if is_trip and self._is_wanted(edge):
                self._begin(edge, state)
                return None
            self._runs.begin(state)
            self._acts = _causing(self._acts, edge)
        elif edge.to_state is CLOSED:
            incident.closed = edge
            self._runs.begin(state)
            self._acts = _causing(incident.acts, edge)
            return self.finish(edge.at)
        elif edge.trigger is Trigger.RELAPSE:
            incident.relapses += 1
            self._note_cooldown(state)
        return None

    def _begin(self, edge: Edge, state: BreakerState) -> None:
        self.incident = Incident(
            opened=edge,
            config=state.config,
            mode=state.mode,
            run=self._runs.joined(),
            opening=state.openings,
            in_a_row=state.openings_in_a_row,
            last_at=edge.at,
            acts=self._acts,
        )
        self._note_cooldown(state)

    def _note_cooldown(self, state: BreakerState) -> None:
        assert self.incident is not None
        if state.deadline != NEVER and state.opened_at >= 0:
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


def _causing(acts: Sequence[Act], edge: Edge) -> list[Act]:
    """The command that caused the edge, which belongs to the next epoch."""
    return [act for act in acts if act.seq == edge.seq - 1]
