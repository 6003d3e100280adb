"""Following a log while it is written, rotated, compressed and shortened."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from recloser.core.events import Event
from recloser.core.limits import MAX_LINE_BYTES
from recloser.errors import DamagedLogError
from recloser.log.codec import full
from recloser.log.listing import COMPRESSED_SUFFIX, errors_of, is_file, number_of, segments_in
from recloser.log.reader import SegmentReader, open_segment, torn_before
from recloser.log.tail import Tail


class LogFollower:
    """Hands out a log's events as they come, each once and in order.

    A poll reads what has been written since the last one, and checks all that a ``LogReader``
    checks. An event is handed out once its seal has been checked; a writer seals at the latest a
    second behind it. No file stays open between polls.

    Where segments were removed before they were read, for their age or by somebody else, the next
    one that is there is begun with.

    Args:
        path: The log's folder; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: SegmentReader | None = None
        self._number = -1
        self._before: Tail | None = None
        self._seq = 0
        self._has_header = False

    def poll(self) -> Iterator[Event]:
        """The events sealed since the last poll.

        Raises:
            LogError: The log is damaged, or none, or can't be read.
        """
        with errors_of(self.path):
            while True:
                # Looked for first: what stands before a segment that has begun is whole by then.
                following = self._following()
                if self._reader is not None:
                    yield from self._read_on(self._reader)
                if following is None:
                    return
                with contextlib.suppress(FileNotFoundError):  # it has been removed: look again
                    torn = torn_before(following)
                    if self._reader is not None:
                        yield from self._leave(self._reader, torn)
                    self._begin(following)

    def _following(self) -> Path | None:
        """The segment behind the one being followed, once its first line is there."""
        with contextlib.suppress(FileNotFoundError):
            for segment in segments_in(self.path):
                if number_of(segment) > self._number:
                    with (
                        contextlib.suppress(FileNotFoundError),  # it has been removed for its age
                        open_segment(segment) as stream,
                    ):
                        has_begun = stream.readline(MAX_LINE_BYTES).endswith(b"\n")
                        return segment if has_begun else None
        return None

    def _begin(self, segment: Path) -> None:
        number = number_of(segment)
        if number != self._number + 1:
            self._before = None  # what stood between has been removed
        self._number = number
        self._has_header = False
        self._reader = SegmentReader(segment)
        self._reader.before = self._before

    def _read_on(self, reader: SegmentReader) -> Iterator[Event]:
        try:
            if _was_cut(reader):
                reader = self._start_again(reader)
            yield from self._new_in(reader)
        except FileNotFoundError:
            self._reader = self._before = None
        except DamagedLogError:
            # A write that failed may have been cut off and gone on with since the last poll. If it
            # is damage, the whole segment shows it too.
            yield from self._new_in(self._start_again(reader))

    def _start_again(self, reader: SegmentReader) -> SegmentReader:
        """Read a segment from its beginning; what was handed out is passed over."""
        self._reader = again = SegmentReader(reader.path)
        again.before = reader.before
        return again

    def _new_in(self, reader: SegmentReader) -> Iterator[Event]:
        with open_segment(reader.path) as stream:
            try:
                stream.seek(reader.offset)
            except OSError:  # it has been compressed meanwhile
                stream.read(reader.offset)
            for batch in reader.read_on(stream):
                for event in map(full, batch):
                    if event.seq > self._seq or self._is_new_header(event):
                        self._seq = event.seq
                        yield event

    def _is_new_header(self, event: Event) -> bool:
        """Whether it begins the segment, which after a cut may continue an earlier event."""
        is_new = event.kind == "log_opened" and not self._has_header
        self._has_header = self._has_header or is_new
        return is_new

    def _leave(self, reader: SegmentReader, torn: int) -> Iterator[Event]:
        if reader.offset == 0 or _was_cut(reader):
            self._reader = self._before = None
            return
        for batch in reader.finish():
            yield from map(full, batch)
        self._before = Tail(reader.tail.chain, reader.tail.unsealed, max(torn, reader.tail.torn))


def _was_cut(reader: SegmentReader) -> bool:
    """Whether a segment is gone, or shorter than what has been read of it."""
    try:
        is_plain = reader.path.suffix != COMPRESSED_SUFFIX
        return is_plain and reader.path.stat().st_size < reader.offset
    except FileNotFoundError:
        return not is_file(reader.path.with_name(reader.path.name + COMPRESSED_SUFFIX))
