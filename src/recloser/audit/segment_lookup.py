"""The part of a log that an answer needs, found from the checkpoints that begin its segments.

Every segment begins with a checkpoint of each breaker, so the fold can start at any of them. Where
a breaker's checkpoints at the start of two neighbouring segments have the same epoch, no edge of it
lies between, and the segment need not be read. The first lines of a segment are looked at without
their seal, to know where to look; all that is told is read with its seals checked.
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
    """What the checkpoint at a segment's start tells of one breaker, as far as it helps to look.

    Attributes:
        epoch: How many edges it had taken.
        openings: How often it had opened by its rules.
        openings_in_a_row: How often since it was last closed.
        is_closed: Whether it was closed.
        oldest_held: The ``seq`` of the oldest outcome that its counters held.
    """

    epoch: int
    openings: int
    openings_in_a_row: int
    is_closed: bool
    oldest_held: int


Start = tuple[LogOpened, Mapping[str, Counters]]


class Excerpt(LogReader):
    """The events of some neighbouring segments of a log, as often as it is iterated.

    Args:
        path: The log.
        segments: Which of its segments.
        reaches_end: Whether the log's last is among them.

    Attributes:
        tail: How the last of them ended, once it has been iterated to its end.
    """

    def __init__(self, path: Path, segments: Sequence[Path], *, reaches_end: bool) -> None:
        super().__init__(path)
        self.segments = segments
        self.reaches_end = reaches_end

    def listed(self) -> Sequence[Path]:
        """Those segments."""
        return self.segments


class Segments:
    """The segments of one log, and the states that they begin with.

    Args:
        path: A folder of segments, or one segment.

    Raises:
        NotALogError: There is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.paths = segments_of(path)
        self._starts: dict[int, Start | None] = {}

    def start(self, index: int) -> Start | None:
        """What a segment begins with; None where a fold can't start there."""
        if index not in self._starts:
            self._starts[index] = _read_start(self.paths[index])
        return self._starts[index]

    def excerpt(self, first: int, end: int | None = None) -> Excerpt:
        """The events of the segments from ``first``, or the nearest start before, to ``end``."""
        segments = self.paths[self.first_for(first) : end]
        return Excerpt(self.path, segments, reaches_end=segments[-1] == self.paths[-1])

    def first_for(self, index: int) -> int:
        """The last segment up to ``index`` that a fold can start at."""
        while index > 0 and self.start(index) is None:
            index -= 1
        return index

    def holding_seq(self, seq: int) -> int:
        """The segment that holds an event, as far as the segments' headers tell."""
        return self._last(lambda opened: opened.seq <= seq)

    def holding_wall(self, moment: datetime) -> int:
        """The last segment that begins before a moment of wall time."""
        return self._last(lambda opened: opened.wall <= moment)

    def holding_at(self, at: int) -> int:
        """The last segment that begins before a moment, in nanoseconds of the log."""
        return self._last(lambda opened: opened.at <= at)

    def last_trip(self, breaker: str | None, before: int | None = None) -> int | None:
        """The last segment, of those before ``before``, that a breaker may have tripped in.

        None if there is none.
        """
        end = len(self.paths) if before is None else before
        for index in range(end - 1, -1, -1):
            if self._may_hold_trip(index, breaker):
                return index
        return None

    def closed_by(self, opened: Edge, index: int) -> int:
        """The end of the segments from ``index`` on in which a breaker that opened closes again."""
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
    # Open all along: each of its openings since then has added to those in a row.
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
                return None  # as an edge that opening the log fired, which only a state shows
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
