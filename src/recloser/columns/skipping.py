"""The fold of one breaker from edge to edge.

Where nothing but an outcome can move a breaker, the next that may is searched for, what stands
before it is summed up, and only that one event is handed to ``recloser.fold``. While a breaker
probes, it is handed every event. Where edges stand close together, rows are looked at from nearby.
"""

import sys
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from attrs import frozen

from recloser.checkpoint_parts import CheckpointParts
from recloser.columns.rows import OTHER, REJECTED, Rows
from recloser.columns.views import Far, Near, View
from recloser.errors import FoldError
from recloser.events import (
    BreakerEvent,
    ClockTicked,
    Edge,
    LogOpened,
    StateChanged,
)
from recloser.fold import apply, pass_over
from recloser.logfold import state_begun_by
from recloser.machine import CLOSED, HALF_OPEN, OPEN
from recloser.state import BreakerState, parted_fields, restore

# A search costs as much as to look at some hundred rows from nearby. Where it has passed over fewer,
# rows are, a block after the other, until as many have gone by without one that may move the breaker.
_WORTHWHILE: Final = 256
_BLOCK: Final = 64
_BLOCK_MOST: Final = 1 << 12


@frozen(eq=False)
class Times:
    """The events about the whole log that can move a breaker: ticks, and the openings of sessions.

    Attributes:
        events: Each, in their order.
        seqs: The ``seq`` of each.
        ats: Their times, in nanoseconds.
        openings: The places of those that begin a further session.
    """

    events: Sequence[ClockTicked | LogOpened]
    seqs: Sequence[int]
    ats: Sequence[int]
    openings: Sequence[int]


class Taken(NamedTuple):
    """An edge behind what puts it in the order of the log, which is that of these tuples.

    Attributes:
        seq: That of the event that fired it.
        due: When it fell due, where an event about the whole log fired it.
        breaker: Its breaker.
        place: Which of the edges that the event fired.
        edge: The edge, as if no other breaker had been moved by the event.
    """

    seq: int
    due: int
    breaker: str
    place: int
    edge: Edge


class SkippingFold:
    """Folds the rows of one breaker, one stretch of them after the other.

    Args:
        breaker: Its name.
        times: What else can move it.

    Attributes:
        taken: The edges.
        witnesses: The edges that the log tells of.
        is_parted: Whether a checkpoint differs from what the events before it lead to.
        searched: How many rows were passed over.
        is_unsearched: Whether its settings are such that none could be.
    """

    def __init__(self, breaker: str, times: Times) -> None:
        self.breaker = breaker
        self.taken: list[Taken] = []
        self.witnesses: list[StateChanged] = []
        self.is_parted = False
        self.searched = 0
        self.is_unsearched = False
        self._times = times
        self._time, self._next_time = 0, 0  # the place of the next of them, and its seq
        self._state: BreakerState | None = None
        self._parts = CheckpointParts()
        self._far: Far
        self._near: Near | None = None  # where rows are looked at from nearby
        self._block = _BLOCK  # how many rows the next block has
        self._quiet = 0  # how many have gone by since one that may have moved the breaker

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
        self._far = Far(rows)
        row, stop = 0, len(rows)
        if self._state is None:
            row = self._begin(rows)
        if self._near is not None:
            self._near = self._block_from(row)
        while row < stop:
            if self._near is not None and row >= self._near.stop:
                self._near = self._block_from(row)
            row = self._pass(row)

    def _begin(self, rows: Rows) -> int:
        """Take the first state; what is behind it, or the part of it that these rows hold."""
        for row in range(len(rows)):
            event = rows.events(row, row + 1)[0]
            if event.kind == "checkpoint":
                whole = self._parts.joined(event)
                if whole is None:
                    continue
                event = whole
            self._state = state_begun_by(event)
            self._time_from(event.seq)
            return row + 1 if event.kind == "checkpoint" else row
        return len(rows)

    def finish(self) -> None:
        """Fold what stands in the log behind the last row, and let go of the rows.

        Raises:
            FoldError: The first state of the breaker was not whole.
        """
        if self._state is None:
            raise FoldError(f"the first checkpoint of {self.breaker!r} is not whole")
        self._pass_times(None)
        self._near = None
        del self._far

    def _pass(self, row: int) -> int:
        """From a row to the next that may move the breaker, or that is of other kind."""
        state, view = self.state, self._near or self._far
        if state.state is CLOSED:
            return self._pass_closed(view, row)
        if state.state is OPEN and state.mode != "disabled":
            return self._pass_open(view, row)
        # A breaker that probes is soon moved, so that it is left only then.
        is_probing = state.state is HALF_OPEN
        return self._step(view, row, view.stop if is_probing else view.next_break(row))

    def _pass_closed(self, view: View, row: int) -> int:
        state, rows = self.state, self._far.rows
        if rows.letters[row] > REJECTED or rows.epochs.item(row) != state.epoch:
            return self._step(view, row, row + 1)
        stop = view.next_break(row)
        if view is self._near:
            stop = min(stop, row + _WORTHWHILE - self._quiet)
        scans = view.scans(state.config)
        if scans is None:
            self.is_unsearched = True
            return self._step(view, row, stop)
        found = stop
        if state.mode != "disabled":
            for scan in scans:
                found = scan.next(state, row, found)
        pass_over(state, view.stretch(state, row, found))
        self.searched += found - row
        self._choose(row, found)
        if found == stop:
            return stop
        self._quiet = 0
        return self._step(view, found, found + 1)

    def _choose(self, row: int, found: int) -> None:
        """Choose how to look at what comes behind rows that were passed over in CLOSED."""
        passed = found - row
        if self._near is not None:
            self._quiet += passed
            if self._quiet >= _WORTHWHILE:
                self._near = None
        elif passed >= _WORTHWHILE:
            self._block = _BLOCK
        else:
            self._near, self._quiet = self._block_from(found), 0

    def _block_from(self, row: int) -> Near:
        stop = min(self._far.stop, row + self._block)
        self._block = min(_BLOCK_MOST, 2 * self._block)
        return Near(self._far, row, stop)

    def _pass_open(self, view: View, row: int) -> int:
        """From a row in OPEN to the end of the cooldown, or to an event of other kind."""
        state, rows, times = self.state, self._far.rows, self._times
        if rows.letters[row] > REJECTED:
            return self._step(view, row, row + 1)
        stop = view.next_break(row)
        if rows.epochs.item(row) > state.epoch:
            return self._step(view, row, stop)  # it raises
        if state.deadline is not None:
            stop = rows.first_at(state.deadline, row, stop)
            tick = max(self._time, bisect_left(times.ats, state.deadline))
            if tick < len(times.events):
                stop = rows.first_behind(times.seqs[tick], row, stop)
        if stop > row:
            pass_over(state, view.refused(row, stop))
            self.searched += stop - row
        if stop == view.stop:
            return stop
        return self._step(view, stop, stop + 1)

    def _step(self, view: View, row: int, stop: int) -> int:
        """Apply rows one by one, up to an edge and what tells of it; the row behind."""
        state, letters = self.state, self._far.rows.letters
        was = state.state
        while row < stop:
            event = view.event(row)
            if event.seq > self._next_time and state.state is not CLOSED:
                self._pass_times(event.seq)
            if event.kind == "state_changed":
                self.witnesses.append(event)
            else:
                self._apply(event)
            row += 1
            if state.state is not was:
                was = state.state
                if was is not CLOSED:
                    self._time_from(event.seq)
                stop = row
            if row == stop < len(letters) and letters[row] == OTHER:
                stop += 1
        return row

    def _apply(self, event: BreakerEvent) -> None:
        if event.kind == "checkpoint":
            whole = self._parts.joined(event)
            if whole is None:
                return
            event = whole
            self.is_parted |= bool(parted_fields(self.state, restore(event)))
        for place, edge in enumerate(apply(self.state, event)):
            self.taken.append(Taken(event.seq, 0, "", place, edge))

    def _time_from(self, seq: int) -> None:
        """Go on with the events about the whole log that stand behind ``seq``."""
        self._time = bisect_left(self._times.seqs, seq)
        self._look_up_time()

    def _look_up_time(self) -> None:
        seqs = self._times.seqs
        self._next_time = seqs[self._time] if self._time < len(seqs) else sys.maxsize

    def _pass_times(self, until: int | None) -> None:
        """Take the timed edges that are due at events about the whole log before seq ``until``."""
        state, times = self.state, self._times
        stop = len(times.events)
        if until is not None:
            stop = bisect_left(times.seqs, until)
        while state.state is not CLOSED and self._time < stop:
            place = stop
            opening = bisect_left(times.openings, self._time)
            if opening < len(times.openings):
                place = min(place, times.openings[opening])
            if state.deadline is not None:
                due = bisect_left(times.ats, state.deadline)
                place = min(place, max(self._time, due))
            if place >= stop:
                break
            event = times.events[place]
            # A tick moves breakers in the order in which they fell due, an opening in that of names.
            due_at = state.deadline or 0 if event.kind == "clock_ticked" else 0
            for number, edge in enumerate(apply(state, event)):
                self.taken.append(Taken(event.seq, due_at, self.breaker, number, edge))
            self._time = place + 1
        self._time = max(self._time, stop)
        self._look_up_time()
