"""What is whole of a damaged log, and how its parts are joined where something between is lost.

Every segment begins with checkpoints of all breakers, so after a damaged part a log can be gone on
with from the next segment whose checkpoints are whole. What stands before that is cut where it is
still whole, and a ``log_gap`` put there says what is missing and which segment comes next.
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
from recloser.log.reader import SegmentReader, header_of, open_segment
from recloser.log.tail import Tail

_BEFORE_CHECKPOINTS: Final = ("state_changed", "log_gap", "log_sealed", "clock_ticked")
"""What may stand between the header of a segment and the last of its checkpoints."""

_PIECE: Final = 1 << 16


@frozen
class End:
    """A place in a segment up to which it is whole.

    Attributes:
        offset: Its byte, decompressed.
        seq: The number of the last event before it.
        at: The time of that, in nanoseconds.
    """

    offset: int
    seq: int
    at: int


@define
class Examined:
    """What is whole of a segment.

    Attributes:
        path: The segment.
        header: What it begins with; None if that can't be read.
        ends: Where it can be cut; the last one is where it stops being whole.
        tail: How it ends, if it is whole.
        damage: Why it is not; None if it is.
        is_start: Whether it begins with whole checkpoints of every breaker.
    """

    path: Path
    header: LogOpened | None = None
    ends: list[End] = field(factory=list)
    tail: Tail = field(factory=Tail)
    damage: str | None = None
    is_start: bool = False

    @property
    def continues(self) -> Tail | None:
        """What its header says that it continues."""
        return _continued_by(self.header)


@define
class Kept:
    """A segment of which something is kept.

    Attributes:
        segment: What is whole of it.
        end: Where it is cut; None if all of it is kept.
        gap: What is put there for what is missing before the next segment; None if nothing is.
        torn: How many bytes that are no part of the log the next segment expects at its end.
    """

    segment: Examined
    end: End | None = None
    gap: LogGap | None = None
    torn: int = 0

    @property
    def is_changed(self) -> bool:
        """Whether it does not stay as it is."""
        return self.end is not None

    @property
    def is_all_there(self) -> bool:
        """Whether nothing of the segment is left out, and only a gap is put at its end."""
        segment, end = self.segment, self.end
        is_cut = end is not None and (segment.tail.torn > 0 or end != segment.ends[-1])
        return segment.damage is None and not is_cut

    def addition(self) -> bytes:
        """What is written where it is cut."""
        return b"" if self.gap is None else encode(self.gap) + b" " * self.torn


@define
class Plan:
    """What becomes of the segments of a log.

    Attributes:
        kept: Those of which something is kept, in their order.
        dropped: Those of which nothing is.
        faults: What is wrong, each with its place.
        lost: How many events there may have been in what is not kept.
    """

    kept: list[Kept] = field(factory=list)
    dropped: list[Examined] = field(factory=list)
    faults: list[str] = field(factory=list)
    lost: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all is kept as it is."""
        return not self.faults

    def take(self, segment: Examined) -> None:
        """Decide about the next segment."""
        if segment.damage is not None:
            self.faults.append(segment.damage)
        before = self.kept[-1] if self.kept else None
        follows = before is not None and before.end is None and before.segment.damage is None
        if follows and before is not None and segment.continues != before.segment.tail:
            follows = False
            if segment.damage is None:
                self.faults.append(
                    f"{segment.path}, byte 0: the segment is not the one written after "
                    f"{before.segment.path.name}"
                )
        if not segment.ends or not (follows or segment.is_start):
            self.dropped.append(segment)
            return
        if not follows:
            self._join(segment)
        end = segment.ends[-1] if segment.damage is not None else None
        self.kept.append(Kept(segment, end))

    def _join(self, segment: Examined) -> None:
        """Put a gap before a segment that does not continue what is kept."""
        header = segment.header
        assert header is not None
        while self.kept:
            before = self.kept[-1]
            ends = [e for e in before.segment.ends if e.seq < header.seq - 1 and e.at <= header.at]
            if ends:
                before.end = end = ends[-1]
                lost = header.seq - 1 - end.seq
                before.gap = LogGap(
                    header.seq - 1,
                    end.at,
                    lost,
                    "damaged: the rest of this segment could not be read",
                    header.chain,
                    header.unsealed,
                )
                before.torn = header.torn
                self.lost += lost
                return
            self.dropped.append(self.kept.pop().segment)


def plan(segments: Sequence[Path]) -> Plan:
    """What becomes of these segments, which are neighbours.

    Raises:
        FutureVersionError: One was written by a later version.
        LogError: They can't be read for a reason that is not theirs.
    """
    made = Plan()
    fold: LogFold | None = None
    last: Tail | None = None
    headers = list(map(_header_of, segments))
    for segment, header, following in zip_longest(segments, headers, headers[1:]):
        torn = 0 if following is None else following.torn
        is_followed = last is not None and last == _continued_by(header)
        examined, fold = _examined(segment, torn, fold if is_followed else None)
        last = examined.tail if examined.damage is None else None
        made.take(examined)
    return made


def _header_of(segment: Path) -> LogOpened | None:
    try:
        return header_of(segment)
    except OSError as error:
        if not is_of_one_file(error):
            raise
        return None


def _continued_by(header: LogOpened | None) -> Tail | None:
    """The end of a segment that a header continues."""
    return None if header is None else Tail(header.chain, header.unsealed, header.torn)


def _examined(segment: Path, torn: int, fold: LogFold | None) -> tuple[Examined, LogFold | None]:
    """What is whole of a segment, and the fold at its end.

    Args:
        segment: The segment.
        torn: How many bytes at its end are no part of the log.
        fold: That of the segments before it; None if it does not continue them.
    """
    result = Examined(segment)
    reader = SegmentReader(segment, torn)
    starting = Starting()
    folded = LogFold() if fold is None else fold
    seq = at = 0
    try:
        for batch in reader.batches():
            _note_end(result.ends, reader.whole_until, seq, at)
            for event in map(full, batch):
                starting.take(event)
                if fold is not None or starting.header is not None:
                    folded.apply(event)
                seq, at = event.seq, event.at
        result.tail = reader.tail
    except RecloserError as error:
        if not is_damage(error):
            raise
        told = str(error)
        result.damage = told if told.startswith(str(segment)) else f"{segment}: {told}"
    _note_end(result.ends, reader.whole_until, seq, at)
    result.header = starting.header
    result.is_start = starting.is_whole
    return result, folded


def _note_end(ends: list[End], offset: int, seq: int, at: int) -> None:
    """Note where a segment can be cut, if that is further than before."""
    if seq and offset > (ends[-1].offset if ends else 0):
        ends.append(End(offset, seq, at))


class Starting:
    """Follows a segment from its header to the last of its checkpoints.

    Attributes:
        header: Its header; None before that has been read.
        is_over: Whether something came up before its last checkpoint that can't stand there.
    """

    def __init__(self) -> None:
        self.header: LogOpened | None = None
        self.is_over = False
        self._missing = 0

    @property
    def is_whole(self) -> bool:
        """Whether all its checkpoints have been read."""
        return self.header is not None and not self._missing

    def take(self, event: Event) -> None:
        """Follow the next event."""
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
    """Whether an error says that a segment is damaged or can't be read, and not that nothing can."""
    cause = error.__cause__
    if isinstance(cause, OSError):
        return is_of_one_file(cause)
    return isinstance(error, DamagedLogError | NotALogError | FoldError | ConfigError)


def contents(kept: Kept) -> Iterator[bytes]:
    """The bytes of a segment of which something is kept, decompressed, with what is put at its end.

    Raises:
        OSError: They can't be read.
    """
    left = None if kept.end is None else kept.end.offset
    with open_segment(kept.segment.path) as stream:
        while piece := stream.read(_PIECE if left is None else min(_PIECE, left)):
            if left is not None:
                left -= len(piece)
            yield piece
    yield kept.addition()
