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

forking: Final[dict[int, tuple[list["Releasable"], ...]]] = {}
"""The threads that fork right now, in the parent and in the child; empty if none does.

Each has the locks that it took for its fork. Two threads may fork at once, and a signal handler may
fork in the middle of a fork of its own thread: so there is a list for each fork, the innermost
last. What is kept of a thread is replaced as a whole, so a fork in between leaves it as it was.

In the child a thread may come here before anything is renewed: ``threading`` is renewed first, and
what is collected meanwhile may call a breaker. Such a call waits for nothing.
"""

renewing = threading.RLock()
"""Held while an object is renewed or attached, so that of several threads only one does it.

A signal handler may come in between, so a thread can take it again.
"""

_LONGEST_WAIT: Final = 1.0
_places: Final[dict[CodeType, tuple[int, str]]] = {}
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
    return threading.get_ident() in forking


def _before_fork() -> None:
    taken: list[Releasable] = []
    thread = threading.get_ident()
    forking[thread] = (*forking.get(thread, ()), taken)
    for _, lock in sorted(_locks_of_this_thread(), key=lambda ranked: ranked[0]):
        # A disk that has stalled must not stall the fork for longer.
        if lock.acquire(timeout=_LONGEST_WAIT):
            taken.append(lock)


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


def _end_fork() -> None:
    thread = threading.get_ident()
    # There is nothing where this module was imported during the fork, after the hooks before it.
    *outer, taken = forking.get(thread) or ([],)
    if outer:
        forking[thread] = tuple(outer)
    else:
        forking.pop(thread, None)
    while taken:
        taken.pop().release()


def _after_in_child() -> None:
    global passed, renewing  # noqa: PLW0603  # names of the module are the cheapest to compare with
    renewing = threading.RLock()
    passed += 1
    for renew in _renewals:
        renew()
    for thread in forking.keys() - {threading.get_ident()}:
        del forking[thread]  # it is not in this process
    _end_fork()


def after_in_child(renew: Callable[[], None]) -> None:
    """Have something renewed in each forked child, before any lock is released there."""
    _renewals.append(renew)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_end_fork, after_in_child=_after_in_child
    )
