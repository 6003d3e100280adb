"""A file that this process has open for writing, and nobody else's file by mistake.

A daemoniser closes all descriptors, and the operating system gives their numbers to the next files
that are opened. So a number alone says nothing: before each use the descriptor is asked which file
it stands for.
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import TypeAlias

_Identity: TypeAlias = tuple[int, int]


class OwnFile:
    """A descriptor, and the file that it was opened for.

    Args:
        path: The file.
        descriptor: Has just been opened for it.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._name = str(path)
        self._descriptor = descriptor
        self._identity = _identity(os.fstat(descriptor))
        # A few network file systems number the same file differently by path and by descriptor.
        self._has_steady_number = self._found_by_path() == self._identity

    @property
    def descriptor(self) -> int:
        """The number to write with.

        Raises:
            OSError: It was closed, or stands for another file by now.
        """
        if not self.is_open:
            raise OSError(errno.EBADF, "another part of this process has closed the log's file")
        return self._descriptor

    @property
    def is_open(self) -> bool:
        """Whether the descriptor still stands for the file."""
        try:
            return _identity(os.fstat(self._descriptor)) == self._identity
        except OSError:
            return False

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to the file.

        Raises:
            OSError: That can't be found out.
        """
        found = self._found_by_path()
        return found == self._identity if self._has_steady_number else found is not None

    @property
    def size(self) -> int | None:
        """How many bytes the file has; None where the descriptor does not stand for it any more."""
        try:
            found = os.fstat(self._descriptor)
        except OSError:
            return None
        return found.st_size if _identity(found) == self._identity else None

    def replace_descriptor(self, descriptor: int) -> None:
        """Go on with a descriptor that was opened by the path, after the first one was closed.

        Raises:
            OSError: Another file is in its place; the descriptor is closed then.
        """
        if _identity(os.fstat(descriptor)) != self._identity:
            os.close(descriptor)
            raise OSError(errno.ESTALE, "another file is in the place of the log's file")
        self._descriptor = descriptor

    def close(self) -> None:
        """Close the file, unless its descriptor stands for another one; twice does nothing."""
        is_open = self.is_open
        descriptor, self._descriptor = self._descriptor, -1
        if is_open and descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self.close()

    def _found_by_path(self) -> _Identity | None:
        try:
            return _identity(os.stat(self._name))  # noqa: PTH116  # asked before each write
        except (FileNotFoundError, NotADirectoryError):
            return None


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino
