"""Calls that wait: a call is recorded in one step, and copied and dropped in their order."""

import gc
import threading
import weakref
from array import array

import pytest

from recloser import CircuitBreaker, MemoryLog
from recloser.live.call_buffer import CallBuffer, put_in_order
from recloser.live.call_tokens import OutcomeToken


@pytest.fixture
def token():
    return CircuitBreaker("b", log=MemoryLog()).fast_path.admit_token


def outcome_tokens(token, number):
    return [OutcomeToken(token, 1, str(each)) for each in range(number)]


def columns(call_buffer):
    ats, tooks, codes, tokens = call_buffer.columns()
    return list(ats), list(tooks), [tokens[code] for code in codes]


def test_calls_are_copied_in_their_order(token):
    call_buffer = CallBuffer()
    call_buffer.record(10, 1, token)
    call_buffer.record(20, 2, token)
    assert columns(call_buffer) == ([10, 20], [1, 2], [token, token])
    assert len(call_buffer) == 2


def test_del_removes_the_first_calls_of_the_buffer(token):
    call_buffer = CallBuffer()
    for number in range(200):
        call_buffer.record(number, 2 * number, token)
    del call_buffer[:150]
    call_buffer.record(200, 400, token)
    assert columns(call_buffer)[:2] == (list(range(150, 201)), list(range(300, 402, 2)))
    del call_buffer[:51]
    assert columns(call_buffer) == ([], [], [])


def test_record_returns_whether_the_limit_is_exceeded(token):
    call_buffer = CallBuffer(2)
    assert [call_buffer.record(10, 1, token) for _ in range(3)] == [False, False, True]
    call_buffer.limit = 4
    assert not call_buffer.record(10, 1, token)


def test_copy_of_the_call_buffer_has_at_most_256_tokens(token):
    many = outcome_tokens(token, 300)
    call_buffer = CallBuffer()
    for number, ending in enumerate(many):
        call_buffer.record(number, 0, ending)
    assert columns(call_buffer) == (list(range(256)), [0] * 256, many[:256])
    del call_buffer[:256]
    assert columns(call_buffer) == (list(range(256, 300)), [0] * 44, many[256:])


def test_token_that_is_freed_may_record_a_call(token):
    """A pass that nobody else holds runs what waits for its end."""
    call_buffer = CallBuffer()

    def record():
        call_buffer.record(99, 9, token)

    ending = OutcomeToken(token, 1, "E")
    weakref.finalize(ending, record)
    call_buffer.record(1, 0, ending)
    call_buffer.record(2, 0, token)
    del ending
    del call_buffer[:1]
    gc.collect()
    assert columns(call_buffer) == ([2, 99], [0, 9], [token, token])


def test_no_thread_splits_a_call_of_another(token):
    """Each thread puts in calls of its own time only, so a torn one would hold two."""
    call_buffer, taken = CallBuffer(), []

    def put(at):
        for _ in range(20_000):
            call_buffer.record(at, at, token)

    threads = [threading.Thread(target=put, args=(at,)) for at in range(1, 5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or call_buffer:
        taken.append(columns(call_buffer))
        del call_buffer[: len(taken[-1][0])]
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
