"""A bell that wakes a thread, and that signal handlers may ring or wait for at any moment."""

import _thread
from contextlib import suppress


class Bell:
    """Wakes one waiting thread; it stays rung until a thread has heard it.

    ``threading.Event`` has an inner lock. A signal handler or a ``__del__`` could find it held by its
    own thread, and would wait forever. ``SimpleQueue.get`` waits forever if a signal handler runs for
    longer than the timeout. Taking a plain lock has neither fault. So the bell is a lock that is free
    while the bell is rung: waiting takes it, and ringing releases it.
    """

    def __init__(self) -> None:
        self._silent = _thread.allocate_lock()
        self._silent.acquire()

    @property
    def is_rung(self) -> bool:
        """Whether the bell was rung and no thread has heard it yet."""
        return not self._silent.locked()

    def ring(self) -> None:
        """Wake a waiting thread, or else the next thread that waits."""
        if self._silent.locked():
            with suppress(RuntimeError):  # another thread has rung it since the check
                self._silent.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait until the bell is rung, and return whether it was.

        Args:
            seconds: How long to wait at most; None for no limit.
        """
        return self._silent.acquire(timeout=-1 if seconds is None else max(0.0, seconds))
