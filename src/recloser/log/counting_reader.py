"""Reading a file while somebody watches how far it has come."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

OnRead: TypeAlias = Callable[[int], None]
"""Told how many more bytes of a file have been read."""


def watched(path: Path, on_read: OnRead | None) -> io.BufferedReader:
    """Open a file for reading; ``on_read``, if there is any, is told of each read of it."""
    if on_read is None:
        return path.open("rb")
    return io.BufferedReader(Watched(io.FileIO(path), on_read))


class Watched(io.RawIOBase):
    """Tells of each read."""

    def __init__(self, raw: io.FileIO, on_read: OnRead) -> None:
        self._raw = raw
        self._on_read = on_read

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        """Read, and tell of it."""
        size = self._raw.readinto(buffer)
        self._on_read(size or 0)
        return size

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._raw.fileno()

    def close(self) -> None:
        """Close the file too."""
        self._raw.close()
        super().close()
