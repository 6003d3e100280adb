"""A bell that wakes a thread, which signal handlers may ring at any moment."""

from queue import Empty, SimpleQueue


class Bell:
    """Wakes one waiting thread.

    ``threading.Event`` has a lock that a signal handler, or a ``__del__``, could find held by its
    own thread, and would wait for forever. ``SimpleQueue`` is made to be used within itself.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[None] = SimpleQueue()
        self._is_rung = False

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that does."""
        # If the flag is still set by a ring that was just heard, the thread that heard it looks for
        # work after it takes the flag away, and so finds what this ring is about.
        # No exception from outside can come up between the two lines below.
        if not self._is_rung:
            self._is_rung = True
            self._queue.put(None)

    def wait(self, seconds: float | None) -> bool:
        """Wait until the bell is rung; False if that takes longer than ``seconds``."""
        try:
            self._queue.get(timeout=seconds)
        except Empty:
            return False
        finally:
            self._is_rung = False
        return True
