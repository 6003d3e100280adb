"""Zstandard data read from a stream."""

import io
from typing import TYPE_CHECKING, Final

import zstandard

from recloser.log.decompression import decompressor

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# Small, since a piece can grow to thirty thousand times its size when it is decompressed.
_PIECE_BYTES: Final = 1 << 9


class ZstdStream(io.RawIOBase):
    """Decompressed bytes of consecutive zstd frames.

    A cut frame raises EOFError. ``ZstdDecompressor.stream_reader`` cannot be used: it ends without
    an error in a frame that is cut.
    """

    def __init__(self, raw: io.BufferedReader) -> None:
        self._raw = raw
        self._frame: zstandard.ZstdDecompressionObj | None = None
        self._compressed = b""
        self._pending = memoryview(b"")

    def readable(self) -> bool:
        """Return True: a stream of this class can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Decompress into a buffer and return the number of bytes; 0 at the end."""
        while not self._pending and self._fill():
            pass
        view = memoryview(buffer).cast("B")
        size = min(len(view), len(self._pending))
        view[:size] = self._pending[:size]
        self._pending = self._pending[size:]
        return size

    def _fill(self) -> bool:
        """Decompress the next piece; return False at the end of the input."""
        piece = self._compressed or self._raw.read(_PIECE_BYTES)
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
