"""A lock that is waited for only so long, and that no exception from outside leaks."""

import threading
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    _RLock: Any = object
else:
    _RLock = type(threading.RLock())


class TimedLock(_RLock):  # type: ignore[misc]  # a class of C without a public name
    """A lock that its thread can take again, and that others wait for no longer than a bound.

    ``with lock as is_taken`` says whether it was taken. Where it was not, leaving the block raises
    a RuntimeError, as what is not held can't be released.

    A holder may not go on: it was interrupted by a handler that waits for the very thread that
    waits here, as one that stops a service waits for its workers.

    Both ends of the ``with`` are C code, as a lock's own are. A Python function could be interrupted
    between taking the lock and the block that releases it.

    Args:
        seconds: How long to wait at most.
    """

    __slots__ = ("_take",)

    __enter__ = property(attrgetter("_take"))

    def __new__(cls, _seconds: float) -> Self:
        """A lock that nobody holds."""
        made: Self = super().__new__(cls)
        return made

    def __init__(self, seconds: float) -> None:
        self._take = partial(_RLock.acquire, self, True, seconds)

    @property
    def is_mine(self) -> bool:
        """Whether this very thread holds it."""
        # ``threading.Condition`` asks its lock this way; there is no public way, and a thread's own
        # note of it could be interrupted.
        return bool(self._is_owned())
