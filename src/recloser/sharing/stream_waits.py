"""Threads that wait until the log's thread has made progress with the stream."""

from collections.abc import Callable

from recloser.clock import SYSTEM_CLOCK
from recloser.process.bell import Bell


class StreamWaits:
    """Lets threads wait for a condition that the log's thread brings about.

    Each waiting thread has a bell of its own. The log's thread rings all of them after each change
    that a condition may depend on, and each thread then checks its condition again.

    The list of bells has no lock, because a signal handler may interrupt a thread anywhere in here
    and wait itself. ``+=`` on the list and the assignment of a new list are single steps of the
    interpreter. A bell that is added between another thread's copying and assigning could only be
    lost if the interpreter switched threads there, which it does only at calls and backward jumps.
    Even then, its thread would wait until its time limit and go on: late, but correct.

    Args:
        is_inside: Returns whether the calling thread holds the sequencer's lock.
    """

    def __init__(self, is_inside: Callable[[], bool]) -> None:
        self._is_inside = is_inside
        self._bells: list[Bell] = []

    def wait(self, is_so: Callable[[], bool], seconds: float) -> None:
        """Wait until a condition holds or some seconds have passed.

        Returns at once in a thread that holds the sequencer's lock: the log's thread needs that lock
        to bring the condition about, so the thread would wait for itself.
        """
        if is_so() or self._is_inside():
            return
        bell, now_ns = Bell(), SYSTEM_CLOCK.monotonic_ns
        until_ns = now_ns() + int(seconds * 1e9)
        self._bells += (bell,)
        try:
            # The condition is checked after the bell was added, so no ring in between is missed.
            while not is_so() and (left_ns := until_ns - now_ns()) > 0:
                bell.wait(left_ns / 1e9)
        finally:
            self._bells = [other for other in self._bells if other is not bell]

    def ring(self) -> None:
        """Make all waiting threads check their conditions."""
        for bell in tuple(self._bells):
            bell.ring()

    def forget(self) -> None:
        """Forget all waiting threads, in a forked child that does not have them."""
        self._bells = []
