"""Write the history of a stream as a sealed log."""

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
from recloser.sharing.connection import StreamAwayError, StreamChangedError, StreamConnection
from recloser.sharing.stream_entry import (
    Begin,
    Entry,
    EntryId,
    StreamCheckpoint,
    format_id,
    parse_id,
)
from recloser.sharing.stream_fold import StreamFold

_TIMEOUT_SECONDS: Final = 10.0


@frozen
class ExportResult:
    """The size of an exported history.

    Attributes:
        events: Number of events.
        edges: Number of edges among them.
        breakers: Number of breakers.
        seq: The ``seq`` of the last event.
        is_whole: Whether the history begins with the first event; False if the stream was trimmed or
            is not the first generation.
    """

    events: int
    edges: int
    breakers: int
    seq: int
    is_whole: bool


def export_stream(url: str, stream: str, path: Path) -> ExportResult:
    """Write the history of a stream up to now as a log folder.

    Args:
        url: The URL of the connection.
        stream: The name of the stream.
        path: The folder, which must not exist.

    Raises:
        ConfigError: The URL or the name is not valid.
        LogError: The path exists, the server cannot be reached, or there is no such stream.
    """
    connection = StreamConnection(url, stream, _TIMEOUT_SECONDS)
    refuse_existing(path)
    try:
        events = events_of(connection)
        first = next(events)
        return _write_whole(path, chain([first], events))
    except StreamAwayError as error:
        raise LogError(f"{connection.address} cannot be reached: {error}") from None
    except OSError as error:
        raise LogError(f"{error.filename or path}: {error.strerror}") from error
    finally:
        connection.close()


def events_of(connection: StreamConnection) -> Iterator[Event]:
    """Yield the events of a stream, from its beginning or first checkpoint.

    Raises:
        LogError: There is no such stream, or no entry in it from which a fold can start.
    """
    first_page = connection.page(None, count=1)
    if not first_page:
        raise LogError(f"{connection.address} has no stream {connection.key}")
    stream_fold, events = _first_start(connection, first_page[0])
    later = _events_from(connection, stream_fold)
    yield from events
    # A fold from a checkpoint has no events of its own: the log begins at the next header.
    yield from later if events else dropwhile(_is_before_header, later)


def _events_from(connection: StreamConnection, stream_fold: StreamFold) -> Iterator[Event]:
    for entry in _entries_after(connection, stream_fold.position):
        if stream_fold.is_restarted_by(entry):
            raise LogError(
                f"{connection.address}, {connection.key}: its beginning was lost, and it was restarted "
                f"at entry {format_id(entry.id)}; the events before and after cannot be in one log"
            )
        yield from stream_fold.fold_entry(entry).events


def _is_before_header(event: Event) -> bool:
    return not isinstance(event, LogOpened)


def _first_start(
    connection: StreamConnection, first_entry: Entry
) -> tuple[StreamFold, Sequence[Event]]:
    """Return a fold that begins at the first usable entry of a stream, and its first events."""
    for entry in chain([first_entry], _entries_after(connection, first_entry.id)):
        if isinstance(entry.body, Begin):
            stream_fold, folded = StreamFold.from_begin(entry)
            return stream_fold, folded.events
        if isinstance(entry.body, StreamCheckpoint) and parse_id(entry.body.of) >= first_entry.id:
            return StreamFold.from_checkpoint(entry.body), ()
    raise LogError(
        f"{connection.address}, {connection.key}: the first entries are gone, and there is no "
        "checkpoint to start from; something else has trimmed the stream"
    )


def _entries_after(connection: StreamConnection, position: EntryId) -> Iterator[Entry]:
    """Yield the entries after a position, up to the present end of the stream."""
    newest = connection.page_back(None, count=1)
    end = newest[0].id if newest else position
    while position < end:
        page = connection.page(position)
        if not page or page[0].id != position:
            raise StreamChangedError(
                f"{connection.address}, {connection.key}: the stream was trimmed while it was read; "
                "try again"
            )
        for entry in page[1:]:
            if entry.id <= end:
                yield entry
        position = page[-1].id


def _write_whole(path: Path, events: Iterable[Event]) -> ExportResult:
    """Write a log under a temporary name, so that the path never holds a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    disk.make_folder(unfinished)
    try:
        exported = _write(unfinished, events)
        unfinished.replace(path)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return exported


def _write(path: Path, events: Iterable[Event]) -> ExportResult:
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
    return ExportResult(count + 1, edges, len(fold.breakers), fold.seq + 1, is_whole)


class _Segments:
    """Writes the segments of a log; each ``log_opened`` begins another one."""

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
        """End the segment, and return the digest to which the next one is chained."""
        segment, self._segment = self._segment, None
        if segment is None:
            return GENESIS
        try:
            segment.write()
            segment.sync()
        finally:
            segment.close()
        return segment.chain.carried()
