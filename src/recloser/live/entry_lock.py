"""The lock under which a sequencer changes its fold, and which never hangs or leaks."""

import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from recloser.process import forks
from recloser.process.timed_lock import TimedLock

R = TypeVar("R")

_MAX_WAIT_SECONDS: Final = 0.5
"""A thread that waits longer than this for the lock makes no change."""


class EntryLock:
    """Runs changes one at a time, and detects entries of a thread that is inside already.

    Two locks are used. ``_lock`` keeps other threads out; its own thread can take it again, which
    happens when a signal handler, a ``__del__`` or a logging handler calls a breaker. ``_inside`` is
    held during a change, so a nested entry of the same thread finds it held and makes no change.

    Both are taken by ``with`` only. CPython 3.11 to 3.13 looks for signals and asynchronous exceptions
    at the start of a function, after a call and at the end of a loop's round, and not between taking
    a lock by ``with`` and the body that releases it. So no exception leaks a lock.

    Args:
        run_change: Makes a change that was passed to ``hold``, with what must be done before and after
            every change; called under the lock.
        after_fork: Called in a forked child before the locks are used there, with True if this thread
            itself holds them.
    """

    __slots__ = ("_after_fork", "_forks", "_inside", "_is_stuck", "_lock", "_run_change")

    def __init__(
        self, run_change: Callable[[Callable[[], Any]], Any], after_fork: Callable[[bool], None]
    ) -> None:
        self._run_change = run_change
        self._after_fork = after_fork
        self._is_stuck = False
        self._make_locks()

    def _make_locks(self) -> None:
        self._lock = TimedLock(_MAX_WAIT_SECONDS)
        self._inside = threading.Lock()
        self._forks = forks.passed

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds the lock, so that it must not wait for anything."""
        return self._lock.is_mine or (bool(forks.forking) and forks.is_forking())

    def hold(self, change: Callable[[], R], instead: Callable[[], R]) -> R:
        """Make a change under the lock.

        Args:
            change: The change.
            instead: Called instead if no change can be made: this thread is in the middle of one, or
                it is forking, or the thread that holds the lock does not go on.
        """
        if forks.forking and forks.is_forking():
            return instead()
        if self._forks != forks.passed:
            self.renew()
        if self._is_stuck and self._inside.locked():
            return instead()
        is_taken = True
        try:
            with self._lock as is_taken:
                if is_taken and not self._inside.locked():
                    with self._inside:
                        self._is_stuck = False
                        result: R = self._run_change(
                            change
                        )  # in the block, where an exception releases
                    return result  # after the inner block, which is then over
        except RuntimeError:
            if is_taken:
                raise
            # The lock was not taken, so leaving the block could not release it. Its holder does not
            # go on: a signal handler has interrupted it and waits for this thread, as one that stops
            # a service waits for its workers.
            self._is_stuck = True
        return instead()

    def renew(self) -> None:
        """In a forked child: make new locks, unless this thread itself holds the old ones.

        A thread that held them in the parent does not exist here to release them, and may have been
        in the middle of a change. The thread that forked holds them if a signal handler forked in the
        middle of a change.
        """
        if self._lock.is_mine:
            self._forks = forks.passed
            self._after_fork(True)
            return
        with forks.renewing:
            if self._forks != forks.passed:
                self._after_fork(False)
                self._make_locks()


forks.note_lock(EntryLock.hold, 1, "_lock")
