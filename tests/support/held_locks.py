"""Locks that are held during a test, to show which operations do not wait for them."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from recloser import CircuitBreaker


@contextmanager
def held_by_another_thread(lock: AbstractContextManager[object]) -> Iterator[None]:
    """Let another thread hold a lock during the block; a thread that acquires it there hangs."""
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            is_held.set()
            may_go.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait()
    try:
        yield
    finally:
        may_go.set()
        holder.join()


@contextmanager
def log_lock_held_elsewhere(breaker: CircuitBreaker) -> Iterator[None]:
    """Let another thread hold the lock of a breaker's log during the block."""
    with held_by_another_thread(breaker._sequencer._entry._lock):
        yield


@contextmanager
def held_by_this_thread(breaker: CircuitBreaker) -> Iterator[None]:
    """Act as if this thread was interrupted in the middle of a change of the breaker."""
    with breaker._sequencer._entry._lock, breaker._sequencer._entry._inside:
        yield
