"""Folds one breaker over columns: the kernel runs over its rows from edge to edge."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple, Protocol, TypeAlias

from attrs import evolve, frozen

from recloser.core import kernel
from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import (
    BreakerEvent,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    StateChanged,
)
from recloser.core.fold import Forms, apply, edges_of, impossible, take_due_edges
from recloser.core.log_fold import initial_state
from recloser.core.state import BreakerState, differing_fields, is_dumped_as, restore
from recloser.errors import FoldError
from recloser.log.checkpoint_line import CheckpointLine
from recloser.log.codec import LEAN_CAUSE, as_lean, full, is_lean, lean


class RowSource(Protocol):
    """Events of one breaker in order, as rows of columns."""

    @property
    def columns(self) -> kernel.Rows:
        """The columns, which may have rows of other breakers before ``start`` and from ``stop`` on."""

    @property
    def start(self) -> int:
        """Index of the breaker's first row."""

    @property
    def stop(self) -> int:
        """Index just past the breaker's last row."""

    @property
    def others(self) -> Mapping[int, BreakerEvent | CheckpointLine]:
        """The events that the kernel can't take as rows, by row index, in order."""

    def seq(self, row: int) -> int:
        """Return the ``seq`` of the event in a row."""

    def at(self, row: int) -> int:
        """Return the time of the event in a row, in nanoseconds of the log."""

    def first_row_from(self, seq: int) -> int:
        """Return the first row that has this ``seq`` or a later one."""

    def event(self, row: int) -> BreakerEvent:
        """Return the event of a row."""


@frozen(eq=False)
class ClockEvents:
    """The events about the whole log that can move a breaker.

    These are the ticks of the clock and the headers that begin a further session.

    Attributes:
        events: The events, in order.
        seqs: The ``seq`` of each.
        ats: The time of each, in nanoseconds of the log.
        openings: The indices of the headers.
    """

    events: Sequence[ClockTicked | LogOpened]
    seqs: Sequence[int]
    ats: Sequence[int]
    openings: Sequence[int]


class OrderedEdge(NamedTuple):
    """An edge with a key before it, so that sorting gives the order of the log.

    Attributes:
        seq: The ``seq`` of the event that fired it.
        due: The breaker's deadline, in nanoseconds, if that event is a tick; otherwise 0.
        breaker: The breaker, if that event is about the whole log; otherwise empty.
        epoch: The epoch that the edge begins, which orders the edges of one event.
        edge: The edge, numbered as if it were the only one of its event.
    """

    seq: int
    due: int
    breaker: str
    epoch: int
    edge: Edge


LeanOrderedEdge: TypeAlias = tuple[int, int, str, int, Edge]
"""The fields of ``OrderedEdge`` with a lean edge; the garbage collector does not track it."""

_LEAN: Final = Forms(lean(StateChanged), LEAN_CAUSE)


class BreakerFold:
    """Folds the rows of one breaker, batch by batch.

    Args:
        breaker: The breaker's name.
        clock_events: The events about the whole log that can move it.
        state: Its state before the first row; None if its first event is still to come.
        parts: Joins its checkpoints that take several lines.

    Attributes:
        breaker: The breaker's name.
        lean_edges: The edges found, in their lean forms.
        lean_witnesses: The edges that the log recorded, in their lean forms.
        has_diverged: Whether a checkpoint differed from the state.
    """

    def __init__(
        self,
        breaker: str,
        clock_events: ClockEvents,
        state: BreakerState | None = None,
        parts: CheckpointParts | None = None,
    ) -> None:
        self.breaker = breaker
        self.lean_edges: list[LeanOrderedEdge] = []
        self.lean_witnesses: list[StateChanged] = []
        self.has_diverged = False
        self._clock_events = clock_events
        # Index of the next clock event; kept up to date only while the breaker is not CLOSED.
        self._next = 0
        self._state = state
        self._parts = CheckpointParts() if parts is None else parts

    @property
    def has_begun(self) -> bool:
        """Whether the breaker has a state: its first event has been folded."""
        return self._state is not None

    @property
    def edges(self) -> list[OrderedEdge]:
        """The edges found so far."""
        return [
            OrderedEdge(seq, due, breaker, epoch, full(edge))
            for seq, due, breaker, epoch, edge in self.lean_edges
        ]

    @property
    def witnesses(self) -> list[StateChanged]:
        """The edges that the log recorded."""
        return list(map(full, self.lean_witnesses))

    @property
    def state(self) -> BreakerState:
        """The state after all rows that were folded."""
        assert self._state is not None
        return self._state

    def fold_rows(self, rows: RowSource) -> None:
        """Fold the next rows.

        Raises:
            FoldError: An event can't have happened.
        """
        start = rows.start if self._state is not None else self._begin(rows)
        if self._state is None:
            return
        positions = _ClockPositions(rows, self._clock_events)
        witnesses, lean_edge = self.lean_witnesses, _LEAN.edge
        for other, event in rows.others.items():
            if type(event) is lean_edge:
                witnesses.append(event)
            elif event.kind == "state_changed":
                witnesses.append(as_lean(event))
            elif start <= other:
                self._run(rows, positions, start, other)
                self._fold_other(event, positions, other)
                start = other + 1
        self._run(rows, positions, start, rows.stop)

    def _begin(self, rows: RowSource) -> int:
        """Find the first state, and return the row from which to fold.

        If the rows hold only parts of a first checkpoint, all of them are used up.
        """
        for row in range(rows.start, rows.stop):
            event = rows.event(row)
            if event.kind == "checkpoint":
                whole = self._parts.joined(event)
                if whole is None:
                    continue
                event = whole
            self._state = initial_state(event)
            self._next = bisect_left(self._clock_events.seqs, event.seq)
            return row + 1 if event.kind == "checkpoint" else row
        return rows.stop

    def fold_rest(self) -> None:
        """Fold the clock events after the last row.

        Raises:
            FoldError: The breaker's first checkpoint was not complete.
        """
        if self._state is None:
            raise FoldError(f"the first checkpoint of {self.breaker!r} is not complete")
        while (index := self._next_due()) < len(self._clock_events.events):
            self._fold_clock_event(index)

    def _run(self, rows: RowSource, positions: "_ClockPositions", start: int, stop: int) -> None:
        """Fold rows that the kernel has a form for, and the clock events among them."""
        state, columns, clock_seqs = self.state, rows.columns, self._clock_events.seqs
        seq_of, at_of = rows.seq, rows.at
        lean_edges = self.lean_edges
        row = start
        while row < stop:
            until = stop
            where = state.where
            if where != kernel.CLOSED:
                index = self._next_due()
                until = positions.row_after(index)
                if until <= row:
                    self._fold_clock_event(index)
                    continue
                # A row of a half-open breaker may admit a probe, which makes the deadline earlier.
                # So the kernel stops at the next clock event, whether or not it is due now.
                if where == kernel.HALF_OPEN:
                    until = positions.row_after(positions.first_after(row))
                until = min(until, stop)
            row = kernel.run(state, columns, row, until)
            rule = state.fired
            if rule > 0:
                seq = seq_of(row)
                for edge in edges_of(state, rule, seq, at_of(row), forms=_LEAN):
                    lean_edges.append((seq, 0, "", edge.epoch, edge))
                self._next = bisect_right(clock_seqs, seq, self._next)
                row += not state.is_timed
            elif rule < 0:
                raise impossible(state, rule, rows.event(row))
            elif state.where == kernel.HALF_OPEN:
                self._next = max(self._next, positions.first_after(row - 1))

    def _fold_other(
        self, event: BreakerEvent | CheckpointLine, positions: "_ClockPositions", row: int
    ) -> None:
        while (
            self.state.where != kernel.CLOSED
            and positions.row_after(index := self._next_due()) <= row
        ):
            self._fold_clock_event(index)
        if event.kind == "checkpoint":
            differing = self._differing(event)
            if differing is None:
                return
            self.has_diverged = True
            event = differing
        edges = apply(self.state, event)
        self._next = bisect_right(self._clock_events.seqs, event.seq)
        for edge in edges:
            self.lean_edges.append((event.seq, 0, "", edge.epoch, as_lean(edge)))

    def _differing(self, event: Checkpoint | CheckpointLine) -> Checkpoint | None:
        """Return the whole checkpoint if this event completes one that differs."""
        state = self.state
        if isinstance(event, CheckpointLine):
            if event.is_of(state):
                return None
            event = event.read()
        whole = self._parts.joined(event)
        if whole is None or is_dumped_as(state, whole.state):
            return None
        return whole if differing_fields(state, restore(whole)) else None

    def _next_due(self) -> int:
        """Return the index of the clock event that moves the breaker next.

        Rows that come before it may change that.
        """
        state, clock_events = self._state, self._clock_events
        assert state is not None
        where = state.where
        if where == kernel.OPEN:
            return bisect_left(clock_events.ats, state.deadline, self._next)
        if where == kernel.CLOSED:
            return len(clock_events.events)
        due = bisect_left(clock_events.ats, state.deadline, self._next)
        opening = bisect_left(clock_events.openings, self._next)
        if opening < len(clock_events.openings):
            due = min(due, clock_events.openings[opening])
        return due

    def _fold_clock_event(self, index: int) -> None:
        event = self._clock_events.events[index]
        state = self.state
        # A tick moves breakers in the order of their deadlines, an opening in the order of names.
        if event.kind == "clock_ticked":
            due = state.deadline
            edges = take_due_edges(state, event, _LEAN)
        else:
            due = 0
            edges = list(map(as_lean, apply(state, event)))
        for edge in edges:
            self.lean_edges.append((event.seq, due, self.breaker, edge.epoch, edge))
        self._next = index + 1


class _ClockPositions:
    """The positions of the clock events among some rows of a breaker."""

    def __init__(self, rows: RowSource, clock_events: ClockEvents) -> None:
        self._rows = rows
        self._seqs = clock_events.seqs

    def row_after(self, index: int) -> int:
        """Return the first row after a clock event; the end of the rows if none is."""
        if index < len(self._seqs):
            return self._rows.first_row_from(self._seqs[index])
        return self._rows.stop

    def first_after(self, row: int) -> int:
        """Return the index of the first clock event after a row."""
        return bisect_right(self._seqs, self._rows.seq(row))


def in_order(ordered: Iterable[OrderedEdge | LeanOrderedEdge]) -> list[Edge]:
    """Return the edges of several breakers in the order of the log.

    One event about the whole log may move several breakers. Their edges follow it one after
    another, so they get consecutive numbers here.
    """
    edges: list[Edge] = []
    for cause, fired in groupby(sorted(ordered), key=itemgetter(0)):
        for seq, (*_, edge) in enumerate(fired, cause + 1):
            edges.append(edge if edge.seq == seq else _renumbered(edge, seq))
    return edges


def _renumbered(edge: Edge, seq: int) -> Edge:
    moved = evolve(full(edge), seq=seq)
    return as_lean(moved) if is_lean(edge) else moved


def clock_events_of(events: Iterable[Event], session: int = 0) -> ClockEvents:
    """Return the events that can move a breaker, from the events about the whole log.

    Args:
        events: The events about the whole log.
        session: The session before them; 0 before the first.
    """
    moving: list[ClockTicked | LogOpened] = []
    openings = []
    for event in events:
        if event.kind == "clock_ticked":
            moving.append(event)
        elif event.kind == "log_opened" and event.session != session:
            if session:
                openings.append(len(moving))
                moving.append(event)
            session = event.session
    return ClockEvents(
        moving,
        [event.seq for event in moving],
        [event.at for event in moving],
        openings,
    )
