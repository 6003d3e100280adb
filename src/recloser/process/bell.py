"""A bell that wakes a thread, which signal handlers may ring, or wait for, at any moment."""

import _thread
from contextlib import suppress


class Bell:
    """Wakes one waiting thread; it stays rung until one has heard it.

    ``threading.Event`` has a lock that a signal handler, or a ``__del__``, could find held by its
    own thread, and would wait for forever. ``SimpleQueue.get`` waits forever where a signal handler
    runs for longer than the timeout. Taking a lock has neither fault: here it is free while the
    bell is rung.
    """

    def __init__(self) -> None:
        self._silent = _thread.allocate_lock()
        self._silent.acquire()

    @property
    def is_rung(self) -> bool:
        """Whether it was rung, and nobody has heard it yet."""
        return not self._silent.locked()

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that does."""
        if self._silent.locked():
            with suppress(RuntimeError):  # another thread has rung it just now
                self._silent.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait until the bell is rung; False if that takes longer than ``seconds``."""
        return self._silent.acquire(timeout=-1 if seconds is None else max(0.0, seconds))
