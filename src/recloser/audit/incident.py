"""An incident out of the log: all that belongs to one trip, gathered in one pass over the events."""

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

_MARK_EVERY: Final = 256
_READINGS_KEPT: Final = 100_000
_NOTHING_HELD: Final = 1 << 63


@define
class OutcomeRun:
    """A stretch of one breaker's events, whose outcomes can be folded again under other settings.

    Attributes:
        start: The state before the first of them.
        counted: Those of them that are outcomes which counted.
        events: How many events about the breaker there are.
        last_seq: The last of them.
    """

    start: BreakerState
    counted: list[Outcome] = Factory(list)
    events: int = 0
    last_seq: int = 0
    _columns: Sequence[kernel.Numbers] | None = None

    def folded(self, config: CircuitBreakerConfig, gone_well: Collection[int] = ()) -> BreakerState:
        """The state of a closed breaker after the outcomes, or at the first with which it trips.

        Args:
            config: Its settings; a window is of the size that it had.
            gone_well: The ``seq`` of outcomes that are taken to have been successes in time.

        Returns:
            The state, whose ``fired`` is the rule that trips it, or ``kernel.NO_RULE``. The edge is
            not taken.
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
    """The latest runs of one closed epoch: as many as what its counters still hold reaches back."""

    def __init__(self) -> None:
        self._runs: list[OutcomeRun] = []

    def begin(self, state: BreakerState) -> None:
        """A new epoch begins, or counting starts anew."""
        self._runs = [OutcomeRun(state.copy())] if state.state is CLOSED else []

    def add(self, event: Event, state: BreakerState, *, is_counted: bool) -> None:
        """Take in an event that has been folded into ``state``."""
        if not self._runs:
            return
        run = self._runs[-1]
        run.events += 1
        run.last_seq = event.seq
        if is_counted and isinstance(event, Outcome):
            run.counted.append(event)
        if state.state is not CLOSED:
            return  # it has just tripped: all that is here led to it
        entries = 0 if state.window is None else state.window.length
        if run.events >= max(_MARK_EVERY, entries):  # a large window is not copied often
            self._runs.append(OutcomeRun(state.copy()))
        oldest = oldest_held(state)
        while len(self._runs) > 1 and self._runs[0].last_seq < oldest:
            del self._runs[0]

    def joined(self) -> OutcomeRun | None:
        """All of it as one run."""
        if not self._runs:
            return None
        counted = [event for run in self._runs for event in run.counted]
        return OutcomeRun(self._runs[0].start, counted)


def oldest_held(state: BreakerState) -> int:
    """The ``seq`` of the oldest outcome that a state's counters still hold."""
    held = numbers_of(state.failure_seqs)[:1]
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
        readings: The readings of both hands, from one before the evidence to the close.
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
    """Gather what belongs to the trip ``opened``, in one pass.

    Args:
        events: A log's events from a ``log_opened`` on, as far as the fold went.
        opened: An edge from CLOSED to OPEN that they fold to.
    """
    return next(gather_incidents(events, lambda edge: edge.seq == opened.seq, breaker=opened.breaker))


def gather_incidents(
    events: Iterable[Event],
    is_wanted: Callable[[Edge], bool] = lambda _edge: True,
    *,
    breaker: str | None = None,
    watch: Callable[[Event, LogFold, Sequence[Edge]], None] = lambda *_: None,
) -> Iterator[Incident]:
    """Gather the incidents of a log in one pass, each when it is over.

    Args:
        events: A log's events from a ``log_opened`` on.
        is_wanted: Whether the trip that an edge is, is gathered.
        breaker: The only breaker looked at; None for all.
        watch: Told of each event, the fold behind it, and the edges that it fired.
    """
    gathering = _Gathering(is_wanted, breaker, watch)
    for event in events:
        yield from gathering.take(event)
    yield from gathering.finish()


class _Gathering:
    """One fold of a log, and a gatherer for each breaker in it."""

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
        self._readings: deque[Reading] = deque(maxlen=_READINGS_KEPT)
        self._gatherers: dict[str, _Gatherer] = {}
        self._gap = GapWatch()

    def take(self, event: Event) -> Iterator[Incident]:
        """Fold the next event; the incidents that it ends."""
        if isinstance(event, Reading):
            self._readings.append(event)
        self._gap.take(event)
        name: str = getattr(event, "breaker", "")
        gatherer = self._gatherer_of(event, name)
        if gatherer is not None:
            gatherer.prepare(self._fold.breakers.get(name))
        edges = self._fold.apply(event)
        self._watch(event, self._fold, edges)
        if event.kind == "checkpoint" and is_part(event):
            return
        state = self._fold.breakers.get(name)
        if gatherer is not None and state is not None:  # a witness may be of no breaker there is
            gatherer.take(event, state, is_gap=self._gap.is_gap)
        for edge in edges:
            if edge.breaker in self._gatherers:
                state = self._fold.breakers[edge.breaker]
                done = self._gatherers[edge.breaker].pass_edge(edge, state)
                if done is not None:
                    yield done

    def finish(self) -> Iterator[Incident]:
        """The incidents that the end of the log leaves open."""
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

    def take(self, event: Event, state: BreakerState, *, is_gap: bool) -> None:
        """Take in an event about the breaker, which has been folded."""
        if self.incident is None:
            self._lead_up(event, state, is_gap=is_gap)
        else:
            self._follow(event)

    def finish(self, at: int) -> Incident:
        """The incident, as it stands at a moment."""
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
            # Anywhere but behind a gap it is what the events before it lead to.
            if is_gap:
                self._runs.begin(state)
            return
        if event.kind in ("state_changed", "call_observed"):
            return
        is_counted = state.succeeded + state.failed > before and state.mode != "disabled"
        self._runs.add(event, state, is_counted=is_counted)

    def pass_edge(self, edge: Edge, state: BreakerState) -> Incident | None:
        """Take in an edge of the breaker; the incident, if that is over."""
        incident = self.incident
        if incident is None:
            is_trip = edge.from_state is CLOSED and edge.to_state is OPEN
            if is_trip and self._is_wanted(edge):
                self._begin(edge, state)
                return None
            self._runs.begin(state)
            self._acts = [act for act in self._acts if act.seq == edge.seq - 1]
        elif edge.to_state is CLOSED:
            incident.closed = edge
            self._runs.begin(state)
            self._acts = [act for act in incident.acts if act.seq == edge.seq - 1]
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
