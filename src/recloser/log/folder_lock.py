"""One writer a folder: a lock that dies with its process."""

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

    The operating system holds it, so that of a dead process is free again; the file tells who has
    it, and stays.

    Raises:
        LogError: Another writer holds it; the message names its process.
        OSError: The file can't be made, or the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._file = _taken(folder)

    @property
    def is_held(self) -> bool:
        """Whether this is still what keeps others out of the folder.

        It is not once its file was removed or replaced, or its descriptor closed.

        Raises:
            OSError: That can't be found out.
        """
        return self._file.is_open and self._file.is_in_place

    @property
    def is_closed(self) -> bool:
        """Whether its descriptor was closed, so that the operating system has let it go."""
        return not self._file.is_open

    def release(self) -> None:
        """Let another writer in; releasing twice does nothing."""
        self._file.close()


def _taken(folder: Path) -> OwnFile:
    path = folder / LOCK_NAME
    for _ in range(_TRIES):
        file = OwnFile(path, disk.open_lock(path))
        try:
            _lock(file.descriptor)
            if file.is_in_place:
                os.ftruncate(file.descriptor, 0)
                os.write(file.descriptor, b"%d\n" % os.getpid())
                return file
        except _HELD as error:
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
        file.close()  # it was removed before it was locked
    raise OSError(f"the file {path} is removed again and again")


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
