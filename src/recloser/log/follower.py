"""Following a log while it is written, rotated and compressed."""

from collections.abc import Iterator
from pathlib import Path

from recloser.events import Event
from recloser.limits import MAX_LINE_BYTES
from recloser.log.codec import full
from recloser.log.reader import (
    SegmentReader,
    number_of,
    open_segment,
    segments_in,
    torn_before,
)
from recloser.log.tail import Tail


class LogFollower:
    """Hands out a log's events as they come, each once and in order.

    A poll reads what has been written since the last one, and checks all that a ``LogReader``
    checks. An event is handed out once its seal has been checked; a writer seals at the latest a
    second behind it. No file stays open between polls.

    Args:
        path: The log's folder; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: SegmentReader | None = None
        self._before: Tail | None = None

    def poll(self) -> Iterator[Event]:
        """The events sealed since the last poll.

        Raises:
            LogError: The log is damaged, or none.
        """
        while True:
            # Looked for first: what stands before a segment that has begun is whole by then.
            following = self._following()
            if self._reader is not None:
                yield from self._read_on(self._reader)
            if following is None:
                return
            if self._reader is not None:
                yield from self._leave(self._reader, torn_before(following))
            self._begin(following)

    def _following(self) -> Path | None:
        """The segment behind the one being followed, once its first line is there."""
        last = -1 if self._reader is None else number_of(self._reader.path)
        for segment in segments_in(self.path):
            if number_of(segment) > last:
                with open_segment(segment) as stream:
                    has_begun = stream.readline(MAX_LINE_BYTES).endswith(b"\n")
                return segment if has_begun else None
        return None

    def _begin(self, segment: Path) -> None:
        if self._reader is not None and number_of(segment) != number_of(self._reader.path) + 1:
            self._before = None  # what stood between has been removed for its age
        self._reader = SegmentReader(segment)
        self._reader.before = self._before

    def _read_on(self, reader: SegmentReader) -> Iterator[Event]:
        with open_segment(reader.path) as stream:
            try:
                stream.seek(reader.offset)
            except OSError:  # it has been compressed meanwhile
                stream.read(reader.offset)
            for batch in reader.read_on(stream):
                yield from map(full, batch)

    def _leave(self, reader: SegmentReader, torn: int) -> Iterator[Event]:
        for batch in reader.finish():
            yield from map(full, batch)
        self._before = Tail(reader.tail.chain, reader.tail.unsealed, max(torn, reader.tail.torn))
