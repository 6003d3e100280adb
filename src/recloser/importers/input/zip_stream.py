"""Zip files read as a stream, by the header before each member.

The list of contents at the end of a zip file is not needed, so a cut file is read up to the cut,
and a file from a pipe is read as it arrives.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from recloser.errors import ImportTraceError

_HEADER: Final = struct.Struct("<4s5H3I2H")
_LOCAL: Final = b"PK\x03\x04"
_LISTED: Final = (b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06")
_DESCRIPTOR: Final = b"PK\x07\x08"
_STORED: Final = 0
_DEFLATED: Final = 8
_IS_ENCRYPTED: Final = 1
_SIZE_IS_AFTER: Final = 8
_IS_UTF_8: Final = 1 << 11
_PIECE_BYTES: Final = 1 << 16
_LONG: Final = 0xFFFFFFFF


class ZipMember:
    """A member of a zip file, decompressed as it is read."""

    def __init__(self, source: "_Source", method: int, size: int) -> None:
        self._source = source
        self._left = size
        self._inflate = zlib.decompressobj(-15) if method == _DEFLATED else None
        self._tail = b""

    def read1(self, size: int = -1, /) -> bytes:
        """Return some of the next bytes; none at the end.

        Raises:
            EOFError: The file ends before the member does.
            zlib.error: The compressed data is broken.
        """
        size = _PIECE_BYTES if size < 0 else size
        if self._inflate is None:
            data = self._source.read(min(size, self._left))
            if not data and self._left:
                raise EOFError
            self._left -= len(data)
            return data
        while not self._inflate.eof:
            packed = self._tail or self._source.read(_PIECE_BYTES)
            if not packed:
                raise EOFError
            data = self._inflate.decompress(packed, size)
            self._tail = self._inflate.unconsumed_tail
            if self._inflate.eof:
                self._source.give_back(self._inflate.unused_data)
            if data:
                return data
        return b""


class _Source:
    """A stream that takes back bytes which were read too far."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._back = b""

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes of the zip file; none at its end."""
        if self._back:
            data, self._back = self._back[:size], self._back[size:]
            return data
        return self._raw.read1(size)

    def exactly(self, size: int) -> bytes:
        """Return ``size`` bytes of the zip file, or fewer at its end."""
        data = b""
        while len(data) < size and (piece := self.read(size - len(data))):
            data += piece
        return data

    def give_back(self, data: bytes) -> None:
        self._back = data + self._back


def stream_members(name: str, raw: io.BufferedReader) -> Iterator[tuple[str, ZipMember] | None]:
    """Yield the members of a zip file.

    Each must be read before the next one is asked for.

    Args:
        name: The name of the zip file.
        raw: Its bytes.

    Yields:
        The name of a member and its bytes; None at the end if the file is cut.

    Raises:
        ImportTraceError: A member has a password, or its size is in the missing list of contents only.
    """
    source = _Source(raw)
    while (start := source.exactly(_HEADER.size))[:4] not in _LISTED:
        found = _member_after(name, start, source)
        if found is None:
            yield None
            return
        path, member, has_descriptor = found
        if not path.endswith("/"):
            yield path, member
        try:
            while member.read1():
                pass
        except (EOFError, zlib.error):
            yield None
            return
        if has_descriptor:
            _skip_descriptor(source)


def _member_after(name: str, header: bytes, source: _Source) -> tuple[str, ZipMember, bool] | None:
    """Read the zip member that follows a header; None if the file is cut.

    Returns:
        The member's path, its bytes, and whether its sizes come after it.
    """
    if len(header) < _HEADER.size or header[:4] != _LOCAL:
        return None
    _, _, flags, method, _, _, _, packed_size, _, name_size, extra_size = _HEADER.unpack(header)
    written = source.exactly(name_size)
    if len(written) < name_size or len(source.exactly(extra_size)) < extra_size:
        return None
    path = written.decode("utf-8" if flags & _IS_UTF_8 else "cp437", errors="replace")
    has_descriptor = bool(flags & _SIZE_IS_AFTER)
    is_size_known = not has_descriptor and packed_size != _LONG
    if flags & _IS_ENCRYPTED:
        raise ImportTraceError(f"{name}/{path}: it needs a password; unpack it first")
    is_open_ended = method == _STORED and not is_size_known and not path.endswith("/")
    if method not in (_STORED, _DEFLATED) or is_open_ended:
        raise ImportTraceError(
            f"{name}/{path}: this member cannot be unpacked, since the list of contents at the end of "
            "the zip file is missing; copy the file again"
        )
    return path, ZipMember(source, method, packed_size if is_size_known else 0), has_descriptor


def _skip_descriptor(source: _Source) -> None:
    """Skip the sizes after a member: of 4 or 8 bytes, with or without a signature."""
    after = source.exactly(28)
    for size in (12, 16, 20, 24):
        has_mark = size in (16, 24)
        if has_mark is after.startswith(_DESCRIPTOR) and after[size : size + 2] in (b"PK", b""):
            source.give_back(after[size:])
            return
    source.give_back(after)
