"""Proof: compute one history in many ways, which must all give the same edges.

Each row of a proof is one way. Most ways are variants that run side by side in one reading of the
log, so computing the history twenty times costs little more than computing it once, and the first
event at which a variant differs can be named. Only edges are kept in memory, never the events.
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
from recloser.core.state import differing_fields
from recloser.errors import ConfigError, MissingLibraryError, RecloserError
from recloser.history.edge_sequence import Divergence, EdgeSequence, divergence_of
from recloser.history.engine import is_traffic, refuse_settings, replay
from recloser.history.live_driver import read_trace
from recloser.history.warping import PastAllTimeError
from recloser.history.warps import Warp, parse_warps
from recloser.log.reader import LogReader, parquet_libraries
from recloser.proof.baseline import Baseline, Progress, read_baseline, with_progress
from recloser.proof.subprocess_run import SubprocessRun, start_subprocess
from recloser.proof.variants import (
    DrivenVariant,
    FoldVariant,
    FollowingVariant,
    IsolatedVariant,
    ReenactedVariant,
    ResumedVariant,
    ShiftedVariant,
    Variant,
    WitnessVariant,
)

# When daylight saving time began and ended in Europe in 2025.
_SPRING: Final = datetime(2025, 3, 30, 1, tzinfo=UTC)
_AUTUMN: Final = datetime(2025, 10, 26, 1, tzinfo=UTC)

# Offsets above 2**53 ns, where a float can't represent single nanoseconds any more, and above
# 2**62 ns, where it is off by hundreds. Both are prime numbers of seconds, so nothing that is
# aligned to a multiple of minutes or hours stays aligned.
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
_REENACTED_ROWS: Final = (
    ("live breakers, wall clock -1 year and drifting", "wall-shift=-1y,wall-drift=+10%"),
    (
        "live breakers, wall clock stepped, other monotonic origin",
        f"wall-step=-1h@tick,{_ODD_ORIGIN}",
    ),
)


@frozen
class Row:
    """One way to compute the history of a log, and the result.

    Attributes:
        name: What is different about this way.
        digest: The digest of its history; None if it has none.
        divergence: The first point at which it differs from the log's history; None if it is equal.
        left_out: Why the history was not computed in this way; None if it was.
    """

    name: str
    digest: str | None = None
    divergence: Divergence | None = None
    left_out: str | None = None


@frozen
class Proof:
    """The result of a proof.

    Attributes:
        digest: The digest of the log's history.
        events: How many events the log has.
        edges: How many edges the history has.
        rows: Every way in which the history was computed.
    """

    digest: str
    events: int
    edges: int
    rows: Sequence[Row]

    @property
    def holds(self) -> bool:
        """Whether every way gave the same edges."""
        return all(row.divergence is None for row in self.rows)


def prove(
    source: str | os.PathLike[str] | Iterable[Event],
    *,
    config: Settings | None = None,
    progress: Progress | None = None,
) -> Proof:
    """Compute the history of a log in many ways, and check that all are equal.

    Args:
        source: A log's folder or file, or events that can be iterated more than once.
        config: The settings of breakers that are driven with imported traffic; by default
            ``CircuitBreakerConfig()``.
        progress: Called with what is being done, the number of events read, and the total or None.

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
    with nullcontext() if path is None else start_subprocess(path, settings) as subprocess_run:
        baseline = read_baseline(events, settings, progress)
        battery = _Battery(baseline, settings)
        battery.run(events, progress)
        edges = battery.edges
        rows = [
            _compare("same again", edges, baseline.edges),
            _subprocess_row(edges, subprocess_run),
        ]
    *variants, witnesses = battery.rows()
    rows += [*variants, _parquet_row(events, baseline, settings, edges, progress), witnesses]
    return Proof(edges.digest, baseline.events, len(edges), rows)


def _compare(name: str, expected: EdgeSequence, got: EdgeSequence) -> Row:
    return Row(name, got.digest, expected.divergence(got))


def _subprocess_row(expected: EdgeSequence, run: SubprocessRun | None) -> Row:
    name = "another process, hash seed and time zone"
    if run is None:
        return Row(name, left_out="the events are in memory, where no other process can read them")
    try:
        return _compare(name, expected, run.edges())
    except RecloserError as error:
        return Row(name, divergence=Divergence(0, "", "a history", str(error)))


def _parquet_row(
    events: Iterable[Event],
    baseline: Baseline,
    settings: CircuitBreakerConfig,
    expected: EdgeSequence,
    progress: Progress | None,
) -> Row:
    """Export the events to Parquet and compute the history from the export."""
    name = "through Parquet and back"
    try:
        with parquet_libraries():
            from recloser.log.parquet import write_parquet
    except MissingLibraryError as error:
        return Row(name, left_out=str(error))
    with tempfile.TemporaryDirectory(prefix="recloser-") as folder:
        path = Path(folder) / "log.parquet"
        try:
            write_parquet(with_progress(events, name, baseline.events, progress), path)
            return _compare(name, expected, _edges_in(LogReader(path), settings))
        except RecloserError as error:
            return Row(name, divergence=Divergence(0, "", "a history", str(error)))


def _edges_in(log: LogReader, settings: CircuitBreakerConfig) -> EdgeSequence:
    """The edges of an exported log, computed by the columnar engine if possible."""
    if not is_traffic(log):
        history = replay(log.path)
        if history.engine == "columns":
            edges = EdgeSequence()
            for edge in history.edges:
                edges.add(edge.seq, [edge])
            return edges
    return read_baseline(log, settings).edges


class _VariantRow:
    """The row of one variant, which is compared with the reference event by event."""

    def __init__(self, name: str, variant: Variant) -> None:
        self.name = name
        self.variant = variant
        self.divergence: Divergence | None = None
        # The variant's own edges, kept only from the first difference on. Up to there they are
        # the edges of the reference.
        self._edges: EdgeSequence | None = None
        self._is_over = False
        self._left_out: str | None = None

    def apply(self, event: Event, expected: Sequence[Edge], edges: EdgeSequence) -> None:
        """Apply an event and compare its edges.

        ``expected`` are its edges in the reference variant, ``edges`` all edges before it.
        """
        if self._is_over:
            return
        try:
            got = self.variant.apply(event)
        except RecloserError as error:
            self._stop(event, error, edges)
            return
        if got or expected:
            self._compare(event.seq, expected, got, edges)

    def finish(self, last: Event, expected: Sequence[Edge], edges: EdgeSequence) -> None:
        if self._is_over:
            return
        try:
            self._compare(last.seq, expected, self.variant.finish(), edges)
        except RecloserError as error:
            self._stop(last, error, edges)

    def compare_states(self, last: Event, reference: Variant) -> None:
        expected, got = reference.states, self.variant.states
        if self._is_over or self.divergence is not None or expected is None or got is None:
            return
        for breaker, state in expected.items():
            differing = differing_fields(state, got[breaker]) if breaker in got else ["everything"]
            if differing:
                self.divergence = Divergence(
                    last.seq,
                    breaker,
                    "the breaker's state at the end of the log",
                    f"a state that differs in {', '.join(differing)}",
                )
                return

    def row(self, edges: EdgeSequence) -> Row:
        if self._left_out is not None:
            return Row(self.name, left_out=self._left_out)
        return Row(self.name, (self._edges or edges).digest, self.divergence)

    def _compare(
        self, seq: int, expected: Sequence[Edge], got: Sequence[Edge], edges: EdgeSequence
    ) -> None:
        if self._edges is None:
            self.divergence = self.divergence or divergence_of(seq, expected, got)
            if self.divergence is None:
                return
            self._edges = edges.copy()
        self._edges.add(seq, got)

    def _stop(self, event: Event, error: RecloserError, edges: EdgeSequence) -> None:
        self._is_over = True
        if isinstance(error, PastAllTimeError) and self.divergence is None:
            # Such a time can't be represented, so there is no history to compare.
            self._left_out = str(error)
            return
        self._edges = self._edges or edges.copy()
        self.divergence = self.divergence or Divergence(
            event.seq, getattr(event, "breaker", ""), "the event in the log", str(error)
        )


class _Battery:
    """The variants that run side by side in one reading of the log.

    Attributes:
        edges: The edges of the reference: of the fold, or of live breakers driven with imported
            traffic.
    """

    def __init__(self, baseline: Baseline, config: CircuitBreakerConfig) -> None:
        self.edges = EdgeSequence()
        self._baseline = baseline
        self._witnesses = WitnessVariant()
        if baseline.is_traffic:
            self._reference: Variant = DrivenVariant(baseline.opened, config)
            self._rows = list(_rows_of_traffic(baseline, config, self._reference, self._witnesses))
        else:
            self._reference = self._witnesses
            self._rows = list(_rows_of_recording(baseline))

    def run(self, events: Iterable[Event], progress: Progress | None) -> None:
        """Read the log and run all variants."""
        last: Event = self._baseline.opened
        if self._baseline.is_traffic:
            _, events = read_trace(events)
        doing = f"computing it in {len(self._rows) + 1} ways"
        for event in with_progress(events, doing, self._baseline.events, progress):
            last = event
            try:
                edges = self._reference.apply(event)
            except RecloserError:
                return  # the row of the witnesses reports it
            for row in self._rows:
                row.apply(event, edges, self.edges)
            if edges:
                self.edges.add(event.seq, edges)
        edges = self._reference.finish()
        for row in self._rows:
            row.finish(last, edges, self.edges)
        self.edges.add(last.seq, edges)
        for row in self._rows:
            row.compare_states(last, self._reference)
        # A witness may be missing from the end of a log that is not sealed yet.
        if not isinstance(events, LogReader) or not events.tail.unsealed:
            self._witnesses.witnessed.note_missing()

    def rows(self) -> Sequence[Row]:
        """The row of each variant, that of the witnesses last."""
        return [*(row.row(self.edges) for row in self._rows), self._witness_row()]

    def _witness_row(self) -> Row:
        witnessed = self._witnesses.witnessed
        row = Row(f"against the {witnessed.witnesses:,} witnesses recorded live", self.edges.digest)
        for difference in witnessed.differences[:1]:
            divergence = Divergence(
                difference.seq, difference.breaker, difference.expected, difference.got
            )
            return evolve(row, digest=None, divergence=divergence)
        return row


def _rows_of_recording(baseline: Baseline) -> Iterator[_VariantRow]:
    """Make the rows for a log that breakers wrote."""
    for name, warps in _clock_rows(baseline):
        yield _VariantRow(name, FoldVariant(warps))
    for label, seconds in _LATER_SECONDS:
        yield _VariantRow(
            f"the log's time begins {label} later", ShiftedVariant(seconds * 10**9, FoldVariant())
        )
    yield _VariantRow("cut and resumed from snapshots", ResumedVariant())
    yield _VariantRow("each breaker apart", IsolatedVariant())
    for name, text in _REENACTED_ROWS:
        yield _VariantRow(name, ReenactedVariant(parse_warps([text])))


def _rows_of_traffic(
    baseline: Baseline, config: CircuitBreakerConfig, reference: Variant, witnesses: Variant
) -> Iterator[_VariantRow]:
    """Make the rows for imported traffic; most drive live breakers of their own."""
    assert isinstance(reference, DrivenVariant)
    for name, warps in _clock_rows(baseline):
        yield _VariantRow(name, DrivenVariant(baseline.opened, config, warps))
    for label, seconds in _LATER_SECONDS:
        driven = DrivenVariant(baseline.opened, config)
        yield _VariantRow(
            f"the log's time begins {label} later", ShiftedVariant(seconds * 10**9, driven)
        )
    for name, inner in (
        ("the log that the breakers write, folded", witnesses),
        ("cut and resumed from snapshots", ResumedVariant()),
        ("each breaker apart", IsolatedVariant()),
        ("live breakers asked again", ReenactedVariant()),
    ):
        yield _VariantRow(name, FollowingVariant(reference, inner))


def _clock_rows(baseline: Baseline) -> Iterator[tuple[str, Sequence[Warp]]]:
    for name, text in _WALL_ROWS:
        yield name, parse_warps([text])
    middle = (baseline.opened.at + baseline.last_at) // 2
    wall_at_middle = after(baseline.opened.wall, middle - baseline.opened.at)
    for name, change, hours in (
        ("wall clock across the start of summer time", _SPRING, 1),
        ("wall clock across the end of summer time", _AUTUMN, -1),
    ):
        by = nanoseconds_between(wall_at_middle, change)
        yield name, parse_warps([f"wall-shift={by:+}ns,wall-step={hours:+}h@{middle}ns"])
    yield "monotonic origin +2^53 ns", parse_warps([_ODD_ORIGIN])
