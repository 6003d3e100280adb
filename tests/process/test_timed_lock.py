"""A lock with a timeout, which is released after any exception."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from bytecode_points import at_each_point
from held_locks import held_by_another_thread

from recloser.process import timed_lock
from recloser.process.timed_lock import TimedLock


def test_lock_can_be_taken_again_by_its_thread():
    lock = TimedLock(1)
    with lock as is_taken, lock as is_taken_again:
        assert is_taken
        assert is_taken_again
        assert lock.is_mine
    assert not lock.is_mine


def test_lock_that_another_thread_keeps_is_given_up():
    lock = TimedLock(0.01)
    with (
        held_by_another_thread(lock),
        pytest.raises(RuntimeError, match="un-acquired"),
        lock as is_taken,
    ):
        assert not is_taken
    assert not lock.is_mine


def test_lock_is_released_wherever_an_exception_comes_up():
    def give_up():
        raise KeyboardInterrupt

    for interruption in at_each_point([timed_lock], give_up):
        lock = TimedLock(1)
        with contextlib.suppress(KeyboardInterrupt), interruption, lock as is_taken:
            assert is_taken
        assert not lock.is_mine
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lock.acquire, timeout=5).result()
