"""The part of a log that an answer needs, found from the checkpoints that begin its segments.

Every segment begins with a checkpoint of each breaker, so the fold can start at any of them. Where
a breaker's checkpoints at the start of two neighbouring segments have the same epoch, no edge of it
lies between, and the segment need not be read. The first lines of a segment are looked at without
their seal, to know where to look; all that is told is read with its seals checked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from recloser.errors import DamagedLogError, FoldError
from recloser.events import CircuitBreakerState, Event, LogOpened
from recloser.log.codec import MAX_LINE_BYTES, decode
from recloser.log.reader import LogReader, open_segment, segment_readers, segments_of
from recloser.state import BreakerState, restore

States = Mapping[str, BreakerState]


class Excerpt(LogReader):
    """The events of some neighbouring segments of a log, as often as it is iterated.

    Args:
        path: The log.
        segments: Which of its segments.

    Attributes:
        tail: How the last of them ended, once it has been iterated to its end.
    """

    def __init__(self, path: Path, segments: Sequence[Path]) -> None:
        super().__init__(path)
        self.segments = segments

    def __iter__(self) -> Iterator[Event]:
        for reader in segment_readers(self.segments):
            yield from reader
            self.tail = reader.tail


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
        self._starts: dict[int, tuple[LogOpened, States] | None] = {}

    def start(self, index: int) -> tuple[LogOpened, States] | None:
        """What a segment begins with; None where a fold can't start there."""
        if index not in self._starts:
            self._starts[index] = _read_start(self.paths[index])
        return self._starts[index]

    def excerpt(self, first: int, end: int | None = None) -> Excerpt:
        """The segments from ``first`` to before ``end``, or a little more, to start at a state."""
        while first > 0 and self.start(first) is None:
            first -= 1
        return Excerpt(self.path, self.paths[first:end])

    def holding_seq(self, seq: int) -> int:
        """The segment that holds the event, as far as the segments' headers tell."""
        return self._last(lambda opened: opened.seq <= seq)

    def last_trip(self, breaker: str | None, before: int | None = None) -> int | None:
        """The last segment, of those before ``before``, that a breaker may have tripped in.

        None if there is none.
        """
        end = len(self.paths) if before is None else before
        for index in range(end - 1, -1, -1):
            if self._may_hold_trip(index, breaker):
                return index
        return None

    def closed_by(self, index: int, breaker: str) -> int:
        """The end of the segments in which a breaker that tripped in ``index`` closes again."""
        for later in range(index + 1, len(self.paths)):
            start = self.start(later)
            state = None if start is None else start[1].get(breaker)
            if state is not None and state.state is CircuitBreakerState.CLOSED:
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


def _may_have_tripped(before: BreakerState | None, after: BreakerState) -> bool:
    if before is None or before.epoch == after.epoch:
        return before is None and after.epoch > 0
    # Open all along: each of its openings since then has added to those in a row.
    was_open_all_along = (
        before.openings_in_a_row > 0
        and after.openings_in_a_row - before.openings_in_a_row == after.openings - before.openings
    )
    return not was_open_all_along


def _read_start(segment: Path) -> tuple[LogOpened, States] | None:
    states: dict[str, BreakerState] = {}
    with suppress(OSError, DamagedLogError, FoldError), open_segment(segment) as stream:
        opened = decode(stream.readline(MAX_LINE_BYTES))
        if not isinstance(opened, LogOpened):
            return None
        while len(states) < opened.checkpoints:
            event = decode(stream.readline(MAX_LINE_BYTES))
            if event.kind == "checkpoint":
                states[event.breaker] = restore(event)
            elif event.kind not in ("state_changed", "log_sealed", "clock_ticked", "log_gap"):
                return None
        return opened, states
    return None
