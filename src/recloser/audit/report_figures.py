"""Reduce a log to what a report draws: counts per bucket, open periods, trips.

The log is read once, event by event. Memory grows with the number of breakers, buckets and trips,
each of which has a limit, but not with the number of events.
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
"""How many trips, the last ones, are explained in a report."""

_CELLS: Final = 200_000  # at most about this many buckets, of all breakers together
_FEWEST_BUCKETS: Final = 120
_MOST_BUCKETS: Final = 300
_MAX_BANDS: Final = 400
_STEP_NS: Final = 100_000_000  # a larger difference between the clocks is a step of the wall clock
_READINGS_PER_BUCKET: Final = 4
_ONE: Final = 1_000  # rates are in thousandths
_NS_PER_MS: Final = 1_000_000
_BUCKET_SECONDS: Final = (
    *(1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1_800),
    *(3_600, 7_200, 21_600, 43_200, 86_400),
)

_Counted: TypeAlias = CallSucceeded | CallFailed | CallIgnored | CallRejected

SUCCEEDED, FAILED, IGNORED, REJECTED, SLOW, FAILURE_RATE, SLOW_RATE, RUN = range(8)
"""The positions of a bucket's counts; the last three are the highest values, in thousandths."""


@define
class Band:
    """A time in which a breaker was OPEN or HALF_OPEN.

    Attributes:
        state: OPEN or HALF_OPEN.
        start: When it began, in nanoseconds of the log's time.
        end: When it ended, in nanoseconds of the log's time.
        edges: How many times are drawn as this one band, because they are too short to draw apart.
    """

    state: CircuitBreakerState
    start: int
    end: int
    edges: int = 1


@define
class BreakerLane:
    """The row of one breaker in the report.

    Attributes:
        breaker: The name of the breaker.
        config: Its last settings.
        state: Its last state.
        since: When it entered that state, in nanoseconds of the log's time.
        bands: The times in which it was not closed, in order.
        buckets: The counts of each time bucket, by the number of the bucket.
        trips: How often it tripped.
        latest: The edges of its latest trips.
    """

    breaker: str
    config: CircuitBreakerConfig
    state: CircuitBreakerState = CLOSED
    since: int = 0
    bands: list[Band] = Factory(list)
    buckets: dict[int, list[int]] = Factory(dict)
    trips: int = 0
    latest: deque[Edge] = Factory(partial(deque, maxlen=11))
    _stale: int = 0

    def note_stale(self, state: BreakerState) -> bool:
        """Note how many stale outcomes a state counts; return whether there are more than before."""
        before, self._stale = self._stale, state.stale
        return state.stale > before

    def add_edge(self, edge: Edge, width: int) -> None:
        """Add an edge of the breaker; ``width`` is that of a bucket, in nanoseconds."""
        self.end_band(edge.at, width)
        self.state, self.since = edge.to_state, edge.at
        if edge.from_state is CLOSED and edge.to_state is OPEN:
            self.trips += 1
            self.latest.append(edge)

    def end_band(self, at: int, width: int) -> None:
        """End the current band, if the breaker is not closed.

        If there are many bands already, a band that begins less than ``width`` nanoseconds after the
        last one is drawn together with that one.
        """
        if self.state is CLOSED:
            return
        if len(self.bands) >= _MAX_BANDS and self.since - self.bands[-1].end < width:
            last = self.bands[-1]
            last.end, last.edges = at, last.edges + 1
            last.state = OPEN
        else:
            self.bands.append(Band(self.state, self.since, at))


class ReportFigures:
    """The figures of one log, computed when the object is made.

    Args:
        events: The log's events, from a ``log_opened`` event on.
        begins: When the log begins, in nanoseconds of its time.
        ends: When the log ends, in nanoseconds of its time.
        breakers: Roughly how many breakers the log has.

    Attributes:
        lanes: The row of each breaker, by name.
        causes: The explanations of the last trips, in the order of the log.
        events: How many events the log has.
        begins: When the log begins, in nanoseconds of its time.
        ends: When the log ends, in nanoseconds of its time.
        width: The width of a time bucket, in nanoseconds.
        timeline: Converts the log's time to wall time.
    """

    def __init__(self, events: Iterable[Event], begins: int, ends: int, breakers: int) -> None:
        self.begins, self.ends = begins, ends
        buckets = min(_MOST_BUCKETS, max(_FEWEST_BUCKETS, _CELLS // max(1, breakers)))
        self.width = _round_up(-(-(ends - begins + 1) // buckets))
        self.lanes: dict[str, BreakerLane] = {}
        self.timeline = Timeline()
        self.events = 0
        self._is_from_beginning = False
        self._last_reading: LogOpened | ClockTicked | None = None
        causes: deque[Cause] = deque(maxlen=CAUSES_KEPT)
        for incident in gather_incidents(events, watch=self._add):
            causes.append(self._cause_of(incident))
        self.causes: Sequence[Cause] = [
            self._with_trip_count(cause) for cause in sorted(causes, key=lambda cause: cause.seq)
        ]
        for lane in self.lanes.values():
            lane.end_band(ends, self.width)

    @property
    def trips(self) -> int:
        """How often breakers tripped."""
        return sum(lane.trips for lane in self.lanes.values())

    def bucket_of(self, at: int) -> int:
        """The number of the time bucket that holds ``at``, in nanoseconds."""
        return (at - self.begins) // self.width

    def _cause_of(self, incident: Incident) -> Cause:
        lane = self.lanes[incident.opened.breaker]
        earlier = [edge for edge in lane.latest if edge.seq < incident.opened.seq]
        cause = cause_of(incident, self.timeline, earlier=earlier)
        number = lane.trips if self._is_from_beginning else None
        return evolve(cause, trip=number, earlier_count=lane.trips - 1)

    def _with_trip_count(self, cause: Cause) -> Cause:
        # The number of a breaker's trips is known only after the whole log has been read.
        trips = None if cause.trip is None else self.lanes[cause.breaker].trips
        return evolve(cause, trips=trips)

    def _add(self, event: Event, fold: LogFold, edges: Sequence[Edge]) -> None:
        self.events += 1
        if isinstance(event, CallSucceeded | CallFailed | CallIgnored | CallRejected):
            self._count(event, fold.breakers[event.breaker], edges)
        elif isinstance(event, LogOpened | ClockTicked):
            self._is_from_beginning |= event.seq == 1
            self._add_reading(event)
        elif isinstance(event, BreakerConfigured | Checkpoint) and event.breaker in fold.breakers:
            self._lane_of(fold.breakers[event.breaker])
        for edge in edges:
            self.lanes[edge.breaker].add_edge(edge, self.width)

    def _lane_of(self, state: BreakerState) -> BreakerLane:
        lane = self.lanes.get(state.breaker)
        if lane is None:
            since = self.begins if state.opened_at < 0 else state.opened_at
            lane = BreakerLane(state.breaker, state.config, state.state, max(self.begins, since))
            self.lanes[state.breaker] = lane
        lane.config = state.config
        lane.note_stale(state)  # a checkpoint may hold some that were counted before
        return lane

    def _add_reading(self, reading: LogOpened | ClockTicked) -> None:
        """Add a clock reading to the timeline, unless the drawing would not change."""
        last = self._last_reading
        if last is not None and reading.kind == "clock_ticked":
            span = reading.at - last.at
            skew = nanoseconds_between(last.wall, reading.wall) - span
            if span * _READINGS_PER_BUCKET < self.width and abs(skew) < _STEP_NS:
                return
        self._last_reading = reading
        self.timeline.add(reading)

    def _count(self, event: _Counted, state: BreakerState, edges: Sequence[Edge]) -> None:
        lane = self.lanes[event.breaker]
        if lane.note_stale(state):
            return  # the breaker does not count it either
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


def _round_up(width: int) -> int:
    """The next larger width, in nanoseconds, that is a round number of a common unit."""
    for unit in (1, 1_000, _NS_PER_MS):
        for step in (1, 2, 5, 10, 20, 50, 100, 200, 500):
            if width <= step * unit:
                return step * unit
    for seconds in _BUCKET_SECONDS:
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
    """Add the rate that made a rule fire; after the edge, the counters are empty."""
    cause = edge.cause
    if cause.rule is Rule.CONSECUTIVE_FAILURES:
        bucket[RUN] = _ONE
    elif cause.rule is Rule.FAILURE_RATE:
        bucket[FAILURE_RATE] = max(bucket[FAILURE_RATE], _ONE * cause.observed // cause.calls)
    elif cause.rule is Rule.SLOW_CALL_RATE:
        bucket[SLOW_RATE] = max(bucket[SLOW_RATE], _ONE * cause.observed // cause.calls)
