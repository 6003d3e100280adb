"""Opening what is to be imported: a file or standard input, plain, gzip or zstd."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import zstandard

from recloser.errors import ImportTraceError
from recloser.log.decompression import decompressor, failure_of
from recloser.log.watched import OnRead, Watched

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
# A piece of zstd can grow by thirty thousand times when it is decompressed.
_PIECE: Final = 1 << 9

MAX_LINE_CHARS: Final = 1 << 20
"""A longer line of text is not read; JSON has a bound of its own."""


@contextmanager
def open_text(path: str, on_read: OnRead | None = None) -> Iterator[IO[str]]:
    """The text of a file, ``-`` being standard input; compression is told by the first bytes.

    Bytes that are no UTF-8 are shown escaped. ``on_read`` is told of bytes of the file as they are
    read.

    Raises:
        ImportTraceError: The file can't be opened, or its compressed data is broken.
    """
    try:
        raw = _open(path, on_read)
    except OSError as error:
        raise ImportTraceError(f"{path}: {error.strerror}") from error
    try:
        with raw, _decompressed(raw) as binary:
            yield io.TextIOWrapper(
                binary, encoding="utf-8-sig", errors="backslashreplace", newline=""
            )
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise ImportTraceError(f"{path}: {failure_of(error)}") from error


def lines_of(text: IO[str], limit: int = MAX_LINE_CHARS) -> Iterator[tuple[int, str | None]]:
    """The lines with their numbers, from 1, without their ends; None for one beyond the limit.

    Such a line is passed over in pieces, never held whole.
    """
    number = 0
    while line := text.readline(limit):
        number += 1
        if len(line) < limit or line.endswith("\n"):
            yield number, line.rstrip("\r\n")
            continue
        while (piece := text.readline(limit)) and not piece.endswith("\n"):
            pass
        yield number, None


def too_long(limit: int = MAX_LINE_CHARS) -> str:
    """Why a line beyond the limit is not read."""
    return f"it is longer than {limit:,} characters"


def _open(path: str, on_read: OnRead | None) -> io.BufferedReader:
    raw = io.FileIO(sys.stdin.fileno(), closefd=False) if path == "-" else io.FileIO(Path(path))
    return io.BufferedReader(raw if on_read is None else Watched(raw, on_read))


def _decompressed(raw: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    magic = raw.peek(4)[:4]
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    if magic == _ZSTD:
        return io.BufferedReader(ZstdStream(raw))
    return raw


class ZstdStream(io.RawIOBase):
    """Zstd frames one after another, decompressed; one that is cut raises EOFError.

    ``ZstdDecompressor.stream_reader`` takes a frame without its end for a whole one.
    """

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Decompress into a buffer."""
        while not self._pending and self._fill():
            pass
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._pending))
        view[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size

    def _fill(self) -> bool:
        """Decompress the next piece; False at the end of the input."""
        piece = self._compressed or self._raw.read(_PIECE)
        self._compressed = b""
        if not piece:
            if self._frame is not None:
                raise EOFError("the last frame is cut")
            return False
        if self._frame is None:
            self._frame = decompressor().decompressobj()
        self._pending = memoryview(self._frame.decompress(piece))
        if self._frame.eof:
            self._compressed = self._frame.unused_data
            self._frame = None
        return True
