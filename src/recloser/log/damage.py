"""Finds what is intact in a damaged log, and plans how to join it.

Every segment begins with checkpoints of all breakers, so a log can continue after damage from the
next segment whose checkpoints are intact. The segment before is cut at the end of its intact part,
and a ``log_gap`` is written there that says how many events are lost and which segment follows.
"""

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from recloser.core.events import Event, LogGap, LogOpened
from recloser.core.log_fold import LogFold
from recloser.errors import (
    ConfigError,
    DamagedLogError,
    FoldError,
    NotALogError,
    RecloserError,
)
from recloser.log.codec import encode, full
from recloser.log.open_errors import is_of_one_file
from recloser.log.segment_reader import SegmentReader, header_of, open_segment
from recloser.log.tail import Tail

_BEFORE_CHECKPOINTS: Final = ("state_changed", "log_gap", "log_sealed", "clock_ticked")
"""Kinds of events allowed between the header of a segment and the last of its checkpoints."""

_PIECE: Final = 1 << 16


@frozen
class CutPoint:
    """A place up to which a segment is intact, and where it can be cut.

    Attributes:
        offset: The byte, decompressed.
        seq: The ``seq`` of the last event before it.
        at: The time of that event, in nanoseconds of the log.
    """

    offset: int
    seq: int
    at: int


@define
class ExaminedSegment:
    """The result of examining a segment.

    Attributes:
        path: The segment.
        header: Its first event; None if that can't be read.
        cut_points: Places where it can be cut, in order; the last is where its intact part ends.
        tail: How it ends, if it is intact.
        damage: Why it is not intact; None if it is.
        is_start: Whether it begins with intact checkpoints of every breaker.
    """

    path: Path
    header: LogOpened | None = None
    cut_points: list[CutPoint] = field(factory=list)
    tail: Tail = field(factory=Tail)
    damage: str | None = None
    is_start: bool = False

    @property
    def continues(self) -> Tail | None:
        """The end of the segment before, as this one's header describes it."""
        return _continued_by(self.header)


@define
class KeptSegment:
    """A segment that is kept, whole or in part.

    Attributes:
        segment: The result of examining it.
        cut: Where it is cut; None if it stays as it is.
        gap: The event written at the cut if events are lost before the next segment; None if not.
        torn: Number of filler bytes after the gap, so that the next segment's ``torn`` is right.
    """

    segment: ExaminedSegment
    cut: CutPoint | None = None
    gap: LogGap | None = None
    torn: int = 0

    @property
    def is_changed(self) -> bool:
        """Whether the repair changes the segment."""
        return self.cut is not None

    @property
    def is_complete(self) -> bool:
        """Whether all its events are kept, so that at most a gap is added."""
        segment, cut = self.segment, self.cut
        is_cut = cut is not None and (segment.tail.torn > 0 or cut != segment.cut_points[-1])
        return segment.damage is None and not is_cut

    def addition(self) -> bytes:
        """Return what is written at the cut."""
        return b"" if self.gap is None else encode(self.gap) + b" " * self.torn


@define
class RepairPlan:
    """What to do with each segment of a log.

    Attributes:
        kept: The segments to keep, whole or in part, in order.
        dropped: The segments to drop.
        faults: What is wrong, one line per fault, each with its place.
        lost: The most events that may be lost between the kept segments.
    """

    kept: list[KeptSegment] = field(factory=list)
    dropped: list[ExaminedSegment] = field(factory=list)
    faults: list[str] = field(factory=list)
    lost: int = 0

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong, so that every segment stays as it is."""
        return not self.faults

    def add(self, segment: ExaminedSegment) -> None:
        """Decide whether to keep the next segment, and how far."""
        if segment.damage is not None:
            self.faults.append(segment.damage)
        before = self.kept[-1] if self.kept else None
        follows = before is not None and before.cut is None and before.segment.damage is None
        if follows and before is not None and segment.continues != before.segment.tail:
            follows = False
            if segment.damage is None:
                self.faults.append(
                    f"{segment.path}, byte 0: the segment is not the one written after "
                    f"{before.segment.path.name}"
                )
        if not segment.cut_points or not (follows or segment.is_start):
            self.dropped.append(segment)
            return
        if not follows:
            self._join(segment)
        cut = segment.cut_points[-1] if segment.damage is not None else None
        self.kept.append(KeptSegment(segment, cut))

    def _join(self, segment: ExaminedSegment) -> None:
        """Write a gap after the kept segments, so that this segment can follow.

        The gap must not be later than the segment, so kept segments are cut back as far as needed.
        """
        header = segment.header
        assert header is not None
        while self.kept:
            before = self.kept[-1]
            cuts = [
                cut
                for cut in before.segment.cut_points
                if cut.seq < header.seq - 1 and cut.at <= header.at
            ]
            if cuts:
                before.cut = cut = cuts[-1]
                lost = header.seq - 1 - cut.seq
                before.gap = LogGap(
                    header.seq - 1,
                    cut.at,
                    lost,
                    "damaged: the rest of this segment could not be read",
                    header.chain,
                    header.unsealed,
                )
                before.torn = header.torn
                self.lost += lost
                return
            self.dropped.append(self.kept.pop().segment)


def plan_repair(segments: Sequence[Path]) -> RepairPlan:
    """Examine consecutive segments, and plan what to keep of each.

    Raises:
        FutureVersionError: A later version of the library wrote a segment.
        LogError: A segment can't be read for a reason that is not its own, such as too many open
            files.
    """
    plan = RepairPlan()
    fold: LogFold | None = None
    last: Tail | None = None
    headers = list(map(_header_of, segments))
    for segment, header, following in zip_longest(segments, headers, headers[1:]):
        torn = 0 if following is None else following.torn
        is_followed = last is not None and last == _continued_by(header)
        examined, fold = _examined(segment, torn, fold if is_followed else None)
        last = examined.tail if examined.damage is None else None
        plan.add(examined)
    return plan


def _header_of(segment: Path) -> LogOpened | None:
    try:
        return header_of(segment)
    except OSError as error:
        if not is_of_one_file(error):
            raise
        return None


def _continued_by(header: LogOpened | None) -> Tail | None:
    """Return the end of the segment before, as a header describes it."""
    return None if header is None else Tail(header.chain, header.unsealed, header.torn)


def _examined(
    segment: Path, torn: int, fold: LogFold | None
) -> tuple[ExaminedSegment, LogFold | None]:
    """Examine a segment, and return the fold at its end as well.

    Args:
        segment: The segment.
        torn: Bytes at its end that are not part of the log.
        fold: The fold of the segments before it; None if it does not continue them.
    """
    result = ExaminedSegment(segment)
    reader = SegmentReader(segment, torn)
    start = SegmentStart()
    folded = LogFold() if fold is None else fold
    seq = at = 0
    try:
        for batch in reader.batches():
            _add_cut_point(result.cut_points, reader.intact_until, seq, at)
            for event in map(full, batch):
                start.follow(event)
                if fold is not None or start.header is not None:
                    folded.apply(event)
                seq, at = event.seq, event.at
        result.tail = reader.tail
    except RecloserError as error:
        if not is_damage(error):
            raise
        text = str(error)
        result.damage = text if text.startswith(str(segment)) else f"{segment}: {text}"
    _add_cut_point(result.cut_points, reader.intact_until, seq, at)
    result.header = start.header
    result.is_start = start.is_complete
    return result, folded


def _add_cut_point(cut_points: list[CutPoint], offset: int, seq: int, at: int) -> None:
    """Add a place where a segment can be cut, if it is after the last one."""
    if seq and offset > (cut_points[-1].offset if cut_points else 0):
        cut_points.append(CutPoint(offset, seq, at))


class SegmentStart:
    """Follows the events of a segment from its header to the last of its checkpoints.

    Attributes:
        header: The header; None until it was followed.
        is_over: Whether an event came before the last checkpoint that is not allowed there.
    """

    def __init__(self) -> None:
        self.header: LogOpened | None = None
        self.is_over = False
        self._missing = 0

    @property
    def is_complete(self) -> bool:
        """Whether all checkpoints have been followed."""
        return self.header is not None and not self._missing

    def follow(self, event: Event) -> None:
        """Follow the next event of the segment."""
        if self.header is None:
            if isinstance(event, LogOpened):
                self.header = event
                self._missing = event.checkpoints
        elif self._missing and not self.is_over:
            if event.kind == "checkpoint":
                self._missing -= event.part == event.parts
            elif event.kind not in _BEFORE_CHECKPOINTS:
                self.is_over = True


def is_damage(error: RecloserError) -> bool:
    """Whether an error concerns one segment only, so that others may be intact.

    Other errors, such as too many open files, concern the whole process.
    """
    cause = error.__cause__
    if isinstance(cause, OSError):
        return is_of_one_file(cause)
    return isinstance(error, DamagedLogError | NotALogError | FoldError | ConfigError)


def contents(kept: KeptSegment) -> Iterator[bytes]:
    """Yield the decompressed bytes that a kept segment consists of after the repair.

    Raises:
        OSError: The segment can't be read.
    """
    left = None if kept.cut is None else kept.cut.offset
    with open_segment(kept.segment.path) as stream:
        while piece := stream.read(_PIECE if left is None else min(_PIECE, left)):
            if left is not None:
                left -= len(piece)
            yield piece
    yield kept.addition()
