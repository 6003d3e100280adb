"""What a live view shows: the breakers of a log that is being written, those in trouble first."""

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

_TRIPS_KEPT: Final = 100
_ORDER: Final = {OPEN: 0, HALF_OPEN: 1, CLOSED: 2}


@frozen
class WatchedBreaker:
    """One breaker as a live view shows it.

    Attributes:
        breaker: Its name.
        state: Where it is.
        mode: What it does with its decisions.
        figures: Its counters against their thresholds, or what it waits for.
        probe_in_ns: How long until it probes; None where it does not wait for that. Past its
            deadline it is 0 until an event moves it.
        totals: Its calls since the log began.
    """

    breaker: str
    state: CircuitBreakerState
    mode: Mode
    figures: Sequence[str]
    probe_in_ns: int | None
    totals: Totals


@frozen
class WatchedTrip:
    """One trip as a live view shows it.

    Attributes:
        utc: When it was, to the second.
        breaker: Which breaker opened.
        cause: The rule with its figures.
    """

    utc: str
    breaker: str
    cause: str


class Watch:
    """Follows a log and tells how its breakers are.

    Args:
        path: The log's folder.
        clock: The clock of the one who watches; only its wall hand is read, for the countdown.

    Attributes:
        events: How many events have come.
        trips: The last trips, the latest first.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._follower = LogFollower(path)
        self._clock = clock
        self._fold = LogFold()
        self._coming: Iterator[Event] | None = None
        self.events = 0
        self._trips: deque[WatchedTrip] = deque(maxlen=_TRIPS_KEPT)

    @property
    def trips(self) -> Sequence[WatchedTrip]:
        """The last trips, the latest first."""
        return list(reversed(self._trips))

    def poll(self, most: int | None = None) -> bool:
        """Take in what has been written since, ``most`` events of it; whether there may be more.

        Raises:
            LogError: The log is damaged, or none.
        """
        if self._coming is None:
            self._coming = self._follower.poll()
        before = self.events
        self.take(islice(self._coming, most))
        is_more = most is not None and self.events - before == most
        if not is_more:
            self._coming = None
        return is_more

    def take(self, events: Iterable[Event]) -> None:
        """Take in further events of the log."""
        for event in events:
            self.events += 1
            if event.kind == "log_opened" and event.seq != self._fold.seq + 1:
                # What stood between was removed: its checkpoints say how the breakers are.
                self._fold = LogFold()
            for edge in self._fold.apply(event):
                if edge.from_state is CLOSED and edge.to_state is OPEN:
                    self._note(edge)

    def breakers(self) -> list[WatchedBreaker]:
        """All breakers, those that are not closed first, then by name."""
        now = self._now()
        states = sorted(
            self._fold.breakers.values(), key=lambda state: (_ORDER[state.state], state.breaker)
        )
        return [self._watched(state, now) for state in states]

    def _now(self) -> int:
        """The log's time by the wall clock, which may be another machine's: never before its end."""
        if self._fold.opened is None:
            return 0
        behind = nanoseconds_between(self._fold.utc(self._fold.at), read_wall(self._clock))
        return self._fold.at + max(0, behind)

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

    def _note(self, edge: Edge) -> None:
        utc = f"{self._fold.utc(edge.at):%Y-%m-%dT%H:%M:%SZ}"
        by = f" by {edge.cause.actor}" if edge.cause.actor else ""
        is_command = edge.cause.rule is Rule.COMMAND
        cause = f"forced open{by}" if is_command else describe_rule(edge.cause)
        self._trips.append(WatchedTrip(utc, edge.breaker, cause))
