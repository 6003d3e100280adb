"""The strict reader: hands out no event whose seal does not match."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice, zip_longest
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from recloser.errors import DamagedLogError, MissingLibraryError, NotALogError
from recloser.events import Event, LogOpened, LogSealed
from recloser.limits import MAX_LINE_BYTES
from recloser.log.codec import check_header, decode, decode_lines, full
from recloser.log.decompression import decompressor, failure_of
from recloser.log.seals import SEAL_EVERY, SealChain, is_seal, lines_before_seal
from recloser.log.tail import Tail
from recloser.log.watched import OnRead, watched

if TYPE_CHECKING:
    from recloser.log.parquet import ParquetLog

SEGMENT_SUFFIX: Final = ".jsonl"
COMPRESSED_SUFFIX: Final = ".zst"
PARQUET_SUFFIX: Final = ".parquet"
_WITNESS_START: Final = b'{"event":"state_changed",'
_PIECE: Final = 1 << 16
"""So much is read at once: what is decoded of it stays in the processor's cache."""


def segments_of(path: Path) -> list[Path]:
    """The segments of a log in their order: those of a folder, or the one file itself.

    Raises:
        NotALogError: There is no such file, or no segment in the folder.
    """
    if not path.exists():
        raise NotALogError(f"{path}: there is no such file or folder")
    if not path.is_dir():
        return [path]
    segments = segments_in(path)
    if not segments:
        raise NotALogError(f"{path}: there is no segment (*{SEGMENT_SUFFIX}) in this folder")
    return segments


def segments_in(folder: Path) -> list[Path]:
    """The segments in a folder in their order, compressed or not.

    Of one that is there in both forms, as while it is compressed, the plain one is taken.
    """
    found = {path.name: path for path in folder.glob(f"*{SEGMENT_SUFFIX}{COMPRESSED_SUFFIX}")}
    plain = {path.name: path for path in folder.glob(f"*{SEGMENT_SUFFIX}")}
    for name in plain:
        found.pop(name + COMPRESSED_SUFFIX, None)
    return [path for _, path in sorted((found | plain).items())]


def number_of(segment: Path) -> int:
    """The number that a segment's name begins with."""
    return int(segment.name.partition(".")[0])


@contextmanager
def open_segment(path: Path, on_read: OnRead | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a segment, decompressed as they are read.

    ``on_read`` is told of the bytes of the file, as they are on disk.
    """
    compressed = path.with_name(path.name + COMPRESSED_SUFFIX)
    if not path.exists() and compressed.exists():
        path = compressed  # its writer has compressed it since it was listed
    with watched(path, on_read) as raw:
        if path.suffix != COMPRESSED_SUFFIX:
            yield raw
            return
        import zstandard

        reader = decompressor().stream_reader(raw, read_across_frames=True)
        try:
            yield io.BufferedReader(reader)
        except zstandard.ZstdError as error:
            raise DamagedLogError(f"{path}: {failure_of(error)}") from error


def torn_before(segment: Path) -> int:
    """How many bytes of the segment before it are not part of the log, as its header says."""
    header = header_of(segment)
    return 0 if header is None else header.torn


def header_of(segment: Path) -> LogOpened | None:
    """What a segment begins with; None if that can't be read."""
    try:
        with open_segment(segment) as stream:
            header = decode(stream.readline(MAX_LINE_BYTES))
    except (OSError, DamagedLogError):
        return None
    return header if isinstance(header, LogOpened) else None


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
        self.tail = Tail()
        columns = self.columns()
        if columns is not None:
            events = iter(columns)
            while batch := list(islice(events, SEAL_EVERY)):
                yield batch
            self.tail = columns.about.tail
            return
        for reader in segment_readers(self.listed(), on_read=self.on_read):
            yield from reader.batches()
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
) -> Iterator["SegmentReader"]:
    """A reader for each segment, told by its neighbours what is expected of it.

    The one behind says how much of its end to leave out; the one before must have been read to its
    end by then, and says what it continues.
    """
    before: Tail | None = None
    for segment, following in zip_longest(segments, segments[1:]):
        torn = 0 if following is None else torn_before(following)
        reader = SegmentReader(segment, torn, on_damage or _refuse)
        reader.before = before
        reader.on_read = on_read
        yield reader
        before = reader.tail


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
        path: The segment.
        offset: The byte up to which it has been read.
        whole_until: The byte up to which all that has been read is whole.
    """

    def __init__(
        self,
        path: Path,
        torn: int = 0,
        on_damage: Callable[[DamagedLogError], None] = _refuse,
    ) -> None:
        self.before: Tail | None = None
        self.on_read: OnRead | None = None
        self.tail = Tail()
        self.offset = self.whole_until = 0
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
        try:
            with open_segment(self.path, self.on_read) as stream:
                yield from self.read_on(stream)
            yield from self.finish()
        except OSError as error:
            raise NotALogError(f"{self.path}: {error.strerror}") from error

    def read_on(self, stream: IO[bytes]) -> Iterator[Sequence[Event]]:
        """The events of the blocks that have been sealed since the last call, many at a time.

        Args:
            stream: The segment, where the last call left off; a line that is not whole yet is read
                again by the next call.
        """
        left = sys.maxsize
        if self._torn:
            left = max(0, self.path.stat().st_size - self._torn)
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

    def finish(self) -> Iterator[Sequence[Event]]:
        """The events behind the last seal, once the segment has been read to its end."""
        if self._unwhole >= MAX_LINE_BYTES:
            self._damaged(self.offset, f"the line is longer than {MAX_LINE_BYTES} bytes")
        if self.offset == 0:
            self.tail = self._headless()
            return
        self.tail = Tail(self._chain.carried(), self._block.count, self._torn + self._unwhole)
        yield from self._decoded(self._block, is_sealed=False)

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

    def _take(self, lines: bytes, length: int) -> Iterator[Sequence[Event]]:
        """Take in whole lines, so much of them; the events of all the blocks that seals close."""
        begin, self.offset = self.offset, self.offset + length
        sealed = _Lines(self._block.offset)
        view = memoryview(lines)
        start = 0
        while start < length:
            count, seal = lines_before_seal(lines, start, length)
            between = view[start:seal]
            if self._block.count + count > SEAL_EVERY:
                yield from self._decoded(sealed)
                sealed = self._add_singly(between, begin + start)
            else:
                self._block.add(between, count)
                self._chain.add_at_once(between, count)
            start = seal
            if seal < length:
                start = lines.index(b"\n", seal) + 1
                line = lines[seal:start]
                block, self._block = self._block, _Lines(begin + start)
                broken = self._broken(line, block, begin + seal)
                if broken is None:
                    sealed.join(block, line)
                else:
                    yield from self._decoded(sealed)
                    sealed = _Lines(begin + start)
                    self._damaged(begin + seal, broken)
        yield from self._decoded(sealed)

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

    def _broken(self, line: bytes, block: "_Lines", offset: int) -> str | None:
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
        begin = block.offset if block.count else offset
        return (
            f"seal {self._seals} (seq {sealed.seq}) is broken: the {count} events before it, from "
            f"byte {begin} on, are not those that were sealed"
        )

    def _decoded(self, lines: "_Lines", *, is_sealed: bool = True) -> Iterator[Sequence[Event]]:
        """The events of lines that are as they were written; each that holds none is damage."""
        if not lines.count:
            return
        text = lines.text()
        events = decode_lines(text, lines.count)
        if events is None:
            yield from self._decoded_singly(text, lines.offset, is_sealed=is_sealed)
            return
        yield events
        if self._is_whole:
            self.whole_until = lines.offset + len(text)

    def _decoded_singly(
        self, lines: bytes, offset: int, *, is_sealed: bool
    ) -> Iterator[Sequence[Event]]:
        for line in io.BytesIO(lines):
            try:
                yield (decode(line),)
            except DamagedLogError as error:
                self._damaged(offset, str(error))
            offset += len(line)
            if self._is_whole and (is_seal(line) or not is_sealed):
                self.whole_until = offset

    def _headless(self) -> Tail:
        """A process that died before its first line was whole left no event, and so no trace."""
        if self.before is None:
            raise NotALogError(f"{self.path}: this is no recloser log: it holds no whole line")
        return self.before

    def _damaged(self, offset: int, what: str) -> None:
        self._is_whole = False
        self._on_damage(DamagedLogError(f"{self.path}, byte {offset}: {what}"))


def _told(tail: Tail) -> str:
    return f"digest {tail.chain[:16]}, {tail.unsealed} unsealed lines and {tail.torn} torn bytes"


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

    def join(self, block: "_Lines", seal: bytes) -> None:
        """Take in the block that comes next, and its seal."""
        self.pieces += block.pieces
        self.pieces.append(seal)
        self.count += block.count + 1

    def text(self) -> bytes:
        """All of them."""
        return b"".join(self.pieces)
