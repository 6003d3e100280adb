"""Forks of this process: counted, and made where no lock that matters is left taken.

Locks and threads are renewed in the child when an object is used next, by comparing the count of
forks. So a fork takes the same time however many breakers there are.

A signal handler may fork while the thread that it interrupts waits for one of our locks. The child
goes on waiting for that very lock, whose holder it does not have. So the locks that the forking
thread is at are taken before the fork, and released after it on both sides.
"""

import os
import sys
import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Final, Protocol

passed = 0
"""How many forks lie between this process and the one that imported the module."""

forking = 0
"""The thread that forks right now, in the parent and in the child; 0 if none does.

In the child it may come here before anything is renewed: ``threading`` is renewed first, and what
is collected meanwhile may call a breaker. Such a call waits for nothing.
"""

renewing = threading.RLock()
"""Held while an object is renewed or attached, so that of several threads only one does it.

A signal handler may come in between, so a thread can take it again.
"""

_LONGEST_WAIT: Final = 1.0
_places: Final[dict[CodeType, tuple[int, str]]] = {}
_taken: Final[list["Releasable"]] = []
_renewals: Final[list[Callable[[], None]]] = []


class Releasable(Protocol):
    """A lock that its thread can take again."""

    def acquire(self, *, timeout: float) -> bool:
        """Take it; False if that takes longer."""

    def release(self) -> None:
        """Give it back."""


def note_lock(method: object, rank: int, attribute: str) -> None:
    """Note that a method waits for a lock of its object.

    Args:
        method: The method, which takes the lock by ``with``.
        rank: Locks of a lower rank are taken first where a thread takes several.
        attribute: The attribute of the object that is the lock.
    """
    assert isinstance(method, FunctionType)
    _places[method.__code__] = (rank, attribute)


def is_forking() -> bool:
    """Whether this very thread is in the middle of a fork."""
    return forking == threading.get_ident()


def _before_fork() -> None:
    global forking  # noqa: PLW0603  # a name of the module is the cheapest to compare with
    for _, lock in sorted(_locks_of_this_thread(), key=lambda ranked: ranked[0]):
        # A disk that has stalled must not stall the fork for longer.
        if lock.acquire(timeout=_LONGEST_WAIT):
            _taken.append(lock)
    forking = threading.get_ident()


def _locks_of_this_thread() -> list[tuple[int, "Releasable"]]:
    """The locks that the functions of this thread hold or wait for, each with its rank."""
    found = []
    frame = sys._getframe(1)  # noqa: SLF001  # the only way to the functions of a thread
    while frame is not None:
        place = _places.get(frame.f_code)
        if place is not None:
            rank, attribute = place
            found.append((rank, getattr(frame.f_locals["self"], attribute)))
        if frame.f_back is None:
            return found
        frame = frame.f_back
    return found


def _release() -> None:
    while _taken:
        _taken.pop().release()


def _after_in_parent() -> None:
    global forking  # noqa: PLW0603  # as above
    forking = 0
    _release()


def _after_in_child() -> None:
    global passed, forking, renewing  # noqa: PLW0603  # as above
    renewing = threading.RLock()
    passed += 1
    for renew in _renewals:
        renew()
    forking = 0
    _release()


def after_in_child(renew: Callable[[], None]) -> None:
    """Have something renewed in each forked child, before any lock is released there."""
    _renewals.append(renew)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child
    )
