"""Find the segments that an answer needs, by the checkpoints that begin them.

Every segment begins with a checkpoint of each breaker, so a fold can start at any segment. If the
checkpoints of a breaker at the beginnings of two consecutive segments have the same epoch, then the
first of these segments holds no edge of that breaker and need not be read.

The checkpoints are read here without verifying the seals, because they only decide which segments to
read. Everything that an answer contains is then read with its seals verified.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from attrs import frozen

from recloser.audit.incident import oldest_held
from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import Edge, LogOpened
from recloser.core.limits import MAX_LINE_BYTES
from recloser.core.state import BreakerState, restore
from recloser.core.state_machine import CLOSED
from recloser.errors import DamagedLogError, FoldError
from recloser.log.codec import decode
from recloser.log.reader import LogReader, segments_of
from recloser.log.segment_reader import open_segment


@frozen
class Counters:
    """The values in a breaker's checkpoint that the search needs.

    Attributes:
        epoch: How many edges the breaker had taken.
        openings: How often its rules had opened it.
        openings_in_a_row: How often its rules had opened it since it was last closed.
        is_closed: Whether it was closed.
        oldest_held: The ``seq`` of the oldest outcome in its counters.
    """

    epoch: int
    openings: int
    openings_in_a_row: int
    is_closed: bool
    oldest_held: int


Start = tuple[LogOpened, Mapping[str, Counters]]
"""The first event of a segment, and the counters of each breaker by name."""


class SegmentRange(LogReader):
    """The events of consecutive segments of a log; it can be iterated more than once.

    Args:
        path: The log.
        segments: The segments.
        reaches_end: Whether the log's last segment is among them.

    Attributes:
        tail: How the last segment ended, once the events have been iterated to the end.
    """

    def __init__(self, path: Path, segments: Sequence[Path], *, reaches_end: bool) -> None:
        super().__init__(path)
        self.segments = segments
        self.reaches_end = reaches_end

    def listed(self) -> Sequence[Path]:
        """The paths of the segments."""
        return self.segments


class Segments:
    """The segments of one log, and the counters at their beginnings.

    Segments are numbered from 0 in the order of the log.

    Args:
        path: A folder of segments, or one segment.

    Raises:
        NotALogError: There is no log at ``path``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = segments_of(path)
        self._starts: dict[int, Start | None] = {}

    def start(self, index: int) -> Start | None:
        """The beginning of a segment; None if a fold can't start there."""
        if index not in self._starts:
            self._starts[index] = _read_start(self.paths[index])
        return self._starts[index]

    def read(self, first: int, end: int | None = None) -> SegmentRange:
        """The events of the segments from ``first`` up to, not including, ``end``.

        If a fold can't start at ``first``, they begin at the nearest earlier segment where it can.
        """
        segments = self.paths[self.first_for(first) : end]
        return SegmentRange(self.path, segments, reaches_end=segments[-1] == self.paths[-1])

    def first_for(self, index: int) -> int:
        """The last segment, up to and including ``index``, at which a fold can start."""
        while index > 0 and self.start(index) is None:
            index -= 1
        return index

    def holding_seq(self, seq: int) -> int:
        """The segment that holds the event ``seq``, by the first events of the segments."""
        return self._last(lambda opened: opened.seq <= seq)

    def holding_wall(self, utc: datetime) -> int:
        """The last segment that begins at or before a wall time."""
        return self._last(lambda opened: opened.wall <= utc)

    def holding_at(self, at: int) -> int:
        """The last segment that begins at or before ``at``, in nanoseconds."""
        return self._last(lambda opened: opened.at <= at)

    def last_trip(self, breaker: str | None, before: int | None = None) -> int | None:
        """The last segment in which a breaker may have tripped; None if there is none.

        Args:
            breaker: The breaker; None for any breaker.
            before: Only consider the segments before this one; None for all segments.
        """
        end = len(self.paths) if before is None else before
        for index in range(end - 1, -1, -1):
            if self._may_hold_trip(index, breaker):
                return index
        return None

    def closed_by(self, opened: Edge, index: int) -> int:
        """The first segment after ``index`` that begins with the breaker closed again.

        Args:
            opened: The edge that opened the breaker, which segment ``index`` or a later one holds.
            index: The segment to begin at.

        Returns:
            The segment, or the number of segments if the breaker stays open until the log ends.
        """
        for later in range(index + 1, len(self.paths)):
            start = self.start(later)
            state = None if start is None else start[1].get(opened.breaker)
            if start is None or state is None or start[0].seq <= opened.seq:
                continue
            if state.is_closed:
                return later
        return len(self.paths)

    def _may_hold_trip(self, index: int, breaker: str | None) -> bool:
        start = self.start(index)
        following = self.start(index + 1) if index + 1 < len(self.paths) else None
        if start is None or following is None:
            return True
        return any(
            _may_have_tripped(start[1].get(name), state)
            for name, state in following[1].items()
            if breaker in (None, name)
        )

    def _last(self, is_before: Callable[[LogOpened], bool]) -> int:
        for index in range(len(self.paths) - 1, 0, -1):
            start = self.start(index)
            if start is not None and is_before(start[0]):
                return index
        return 0


def _may_have_tripped(before: Counters | None, after: Counters) -> bool:
    if before is None or before.epoch == after.epoch:
        return before is None and after.epoch > 0
    # If the breaker was never closed in between, then both counts grew by the same number, as the
    # count since the last close is reset by each close.
    was_open_all_along = (
        before.openings_in_a_row > 0
        and after.openings_in_a_row - before.openings_in_a_row == after.openings - before.openings
    )
    return not was_open_all_along


def _read_start(segment: Path) -> Start | None:
    states: dict[str, Counters] = {}
    parts = CheckpointParts()
    with suppress(OSError, DamagedLogError, FoldError), open_segment(segment) as stream:
        opened = decode(stream.readline(MAX_LINE_BYTES))
        if not isinstance(opened, LogOpened) or (opened.seq > 1 and not opened.checkpoints):
            return None
        while len(states) < opened.checkpoints:
            event = decode(stream.readline(MAX_LINE_BYTES))
            if event.kind == "checkpoint":
                whole = parts.joined(event)
                if whole is not None:
                    states[event.breaker] = _counters(restore(whole))
            elif event.kind not in ("log_sealed", "log_gap"):
                return None  # for example an edge, which the checkpoints before it do not include
        return opened, states
    return None


def _counters(state: BreakerState) -> Counters:
    return Counters(
        epoch=state.epoch,
        openings=state.openings,
        openings_in_a_row=state.openings_in_a_row,
        is_closed=state.state is CLOSED,
        oldest_held=oldest_held(state),
    )
