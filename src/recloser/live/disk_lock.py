"""The lock of a log on disk: one thread at a time writes, and none waits forever."""

import threading
from collections.abc import Callable
from typing import Final

from recloser.process import forks
from recloser.process.timed_lock import TimedLock

MAX_WAIT_SECONDS: Final = 5.0
"""How long a thread waits for another one that writes; the disk has stalled if it takes longer."""


class DiskLock:
    """Lets one thread at a time write to the disk.

    The thread that holds the lock can take it again: a signal handler may flush the log in the middle
    of a write. Callers check ``is_mine`` first, and do nothing then.
    """

    __slots__ = ("_io", "_is_stuck", "_is_writing")

    def __init__(self) -> None:
        self._io = TimedLock(MAX_WAIT_SECONDS)
        self._is_writing = threading.Lock()
        self._is_stuck = False

    @property
    def is_mine(self) -> bool:
        """Whether this thread is writing."""
        return self._io.is_mine

    @property
    def is_blocked(self) -> bool:
        """Whether a thread is writing that has kept others waiting for too long."""
        return self._is_stuck and self._is_writing.locked()

    def hold(self, work: Callable[[], None]) -> bool:
        """Do something while no other thread writes.

        Args:
            work: What is done.

        Returns:
            Whether it was done; not if another thread has been writing for too long.
        """
        is_taken = True
        try:
            with self._io as is_taken:
                if is_taken:
                    self._is_stuck = False
                    with self._is_writing:
                        work()
        except RuntimeError:
            if is_taken:
                raise
            # The lock was not taken, so leaving the block could not release it. The disk has stalled,
            # or a signal handler has interrupted the thread that writes and waits for this one.
            self._is_stuck = True
            return False
        return True

    def after_fork(self) -> None:
        """In a forked child: forget the threads of the parent.

        If a signal handler forked in the middle of a write of this thread, the thread still holds the
        lock in the child, and releases it when the write returns.
        """
        self._is_stuck = False
        self._is_writing = threading.Lock()
        if not self._io.is_mine:
            self._io = TimedLock(MAX_WAIT_SECONDS)


# Before the sequencer's lock: a thread that takes both takes this one first.
forks.note_lock(DiskLock.hold, 0, "_io")
