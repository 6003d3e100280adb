"""Calls that were let past the lock are columns, and become events when somebody looks."""

import sys
import threading

import pytest

from recloser import CircuitBreaker, MemoryLog
from recloser.events import CallRejected, CallSucceeded
from recloser.gate import PENDING_WIDTH, Pending
from recloser.log.calls import Calls, Successes, rejected, succeeded
from recloser.log.codec import encode_all, full
from support import fail


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


@pytest.fixture
def leave(log):
    return CircuitBreaker("b", log=log).gate.leave


def test_pending_calls_are_copied_in_their_order(leave):
    pending = Pending()
    pending.extend((10, 1, leave))
    pending.extend((20, 2, leave))
    assert pending.calls == 2
    calls = Calls.of(pending)
    assert (calls.ats, calls.tooks, calls.passes) == ([10, 20], [1, 2], [leave, leave])
    assert pending.calls == 2


def test_a_call_that_comes_while_others_are_copied_is_not_among_them(leave):
    class Raced(Pending):
        def __getitem__(self, index):
            copied = super().__getitem__(index)
            self.extend((20, 2, leave))
            return copied

    pending = Raced()
    pending.extend((10, 1, leave))
    assert Calls.of(pending).ats == [10]
    assert list(pending) == [10, 1, leave, 20, 2, leave]


def test_how_many_may_wait_is_told_in_calls(leave):
    pending = Pending(2)
    for _ in range(2):
        pending.extend((10, 1, leave))
    assert len(pending) <= pending.limit
    pending.extend((10, 1, leave))
    assert len(pending) > pending.limit
    pending.let_wait(3)
    assert len(pending) <= pending.limit


def test_no_thread_splits_a_call_of_another(leave):
    """Each thread puts in calls of its own time only, so a torn one would hold two."""
    pending, taken = Pending(), []

    def put(at):
        for _ in range(20_000):
            pending.extend((at, at, leave))

    threads = [threading.Thread(target=put, args=(at,)) for at in range(1, 5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or pending:
        taken.append(Calls.of(pending))
        del pending[: len(taken[-1]) * PENDING_WIDTH]
    assert sum(len(calls) for calls in taken) == 80_000
    assert all(calls.ats == calls.tooks for calls in taken)
    assert all(set(calls.passes) <= {leave} for calls in taken)


@pytest.mark.parametrize(
    ("ats", "ordered"),
    [
        ([50, 60], [50, 60]),
        ([50, 40, 70, 60], [50, 50, 70, 70]),
        ([10, 20, 70], [45, 45, 70]),
    ],
)
def test_times_are_put_in_order_behind_what_was_folded_before(leave, ats, ordered):
    calls = Calls(ats, [0] * len(ats), [leave] * len(ats))
    calls.put_in_order(45)
    assert calls.ats == ordered


def test_a_part_is_what_lies_between_two_places(leave):
    calls = Calls([1, 2, 3], [4, 5, 6], [leave] * 3)
    part = calls.part(1, 3)
    assert (part.ats, part.tooks, len(part.passes)) == ([2, 3], [5, 6], 2)
    assert calls.part(0, 9) is calls


def test_successes_of_one_breaker_are_events_numbered_one_after_another(leave):
    successes = Successes(Calls([10, 20, 30], [1, 2, 3], [leave] * 3), first_seq=7)
    assert [full(event) for event in successes] == [
        CallSucceeded(7, 10, "b", 0, 1),
        CallSucceeded(8, 20, "b", 0, 2),
        CallSucceeded(9, 30, "b", 0, 3),
    ]
    assert successes.counts == {"b": 3}


def test_successes_of_many_breakers_keep_their_order(log):
    leaves = [CircuitBreaker(name, log=log).gate.leave for name in "abab"]
    successes = Successes(Calls([1, 2, 3, 4], [0] * 4, leaves), first_seq=1)
    assert [event.breaker for event in successes] == ["a", "b", "a", "b"]
    assert successes.counts == {"a": 2, "b": 2}
    assert full(successes[2]) == CallSucceeded(3, 3, "a", 0, 0)


def test_a_success_looked_at_by_itself_is_the_one_of_the_whole(leave):
    successes = Successes(Calls([10, 20, 30], [1, 2, 3], [leave] * 3), first_seq=7)
    whole = list(successes)
    assert [successes[0], successes[2], successes[-1]] == [whole[0], whole[2], whole[2]]
    assert successes[1:] == whole[1:]
    assert len(successes) == 3
    with pytest.raises(IndexError):
        successes[3]


def test_successes_have_the_lines_of_their_events(leave):
    successes = Successes(Calls([10, 20], [1, 2], [leave] * 2), first_seq=7)
    lines = b"".join(encode_all(successes))
    assert lines == b"".join(encode_all([full(event) for event in successes]))


def test_calls_are_let_go_once_they_have_lines(leave):
    calls = Calls([10, 20], [1, 2], [leave] * 2)
    before = sys.getrefcount(calls.ats)
    for _ in range(5):
        assert b"".join(encode_all(Successes(calls, first_seq=7)))
    after = sys.getrefcount(calls.ats)
    assert after == before


def test_single_calls_become_events_of_their_breaker_and_epoch(log):
    once_reset = CircuitBreaker("b", log=log)
    once_reset.reset()
    leave = once_reset.gate.leave
    assert full(succeeded(leave, 5, 60, 7)) == CallSucceeded(5, 60, "b", 1, 7)
    breaker = CircuitBreaker("refusing", log=log)
    fail(breaker, 5)
    refusal = breaker.gate.refusal
    expected = CallRejected(5, 60, "refusing", refusal.reason, 70)
    assert full(rejected(refusal, 5, 60, 70)) == expected
