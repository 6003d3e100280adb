"""Calls that wait: a call is recorded in one step, and copied and dropped in their order."""

import gc
import threading
import weakref
from array import array

import pytest

from recloser import CircuitBreaker, MemoryLog
from recloser.live.call_buffer import Pending, put_in_order
from recloser.live.fast_path import Ending


@pytest.fixture
def leave():
    return CircuitBreaker("b", log=MemoryLog()).gate.leave


def endings(leave, number):
    return [Ending(leave, 1, str(each)) for each in range(number)]


def columns(pending):
    ats, tooks, codes, passes = pending.columns()
    return list(ats), list(tooks), [passes[code] for code in codes]


def test_calls_are_copied_in_their_order(leave):
    pending = Pending()
    pending.record(10, 1, leave)
    pending.record(20, 2, leave)
    assert columns(pending) == ([10, 20], [1, 2], [leave, leave])
    assert len(pending) == 2


def test_what_is_dropped_are_the_first(leave):
    pending = Pending()
    for number in range(200):
        pending.record(number, 2 * number, leave)
    del pending[:150]
    pending.record(200, 400, leave)
    assert columns(pending)[:2] == (list(range(150, 201)), list(range(300, 402, 2)))
    del pending[:51]
    assert columns(pending) == ([], [], [])


def test_it_says_when_more_wait_than_may(leave):
    pending = Pending(2)
    assert [pending.record(10, 1, leave) for _ in range(3)] == [False, False, True]
    pending.limit = 4
    assert not pending.record(10, 1, leave)


def test_a_copy_ends_where_it_has_more_passes_than_a_byte_can_tell_apart(leave):
    many = endings(leave, 300)
    pending = Pending()
    for number, ending in enumerate(many):
        pending.record(number, 0, ending)
    assert columns(pending) == (list(range(256)), [0] * 256, many[:256])
    del pending[:256]
    assert columns(pending) == (list(range(256, 300)), [0] * 44, many[256:])


def test_what_leaves_may_record_as_it_goes(leave):
    """A pass that nobody else holds runs what waits for its end."""
    pending = Pending()

    def record():
        pending.record(99, 9, leave)

    ending = Ending(leave, 1, "E")
    weakref.finalize(ending, record)
    pending.record(1, 0, ending)
    pending.record(2, 0, leave)
    del ending
    del pending[:1]
    gc.collect()
    assert columns(pending) == ([2, 99], [0, 9], [leave, leave])


def test_no_thread_splits_a_call_of_another(leave):
    """Each thread puts in calls of its own time only, so a torn one would hold two."""
    pending, taken = Pending(), []

    def put(at):
        for _ in range(20_000):
            pending.record(at, at, leave)

    threads = [threading.Thread(target=put, args=(at,)) for at in range(1, 5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or pending:
        taken.append(columns(pending))
        del pending[: len(taken[-1][0])]
    assert sum(len(ats) for ats, _, _ in taken) == 80_000
    assert all(ats == tooks for ats, tooks, _ in taken)


@pytest.mark.parametrize(
    ("times", "ordered"),
    [([], []), ([50, 60], [50, 60]), ([50, 40, 70, 60], [50, 50, 70, 70]), ([10, 70], [45, 70])],
)
def test_no_time_falls_nor_is_before_a_given_one(times, ordered):
    put = array("q", times)
    put_in_order(put, 45)
    assert list(put) == ordered
