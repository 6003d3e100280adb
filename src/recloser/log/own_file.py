"""A file that this process has open, protected against reused descriptor numbers.

When a process becomes a daemon it often closes all its descriptors, and the operating system gives
their numbers to the next files that are opened. So before each use the descriptor is compared with
the identity of the file that it was opened for.
"""

import contextlib
import errno
import os
from pathlib import Path
from typing import TypeAlias

_Identity: TypeAlias = tuple[int, int]


class OwnFile:
    """A descriptor together with the identity of the file that it was opened for.

    The check before each use and the use itself are two system calls. A thread that closes the
    descriptor in between could still redirect a single write, if it closes descriptors that it does
    not own while another thread logs. The check protects against code that closes all descriptors
    once, such as a daemonizer.

    Args:
        path: The file.
        descriptor: A descriptor that was just opened for it.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._name = str(path)
        self._descriptor = descriptor
        self._identity = _identity(os.fstat(descriptor))
        # Some network file systems report another inode by path than by descriptor. Then the path
        # can only be checked for existence.
        self._has_steady_number = self._found_by_path() == self._identity

    @property
    def descriptor(self) -> int:
        """The descriptor to use.

        Raises:
            OSError: The descriptor was closed, or belongs to another file now.
        """
        if not self.is_open:
            raise OSError(errno.EBADF, "another part of this process has closed the log's file")
        return self._descriptor

    @property
    def is_open(self) -> bool:
        """Whether the descriptor still belongs to the file."""
        try:
            return _identity(os.fstat(self._descriptor)) == self._identity
        except OSError:
            return False

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to the file.

        Raises:
            OSError: The operating system can't say.
        """
        found = self._found_by_path()
        return found == self._identity if self._has_steady_number else found is not None

    @property
    def size(self) -> int | None:
        """Size of the file in bytes; None if the descriptor no longer belongs to it."""
        try:
            found = os.fstat(self._descriptor)
        except OSError:
            return None
        return found.st_size if _identity(found) == self._identity else None

    def replace_descriptor(self, descriptor: int) -> None:
        """Use a new descriptor for the same file, after the first one was closed.

        Raises:
            OSError: The descriptor belongs to another file; it is closed then.
        """
        if _identity(os.fstat(descriptor)) != self._identity:
            os.close(descriptor)
            raise OSError(errno.ESTALE, "another file is in the place of the log's file")
        self._descriptor = descriptor

    def close(self) -> None:
        """Close the file, unless the descriptor belongs to another one by now.

        Closing twice does nothing.
        """
        is_open = self.is_open
        # The attribute is cleared first: if a signal handler interrupts and closes as well, only
        # one of the two closes the number.
        descriptor, self._descriptor = self._descriptor, -1
        if is_open and descriptor >= 0:
            os.close(descriptor)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            self.close()

    def _found_by_path(self) -> _Identity | None:
        try:
            return _identity(os.stat(self._name))  # noqa: PTH116  # faster; runs before each write
        except (FileNotFoundError, NotADirectoryError):
            return None


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino
