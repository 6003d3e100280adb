"""Members of a zip file by the header before each, where the list at the file's end is not there.

So a file that is cut is read up to the cut, and one that comes through a pipe as it comes.
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
_PIECE: Final = 1 << 16
_LONG: Final = 0xFFFFFFFF


class Member:
    """The bytes of a member, decompressed as they are read."""

    def __init__(self, source: "_Source", method: int, size: int) -> None:
        self._source = source
        self._left = size
        self._inflate = zlib.decompressobj(-15) if method == _DEFLATED else None
        self._tail = b""

    def read1(self, size: int = -1, /) -> bytes:
        """Some of the next bytes; none at the end.

        Raises:
            EOFError: The file ends before the member does.
            zlib.error: The data is broken.
        """
        size = _PIECE if size < 0 else size
        if self._inflate is None:
            data = self._source.read(min(size, self._left))
            if not data and self._left:
                raise EOFError
            self._left -= len(data)
            return data
        while not self._inflate.eof:
            packed = self._tail or self._source.read(_PIECE)
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
    """Bytes of which some can be given back."""

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._back = b""

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        if self._back:
            data, self._back = self._back[:size], self._back[size:]
            return data
        return self._raw.read1(size)

    def exactly(self, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        data = b""
        while len(data) < size and (piece := self.read(size - len(data))):
            data += piece
        return data

    def give_back(self, data: bytes) -> None:
        self._back = data + self._back


def members_of(name: str, raw: io.BufferedReader) -> Iterator[tuple[str, Member] | None]:
    """The members, each to be read to its end before the next one is asked for.

    Args:
        name: The file's name.
        raw: Its bytes.

    Yields:
        The name of a member and its bytes; at the end None if the file is cut.

    Raises:
        ImportTraceError: A member has a password, or is packed so that its end does not show.
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
            _pass_descriptor(source)


def _member_after(name: str, header: bytes, source: _Source) -> tuple[str, Member, bool] | None:
    """The member after a header, and whether its sizes stand after it; None if the file is cut."""
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
            f"{name}/{path}: the list of contents at the end of the zip file is missing, and without "
            "it this member can't be unpacked"
        )
    return path, Member(source, method, packed_size if is_size_known else 0), has_descriptor


def _pass_descriptor(source: _Source) -> None:
    """Go past the sizes after a member, which may be of 4 or 8 bytes, with a mark before or not."""
    after = source.exactly(28)
    for size in (12, 16, 20, 24):
        has_mark = size in (16, 24)
        if has_mark is after.startswith(_DESCRIPTOR) and after[size : size + 2] in (b"PK", b""):
            source.give_back(after[size:])
            return
    source.give_back(after)
