"""A log in figures small enough to draw: counts a bucket of time, bands of states, trips.

Everything is added up while the log streams by. What is kept grows with the number of breakers,
buckets and trips, each of which has a bound, and not with the number of events.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final, TypeAlias

from attrs import Factory, define, evolve

from recloser.audit.cause import Cause
from recloser.audit.explanation import cause_of
from recloser.audit.incident import Incident, gather_incidents
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import (
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    CircuitBreakerState,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    Rule,
)
from recloser.core.log_fold import LogFold
from recloser.core.moments import nanoseconds_between
from recloser.core.state import BreakerState
from recloser.core.state_machine import CLOSED, OPEN
from recloser.core.validation import NS_PER_SECOND
from recloser.history.timeline import Timeline

CAUSES_KEPT: Final = 500
_CELLS: Final = 200_000
_FEWEST_BUCKETS: Final = 120
_MOST_BUCKETS: Final = 300
_BANDS_KEPT: Final = 400
_STEPPED_NS: Final = 100_000_000
_READINGS_A_BUCKET: Final = 4
_ONE: Final = 1_000
_NS_PER_MS: Final = 1_000_000
_SECONDS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 21_600, 43_200, 86_400),
)

_Counted: TypeAlias = CallSucceeded | CallFailed | CallIgnored | CallRejected

SUCCEEDED, FAILED, IGNORED, REJECTED, SLOW, FAILURE_RATE, SLOW_RATE, RUN = range(8)
"""What a bucket counts; the last three are the highest seen in it, in thousandths."""


@define
class Band:
    """A breaker was in a state for a time.

    Attributes:
        state: OPEN or HALF_OPEN.
        start: Since when, in nanoseconds.
        end: Until when.
        edges: How many such times are drawn as one, because they are too short to tell apart.
    """

    state: CircuitBreakerState
    start: int
    end: int
    edges: int = 1


@define
class BreakerLane:
    """One breaker over time.

    Attributes:
        breaker: Its name.
        config: Its settings, the last ones.
        state: Where it was at the end.
        since: Since when.
        bands: When it was not closed, in order.
        buckets: What was counted, by the number of the bucket.
        trips: How often it tripped.
        latest: The latest of these trips.
    """

    breaker: str
    config: CircuitBreakerConfig
    state: CircuitBreakerState = CLOSED
    since: int = 0
    bands: list[Band] = Factory(list)
    buckets: dict[int, list[int]] = Factory(dict)
    trips: int = 0
    latest: deque[Edge] = Factory(partial(deque, maxlen=11))

    def pass_edge(self, edge: Edge, width: int) -> None:
        """Take in an edge; a band that is short beside ``width`` may be drawn with its neighbour."""
        self.end_band(edge.at, width)
        self.state, self.since = edge.to_state, edge.at
        if edge.from_state is CLOSED and edge.to_state is OPEN:
            self.trips += 1
            self.latest.append(edge)

    def end_band(self, at: int, width: int) -> None:
        """End the band that the breaker is in, if it is not closed."""
        if self.state is CLOSED:
            return
        if len(self.bands) >= _BANDS_KEPT and self.since - self.bands[-1].end < width:
            last = self.bands[-1]
            last.end, last.edges = at, last.edges + 1
            last.state = OPEN
        else:
            self.bands.append(Band(self.state, self.since, at))


class ReportFigures:
    """The figures of one log.

    Args:
        events: The log from a ``log_opened`` on.
        begins: Its first moment, in nanoseconds.
        ends: Its last.
        breakers: About how many breakers there are.

    Attributes:
        lanes: Each breaker, by name.
        causes: The causes of the last trips, in the order of the log.
        trips: How many trips there were.
        events: How many events there were.
        begins: The first moment, in nanoseconds.
        ends: The last moment.
        width: How long a bucket is, in nanoseconds.
        timeline: Dates the moments.
    """

    def __init__(self, events: Iterable[Event], begins: int, ends: int, breakers: int) -> None:
        self.begins, self.ends = begins, ends
        buckets = min(_MOST_BUCKETS, max(_FEWEST_BUCKETS, _CELLS // max(1, breakers)))
        self.width = _round(-(-(ends - begins + 1) // buckets))
        self.lanes: dict[str, BreakerLane] = {}
        self.timeline = Timeline()
        self.events = 0
        self._is_from_beginning = False
        self._dated: LogOpened | ClockTicked | None = None
        kept: deque[Cause] = deque(maxlen=CAUSES_KEPT)
        for incident in gather_incidents(events, watch=self._take):
            kept.append(self._cause_of(incident))
        self.causes: Sequence[Cause] = [
            self._counted(cause) for cause in sorted(kept, key=lambda cause: cause.seq)
        ]
        for lane in self.lanes.values():
            lane.end_band(ends, self.width)

    @property
    def trips(self) -> int:
        """How many trips there were."""
        return sum(lane.trips for lane in self.lanes.values())

    def bucket_of(self, at: int) -> int:
        """The number of the bucket that a moment falls in."""
        return (at - self.begins) // self.width

    def _cause_of(self, incident: Incident) -> Cause:
        lane = self.lanes[incident.opened.breaker]
        earlier = [edge for edge in lane.latest if edge.seq < incident.opened.seq]
        cause = cause_of(incident, self.timeline, earlier=earlier)
        number = lane.trips if self._is_from_beginning else None
        return evolve(cause, trip=number, earlier_count=lane.trips - 1)

    def _counted(self, cause: Cause) -> Cause:
        """The cause, with how many trips there turned out to be."""
        trips = None if cause.trip is None else self.lanes[cause.breaker].trips
        return evolve(cause, trips=trips)

    def _take(self, event: Event, fold: LogFold, edges: Sequence[Edge]) -> None:
        self.events += 1
        if isinstance(event, CallSucceeded | CallFailed | CallIgnored | CallRejected):
            self._count(event, fold.breakers[event.breaker], edges)
        elif isinstance(event, LogOpened | ClockTicked):
            self._is_from_beginning |= event.seq == 1
            self._read(event)
        elif isinstance(event, BreakerConfigured | Checkpoint) and event.breaker in fold.breakers:
            self._lane(fold.breakers[event.breaker])
        for edge in edges:
            self.lanes[edge.breaker].pass_edge(edge, self.width)

    def _lane(self, state: BreakerState) -> BreakerLane:
        lane = self.lanes.get(state.breaker)
        if lane is None:
            since = self.begins if state.opened_at < 0 else state.opened_at
            lane = BreakerLane(state.breaker, state.config, state.state, max(self.begins, since))
            self.lanes[state.breaker] = lane
        lane.config = state.config
        return lane

    def _read(self, reading: LogOpened | ClockTicked) -> None:
        """Take in as many readings as can be told apart in a drawing, and each step."""
        last = self._dated
        if last is not None and reading.kind == "clock_ticked":
            span = reading.at - last.at
            skew = nanoseconds_between(last.wall, reading.wall) - span
            if span * _READINGS_A_BUCKET < self.width and abs(skew) < _STEPPED_NS:
                return
        self._dated = reading
        self.timeline.add(reading)

    def _count(self, event: _Counted, state: BreakerState, edges: Sequence[Edge]) -> None:
        lane = self.lanes[event.breaker]
        number = (event.at - self.begins) // self.width
        bucket = lane.buckets.get(number)
        if bucket is None:
            bucket = lane.buckets[number] = [0] * 8
        if isinstance(event, CallSucceeded):
            bucket[SUCCEEDED] += event.count
        elif isinstance(event, CallFailed):
            bucket[FAILED] += 1
        elif isinstance(event, CallIgnored):
            bucket[IGNORED] += 1
            return
        else:
            bucket[REJECTED] += event.count
            return
        bucket[SLOW] += event.took > state.rules.slow_ns
        _add_rates(bucket, state)
        for edge in edges:
            _add_cause(bucket, edge)


def _round(width: int) -> int:
    """The next width that people count time in."""
    for unit in (1, 1_000, _NS_PER_MS):
        for step in (1, 2, 5, 10, 20, 50, 100, 200, 500):
            if width <= step * unit:
                return step * unit
    for seconds in _SECONDS:
        if width <= seconds * NS_PER_SECOND:
            return seconds * NS_PER_SECOND
    day = 86_400 * NS_PER_SECOND
    return -(-width // day) * day


def _add_rates(bucket: list[int], state: BreakerState) -> None:
    window, threshold = state.window, state.config.failure_threshold
    if window is not None and window.calls >= window.thresholds.needed:
        bucket[FAILURE_RATE] = max(bucket[FAILURE_RATE], _ONE * window.failures // window.calls)
        bucket[SLOW_RATE] = max(bucket[SLOW_RATE], _ONE * window.slow // window.calls)
    if threshold is not None and state.consecutive_failures:
        bucket[RUN] = max(bucket[RUN], _ONE * state.consecutive_failures // threshold)


def _add_cause(bucket: list[int], edge: Edge) -> None:
    """What was reached at an edge, whose counters are cleared behind it."""
    cause = edge.cause
    if cause.rule is Rule.CONSECUTIVE_FAILURES:
        bucket[RUN] = _ONE
    elif cause.rule is Rule.FAILURE_RATE:
        bucket[FAILURE_RATE] = max(bucket[FAILURE_RATE], _ONE * cause.observed // cause.calls)
    elif cause.rule is Rule.SLOW_CALL_RATE:
        bucket[SLOW_RATE] = max(bucket[SLOW_RATE], _ONE * cause.observed // cause.calls)
