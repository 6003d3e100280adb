"""The folder of a log that is being written: its lock, and what others do to it."""

import errno
import os
from pathlib import Path
from typing import Final, Protocol

from recloser.errors import LogError
from recloser.log import disk
from recloser.log.appender import Appender
from recloser.log.folder_lock import FolderLock
from recloser.log.folder_watch import DisturbedError, disturbance_of
from recloser.log.listing import last_number
from recloser.log.open_errors import open_failure
from recloser.log.recovery import OnDamage, Recovered, recover
from recloser.log.retention import tidy
from recloser.process import forks

_MAX_FOLDERS: Final = 1000


class FolderWriter(Protocol):
    """What writes to a folder.

    Attributes:
        appender: Writes to segments; another one in a forked child.
    """

    appender: Appender


class LogFolder:
    """A folder that this process has locked to write a log.

    Args:
        path: The folder.

    Attributes:
        path: The folder; another one in a forked child.
        lock: The lock of the folder; None in a forked child that has written nothing.
        number: The number of the last segment when the folder was opened.
        unsynced: Folders that were made, and are not known to be on disk yet.
        disturbance: What was done last to the folder while the log was written; None if nothing was.
        resumed_after: What was done to the folder that must still be noted in the log; empty if
            there is nothing to note.

    Raises:
        LogError: The current folder is gone, so that a relative path means nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = _absolute(path)
        self.lock: FolderLock | None = None
        self.number = 0
        self.disturbance: str | None = None
        self.resumed_after = ""

    def open(self, on_damage: OnDamage) -> Recovered:
        """Make the folder if it is absent, lock it, and return what earlier sessions left in it.

        Args:
            on_damage: What happens to a damaged log.

        Raises:
            LogError: Another writer has the folder, or it can't be read or written, or what is in it
                was written by a later version, or is damaged and ``on_damage`` is ``raise``.
        """
        try:
            self.unsynced = disk.make_folder(self.path)
            self.lock = FolderLock(self.path)
            tidy(self.path)
            recovered = recover(self.path, on_damage)
            self.number = last_number(self.path)
        except BaseException as error:
            self.release()
            if isinstance(error, OSError):
                raise LogError(open_failure(self.path, error)) from error
            raise
        return recovered

    @property
    def is_held(self) -> bool:
        """Whether this process still has the folder's lock."""
        if self.lock is None:
            return False
        try:
            return self.lock.is_held
        except OSError:
            return False

    def release(self) -> None:
        """Release the lock of the folder, if there is one."""
        if self.lock is not None:
            self.lock.release()

    def after_fork(self) -> None:
        """In a forked child: leave the folder to the parent."""
        self.release()
        self.lock = None
        self.resumed_after = ""

    def make_for_child(self, writer: FolderWriter) -> None:
        """In a forked child: make and lock a folder beside the parent's.

        Args:
            writer: Writes to the folder from then on. Its appender is looked up only when the folder
                is made: if a signal handler forks at the start of this method, the child's child has
                another appender.

        Raises:
            OSError: The folder can't be made or locked; it is tried again at the next write.
        """
        forked = forks.passed
        for attempt in range(1, _MAX_FOLDERS):
            # A process of an earlier container may have had the same process number.
            suffix = f"-{os.getpid()}" if attempt == 1 else f"-{os.getpid()}-{attempt}"
            folder = self.path.with_name(f"{self.path.name or 'log'}{suffix}")
            try:
                unsynced = disk.make_folder(folder, like=self.path, may_exist=False)
            except FileExistsError:
                continue
            try:
                lock = FolderLock(folder)
            except LogError as error:
                raise OSError(errno.ENOLCK, str(error)) from error
            if forked != forks.passed:
                lock.release()  # a signal handler has forked meanwhile: the folder is the parent's
                return
            appender = writer.appender
            # One step.
            self.lock = lock
            appender.number = 0
            appender.folder = folder
            appender.unsynced_folders = unsynced
            self.path = folder
            return
        raise FileExistsError(errno.EEXIST, "too many folders have the name of this process")

    def check(self, appender: Appender) -> str | None:
        """Look whether something was done to the folder, and lock it again if its lock was removed.

        Args:
            appender: Writes to the folder.

        Returns:
            What was done, if the log can go on and no event is lost; None if nothing was done.

        Raises:
            DisturbedError: What waits can't be written where it was to be written.
            OSError: The folder can't be looked at, or can't be made again.
        """
        if self.lock is None:
            return None
        found = disturbance_of(self.path, self.lock, appender)
        if found is None:
            return None
        # One step.
        self.lock = found.lock
        self.disturbance = found.what
        self.resumed_after = "" if found.has_lost else found.what
        if found.has_lost:
            raise DisturbedError(found.what)
        return found.what


def _absolute(folder: Path) -> Path:
    try:
        return Path(os.path.abspath(folder))  # noqa: PTH100  # links stay as they were given
    except OSError as error:
        raise LogError(
            f"{folder}: the current folder is gone, so this says nothing; give a path from the root"
        ) from error
