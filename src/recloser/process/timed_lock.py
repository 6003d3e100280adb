"""A lock with a bounded wait, which no exception from outside can leak."""

import threading
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    _RLock: Any = object
else:
    _RLock = type(threading.RLock())


class TimedLock(_RLock):  # type: ignore[misc]  # a class of C without a public name
    """A lock that its own thread can take again, and that other threads wait for within a bound.

    ``with lock as is_taken`` shows whether the lock was taken. If it was not, leaving the block raises
    a RuntimeError, since a lock that is not held can't be released.

    The bound is needed because the thread that holds the lock may not go on: a signal handler may
    have interrupted it and wait for the very thread that waits here, as a handler that stops a
    service waits for its workers.

    Both ends of the ``with`` are C code, as those of an ordinary lock are. A Python function could be
    interrupted between taking the lock and entering the block that releases it.

    Args:
        seconds: How long to wait at most.
    """

    __slots__ = ("_take",)

    __enter__ = property(attrgetter("_take"))

    def __new__(cls, _seconds: float) -> Self:
        """Create a lock that no thread holds."""
        made: Self = super().__new__(cls)
        return made

    def __init__(self, seconds: float) -> None:
        self._take = partial(_RLock.acquire, self, True, seconds)

    @property
    def is_mine(self) -> bool:
        """Whether this thread holds the lock."""
        # ``threading.Condition`` asks its lock in this way. There is no public way, and an attribute
        # set after taking the lock could be missing if the thread is interrupted in between.
        return bool(self._is_owned())
