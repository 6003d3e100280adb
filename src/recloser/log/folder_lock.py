"""The lock that allows one writer per folder, and ends with its process."""

import os
import sys
from pathlib import Path
from typing import Final

from recloser.errors import LogError
from recloser.log import disk
from recloser.log.own_file import OwnFile

LOCK_NAME: Final = "lock"
_TRIES: Final = 10


class FolderLock:
    """The lock of a log's folder, held until it is released or the process ends.

    The operating system holds the lock (``flock``, or ``msvcrt.locking`` on Windows), so it frees
    the lock of a dead process. The file contains the process id of the last holder, and is never
    removed.

    Raises:
        LogError: Another writer holds the lock; the message names its process.
        OSError: The file can't be created, or the file system does not support locks.
    """

    def __init__(self, folder: Path) -> None:
        self._file = _lock_file(folder)

    @property
    def is_held(self) -> bool:
        """Whether this lock still keeps other writers out of the folder.

        False once its file was removed or replaced, or its descriptor was closed.

        Raises:
            OSError: The operating system can't say.
        """
        return self._file.is_open and self._file.is_in_place

    @property
    def is_closed(self) -> bool:
        """Whether the descriptor was closed, which released the lock."""
        return not self._file.is_open

    def release(self) -> None:
        """Release the lock; releasing twice does nothing."""
        self._file.close()


def _lock_file(folder: Path) -> OwnFile:
    path = folder / LOCK_NAME
    for _ in range(_TRIES):
        file = OwnFile(path, disk.open_lock(path))
        try:
            _lock(file.descriptor)
            # Between opening and locking, somebody may have removed the file, and another writer
            # may have created and locked a new one. Then this lock keeps nobody out. Only the
            # file that the path leads to counts, and it can't be locked by two processes.
            if file.is_in_place:
                os.ftruncate(file.descriptor, 0)
                os.write(file.descriptor, b"%d\n" % os.getpid())
                return file
        except _HELD as error:
            # The holder may just be writing its process id; then the message says "unknown".
            os.lseek(file.descriptor, 0, os.SEEK_SET)
            holder = os.read(file.descriptor, 32).decode("ascii", "replace").strip()
            file.close()
            raise LogError(
                f"{folder}: the log is being written by process {holder or 'unknown'}; "
                "one log has one writer"
            ) from error
        except BaseException:
            file.close()
            raise
        file.close()
    raise OSError(f"the file {path} was removed {_TRIES} times while it was being locked")


if sys.platform == "win32":
    import msvcrt

    _HELD: Final = PermissionError

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    _HELD: Final = BlockingIOError

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
