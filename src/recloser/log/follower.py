"""Follows a log while it is written, rotated, compressed and shortened."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from recloser.core.events import Event
from recloser.core.limits import MAX_LINE_BYTES
from recloser.errors import DamagedLogError
from recloser.log.codec import full
from recloser.log.listing import COMPRESSED_SUFFIX, errors_of, is_file, number_of, segments_in
from recloser.log.segment_reader import SegmentReader, open_segment, torn_before
from recloser.log.tail import Tail


class LogFollower:
    """Yields a log's events as they are written, each once and in order.

    A poll reads what was written since the last one, and checks everything that a ``LogReader``
    checks. An event is returned after its seal has been checked; a live writer seals within a
    second. No file stays open between polls.

    If segments were removed before they were read, the follower continues with the oldest one left.

    Args:
        path: The log's folder; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader: SegmentReader | None = None
        self._number = -1
        self._previous_tail: Tail | None = None
        self._seq = 0
        self._has_header = False

    def poll(self) -> Iterator[Event]:
        """Yield the events sealed since the last poll.

        Raises:
            LogError: The log is damaged or can't be read, or the path is not a log.
        """
        with errors_of(self.path):
            while True:
                # The next segment is looked up before this one is read. If it has begun, the
                # writer has finished this one, so the read below sees its end.
                following = self._following()
                if self._reader is not None:
                    yield from self._read_on(self._reader)
                if following is None:
                    return
                with contextlib.suppress(FileNotFoundError):  # it was removed: look again
                    torn = torn_before(following)
                    if self._reader is not None:
                        yield from self._read_rest(self._reader, torn)
                    self._begin(following)

    def _following(self) -> Path | None:
        """Return the segment after the one being followed, once its first line is whole."""
        with contextlib.suppress(FileNotFoundError):
            for segment in segments_in(self.path):
                if number_of(segment) > self._number:
                    with (
                        contextlib.suppress(FileNotFoundError),  # it was removed for its age
                        open_segment(segment) as stream,
                    ):
                        has_begun = stream.readline(MAX_LINE_BYTES).endswith(b"\n")
                        return segment if has_begun else None
        return None

    def _begin(self, segment: Path) -> None:
        number = number_of(segment)
        if number != self._number + 1:
            self._previous_tail = None  # segments in between were removed
        self._number = number
        self._has_header = False
        self._reader = SegmentReader(segment)
        self._reader.previous_tail = self._previous_tail

    def _read_on(self, reader: SegmentReader) -> Iterator[Event]:
        try:
            if _was_cut(reader):
                reader = self._start_again(reader)
            yield from self._new_in(reader)
        except FileNotFoundError:
            self._reader = self._previous_tail = None
        except DamagedLogError:
            # Since the last poll the writer may have cut off a failed write and continued. Then
            # reading the segment from its beginning works; if it is really damaged, it fails again.
            yield from self._new_in(self._start_again(reader))

    def _start_again(self, reader: SegmentReader) -> SegmentReader:
        """Read a segment again from its beginning; events returned before are skipped."""
        self._reader = again = SegmentReader(reader.path)
        again.previous_tail = reader.previous_tail
        return again

    def _new_in(self, reader: SegmentReader) -> Iterator[Event]:
        with open_segment(reader.path) as stream:
            try:
                stream.seek(reader.offset)
            except OSError:  # it was compressed since, and a compressed stream can't seek
                stream.read(reader.offset)
            for batch in reader.read_sealed(stream):
                for event in map(full, batch):
                    if event.seq > self._seq or self._is_new_header(event):
                        self._seq = event.seq
                        yield event

    def _is_new_header(self, event: Event) -> bool:
        """Whether a header begins a segment whose header was not returned yet.

        After a segment was cut, the header of the next one may repeat a ``seq``.
        """
        is_new = event.kind == "log_opened" and not self._has_header
        self._has_header = self._has_header or is_new
        return is_new

    def _read_rest(self, reader: SegmentReader, torn: int) -> Iterator[Event]:
        if reader.offset == 0 or _was_cut(reader):
            self._reader = self._previous_tail = None
            return
        for batch in reader.read_unsealed():
            yield from map(full, batch)
        tail = reader.tail
        self._previous_tail = Tail(tail.chain, tail.unsealed, max(torn, tail.torn))


def _was_cut(reader: SegmentReader) -> bool:
    """Whether a segment is gone, or shorter than what was read of it."""
    try:
        is_plain = reader.path.suffix != COMPRESSED_SUFFIX
        return is_plain and reader.path.stat().st_size < reader.offset
    except FileNotFoundError:
        return not is_file(reader.path.with_name(reader.path.name + COMPRESSED_SUFFIX))
