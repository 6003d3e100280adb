"""Opens a file for reading and reports how many bytes are read from it."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

OnRead: TypeAlias = Callable[[int], None]
"""Called after each read of a file, with the number of bytes read."""


def open_counted(path: Path, on_read: OnRead | None) -> io.BufferedReader:
    """Open a file for reading, and call ``on_read``, if any, after each read.

    Raises:
        OSError: The file can't be opened.
    """
    if on_read is None:
        return path.open("rb")
    return io.BufferedReader(CountingFile(io.FileIO(path), on_read))


class CountingFile(io.RawIOBase):
    """A file that calls ``on_read`` after each read.

    Args:
        raw: The file to read from; closed together with this one.
        on_read: Called with the number of bytes of each read; 0 at the end of the file.
    """

    def __init__(self, raw: io.FileIO, on_read: OnRead) -> None:
        self._raw = raw
        self._on_read = on_read

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read into a buffer, and report the number of bytes."""
        size = self._raw.readinto(buffer)
        self._on_read(size or 0)
        return size

    def fileno(self) -> int:
        """Return the file's descriptor."""
        return self._raw.fileno()

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
        super().close()
