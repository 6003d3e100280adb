"""Reads a log: a folder of segments, one segment, or an exported Parquet file.

``LogReader`` returns no event before its seal has been checked. ``recloser.log.segment_reader``
reads a single segment.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recloser.core.events import Event
from recloser.errors import DamagedLogError, MissingLibraryError, NotALogError
from recloser.log.codec import full
from recloser.log.counting_reader import OnRead
from recloser.log.listing import (
    SEGMENT_SUFFIX,
    errors_of,
    is_folder,
    is_there,
    other_files,
    segments_in,
)
from recloser.log.open_errors import is_of_one_file, read_failure
from recloser.log.seals import SEAL_EVERY
from recloser.log.segment_reader import SegmentLines, SegmentReader, refuse, torn_before
from recloser.log.tail import Tail

if TYPE_CHECKING:
    from recloser.log.parquet import ParquetLog

PARQUET_SUFFIX: Final = ".parquet"


def segments_of(path: Path) -> list[Path]:
    """List the segments of a log in order: those in a folder, or the one file itself.

    A folder whose event files all have names of their own, such as ``trace.jsonl``, is read as a
    log of these files, sorted by name.

    Raises:
        NotALogError: The path does not exist, or the folder holds no segment.
        LogError: The folder can't be listed.
    """
    with errors_of(path):
        if not is_there(path):
            raise NotALogError(f"{path}: there is no such file or folder")
        if not is_folder(path):
            return [path]
        segments = segments_in(path) or other_files(path)
    if not segments:
        raise NotALogError(f"{path}: there is no segment (*{SEGMENT_SUFFIX}) in this folder")
    return segments


class LogReader:
    """The events of a log; each iteration reads the log again.

    Every block is checked against its seal before its first event is returned, so an error can only
    occur between blocks. The events after the last seal are returned last.

    Args:
        path: A folder of segments, one segment, or an exported Parquet file.

    Attributes:
        path: The same.
        tail: How the log ended; set when an iteration reaches its end.
        on_read: Called with the number of bytes after each read from disk; None for no calls.

    Raises:
        NotALogError, FutureVersionError, DamagedLogError: While iterating; each names the place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = Tail()
        self.on_read: OnRead | None = None

    def listed(self) -> Sequence[Path]:
        """List the segments to read, in order."""
        return segments_of(self.path)

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            yield from map(full, batch)

    def batches(self) -> Iterator[Sequence[Event]]:
        """Yield the events in their lean forms, many at a time."""
        exported = self.columns()
        if exported is None:
            for lines in self.line_batches():
                yield from lines.events()
            return
        self.tail = Tail()
        events = iter(exported)
        while batch := list(islice(events, SEAL_EVERY)):
            yield batch
        self.tail = exported.about.tail

    def line_batches(self) -> Iterator[SegmentLines]:
        """Yield the lines of a log of segments in batches, after checking their seals."""
        self.tail = Tail()
        has_begun = False
        for reader in segment_readers(self.listed(), on_read=self.on_read, may_be_removed=True):
            # A writer removes the oldest segments. Before the first line was returned, that only
            # makes the log shorter; afterwards it would leave a hole.
            reader.may_be_removed = not has_begun
            for lines in reader.line_batches():
                has_begun = True
                yield lines
            self.tail = reader.tail

    def columns(self) -> "ParquetLog | None":
        """Open an exported Parquet file by columns; None for a log of segments.

        Raises:
            MissingLibraryError: pyarrow or numpy is not installed.
        """
        return open_columns(self.path) if self.path.suffix == PARQUET_SUFFIX else None


def open_columns(path: Path) -> "ParquetLog":
    """Open an exported Parquet file.

    Raises:
        MissingLibraryError: pyarrow or numpy is not installed.
    """
    with parquet_libraries():
        from recloser.log.parquet import ParquetLog
    return ParquetLog(path)


@contextmanager
def parquet_libraries() -> Iterator[None]:
    """Wrap the import of pyarrow and numpy, and report in one line if it fails.

    Raises:
        MissingLibraryError: One of them is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingLibraryError(
            f"Parquet needs {error.name}, which is not installed; pip install 'recloser[parquet]'",
            name=error.name,
        ) from None


def segment_readers(
    segments: Sequence[Path],
    on_damage: Callable[[DamagedLogError], None] | None = None,
    on_read: OnRead | None = None,
    *,
    may_be_removed: bool = False,
) -> Iterator[SegmentReader]:
    """Yield a reader for each segment, set up from the segments before and after it.

    The header of the next segment says how many bytes at the end to leave out. The segment before
    says what this one must continue, so read each one to its end before asking for the next.

    Args:
        segments: The segments, as they were listed.
        on_damage: See ``SegmentReader``; by default the damage is raised.
        on_read: See ``SegmentReader``.
        may_be_removed: Whether to skip a segment that its writer has removed for its age since it
            was listed. Its reader then yields nothing, and its ``was_removed`` is true.

    Raises:
        NotALogError: A segment can't be read.
    """
    previous: Tail | None = None
    for segment, following in zip_longest(segments, segments[1:]):
        reader = SegmentReader(segment, _torn_at_end(following), on_damage or refuse)
        reader.previous_tail = previous
        reader.on_read = on_read
        reader.may_be_removed = may_be_removed
        yield reader
        previous = reader.tail if reader.is_at_end and not reader.was_removed else None


def _torn_at_end(following: Path | None) -> int:
    """Return how many bytes to leave out before a segment, as its header says."""
    try:
        return 0 if following is None else torn_before(following)
    except OSError as error:
        if is_of_one_file(error):
            return 0  # reading that segment itself reports the error, unless it has been removed
        assert following is not None
        raise NotALogError(read_failure(following, error)) from error
