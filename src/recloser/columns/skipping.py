"""The fold of one breaker from edge to edge.

Where nothing but an outcome can move a breaker, the next that may is searched for, what stands
before it is summed up, and only that one event is handed to ``recloser.fold``. While a breaker
probes, and where searching does not pay, it is handed every event.
"""

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
from attrs import field, frozen

from recloser.columns.rows import REJECTED, Cursor, Rows, Whole
from recloser.columns.search import Search, searches_of
from recloser.columns.stretches import stretch_of
from recloser.config import CircuitBreakerConfig
from recloser.events import (
    ClockTicked,
    Edge,
    LogOpened,
    StateChanged,
)
from recloser.fold import Stretch, apply, pass_over
from recloser.logfold import state_begun_by
from recloser.machine import CLOSED, OPEN
from recloser.state import BreakerState, parted_fields, restore

# A search costs as much as to apply some hundred events. Where it has passed over fewer, the next
# is put off, for longer each time.
_WORTHWHILE: Final = 256
_PUT_OFF: Final = 64
_PUT_OFF_MOST: Final = 1 << 13


@frozen(eq=False)
class Times:
    """The events about the whole log that can move a breaker: ticks, and the openings of sessions.

    Attributes:
        events: Each, in their order.
        seqs: Their ``seq``; shape (n,), as all are.
        ats: Their times, in nanoseconds.
        openings: The places of those that begin a further session.
    """

    events: Sequence[ClockTicked | LogOpened]
    seqs: Whole
    ats: Whole
    openings: Whole


@frozen(order=True)
class Taken:
    """An edge and what puts it in the order of the log.

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
    edge: Edge = field(order=False)


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
        self._rows: Rows
        self._cursor: Cursor
        self._searches: tuple[CircuitBreakerConfig, list[Search] | None] | None = None
        self._put_off = 0  # the length of the last stretch that was not searched,
        self._unsearched = 0  # and what is left of it

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
        self._rows, self._cursor, self._searches = rows, Cursor(rows), None
        if self._state is None:
            self._state = state_begun_by(rows.events(0, 1)[0])
            self._time_from(int(rows.seqs[0]))
        row = 0
        while row < len(rows):
            if self._unsearched > 0:
                row = self._step(row, min(len(rows), row + self._unsearched))
            elif self._state.state is CLOSED:
                row = self._pass_closed(row)
            elif self._state.state is OPEN and self._state.mode != "disabled":
                row = self._pass_open(row)
            else:
                row = self._step(row, self._next_break(row))

    def finish(self) -> None:
        """Fold what stands in the log behind the last row, and let go of the rows."""
        self._pass_times(None)
        self._searches = None
        del self._rows, self._cursor

    def _pass_closed(self, row: int) -> int:
        """From a row in CLOSED to the next that may move the breaker, or that is of other kind."""
        state, rows = self.state, self._rows
        if rows.kinds[row] > REJECTED or rows.epochs[row] != state.epoch:
            return self._step(row, row + 1)
        stop = self._next_break(row)
        searches = self._searches_for(state.config)
        if searches is None:
            self.is_unsearched = True
            return self._step(row, stop)
        found = stop
        if state.mode != "disabled":
            for search in searches:
                found = min(found, search.next(state, row, found))
        pass_over(state, stretch_of(rows, state, row, found))
        self.searched += found - row
        if found == stop:
            return stop
        if found - row >= _WORTHWHILE:
            self._put_off = 0
        else:
            self._put_off = min(_PUT_OFF_MOST, 2 * self._put_off or _PUT_OFF)
        self._unsearched = self._put_off
        return self._step(found, found + 1)

    def _pass_open(self, row: int) -> int:
        """From a row in OPEN to the end of the cooldown, or to an event of other kind."""
        state, rows, times = self.state, self._rows, self._times
        if rows.kinds[row] > REJECTED:
            return self._step(row, row + 1)
        stop = self._next_break(row)
        if state.deadline is not None:
            stop = min(stop, rows.first_at(state.deadline, row))
            tick = max(self._time, int(np.searchsorted(times.ats, state.deadline)))
            if tick < len(times.events):
                stop = min(stop, int(np.searchsorted(rows.seqs, times.seqs[tick])))
        if stop > row:
            if rows.epochs[row:stop].max() > state.epoch:
                return self._step(row, stop)  # it raises
            part = slice(row, stop)
            kinds, counts = rows.kinds[part], rows.counts[part]
            refused, ended = counts[kinds == REJECTED], counts[kinds < REJECTED]
            pass_over(state, Stretch(rejected=int(refused.sum()), stale=int(ended.sum())))
            self.searched += stop - row
        if stop == len(rows):
            return stop
        return self._step(stop, stop + 1)

    def _next_break(self, row: int) -> int:
        breaks = self._rows.breaks
        place = int(np.searchsorted(breaks, row, "right"))
        return int(breaks[place]) if place < len(breaks) else len(self._rows)

    def _step(self, start: int, stop: int) -> int:
        """Apply rows one by one, up to an edge if it is time to search again; the row behind."""
        state = self.state
        was = state.state
        for row, event in enumerate(self._cursor.events(start, stop), start):
            if event.seq > self._next_time and state.state is not CLOSED:
                self._pass_times(event.seq)
            self._unsearched -= 1
            if event.kind == "state_changed":
                self.witnesses.append(event)
                continue
            if event.kind == "checkpoint":
                self.is_parted |= bool(parted_fields(state, restore(event)))
            for place, edge in enumerate(apply(state, event)):
                self.taken.append(Taken(event.seq, 0, "", place, edge))
            if state.state is not was:
                was = state.state
                if was is not CLOSED:
                    self._time_from(event.seq)
                if self._unsearched <= 0:
                    return row + 1
        return stop

    def _time_from(self, seq: int) -> None:
        """Go on with the events about the whole log that stand behind ``seq``."""
        self._time = int(np.searchsorted(self._times.seqs, seq))
        self._look_up_time()

    def _look_up_time(self) -> None:
        seqs = self._times.seqs
        self._next_time = int(seqs[self._time]) if self._time < len(seqs) else sys.maxsize

    def _pass_times(self, until: int | None) -> None:
        """Take the timed edges that are due at events about the whole log before seq ``until``."""
        state, times = self.state, self._times
        stop = len(times.events)
        if until is not None:
            stop = int(np.searchsorted(times.seqs, until))
        while state.state is not CLOSED and self._time < stop:
            place = stop
            opening = int(np.searchsorted(times.openings, self._time))
            if opening < len(times.openings):
                place = min(place, int(times.openings[opening]))
            if state.deadline is not None:
                due = int(np.searchsorted(times.ats, state.deadline))
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

    def _searches_for(self, config: CircuitBreakerConfig) -> list[Search] | None:
        if self._searches is None or self._searches[0] != config:
            self._searches = config, searches_of(self._rows, config)
        return self._searches[1]
