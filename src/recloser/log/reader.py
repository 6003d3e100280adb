"""The strict reader: hands out no event whose seal does not match."""

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from recloser.core.events import Event, LogGap, LogOpened, LogSealed
from recloser.core.limits import MAX_LINE_BYTES
from recloser.errors import DamagedLogError, MissingLibraryError, NotALogError
from recloser.log.codec import check_header, decode, decode_lines, full
from recloser.log.counting_reader import OnRead, watched
from recloser.log.decompression import decompressor, failure_of
from recloser.log.listing import (
    COMPRESSED_SUFFIX,
    SEGMENT_SUFFIX,
    errors_of,
    is_folder,
    is_there,
    number_in,
    number_of,
    other_files,
    segments_in,
)
from recloser.log.open_errors import is_of_one_file, read_failure
from recloser.log.seals import SEAL_EVERY, SealChain, is_seal
from recloser.log.tail import Tail

if TYPE_CHECKING:
    from recloser.log.parquet import ParquetLog

PARQUET_SUFFIX: Final = ".parquet"
_WITNESS_START: Final = b'{"event":"state_changed",'
_GAP_START: Final = b'{"event":"log_gap",'
_PIECE: Final = 1 << 16
"""So much is read at once: what is decoded of it stays in the processor's cache."""


def segments_of(path: Path) -> list[Path]:
    """The segments of a log in their order: those of a folder, or the one file itself.

    A folder that holds files of events under other names only is read as a log of these.

    Raises:
        NotALogError: There is no such file, or no segment in the folder.
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


@contextmanager
def open_segment(path: Path, on_read: OnRead | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a segment, decompressed as they are read.

    ``on_read`` is told of the bytes of the file, as they are on disk.
    """
    path, opened = _opened(path, on_read)
    with opened as raw:
        if path.suffix != COMPRESSED_SUFFIX:
            yield raw
            return
        import zstandard

        reader = decompressor().stream_reader(raw, read_across_frames=True)
        try:
            yield io.BufferedReader(reader)
        except zstandard.ZstdError as error:
            raise DamagedLogError(f"{path}: {failure_of(error)}") from error


def _opened(segment: Path, on_read: OnRead | None) -> tuple[Path, io.BufferedReader]:
    form = form_of(segment)
    try:
        return form, watched(form, on_read)
    except FileNotFoundError:
        form = form_of(segment)  # compressed just now
        return form, watched(form, on_read)


def form_of(segment: Path) -> Path:
    """The form in which a segment is there now: its writer may have compressed it meanwhile.

    Raises:
        OSError: That can't be found out.
    """
    compressed = segment.with_name(segment.name + COMPRESSED_SUFFIX)
    is_plain = segment.suffix != COMPRESSED_SUFFIX
    return compressed if is_plain and not is_there(segment) and is_there(compressed) else segment


def size_of(segment: Path) -> int:
    """How many bytes a segment takes on disk; 0 where it has been removed meanwhile."""
    with errors_of(segment), suppress(FileNotFoundError):
        return form_of(segment).stat().st_size
    return 0


def torn_before(segment: Path) -> int:
    """How many bytes of the segment before it are not part of the log, as its header says.

    Raises:
        OSError: It can't be read.
    """
    header = header_of(segment)
    return 0 if header is None else header.torn


def header_of(segment: Path) -> LogOpened | None:
    """What a segment begins with; None if that is no header.

    Raises:
        OSError: It can't be read.
    """
    try:
        with open_segment(segment) as stream:
            header = decode(stream.readline(MAX_LINE_BYTES))
    except DamagedLogError:
        return None
    return header if isinstance(header, LogOpened) else None


def _gap_in(lines: bytes) -> LogGap | None:
    """The last of these lines, if it is a gap."""
    last = lines[lines.rfind(b"\n", 0, -1) + 1 :]
    if not last.startswith(_GAP_START):
        return None
    with suppress(DamagedLogError):
        event = decode(last)
        return event if isinstance(event, LogGap) else None
    return None


class LogReader:
    """The events of a log, as often as it is iterated.

    Every block is checked against its seal before its first event is handed out, so an error can
    only come between blocks. What stands behind the last seal is handed out last.

    Args:
        path: A folder of segments, one segment, or an exported file.

    Attributes:
        tail: How the log ended, once it has been iterated to its end.
        on_read: Told of the bytes on disk as they are read, if anything is.

    Raises:
        NotALogError, FutureVersionError, DamagedLogError: While iterating; each names the place.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tail = Tail()
        self.on_read: OnRead | None = None

    def listed(self) -> Sequence[Path]:
        """The segments that are read, in their order."""
        return segments_of(self.path)

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            yield from map(full, batch)

    def batches(self) -> Iterator[Sequence[Event]]:
        """The events in their lean forms, many at a time."""
        columns = self.columns()
        if columns is None:
            for stretch in self.stretches():
                yield from stretch.batches()
            return
        self.tail = Tail()
        events = iter(columns)
        while batch := list(islice(events, SEAL_EVERY)):
            yield batch
        self.tail = columns.about.tail

    def stretches(self) -> Iterator["Stretch"]:
        """The lines of a log of segments, many at a time, after their seals were checked."""
        self.tail = Tail()
        has_begun = False
        for reader in segment_readers(self.listed(), on_read=self.on_read, may_be_gone=True):
            # At the beginning the log is shorter by it; later there would be a hole.
            reader.may_be_gone = not has_begun
            for stretch in reader.stretches():
                has_begun = True
                yield stretch
            self.tail = reader.tail

    def columns(self) -> "ParquetLog | None":
        """The log by its columns, where it is an exported file.

        Raises:
            MissingLibraryError: The libraries that read it are not installed.
        """
        return open_columns(self.path) if self.path.suffix == PARQUET_SUFFIX else None


def open_columns(path: Path) -> "ParquetLog":
    """An exported file.

    Raises:
        MissingLibraryError: The libraries that read it are not installed.
    """
    with parquet_libraries():
        from recloser.log.parquet import ParquetLog
    return ParquetLog(path)


@contextmanager
def parquet_libraries() -> Iterator[None]:
    """Import what needs pyarrow and numpy in this block, to be told in one line if they are missing.

    Raises:
        MissingLibraryError: They are.
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
    may_be_gone: bool = False,
) -> Iterator["SegmentReader"]:
    """A reader for each segment, told by its neighbours what is expected of it.

    The one behind says how much of its end to leave out; the one before must have been read to its
    end by then, and says what it continues.

    Args:
        segments: The segments, as they were listed.
        on_damage: As for ``SegmentReader``.
        on_read: As for ``SegmentReader``.
        may_be_gone: Whether to pass over a segment that its writer has removed for its age since
            it was listed: its reader then is empty, and its ``is_gone`` is true.

    Raises:
        NotALogError: A segment can't be read.
    """
    before: Tail | None = None
    for segment, following in zip_longest(segments, segments[1:]):
        reader = SegmentReader(segment, _torn_at_end(following), on_damage or _refuse)
        reader.before = before
        reader.on_read = on_read
        reader.may_be_gone = may_be_gone
        yield reader
        before = reader.tail if reader.is_read and not reader.is_gone else None


def _torn_at_end(following: Path | None) -> int:
    """How many bytes at the end of a segment are left out, as the one behind it says."""
    try:
        return 0 if following is None else torn_before(following)
    except OSError as error:
        if is_of_one_file(error):
            return 0  # that is told where it is read itself, or removed since it was listed
        assert following is not None
        raise NotALogError(read_failure(following, error)) from error


def _was_removed_for_age(segment: Path) -> bool:
    """Whether a segment that was listed is gone with all before it, as its writer removes them."""
    number = number_in(segment.name)
    if number is None:
        return False
    try:
        left = segments_in(segment.parent)
    except OSError:
        return False
    return bool(left) and number_of(left[0]) > number


def _refuse(error: DamagedLogError) -> None:
    raise error


class SegmentReader:
    """The events of one segment.

    Args:
        path: The segment.
        before: How the segment before it ended; None where that is not known.
        on_damage: Told of each damage found. If it returns, the events that the damage touches are
            left out and reading goes on behind them; by default it raises.

    Attributes:
        before: How the segment before ended; None where that is not known.
        tail: How the segment ended, once it has been read to its end.
        on_read: Told of the bytes on disk as they are read, if anything is.
        may_be_gone: Whether it may have been removed for its age since it was listed.
        is_gone: Whether it was, so that nothing was read.
        path: The segment.
        offset: The byte up to which it has been read.
        whole_until: The byte up to which all that has been read is whole.
        is_read: Whether it has been read to its end.
    """

    def __init__(
        self,
        path: Path,
        torn: int = 0,
        on_damage: Callable[[DamagedLogError], None] = _refuse,
    ) -> None:
        self.before: Tail | None = None
        self.on_read: OnRead | None = None
        self.may_be_gone = self.is_gone = False
        self.tail = Tail()
        self.offset = self.whole_until = 0
        self.is_read = False
        self.path = path
        self._torn = torn
        self._on_damage = on_damage
        self._is_whole = True
        self._chain = SealChain()
        self._seals = 0
        self._unwhole = 0
        self._block = _Lines(0)

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            yield from map(full, batch)

    def batches(self) -> Iterator[Sequence[Event]]:
        """The events in their lean forms, many at a time."""
        for stretch in self.stretches():
            yield from stretch.batches()

    def stretches(self) -> Iterator["Stretch"]:
        """The lines, many at a time, after their seals were checked; those after the last one last."""
        try:
            with open_segment(self.path, self.on_read) as stream:
                yield from self._read_on(stream)
            yield from self._finish()
        except FileNotFoundError as error:
            is_aged = _was_removed_for_age(self.path)
            self.is_gone = self.may_be_gone and is_aged
            if not self.is_gone:
                raise NotALogError(_gone(self.path, error, is_aged=is_aged)) from error
        except OSError as error:
            raise NotALogError(read_failure(self.path, error)) from error

    def read_on(self, stream: IO[bytes]) -> Iterator[Sequence[Event]]:
        """The events of the blocks that have been sealed since the last call, many at a time.

        Args:
            stream: The segment, where the last call left off; a line that is not whole yet is read
                again by the next call.
        """
        for stretch in self._read_on(stream):
            yield from stretch.batches()

    def finish(self) -> Iterator[Sequence[Event]]:
        """The events after the last seal, once the segment has been read to its end."""
        for stretch in self._finish():
            yield from stretch.batches()

    def _read_on(self, stream: IO[bytes]) -> Iterator["Stretch"]:
        left = sys.maxsize
        if self._torn:
            is_plain = self.path.suffix != COMPRESSED_SUFFIX
            found = os.fstat(stream.fileno()) if is_plain else self.path.stat()
            left = max(0, found.st_size - self._torn)
        rest = b""
        while piece := stream.read(min(_PIECE, left - self.offset - len(rest))):
            lines = rest + piece
            if len(lines) >= MAX_LINE_BYTES and lines.find(b"\n", 0, MAX_LINE_BYTES) < 0:
                rest = lines[:MAX_LINE_BYTES]
                break
            end = lines.rfind(b"\n") + 1
            rest = lines[end:]
            if end and self.offset == 0:
                self._open(lines[: lines.index(b"\n") + 1])
            yield from self._take(lines, end)
        self._unwhole = len(rest)

    def _finish(self) -> Iterator["Stretch"]:
        self.is_read = True
        if self.offset == 0:
            if self._unwhole >= MAX_LINE_BYTES:
                self._too_long()
            self.tail = self._headless()
            return
        torn = self._torn + self._unwhole
        gap = _gap_in(self._block.last_piece())
        if gap is not None and gap.chain is not None:
            self.tail = Tail(gap.chain, gap.unsealed, torn)
        else:
            self.tail = Tail(self._chain.carried(), self._block.count, torn)
        yield from self._stretch(self._block, is_sealed=False)
        if self._unwhole >= MAX_LINE_BYTES:
            self._too_long()

    def _too_long(self) -> None:
        self._damaged(self.offset, f"the line is longer than {MAX_LINE_BYTES} bytes")

    def _open(self, line: bytes) -> None:
        check_header(line, str(self.path))
        try:
            header = decode(line)
        except DamagedLogError as error:
            self._damaged(0, str(error))
            return
        if not isinstance(header, LogOpened):
            self._damaged(0, "the segment does not begin with log_opened")
            return
        told = Tail(header.chain, header.unsealed, header.torn)
        if self.before is not None and told != self.before:
            self._damaged(
                0,
                "the segment is not the one written after the segment before it: "
                f"it continues {_told(told)}, and there stands {_told(self.before)}",
            )
        self._chain = SealChain(header.chain)

    def _take(self, lines: bytes, length: int) -> Iterator["Stretch"]:
        """Take in whole lines, so much of them; all the blocks that seals close."""
        begin, self.offset = self.offset, self.offset + length
        sealed = _Lines(self._block.offset)
        view = memoryview(lines)
        start = 0
        while start < length:
            closed = self._chain.close_blocks(lines, start, length)
            if closed.seals:
                self._block.add(view[start : closed.end], closed.lines)
                sealed.join(self._block)
                self._block.begin(begin + closed.end)
                self._seals += closed.seals
                start = closed.end
            count, seal = closed.following, closed.seal
            between = view[start:seal]
            if self._block.count + count > SEAL_EVERY:
                yield from self._stretch(sealed)
                sealed = self._add_singly(between, begin + start)
            else:
                self._block.add(between, count)
                self._chain.add_at_once(between, count)
            start = seal
            if seal < length:
                start = lines.index(b"\n", seal) + 1
                self._block.add(view[seal:start], 1)
                broken = self._broken(lines[seal:start], begin + seal)
                if broken is None:
                    sealed.join(self._block)
                    self._block.begin(begin + start)
                else:
                    self._block = _Lines(begin + start)
                    yield from self._stretch(sealed)
                    sealed = _Lines(begin + start)
                    self._damaged(begin + seal, broken)
        yield from self._stretch(sealed)

    def _add_singly(self, lines: memoryview, offset: int) -> "_Lines":
        """Add lines to a block that may be too long by now; where what is sealed then begins."""
        for line in io.BytesIO(lines):
            if self._block.count >= SEAL_EVERY and not line.startswith(_WITNESS_START):
                self._damaged(offset, f"{SEAL_EVERY} events stand here without a seal")
                self._block = _Lines(offset)
            self._chain.add(line)
            self._block.add(line, 1)
            offset += len(line)
        return _Lines(self._block.offset)

    def _broken(self, line: bytes, offset: int) -> str | None:
        """What is wrong with a seal, if it is not that of its block."""
        self._seals += 1
        count = self._chain.count
        try:
            sealed = decode(line)
        except DamagedLogError as error:
            return f"seal {self._seals} is broken: {error}"
        assert isinstance(sealed, LogSealed)
        if self._chain.seal(sealed.seq, sealed.at)[1] == line:
            return None
        self._chain = SealChain(sealed.digest)
        begin = self._block.offset if count else offset
        return (
            f"seal {self._seals} (seq {sealed.seq}) is broken: the {count} events before it, from "
            f"byte {begin} on, are not those that were sealed"
        )

    def _stretch(self, lines: "_Lines", *, is_sealed: bool = True) -> Iterator["Stretch"]:
        if lines.count:
            yield Stretch(self, lines.text(), lines.count, lines.offset, is_sealed=is_sealed)

    def decoded(self, stretch: "Stretch") -> Iterator[Sequence[Event]]:
        """The events of lines that are as they were written; each that holds none is damage."""
        events = decode_lines(stretch.text, stretch.count)
        if events is None:
            yield from self._decoded_singly(stretch)
            return
        yield events
        if self._is_whole:
            self.whole_until = stretch.offset + len(stretch.text)

    def _decoded_singly(self, stretch: "Stretch") -> Iterator[Sequence[Event]]:
        offset = stretch.offset
        for line in io.BytesIO(stretch.text):
            try:
                yield (decode(line),)
            except DamagedLogError as error:
                self._damaged(offset, str(error))
            offset += len(line)
            if self._is_whole and (is_seal(line) or not stretch.is_sealed):
                self.whole_until = offset

    def _headless(self) -> Tail:
        """A process that died before its first line was whole left no event, and so no trace."""
        if self.before is None:
            raise NotALogError(f"{self.path}: this is no recloser log: it holds no whole line")
        return self.before

    def _damaged(self, offset: int, what: str) -> None:
        self._is_whole = False
        self._on_damage(DamagedLogError(f"{self.path}, byte {offset}: {what}"))


def _gone(segment: Path, error: OSError, *, is_aged: bool) -> str:
    if not is_aged:
        return read_failure(segment, error)
    return (
        f"{segment}: its writer has removed this segment, as it keeps only so much of the log; "
        "read the log again"
    )


def _told(tail: Tail) -> str:
    return f"digest {tail.chain[:16]}, {tail.unsealed} unsealed lines and {tail.torn} torn bytes"


class Stretch:
    """Neighbouring whole lines of a segment that are as they were written.

    Args:
        reader: What has read them.
        text: They themselves.
        count: How many they are.
        offset: The byte at which they begin.
        is_sealed: Whether a seal says so.
    """

    __slots__ = ("_reader", "count", "is_sealed", "offset", "text")

    def __init__(
        self, reader: SegmentReader, text: bytes, count: int, offset: int, *, is_sealed: bool
    ) -> None:
        self._reader = reader
        self.text = text
        self.count = count
        self.offset = offset
        self.is_sealed = is_sealed

    def batches(self) -> Iterator[Sequence[Event]]:
        """Their events in their lean forms, many at a time.

        Raises:
            DamagedLogError: A line holds no event, and the reader is to raise it.
        """
        return self._reader.decoded(self)


class _Lines:
    """Neighbouring whole lines of a segment.

    Attributes:
        offset: The byte at which they begin.
        count: How many they are.
        pieces: They themselves, in pieces.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.count = 0
        self.pieces: list[bytes | memoryview] = []

    def add(self, lines: bytes | memoryview, count: int) -> None:
        """Take in the next lines."""
        self.pieces.append(lines)
        self.count += count

    def begin(self, offset: int) -> None:
        """Begin anew at this byte, with none."""
        self.offset = offset
        self.count = 0
        self.pieces.clear()

    def join(self, other: "_Lines") -> None:
        """Take in the lines that come next."""
        self.pieces += other.pieces
        self.count += other.count

    def last_piece(self) -> bytes:
        """The last piece that holds any; empty if there is none."""
        return next((bytes(piece) for piece in reversed(self.pieces) if len(piece)), b"")

    def text(self) -> bytes:
        """All of them."""
        return b"".join(self.pieces)
