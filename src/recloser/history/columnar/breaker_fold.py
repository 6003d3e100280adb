"""The fold of one breaker over columns: the kernel runs over them from edge to edge."""

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
from recloser.core.fold import Forms, apply, edges_of, impossible, pass_deadlines
from recloser.core.log_fold import state_begun_by
from recloser.core.state import BreakerState, is_dumped_as, parted_fields, restore
from recloser.errors import FoldError
from recloser.log.checkpoint_line import CheckpointLine
from recloser.log.codec import LEAN_CAUSE, as_lean, full, is_lean, lean


class Rows(Protocol):
    """Events of one breaker in their order, as rows of columns."""

    @property
    def columns(self) -> kernel.Rows:
        """The columns, in which rows of other breakers may stand before and after them."""

    @property
    def start(self) -> int:
        """The first row."""

    @property
    def stop(self) -> int:
        """One past the last row."""

    @property
    def others(self) -> Mapping[int, BreakerEvent | CheckpointLine]:
        """The events that the kernel has no row for, by their row, in their order."""

    def seq(self, row: int) -> int:
        """The ``seq`` of a row."""

    def at(self, row: int) -> int:
        """Its time, in nanoseconds."""

    def place_of(self, seq: int) -> int:
        """The first row that has this ``seq`` or a later one."""

    def event(self, row: int) -> BreakerEvent:
        """The event of a row."""


@frozen(eq=False)
class Times:
    """The events about the whole log that can move a breaker: ticks, and the openings of sessions.

    Attributes:
        events: Each, in their order.
        seqs: The ``seq`` of each.
        ats: Their times, in nanoseconds.
        openings: The indices of those that begin a further session.
    """

    events: Sequence[ClockTicked | LogOpened]
    seqs: Sequence[int]
    ats: Sequence[int]
    openings: Sequence[int]


class Taken(NamedTuple):
    """An edge, after what puts it in the order of the log, which is that of these tuples.

    Attributes:
        seq: That of the event at which it was taken.
        due: When it fell due, where that event is about the whole log.
        breaker: Its breaker, where that event is about the whole log.
        epoch: The one that it begins, which orders the edges of one event.
        edge: The edge, as if it were the only one of its event.
    """

    seq: int
    due: int
    breaker: str
    epoch: int
    edge: Edge


LeanTaken: TypeAlias = tuple[int, int, str, int, Edge]
"""As ``Taken``, of which the collector of garbage keeps no track."""

_LEAN: Final = Forms(lean(StateChanged), LEAN_CAUSE)


class BreakerFold:
    """Folds the rows of one breaker, part by part.

    Args:
        breaker: Its name.
        times: What else can move it.
        state: Its state before the first; None before its first event.
        parts: Joins its checkpoints.

    Attributes:
        lean_taken: The edges, in their lean forms.
        lean_witnesses: The edges that the log recorded, in their lean forms.
        is_parted: Whether a checkpoint differs from what the events before it lead to.
    """

    def __init__(
        self,
        breaker: str,
        times: Times,
        state: BreakerState | None = None,
        parts: CheckpointParts | None = None,
    ) -> None:
        self.breaker = breaker
        self.lean_taken: list[LeanTaken] = []
        self.lean_witnesses: list[StateChanged] = []
        self.is_parted = False
        self._times = times
        self._time = 0  # index of the next of them, where the breaker is not CLOSED
        self._state = state
        self._parts = CheckpointParts() if parts is None else parts

    @property
    def has_begun(self) -> bool:
        """Whether there was a first event."""
        return self._state is not None

    @property
    def taken(self) -> list[Taken]:
        """The edges."""
        return [
            Taken(seq, due, breaker, epoch, full(edge))
            for seq, due, breaker, epoch, edge in self.lean_taken
        ]

    @property
    def witnesses(self) -> list[StateChanged]:
        """The edges that the log recorded."""
        return list(map(full, self.lean_witnesses))

    @property
    def state(self) -> BreakerState:
        """The state after all that was taken."""
        assert self._state is not None
        return self._state

    def take(self, rows: Rows) -> None:
        """Fold the next rows.

        Raises:
            FoldError: An event can't have happened.
        """
        start = rows.start if self._state is not None else self._begin(rows)
        if self._state is None:
            return
        places = _Places(rows, self._times)
        witnesses, lean_edge = self.lean_witnesses, _LEAN.edge
        for other, event in rows.others.items():
            if type(event) is lean_edge:
                witnesses.append(event)
            elif event.kind == "state_changed":
                witnesses.append(as_lean(event))
            elif start <= other:
                self._run(rows, places, start, other)
                self._take_other(event, places, other)
                start = other + 1
        self._run(rows, places, start, rows.stop)

    def _begin(self, rows: Rows) -> int:
        """Take the first state; the row after it, or after the part of it that these rows hold."""
        for row in range(rows.start, rows.stop):
            event = rows.event(row)
            if event.kind == "checkpoint":
                whole = self._parts.joined(event)
                if whole is None:
                    continue
                event = whole
            self._state = state_begun_by(event)
            self._time = bisect_left(self._times.seqs, event.seq)
            return row + 1 if event.kind == "checkpoint" else row
        return rows.stop

    def finish(self) -> None:
        """Take what is due at the events about the whole log after the last row.

        Raises:
            FoldError: The first state of the breaker was not whole.
        """
        if self._state is None:
            raise FoldError(f"the first checkpoint of {self.breaker!r} is not whole")
        while (time := self._next_time()) < len(self._times.events):
            self._pass_time(time)

    def _run(self, rows: Rows, places: "_Places", start: int, stop: int) -> None:
        """Apply the rows that the kernel has a form for, and the times among them."""
        state, columns, times = self.state, rows.columns, self._times.seqs
        seq_of, at_of = rows.seq, rows.at
        taken = self.lean_taken
        row = start
        while row < stop:
            until = stop
            where = state.where
            if where != kernel.CLOSED:
                time = self._next_time()
                until = places.of(time)
                if until <= row:
                    self._pass_time(time)
                    continue
                # A probe that is let through brings the deadline of a half-open breaker forward.
                if where == kernel.HALF_OPEN:
                    until = places.of(places.first_after(row))
                until = min(until, stop)
            row = kernel.run(state, columns, row, until)
            rule = state.fired
            if rule > 0:
                seq = seq_of(row)
                for edge in edges_of(state, rule, seq, at_of(row), forms=_LEAN):
                    taken.append((seq, 0, "", edge.epoch, edge))
                self._time = bisect_right(times, seq, self._time)
                row += not state.is_timed
            elif rule < 0:
                raise impossible(state, rule, rows.event(row))
            elif state.where == kernel.HALF_OPEN:
                self._time = max(self._time, places.first_after(row - 1))

    def _take_other(
        self, event: BreakerEvent | CheckpointLine, places: "_Places", row: int
    ) -> None:
        while self.state.where != kernel.CLOSED and places.of(time := self._next_time()) <= row:
            self._pass_time(time)
        if event.kind == "checkpoint":
            parted = self._parted(event)
            if parted is None:
                return
            self.is_parted = True
            event = parted
        edges = apply(self.state, event)
        self._time = bisect_right(self._times.seqs, event.seq)
        for edge in edges:
            self.lean_taken.append((event.seq, 0, "", edge.epoch, as_lean(edge)))

    def _parted(self, event: Checkpoint | CheckpointLine) -> Checkpoint | None:
        """The whole checkpoint, if this is the end of one whose state differs from ours."""
        state = self.state
        if isinstance(event, CheckpointLine):
            if event.is_of(state):
                return None
            event = event.read()
        whole = self._parts.joined(event)
        if whole is None or is_dumped_as(state, whole.state):
            return None
        return whole if parted_fields(state, restore(whole)) else None

    def _next_time(self) -> int:
        """Index of the next time at which something is due, as long as no row comes before it."""
        state, times = self._state, self._times
        assert state is not None
        where = state.where
        if where == kernel.OPEN:
            return bisect_left(times.ats, state.deadline, self._time)
        if where == kernel.CLOSED:
            return len(times.events)
        due = bisect_left(times.ats, state.deadline, self._time)
        opening = bisect_left(times.openings, self._time)
        if opening < len(times.openings):
            due = min(due, times.openings[opening])
        return due

    def _pass_time(self, time: int) -> None:
        event = self._times.events[time]
        state = self.state
        # A tick moves breakers in the order in which they fell due, an opening in that of names.
        if event.kind == "clock_ticked":
            due = state.deadline
            edges = pass_deadlines(state, event, _LEAN)
        else:
            due = 0
            edges = list(map(as_lean, apply(state, event)))
        for edge in edges:
            self.lean_taken.append((event.seq, due, self.breaker, edge.epoch, edge))
        self._time = time + 1


class _Places:
    """Where the events about the whole log stand among some rows of a breaker."""

    def __init__(self, rows: Rows, times: Times) -> None:
        self._rows = rows
        self._seqs = times.seqs

    def of(self, time: int) -> int:
        """The first row after an event; all rows are before one that stands after the last."""
        return self._rows.place_of(self._seqs[time]) if time < len(self._seqs) else self._rows.stop

    def first_after(self, row: int) -> int:
        """Index of the first event that stands after a row."""
        return bisect_right(self._seqs, self._rows.seq(row))


def in_order(taken: Iterable[Taken | LeanTaken]) -> list[Edge]:
    """The edges of several breakers in the order of the log.

    An event about the whole log may move several: their witnesses follow it one after the other.
    """
    edges: list[Edge] = []
    for before, fired in groupby(sorted(taken), key=itemgetter(0)):
        for seq, (*_, edge) in enumerate(fired, before + 1):
            edges.append(edge if edge.seq == seq else _moved(edge, seq))
    return edges


def _moved(edge: Edge, seq: int) -> Edge:
    moved = evolve(full(edge), seq=seq)
    return as_lean(moved) if is_lean(edge) else moved


def times_of(events: Iterable[Event], session: int = 0) -> Times:
    """The events about the whole log that can move a breaker.

    Args:
        events: The events about the whole log.
        session: The one that was under way before them; 0 before the first.
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
    return Times(
        moving,
        [event.seq for event in moving],
        [event.at for event in moving],
        openings,
    )
