"""Reads one segment, and returns no line before its seal has been checked.

``SegmentReader`` reads a segment piece by piece, checks each block of lines against its seal, and
returns the checked lines in batches. The functions before it open a segment, whether it is
compressed or not, and read its header.
"""

import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from recloser.core.events import Event, LogGap, LogOpened, LogSealed
from recloser.core.limits import MAX_LINE_BYTES
from recloser.errors import DamagedLogError, NotALogError
from recloser.log.codec import check_header, decode, decode_lines, full
from recloser.log.counting_reader import OnRead, open_counted
from recloser.log.decompression import decompressor, failure_of
from recloser.log.listing import (
    COMPRESSED_SUFFIX,
    errors_of,
    is_there,
    number_in,
    number_of,
    segments_in,
)
from recloser.log.open_errors import read_failure
from recloser.log.seals import SEAL_EVERY, SealChain, is_seal
from recloser.log.tail import Tail

_WITNESS_START: Final = b'{"event":"state_changed",'
_GAP_START: Final = b'{"event":"log_gap",'
_PIECE: Final = 1 << 16
"""Bytes read at once: few enough that what is decoded from them stays in the processor's cache."""


@contextmanager
def open_segment(path: Path, on_read: OnRead | None = None) -> Iterator[IO[bytes]]:
    """Open a segment for reading, and decompress it if its file is compressed.

    Args:
        path: The segment, under its plain or its compressed name.
        on_read: Called with the number of bytes after each read from the file on disk.

    Raises:
        DamagedLogError: The compressed data is broken, or needs too much memory.
        OSError: The file can't be opened or read.
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
    file = file_of(segment)
    try:
        return file, open_counted(file, on_read)
    except FileNotFoundError:
        # The writer compressed it after `file_of` looked: the compressed name was given to the
        # file before the plain one was removed, so a second look finds it.
        file = file_of(segment)
        return file, open_counted(file, on_read)


def file_of(segment: Path) -> Path:
    """Return the file that holds a segment now, plain or compressed.

    The writer may have compressed it since it was listed.

    Raises:
        OSError: The operating system can't say whether the file exists.
    """
    compressed = segment.with_name(segment.name + COMPRESSED_SUFFIX)
    is_plain = segment.suffix != COMPRESSED_SUFFIX
    return compressed if is_plain and not is_there(segment) and is_there(compressed) else segment


def size_of(segment: Path) -> int:
    """Return the size of a segment on disk, in bytes; 0 if it has been removed since.

    Raises:
        LogError: The file can't be looked at.
    """
    with errors_of(segment), suppress(FileNotFoundError):
        return file_of(segment).stat().st_size
    return 0


def torn_before(segment: Path) -> int:
    """Return how many bytes to ignore at the end of the segment before this one.

    The segment's header says so, in ``torn``.

    Raises:
        OSError: The segment can't be read.
    """
    header = header_of(segment)
    return 0 if header is None else header.torn


def header_of(segment: Path) -> LogOpened | None:
    """Read the ``log_opened`` event of a segment; None if its first line is not one.

    Raises:
        OSError: The segment can't be read.
    """
    try:
        with open_segment(segment) as stream:
            header = decode(stream.readline(MAX_LINE_BYTES))
    except DamagedLogError:
        return None
    return header if isinstance(header, LogOpened) else None


def _gap_at_end(lines: bytes) -> LogGap | None:
    """Return the last of these lines if it is a ``log_gap``."""
    last = lines[lines.rfind(b"\n", 0, -1) + 1 :]
    if not last.startswith(_GAP_START):
        return None
    with suppress(DamagedLogError):
        event = decode(last)
        return event if isinstance(event, LogGap) else None
    return None


def _was_removed_for_age(segment: Path) -> bool:
    """Whether the writer has removed a listed segment, together with all earlier ones."""
    number = number_in(segment.name)
    if number is None:
        return False
    try:
        left = segments_in(segment.parent)
    except OSError:
        return False
    return bool(left) and number_of(left[0]) > number


def refuse(error: DamagedLogError) -> None:
    """Raise the damage that was found, with the remedy: the default of ``on_damage``."""
    raise DamagedLogError(f"{error}; recloser repair keeps the intact parts of a log") from error


class SegmentReader:
    """Reads the events of one segment and checks every seal.

    Args:
        path: The segment.
        torn: Bytes at its end that are not part of the log, as the next segment's header says.
        on_damage: Called with each damage found. If it returns, the events that the damage touches
            are left out, and reading continues after them. By default it raises.

    Attributes:
        path: The segment.
        previous_tail: How the segment before ended; None if that is not known.
        tail: How this segment ended; set when it has been read to its end.
        on_read: Called with the number of bytes after each read from the file on disk; None for
            no calls.
        may_be_removed: Whether the writer may have removed the segment for its age after it was
            listed.
        was_removed: Whether it was, so that nothing was read.
        offset: Bytes read so far, decompressed.
        intact_until: Bytes before the first damage, decompressed.
        is_at_end: Whether the segment has been read to its end.
    """

    def __init__(
        self,
        path: Path,
        torn: int = 0,
        on_damage: Callable[[DamagedLogError], None] = refuse,
    ) -> None:
        self.previous_tail: Tail | None = None
        self.on_read: OnRead | None = None
        self.may_be_removed = self.was_removed = False
        self.tail = Tail()
        self.offset = self.intact_until = 0
        self.is_at_end = False
        self.path = path
        self._torn = torn
        self._on_damage = on_damage
        self._is_intact = True
        self._chain = SealChain()
        self._seals = 0
        self._partial_bytes = 0
        self._block = _PendingLines(0)

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            yield from map(full, batch)

    def batches(self) -> Iterator[Sequence[Event]]:
        """Yield the events in their lean forms, many at a time."""
        for lines in self.line_batches():
            yield from lines.events()

    def line_batches(self) -> Iterator["SegmentLines"]:
        """Yield the lines in batches: blocks after checking their seal, then the rest.

        Raises:
            NotALogError: The file is gone, can't be read, or holds no whole line.
            FutureVersionError: A later version of the library wrote it.
            DamagedLogError: ``on_damage`` raised it.
        """
        try:
            with open_segment(self.path, self.on_read) as stream:
                yield from self._sealed_lines(stream)
            yield from self._unsealed_lines()
        except FileNotFoundError as error:
            is_aged = _was_removed_for_age(self.path)
            self.was_removed = self.may_be_removed and is_aged
            if not self.was_removed:
                raise NotALogError(_missing(self.path, error, is_aged=is_aged)) from error
        except OSError as error:
            raise NotALogError(read_failure(self.path, error)) from error

    def read_sealed(self, stream: IO[bytes]) -> Iterator[Sequence[Event]]:
        """Yield the events of blocks that were sealed since the last call, many at a time.

        Args:
            stream: The segment, at ``offset``. The next call reads a partial last line again.
        """
        for lines in self._sealed_lines(stream):
            yield from lines.events()

    def read_unsealed(self) -> Iterator[Sequence[Event]]:
        """Yield the events after the last seal, once nothing more will be written.

        Sets ``tail`` and ``is_at_end``.
        """
        for lines in self._unsealed_lines():
            yield from lines.events()

    def _sealed_lines(self, stream: IO[bytes]) -> Iterator["SegmentLines"]:
        end_of_log = sys.maxsize
        if self._torn:
            is_plain = self.path.suffix != COMPRESSED_SUFFIX
            found = os.fstat(stream.fileno()) if is_plain else self.path.stat()
            end_of_log = max(0, found.st_size - self._torn)
        rest = b""
        while piece := stream.read(min(_PIECE, end_of_log - self.offset - len(rest))):
            lines = rest + piece
            if len(lines) >= MAX_LINE_BYTES and lines.find(b"\n", 0, MAX_LINE_BYTES) < 0:
                rest = lines[:MAX_LINE_BYTES]
                break
            end = lines.rfind(b"\n") + 1
            rest = lines[end:]
            if end and self.offset == 0:
                self._read_header(lines[: lines.index(b"\n") + 1])
            yield from self._verify(lines, end)
        self._partial_bytes = len(rest)

    def _unsealed_lines(self) -> Iterator["SegmentLines"]:
        self.is_at_end = True
        if self.offset == 0:
            if self._partial_bytes >= MAX_LINE_BYTES:
                self._report_long_line()
            self.tail = self._tail_without_header()
            return
        torn = self._torn + self._partial_bytes
        gap = _gap_at_end(self._block.last_piece())
        if gap is not None and gap.chain is not None:
            self.tail = Tail(gap.chain, gap.unsealed, torn)
        else:
            self.tail = Tail(self._chain.carried(), self._block.count, torn)
        yield from self._batch(self._block, is_sealed=False)
        if self._partial_bytes >= MAX_LINE_BYTES:
            self._report_long_line()

    def _report_long_line(self) -> None:
        self._damaged(self.offset, f"the line is longer than {MAX_LINE_BYTES} bytes")

    def _read_header(self, line: bytes) -> None:
        check_header(line, str(self.path))
        try:
            header = decode(line)
        except DamagedLogError as error:
            self._damaged(0, str(error))
            return
        if not isinstance(header, LogOpened):
            self._damaged(0, "the segment does not begin with log_opened")
            return
        continued = Tail(header.chain, header.unsealed, header.torn)
        if self.previous_tail is not None and continued != self.previous_tail:
            self._damaged(
                0,
                "the segment is not the one written after the segment before it: it continues "
                f"{_described(continued)}, but that one ends with {_described(self.previous_tail)}",
            )
        self._chain = SealChain(header.chain)

    def _verify(self, lines: bytes, length: int) -> Iterator["SegmentLines"]:
        """Check ``length`` bytes of whole lines, and yield every block that is complete."""
        begin, self.offset = self.offset, self.offset + length
        sealed = _PendingLines(self._block.offset)
        view = memoryview(lines)
        start = 0
        while start < length:
            # Nearly always this closes every block in these lines; what follows handles the lines
            # after the last seal, blocks that are too long, and seals that do not match.
            closed = self._chain.close_blocks(lines, start, length)
            if closed.seals:
                self._block.add(view[start : closed.end], closed.lines)
                sealed.join(self._block)
                self._block.restart(begin + closed.end)
                self._seals += closed.seals
                start = closed.end
            count, seal = closed.following, closed.seal
            between = view[start:seal]
            if self._block.count + count > SEAL_EVERY:
                yield from self._batch(sealed)
                sealed = self._add_singly(between, begin + start)
            else:
                self._block.add(between, count)
                self._chain.add_at_once(between, count)
            start = seal
            if seal < length:
                start = lines.index(b"\n", seal) + 1
                self._block.add(view[seal:start], 1)
                fault = self._fault_of_seal(lines[seal:start], begin + seal)
                if fault is None:
                    sealed.join(self._block)
                    self._block.restart(begin + start)
                else:
                    self._block = _PendingLines(begin + start)
                    yield from self._batch(sealed)
                    sealed = _PendingLines(begin + start)
                    self._damaged(begin + seal, fault)
        yield from self._batch(sealed)

    def _add_singly(self, lines: memoryview, offset: int) -> "_PendingLines":
        """Add lines one by one to a block that may exceed the number of events per seal.

        Returns:
            An empty ``_PendingLines`` at the byte where the current block begins.
        """
        for line in io.BytesIO(lines):
            if self._block.count >= SEAL_EVERY and not line.startswith(_WITNESS_START):
                self._damaged(offset, f"there are {SEAL_EVERY} events before it without a seal")
                self._block = _PendingLines(offset)
            self._chain.add(line)
            self._block.add(line, 1)
            offset += len(line)
        return _PendingLines(self._block.offset)

    def _fault_of_seal(self, line: bytes, offset: int) -> str | None:
        """Say what is wrong with a seal; None if it matches its block."""
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

    def _batch(self, lines: "_PendingLines", *, is_sealed: bool = True) -> Iterator["SegmentLines"]:
        if lines.count:
            yield SegmentLines(self, lines.text(), lines.count, lines.offset, is_sealed=is_sealed)

    def decode_batch(self, batch: "SegmentLines") -> Iterator[Sequence[Event]]:
        """Yield the events of checked lines; a line that holds no event is damage."""
        events = decode_lines(batch.text, batch.count)
        if events is None:
            yield from self._decode_singly(batch)
            return
        yield events
        if self._is_intact:
            self.intact_until = batch.offset + len(batch.text)

    def _decode_singly(self, batch: "SegmentLines") -> Iterator[Sequence[Event]]:
        offset = batch.offset
        for line in io.BytesIO(batch.text):
            try:
                yield (decode(line),)
            except DamagedLogError as error:
                self._damaged(offset, str(error))
            offset += len(line)
            if self._is_intact and (is_seal(line) or not batch.is_sealed):
                self.intact_until = offset

    def _tail_without_header(self) -> Tail:
        # A process that died before its first line was whole left no event, so the log still ends
        # as the segment before does.
        if self.previous_tail is None:
            raise NotALogError(f"{self.path}: this is not a recloser log: it holds no whole line")
        return self.previous_tail

    def _damaged(self, offset: int, what: str) -> None:
        self._is_intact = False
        self._on_damage(DamagedLogError(f"{self.path}, byte {offset}: {what}"))


def _missing(segment: Path, error: OSError, *, is_aged: bool) -> str:
    if not is_aged:
        return read_failure(segment, error)
    return (
        f"{segment}: the writer has removed this segment, because it keeps only a limited part of "
        "the log; read the log again"
    )


def _described(tail: Tail) -> str:
    return f"digest {tail.chain[:16]}, {tail.unsealed} unsealed lines and {tail.torn} torn bytes"


class SegmentLines:
    """Consecutive whole lines of a segment that have been checked.

    Args:
        reader: The reader that read them.
        text: The lines, each with its LF.
        count: Number of lines.
        offset: Byte of the segment at which they begin, decompressed.
        is_sealed: Whether a seal confirmed them; False for lines after the last seal.
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

    def events(self) -> Iterator[Sequence[Event]]:
        """Yield the events of the lines in their lean forms, many at a time.

        Raises:
            DamagedLogError: A line holds no event, and the reader's ``on_damage`` raises.
        """
        return self._reader.decode_batch(self)


class _PendingLines:
    """Consecutive lines that are not yet returned, kept as pieces of the bytes read.

    Attributes:
        offset: Byte of the segment at which they begin.
        count: Number of lines.
        pieces: The lines, in pieces of any length.
    """

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.count = 0
        self.pieces: list[bytes | memoryview] = []

    def add(self, lines: bytes | memoryview, count: int) -> None:
        self.pieces.append(lines)
        self.count += count

    def restart(self, offset: int) -> None:
        """Drop all lines; the next ones begin at this byte."""
        self.offset = offset
        self.count = 0
        self.pieces.clear()

    def join(self, other: "_PendingLines") -> None:
        self.pieces += other.pieces
        self.count += other.count

    def last_piece(self) -> bytes:
        """Return the last piece that is not empty; empty if there is none."""
        return next((bytes(piece) for piece in reversed(self.pieces) if len(piece)), b"")

    def text(self) -> bytes:
        return b"".join(self.pieces)
