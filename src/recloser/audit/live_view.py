"""The data of ``recloser watch``: the breakers of a log that is being written."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from attrs import frozen

from recloser.audit.cause import describe_rule
from recloser.audit.state_at import describe_limits
from recloser.clock import Clock, read_wall
from recloser.core.config import Mode
from recloser.core.events import CircuitBreakerState, Edge, Event, Rule
from recloser.core.kernel import NEVER
from recloser.core.log_fold import LogFold
from recloser.core.moments import nanoseconds_between
from recloser.core.snapshot import Totals, take_snapshot
from recloser.core.state import BreakerState
from recloser.core.state_machine import CLOSED, HALF_OPEN, OPEN
from recloser.log.follower import LogFollower

_MAX_TRIPS: Final = 100
_ORDER: Final = {OPEN: 0, HALF_OPEN: 1, CLOSED: 2}


@frozen
class WatchedBreaker:
    """The current state of one breaker.

    Attributes:
        breaker: The name of the breaker.
        state: Its state.
        mode: Its mode.
        figures: Its counters and their thresholds, or what it waits for.
        probe_in_ns: The time until its cooldown ends, in nanoseconds; 0 if it is over but no event
            has moved the breaker yet. None if it is not cooling down.
        totals: How many of its calls ended in which way since the log began.
    """

    breaker: str
    state: CircuitBreakerState
    mode: Mode
    figures: Sequence[str]
    probe_in_ns: int | None
    totals: Totals


@frozen
class WatchedTrip:
    """One trip in the list of recent trips.

    Attributes:
        utc: When the breaker opened, as wall time in seconds.
        breaker: The name of the breaker.
        cause: The rule that fired with its figures, or who forced the breaker open.
    """

    utc: str
    breaker: str
    cause: str


class Watch:
    """Follow a log while it is being written, and show the state of its breakers.

    Args:
        path: The log's folder.
        clock: The clock of the person who watches. Only its wall time is read, for the countdown
            to the end of a cooldown.

    Attributes:
        events: How many events have been read.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._follower = LogFollower(path)
        self._clock = clock
        self._fold = LogFold()
        self._new_events: Iterator[Event] | None = None
        self.events = 0
        self._trips: deque[WatchedTrip] = deque(maxlen=_MAX_TRIPS)

    @property
    def trips(self) -> Sequence[WatchedTrip]:
        """The recent trips, the latest first."""
        return list(reversed(self._trips))

    def poll(self, most: int | None = None) -> bool:
        """Read what has been written since the last call.

        Args:
            most: How many events to read at most; None for all.

        Returns:
            Whether there may be more to read at once.

        Raises:
            LogError: The log is damaged, or there is no log.
        """
        if self._new_events is None:
            self._new_events = self._follower.poll()
        before = self.events
        self.add(islice(self._new_events, most))
        is_more = most is not None and self.events - before == most
        if not is_more:
            self._new_events = None
        return is_more

    def add(self, events: Iterable[Event]) -> None:
        """Fold further events of the log."""
        for event in events:
            self.events += 1
            if event.kind == "log_opened" and event.seq != self._fold.seq + 1:
                # Segments in between have been deleted. The checkpoints after this event hold the
                # states of all breakers, so a new fold can start here.
                self._fold = LogFold()
            for edge in self._fold.apply(event):
                if edge.from_state is CLOSED and edge.to_state is OPEN:
                    self._add_trip(edge)

    def breakers(self) -> list[WatchedBreaker]:
        """All breakers, sorted by state (OPEN, HALF_OPEN, CLOSED) and then by name."""
        now = self._now()
        states = sorted(
            self._fold.breakers.values(), key=lambda state: (_ORDER[state.state], state.breaker)
        )
        return [self._watched(state, now) for state in states]

    def _now(self) -> int:
        """The current time as log time, in nanoseconds.

        It comes from the wall clock of this machine, which may be behind that of the machine that
        writes the log; but it is never before the last event.
        """
        if self._fold.opened is None:
            return 0
        since_last = nanoseconds_between(self._fold.utc(self._fold.at), read_wall(self._clock))
        return self._fold.at + max(0, since_last)

    def _watched(self, state: BreakerState, now: int) -> WatchedBreaker:
        deadline = state.deadline if state.state is OPEN and state.deadline != NEVER else None
        return WatchedBreaker(
            breaker=state.breaker,
            state=state.state,
            mode=state.mode,
            figures=describe_limits(state, now),
            probe_in_ns=None if deadline is None else max(0, deadline - now),
            totals=take_snapshot(state, now, self._fold.utc).totals,
        )

    def _add_trip(self, edge: Edge) -> None:
        utc = f"{self._fold.utc(edge.at):%Y-%m-%dT%H:%M:%SZ}"
        by = f" by {edge.cause.actor}" if edge.cause.actor else ""
        is_command = edge.cause.rule is Rule.COMMAND
        cause = f"forced open{by}" if is_command else describe_rule(edge.cause)
        self._trips.append(WatchedTrip(utc, edge.breaker, cause))
