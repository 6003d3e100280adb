"""Opening what is to be imported: a file or standard input, plain, gzip or zstd."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import zstandard

from recloser.errors import ImportTraceError

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


@contextmanager
def open_text(path: str) -> Iterator[IO[str]]:
    """The text of a file, ``-`` being standard input; compression is told by the first bytes.

    Bytes that are no UTF-8 are shown escaped.

    Raises:
        ImportTraceError: The file can't be opened, or its compressed data is broken.
    """
    try:
        raw = _open(path)
    except OSError as error:
        raise ImportTraceError(f"{path}: {error.strerror}") from error
    try:
        with raw, _decompressed(raw) as binary:
            yield io.TextIOWrapper(
                binary, encoding="utf-8-sig", errors="backslashreplace", newline=""
            )
    except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
        raise ImportTraceError(f"{path}: the compressed data is broken: {error}") from error


def _open(path: str) -> io.BufferedReader:
    if path == "-":
        return io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False))
    return Path(path).open("rb")


def _decompressed(raw: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    magic = raw.peek(4)[:4]
    if magic.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    if magic == _ZSTD:
        reader = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        return io.BufferedReader(reader)
    return raw
