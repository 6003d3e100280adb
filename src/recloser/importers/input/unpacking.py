"""Decompression of files, and members of archives.

The first bytes of a file show how it is packed. A file may be packed several times, as a
``.tar.gz`` is, and an archive holds several files.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import zstandard

from recloser.errors import ImportTraceError
from recloser.importers.input.zip_stream import stream_members
from recloser.importers.input.zstd_stream import ZstdStream
from recloser.log.decompression import failure_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

OnCut: TypeAlias = Callable[[str, str], None]
"""Called with the name of a cut or broken file and the reason."""

_MAX_LAYERS: Final = 4
_PEEKED_BYTES: Final = 512
_TAR_MAGIC_AT: Final = 257
_PIECE_BYTES: Final = 1 << 18

_BROKEN: Final = (
    EOFError,
    OSError,  # of gzip and bz2 if it has no errno, of the operating system if it has one
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # a member of a zip file that needs a password
)


class _Source(Protocol):
    def read1(self, size: int = -1, /) -> bytes: ...


def unpacked_files(
    name: str, raw: io.BufferedReader, on_cut: OnCut, layer: int = 0
) -> Iterator[tuple[str, io.BufferedReader]]:
    """Yield a file, or the members of an archive, decompressed and with their names.

    Each must be read before the next one is asked for. A file that is cut or broken ends early, and
    ``on_cut`` is called.

    Args:
        name: The path of the file. A member's path follows it, as in ``a.zip/b.log``.
        raw: The bytes of the file; the caller closes it.
        on_cut: Called with the name of a cut file and the reason.
        layer: How many times it was unpacked already.

    Raises:
        ImportTraceError: It is packed more than four times, or nothing of it can be read.
    """
    magic = raw.peek(_PEEKED_BYTES)[:_PEEKED_BYTES]
    opener = next((opener for start, opener in _OPENERS if magic.startswith(start)), None)
    is_zip = magic.startswith(b"PK\x03\x04")
    is_tar = magic.startswith(b"ustar", _TAR_MAGIC_AT)
    if opener is None and not is_zip and not is_tar:
        yield name, raw
        return
    if layer == _MAX_LAYERS:
        raise ImportTraceError(
            f"{name}: it is packed more than {_MAX_LAYERS} times; unpack it first"
        )
    if opener is not None:
        stream = _buffered(_UntilCut(opener(raw), name, on_cut), _PIECE_BYTES)
        yield from unpacked_files(name, stream, on_cut, layer + 1)
        return
    members = _zip_members if is_zip else _tar_members
    for member, source in members(name, raw, on_cut):
        path = f"{name}/{member}"
        # tarfile returns nothing of a piece that is cut; with small pieces, little is lost.
        piece = tarfile.BLOCKSIZE if is_tar else _PIECE_BYTES
        stream = _buffered(_UntilCut(source, path, on_cut, piece), piece)
        yield from unpacked_files(path, stream, on_cut, layer + 1)


def _buffered(raw: io.RawIOBase, size: int) -> io.BufferedReader:
    return cast("io.BufferedReader", io.BufferedReader(raw, size))


def _zip_members(name: str, raw: io.BufferedReader, on_cut: OnCut) -> Iterator[tuple[str, _Source]]:
    archive = None
    if raw.seekable():
        start = raw.tell()
        try:
            archive = zipfile.ZipFile(raw)
        except _BROKEN:
            raw.seek(start)
    if archive is None:
        for found in stream_members(name, raw):
            if found is None:
                on_cut(name, "it is cut: the zip file ends before the list of its contents")
            else:
                yield found
        return
    with archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as member:
                    yield info.filename, member  # type: ignore[misc]  # ZipExtFile has read1


def _tar_members(name: str, raw: io.BufferedReader, on_cut: OnCut) -> Iterator[tuple[str, _Source]]:
    try:
        with tarfile.open(fileobj=raw, mode="r|") as archive:
            for info in archive:
                if info.isfile() and (member := archive.extractfile(info)) is not None:
                    yield info.name, member  # type: ignore[misc]  # a BufferedReader
    except tarfile.TarError as error:
        on_cut(name, _reason_for(error))


class _UntilCut(io.RawIOBase):
    """Stream that ends, without an error, where its source is cut or broken."""

    def __init__(
        self, source: _Source, name: str, on_cut: OnCut, piece: int = _PIECE_BYTES
    ) -> None:
        self._source = source
        self._piece = piece
        self._name = name
        self._on_cut = on_cut
        self._has_ended = False
        self._has_begun = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if self._has_ended:
            return 0
        view = memoryview(buffer).cast("B")
        try:
            data = self._source.read1(min(len(view), self._piece))
        except _BROKEN as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            if not self._has_begun:
                raise ImportTraceError(f"{self._name}: {_reason_for(error)}") from error
            self._has_ended = True
            self._on_cut(self._name, _reason_for(error))
            return 0
        self._has_begun = True
        view[: len(data)] = data
        return len(data)


def _reason_for(error: Exception) -> str:
    if isinstance(error, EOFError | tarfile.ReadError):
        return "it is cut: the compressed data ends too early"
    return failure_of(error)


def _gzip(raw: io.BufferedReader) -> _Source:
    return gzip.GzipFile(fileobj=raw)


def _zstd(raw: io.BufferedReader) -> _Source:
    return io.BufferedReader(ZstdStream(raw))


def _bz2(raw: io.BufferedReader) -> _Source:
    return bz2.BZ2File(raw)


def _xz(raw: io.BufferedReader) -> _Source:
    return lzma.LZMAFile(raw)


_OPENERS: Final[tuple[tuple[bytes, Callable[[io.BufferedReader], _Source]], ...]] = (
    (b"\x1f\x8b", _gzip),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"BZh", _bz2),
    (b"\xfd7zXZ\x00", _xz),
)
