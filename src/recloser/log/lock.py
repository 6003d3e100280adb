"""One writer a folder: a lock that dies with its process."""

import contextlib
import os
import sys
from pathlib import Path
from typing import IO, Final

from recloser.errors import LogError
from recloser.log import disk

LOCK_NAME: Final = "lock"


class FolderLock:
    """The lock of a log's folder, held until it is released or the process ends.

    The operating system holds it, so that of a dead process is free again; the file tells who has
    it, and stays.

    Raises:
        LogError: Another writer holds it; the message names its process.
        OSError: The file can't be made, or the file system has no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._stream: IO[str] = os.fdopen(
            disk.open_lock(folder / LOCK_NAME), "a+", encoding="ascii"
        )
        try:
            _lock(self._stream)
            self._stream.truncate(0)
            self._stream.write(f"{os.getpid()}\n")
            self._stream.flush()
        except _HELD as error:
            with self._stream:
                self._stream.seek(0)
                holder = self._stream.read(32).strip() or "unknown"
            raise LogError(
                f"{folder}: the log is being written by process {holder}; one log has one writer"
            ) from error
        except OSError:
            with contextlib.suppress(OSError):  # of a full disk, a second time
                self._stream.close()
            raise

    def release(self) -> None:
        """Let another writer in; releasing twice does nothing."""
        with contextlib.suppress(ValueError):
            self._stream.close()


if sys.platform == "win32":
    import msvcrt

    _HELD: Final = PermissionError

    def _lock(stream: IO[str]) -> None:
        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    _HELD: Final = BlockingIOError

    def _lock(stream: IO[str]) -> None:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
