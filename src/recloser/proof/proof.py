"""The proof: one history, taken in every way that must not make a difference.

Each row of the battery takes the whole history again in a way of its own, and all must come to the
same edges. The rows are lanes of one reading of the log, so that it costs little more to take the
history twenty times than to take it once, and the first event after which a lane is not where the
log is can be named. No row keeps events; what is kept is the edges.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.events import Edge, Event
from recloser.core.moments import after, nanoseconds_between
from recloser.core.state import parted_fields
from recloser.errors import ConfigError, MissingLibraryError, RecloserError
from recloser.history.edge_sequence import Divergence, EdgeSequence, divergence_of
from recloser.history.engine import is_traffic, refuse_settings, replay
from recloser.history.live_driver import read_trace
from recloser.history.warping import PastAllTimeError
from recloser.history.warps import Warp, parse_warps
from recloser.log.reader import LogReader, parquet_libraries
from recloser.proof.baseline import PlainReading, Progress, counted, taken_plainly
from recloser.proof.subprocess_run import OtherProcess, other_process
from recloser.proof.variants import (
    ApartLane,
    DrivenLane,
    FoldLane,
    FollowingLane,
    Lane,
    LaterLane,
    PerformedLane,
    ResumedLane,
    WitnessLane,
)

_SPRING: Final = datetime(2025, 3, 30, 1, tzinfo=UTC)  # when the clocks of Europe went forward,
_AUTUMN: Final = datetime(2025, 10, 26, 1, tzinfo=UTC)  # and when they went back

# Primes of seconds, so that nothing that is aligned to the time itself can stay where it was: the
# first above 2**53 ns, where a float begins to lose nanoseconds, and above 2**62, where it loses
# a thousand.
_LATER_SECONDS: Final = (("2^53 ns", 9_007_211), ("2^62 ns", 4_611_686_029))
_ODD_ORIGIN: Final = "mono-origin=+9007199254740993ns"

_WALL_ROWS: Final = (
    ("wall clock +1 h", "wall-shift=+1h"),
    ("wall clock -1 h", "wall-shift=-1h"),
    ("wall clock -1 year", "wall-shift=-1y"),
    ("wall clock +100 years", "wall-shift=+100y"),
    ("wall clock drifting +500 ppm", "wall-drift=+500ppm"),
    ("wall clock drifting -500 ppm", "wall-drift=-500ppm"),
    ("wall clock drifting +10 %", "wall-drift=+10%"),
    ("wall clock drifting -10 %", "wall-drift=-10%"),
    ("wall clock stepped back and forward at each tick", "wall-step=-1h@tick"),
    ("wall clock frozen", "wall-freeze"),
    ("wall clock smearing a leap second", "leap-smear"),
)
_PERFORMED_ROWS: Final = (
    ("live breakers, wall clock -1 year and drifting", "wall-shift=-1y,wall-drift=+10%"),
    (
        "live breakers, wall clock stepped, other monotonic origin",
        f"wall-step=-1h@tick,{_ODD_ORIGIN}",
    ),
)


@frozen
class Row:
    """One way in which the history was taken.

    Attributes:
        name: Which way.
        digest: Of the history that it came to; None where it was left out.
        parting: Where that parts from the history in the log; None where it does not.
        left_out: Why it was not taken; None where it was.
    """

    name: str
    digest: str | None = None
    parting: Divergence | None = None
    left_out: str | None = None


@frozen
class Proof:
    """What the battery came to.

    Attributes:
        digest: Of the history in the log.
        events: How many events the log has.
        edges: How many edges the history has.
        rows: Every way in which it was taken.
    """

    digest: str
    events: int
    edges: int
    rows: Sequence[Row]

    @property
    def holds(self) -> bool:
        """Whether all came to the same."""
        return all(row.parting is None for row in self.rows)


def prove(
    source: str | os.PathLike[str] | Iterable[Event],
    *,
    config: Settings | None = None,
    progress: Progress | None = None,
) -> Proof:
    """Take the history of a log in every way that must not make a difference.

    Args:
        source: A log's folder or file, or events that can be iterated again and again.
        config: What to drive imported traffic with; by default ``CircuitBreakerConfig()``.
        progress: Told how far it is.

    Raises:
        LogError: The log can't be read or is damaged.
        ConfigError: ``config`` is given for a log that breakers wrote, or the events can be iterated
            only once.
    """
    events = LogReader(Path(source)) if isinstance(source, str | os.PathLike) else source
    if isinstance(events, Iterator):
        raise ConfigError("a proof reads the events several times: give it a list of them")
    refuse_settings(events, config)
    settings = CircuitBreakerConfig() if config is None else as_config(config)
    path = events.path if isinstance(events, LogReader) else None
    with nullcontext() if path is None else other_process(path, settings) as other:
        plain = taken_plainly(events, settings, progress)
        battery = _Battery(plain, settings)
        battery.run(events, progress)
        course = battery.course
        rows = [_compared("same again", course, plain.course), _elsewhere(course, other)]
    *lanes, witnesses = battery.rows()
    rows += [*lanes, _through_parquet(events, plain, settings, course, progress), witnesses]
    return Proof(course.digest, plain.events, len(course), rows)


def _compared(name: str, course: EdgeSequence, other: EdgeSequence) -> Row:
    return Row(name, other.digest, course.divergence(other))


def _elsewhere(course: EdgeSequence, other: OtherProcess | None) -> Row:
    name = "another process, hash seed and time zone"
    if other is None:
        return Row(name, left_out="the events are in memory, where no other process can read them")
    try:
        return _compared(name, course, other.course())
    except RecloserError as error:
        return Row(name, parting=Divergence(0, "", "a history", str(error)))


def _through_parquet(
    events: Iterable[Event],
    plain: PlainReading,
    settings: CircuitBreakerConfig,
    course: EdgeSequence,
    progress: Progress | None,
) -> Row:
    """The history of the events as columns: recorded ones are folded from edge to edge."""
    name = "through Parquet and back"
    try:
        with parquet_libraries():
            from recloser.log.parquet import write_parquet
    except MissingLibraryError as error:
        return Row(name, left_out=str(error))
    with tempfile.TemporaryDirectory(prefix="recloser-") as folder:
        path = Path(folder) / "log.parquet"
        try:
            write_parquet(counted(events, name, plain.events, progress), path)
            log = LogReader(path)
            return _compared(name, course, _course_in(log, settings))
        except RecloserError as error:
            return Row(name, parting=Divergence(0, "", "a history", str(error)))


def _course_in(log: LogReader, settings: CircuitBreakerConfig) -> EdgeSequence:
    if not is_traffic(log):
        history = replay(log.path)
        if history.engine == "columns":
            course = EdgeSequence()
            for edge in history.edges:
                course.add(edge.seq, [edge])
            return course
    return taken_plainly(log, settings).course


class _Trial:
    """One lane, compared event by event with the course of the log."""

    def __init__(self, name: str, lane: Lane) -> None:
        self.name = name
        self.lane = lane
        self.parting: Divergence | None = None
        self._course: EdgeSequence | None = None
        self._is_over = False
        self._left_out: str | None = None

    def take(self, event: Event, expected: Sequence[Edge], course: EdgeSequence) -> None:
        if self._is_over:
            return
        try:
            got = self.lane.take(event)
        except RecloserError as error:
            self._refuse(event, error, course)
            return
        if got or expected:
            self._compare(event.seq, expected, got, course)

    def finish(self, last: Event, expected: Sequence[Edge], course: EdgeSequence) -> None:
        if self._is_over:
            return
        try:
            self._compare(last.seq, expected, self.lane.finish(), course)
        except RecloserError as error:
            self._refuse(last, error, course)

    def compare_states(self, last: Event, reference: Lane) -> None:
        expected, got = reference.states, self.lane.states
        if self._is_over or self.parting is not None or expected is None or got is None:
            return
        for breaker, state in expected.items():
            parted = parted_fields(state, got[breaker]) if breaker in got else ["everything"]
            if parted:
                told = f"another {', '.join(parted)}"
                self.parting = Divergence(
                    last.seq, breaker, "the state of the log at its end", told
                )
                return

    def row(self, course: EdgeSequence) -> Row:
        if self._left_out is not None:
            return Row(self.name, left_out=self._left_out)
        return Row(self.name, (self._course or course).digest, self.parting)

    def _compare(
        self, seq: int, expected: Sequence[Edge], got: Sequence[Edge], course: EdgeSequence
    ) -> None:
        if self._course is None:
            self.parting = self.parting or divergence_of(seq, expected, got)
            if self.parting is None:
                return
            self._course = course.copy()
        self._course.add(seq, got)

    def _refuse(self, event: Event, error: RecloserError, course: EdgeSequence) -> None:
        self._is_over = True
        if isinstance(error, PastAllTimeError) and self.parting is None:
            self._left_out = str(error)  # there is no such history to compare with
            return
        self._course = self._course or course.copy()
        self.parting = self.parting or Divergence(
            event.seq, getattr(event, "breaker", ""), "what the log tells", str(error)
        )


class _Battery:
    """All rows that are lanes of one reading.

    Attributes:
        course: The history in the log.
    """

    def __init__(self, plain: PlainReading, config: CircuitBreakerConfig) -> None:
        self.course = EdgeSequence()
        self._plain = plain
        self._witnesses = WitnessLane()
        if plain.is_traffic:
            self._reference: Lane = DrivenLane(plain.opened, config)
            self._trials = list(_driven(plain, config, self._reference, self._witnesses))
        else:
            self._reference = self._witnesses
            self._trials = list(_recorded(plain))

    def run(self, events: Iterable[Event], progress: Progress | None) -> None:
        """Take the history in all lanes."""
        last: Event = self._plain.opened
        if self._plain.is_traffic:
            _, events = read_trace(events)
        doing = f"taking it in {len(self._trials) + 1} ways"
        for event in counted(events, doing, self._plain.events, progress):
            last = event
            try:
                edges = self._reference.take(event)
            except RecloserError:
                return  # the row of the witnesses tells of it
            for trial in self._trials:
                trial.take(event, edges, self.course)
            if edges:
                self.course.add(event.seq, edges)
        edges = self._reference.finish()
        for trial in self._trials:
            trial.finish(last, edges, self.course)
        self.course.add(last.seq, edges)
        for trial in self._trials:
            trial.compare_states(last, self._reference)
        if not isinstance(events, LogReader) or not events.tail.unsealed:
            self._witnesses.witnessed.note_missing()

    def rows(self) -> Sequence[Row]:
        """What each lane came to."""
        return [
            *(trial.row(self.course) for trial in self._trials),
            self._witness_row(),
        ]

    def _witness_row(self) -> Row:
        witnessed = self._witnesses.witnessed
        row = Row(
            f"against the {witnessed.witnesses:,} witnesses recorded live", self.course.digest
        )
        for difference in witnessed.differences[:1]:
            parting = Divergence(
                difference.seq, difference.breaker, difference.expected, difference.got
            )
            return evolve(row, digest=None, parting=parting)
        return row


def _recorded(plain: PlainReading) -> Iterator[_Trial]:
    """The rows of a log that breakers wrote."""
    for name, warps in _clock_rows(plain):
        yield _Trial(name, FoldLane(warps))
    for told, seconds in _LATER_SECONDS:
        yield _Trial(f"the log's time begins {told} later", LaterLane(seconds * 10**9, FoldLane()))
    yield _Trial("cut and resumed from snapshots", ResumedLane())
    yield _Trial("each breaker apart", ApartLane())
    for name, text in _PERFORMED_ROWS:
        yield _Trial(name, PerformedLane(parse_warps([text])))


def _driven(
    plain: PlainReading, config: CircuitBreakerConfig, reference: Lane, witnesses: Lane
) -> Iterator[_Trial]:
    """The rows of imported traffic, each of which drives live breakers of its own."""
    assert isinstance(reference, DrivenLane)
    for name, warps in _clock_rows(plain):
        yield _Trial(name, DrivenLane(plain.opened, config, warps))
    for told, seconds in _LATER_SECONDS:
        lane = DrivenLane(plain.opened, config)
        yield _Trial(f"the log's time begins {told} later", LaterLane(seconds * 10**9, lane))
    for name, inner in (
        ("the log that the breakers write, folded", witnesses),
        ("cut and resumed from snapshots", ResumedLane()),
        ("each breaker apart", ApartLane()),
        ("live breakers asked again", PerformedLane()),
    ):
        yield _Trial(name, FollowingLane(reference, inner))


def _clock_rows(plain: PlainReading) -> Iterator[tuple[str, Sequence[Warp]]]:
    for name, text in _WALL_ROWS:
        yield name, parse_warps([text])
    middle = (plain.opened.at + plain.last_at) // 2
    shown = after(plain.opened.wall, middle - plain.opened.at)
    for name, change, hours in (
        ("wall clock across the start of summer time", _SPRING, 1),
        ("wall clock across its end", _AUTUMN, -1),
    ):
        by = nanoseconds_between(shown, change)
        yield name, parse_warps([f"wall-shift={by:+}ns,wall-step={hours:+}h@{middle}ns"])
    yield "monotonic origin +2^53 ns", parse_warps([_ODD_ORIGIN])
