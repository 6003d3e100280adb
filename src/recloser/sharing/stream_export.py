"""The history of a stream as a log: every event that its entries stand for, sealed."""

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, dropwhile
from pathlib import Path
from typing import Final

from attrs import evolve, frozen

from recloser.core.events import GENESIS, Event, LogOpened, LogSealed
from recloser.core.log_fold import LogFold
from recloser.errors import LogError
from recloser.log import disk
from recloser.log.codec import encode
from recloser.log.listing import SEGMENT_SUFFIX
from recloser.log.seals import SealChain
from recloser.log.segment import Segment
from recloser.log.verification import refuse_existing
from recloser.sharing.connection import Server, StreamAwayError, StreamChangedError
from recloser.sharing.stream_entry import Begin, Checkpointed, Entry, EntryId, id_text, parse_id
from recloser.sharing.stream_fold import Course

_TIMEOUT_SECONDS: Final = 10.0


@frozen
class Exported:
    """What was exported.

    Attributes:
        events: How many events.
        edges: How many of them are edges.
        breakers: How many breakers there are.
        seq: That of the last event.
        is_whole: Whether it goes back to the first event; else the stream was trimmed, or is not
            the first generation.
    """

    events: int
    edges: int
    breakers: int
    seq: int
    is_whole: bool


def export_stream(url: str, stream: str, path: Path) -> Exported:
    """Write the history of a stream up to now to a folder, as a log.

    Args:
        url: Where the server is.
        stream: The name of the stream.
        path: The folder, which must not exist.

    Raises:
        ConfigError: The URL or the name can't be used.
        LogError: There is something under that name already, the server can't be reached, or there is no such
            stream.
    """
    server = Server(url, stream, _TIMEOUT_SECONDS)
    refuse_existing(path)
    try:
        events = events_of(server)
        first = next(events)
        return _written_whole(path, chain([first], events))
    except StreamAwayError as error:
        raise LogError(f"{server.place} can't be reached: {error}") from None
    except OSError as error:
        raise LogError(f"{error.filename or path}: {error.strerror}") from error
    finally:
        server.close()


def events_of(server: Server) -> Iterator[Event]:
    """The events that the entries of a stream stand for, from its first or from a checkpoint.

    Raises:
        LogError: There is no such stream, or nothing in it that a fold could start from.
    """
    head = server.page(None, count=1)
    if not head:
        raise LogError(f"{server.place} has no stream {server.key}")
    course, events = _first_start(server, head[0])
    further = _events_from(server, course)
    yield from events
    yield from further if events else dropwhile(_is_no_header, further)


def _events_from(server: Server, course: Course) -> Iterator[Event]:
    for entry in _entries_behind(server, course.position):
        if course.is_cut_by(entry):
            raise LogError(
                f"{server.place}, {server.key}: its beginning was lost, and it begins anew at entry "
                f"{id_text(entry.id)}; what is before that can't be put in one log with what is after"
            )
        yield from course.take(entry).events


def _is_no_header(event: Event) -> bool:
    return not isinstance(event, LogOpened)


def _first_start(server: Server, head: Entry) -> tuple[Course, Sequence[Event]]:
    """The course from the first entry that one can start from, and the events of its start."""
    for entry in chain([head], _entries_behind(server, head.id)):
        if isinstance(entry.body, Begin):
            course, taken = Course.begun(entry)
            return course, taken.events
        if isinstance(entry.body, Checkpointed) and parse_id(entry.body.of) >= head.id:
            return Course.restored(entry.body), ()
    raise LogError(
        f"{server.place}, {server.key}: the first entries are gone, and there is no checkpoint to "
        "start from; something else has trimmed the stream"
    )


def _entries_behind(server: Server, position: EntryId) -> Iterator[Entry]:
    """The entries from a position to what is the end now."""
    newest = server.page_back(None, count=1)
    end = newest[0].id if newest else position
    while position < end:
        page = server.page(position)
        if not page or page[0].id != position:
            raise StreamChangedError(
                f"{server.place}, {server.key}: the stream was trimmed while it was read; try again"
            )
        for entry in page[1:]:
            if entry.id <= end:
                yield entry
        position = page[-1].id


def _written_whole(path: Path, events: Iterable[Event]) -> Exported:
    """Write a log under another name first, so that there is never a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    disk.make_folder(unfinished)
    try:
        exported = _written(unfinished, events)
        unfinished.replace(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return exported


def _written(path: Path, events: Iterable[Event]) -> Exported:
    fold = LogFold()
    segments = _Segments(path)
    count = edges = 0
    is_whole = True
    try:
        for event in events:
            if fold.opened is None and isinstance(event, LogOpened):
                is_whole = event.seq == 1
            fold.apply(event)
            segments.add(event)
            count += 1
            edges += event.kind == "state_changed"
        segments.add(LogSealed(fold.seq + 1, fold.at, 0, ""))
    finally:
        segments.close()
    return Exported(count + 1, edges, len(fold.breakers), fold.seq + 1, is_whole)


class _Segments:
    """The segments of a log being written: each ``log_opened`` begins one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._segment: Segment | None = None
        self._number = 0

    def add(self, event: Event) -> None:
        if isinstance(event, LogOpened):
            digest = self._end()
            self._number += 1
            path = self._path / f"{self._number:012d}{SEGMENT_SUFFIX}"
            self._segment = Segment(path, SealChain(digest), event.at)
            event = evolve(event, chain=digest)
        assert self._segment is not None
        if isinstance(event, LogSealed):
            self._segment.seal(event.seq, event.at)
            self._segment.write()
        else:
            self._segment.add([encode(event)], event.seq, 1, 0)

    def close(self) -> None:
        self._end()
        disk.sync_folder(self._path)

    def _end(self) -> str:
        """End the segment; what the next one is chained to."""
        segment, self._segment = self._segment, None
        if segment is None:
            return GENESIS
        try:
            segment.write()
            segment.sync()
        finally:
            segment.close()
        return segment.chain.carried()
