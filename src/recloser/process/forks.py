"""Forks of this process: they are counted, and leave no lock of this package taken in the child.

In the child, an object renews its locks and threads when it is used next, which it finds out by
comparing the count of forks. So a fork takes the same time however many breakers there are.

A signal handler may fork while the thread that it interrupts waits for a lock of this package. The
child then goes on waiting for that very lock, and the thread that holds it does not exist in the
child. So the locks for which the forking thread waits, or which it holds, are taken before the fork,
and released after it in both processes.
"""

import os
import sys
import threading
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Final, Protocol

passed = 0
"""How many forks are between this process and the process that imported the module."""

forking: Final[dict[int, tuple[list["Releasable"], ...]]] = {}
"""By thread identifier, the locks that a thread has taken for its forks that are under way.

It is empty if no thread is forking, in the parent and in the child. Two threads may fork at once, and
a signal handler may fork in the middle of a fork of its own thread. So there is a list of locks for
each fork, the innermost last. The tuple of a thread is replaced as a whole, so a fork in between
leaves it as it was.

In the child, a breaker may be called before anything is renewed: ``threading`` is renewed first, and
a ``__del__`` may run meanwhile. Such a call finds its thread here, and waits for nothing.
"""

renewing = threading.RLock()
"""Held while an object is renewed or attached, so that only one of several threads does it.

Its thread can take it again, since a signal handler may come in between.
"""

_MAX_WAIT_SECONDS: Final = 1.0
_lock_takers: Final[dict[CodeType, tuple[int, str]]] = {}  # rank and attribute, see note_lock
_renewals: Final[list[Callable[[], None]]] = []


class Releasable(Protocol):
    """A lock that its own thread can take again."""

    def acquire(self, *, timeout: float) -> bool:
        """Take the lock; return False if that takes longer than ``timeout`` seconds."""

    def release(self) -> None:
        """Release the lock."""


def note_lock(method: object, rank: int, attribute: str) -> None:
    """Note that a method takes a lock of its object, so that forks inside the method handle the lock.

    Args:
        method: The method, which takes the lock by ``with``.
        rank: If a thread takes several locks, it takes those of a lower rank first.
        attribute: The name of the object's attribute that has the lock.
    """
    assert isinstance(method, FunctionType)
    _lock_takers[method.__code__] = (rank, attribute)


def is_forking() -> bool:
    """Return whether this thread is in the middle of a fork."""
    return threading.get_ident() in forking


def _before_fork() -> None:
    taken: list[Releasable] = []
    thread = threading.get_ident()
    forking[thread] = (*forking.get(thread, ()), taken)
    for _, lock in sorted(_locks_of_this_thread(), key=lambda ranked: ranked[0]):
        # A disk that has stalled must not stall the fork for longer.
        if lock.acquire(timeout=_MAX_WAIT_SECONDS):
            taken.append(lock)


def _locks_of_this_thread() -> list[tuple[int, "Releasable"]]:
    """Return the locks that this thread holds or waits for, each with its rank."""
    found = []
    frame = sys._getframe(1)  # noqa: SLF001  # the only way to the functions of a thread
    while frame is not None:
        taker = _lock_takers.get(frame.f_code)
        if taker is not None:
            rank, attribute = taker
            found.append((rank, getattr(frame.f_locals["self"], attribute)))
        if frame.f_back is None:
            return found
        frame = frame.f_back
    return found


def _end_fork() -> None:
    thread = threading.get_ident()
    # There is no entry if this module was imported in the middle of the fork, after its first hook.
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
    """Call a function in each forked child, before any lock is released there.

    Args:
        renew: The function.
    """
    _renewals.append(renew)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork, after_in_parent=_end_fork, after_in_child=_after_in_child
    )
