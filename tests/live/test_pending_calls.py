"""Calls that were let past the lock are columns, and become events when somebody looks."""

import sys

import pytest
from breaker_calls import fail

from recloser import CircuitBreaker, MemoryLog
from recloser.core import kernel
from recloser.core.events import CallFailed, CallIgnored, CallRejected, CallSucceeded
from recloser.live.call_buffer import CallBuffer
from recloser.live.call_tokens import OutcomeToken
from recloser.live.pending_calls import Outcomes, PendingCalls, outcome_event, rejection_event
from recloser.log.codec import encode_all, full


def calls_of(ats, tooks, tokens):
    call_buffer = CallBuffer()
    for call in zip(ats, tooks, tokens, strict=True):
        call_buffer.record(*call)
    return PendingCalls.of(call_buffer)


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


@pytest.fixture
def token(log):
    return CircuitBreaker("b", log=log).fast_path.admit_token


@pytest.fixture
def other(log):
    return CircuitBreaker("other", log=log).fast_path.admit_token


@pytest.mark.parametrize(
    ("ats", "ordered"),
    [
        ([50, 60], [50, 60]),
        ([50, 40, 70, 60], [50, 50, 70, 70]),
        ([10, 20, 70], [45, 45, 70]),
    ],
)
def test_times_are_put_in_order_after_those_folded_before(token, ats, ordered):
    calls = calls_of(ats, [0] * len(ats), [token] * len(ats))
    calls.put_in_order(45)
    assert list(calls.ats) == ordered


def test_slice_returns_the_calls_between_two_indexes(token):
    calls = calls_of([1, 2, 3], [4, 5, 6], [token] * 3)
    part = calls.slice(1, 3)
    assert list(part.each()) == [(2, 5, token), (3, 6, token)]
    assert calls.slice(0, 9) is calls


def test_consecutive_calls_of_one_token_are_counted_up_to_a_time(token, other):
    calls = calls_of([1, 2, 3, 4], [0] * 4, [token, token, other, other])
    assert [calls.count_alike(start, 100) for start in range(4)] == [2, 1, 2, 1]
    assert [calls.count_alike(start, 2) for start in range(4)] == [1, 1, 1, 1]


def test_calls_are_grouped_by_token_in_their_order(token, other):
    calls = calls_of([1, 2, 3, 4], [0] * 4, [token, token, other, token])
    sorts = {token: 0, other: 1}
    parts = [(sort, list(part.ats)) for sort, part in calls.grouped_by(sorts.get)]
    assert parts == [(0, [1, 2]), (1, [3]), (0, [4])]
    assert [list(part.ats) for _, part in calls.grouped_by(lambda _: 0)] == [[1, 2, 3, 4]]


def test_successes_of_one_breaker_are_events_numbered_one_after_another(token):
    outcomes = Outcomes(calls_of([10, 20, 30], [1, 2, 3], [token] * 3), first_seq=7)
    assert [full(event) for event in outcomes] == [
        CallSucceeded(7, 10, "b", 0, 1),
        CallSucceeded(8, 20, "b", 0, 2),
        CallSucceeded(9, 30, "b", 0, 3),
    ]
    assert (outcomes.breakers, outcomes.count_if_plain("b")) == (["b"], 3)


def test_outcomes_of_every_kind_are_events_of_it(token):
    outcome_tokens = [
        token,
        OutcomeToken(token, kernel.FAILED, "TimeoutError"),
        OutcomeToken(token, kernel.IGNORED, None),
        OutcomeToken(token, kernel.SUCCEEDED, "KeyError"),
    ]
    outcomes = Outcomes(calls_of([1, 2, 3, 4], [5, 6, 7, 8], outcome_tokens), first_seq=1)
    assert [full(event) for event in outcomes] == [
        CallSucceeded(1, 1, "b", 0, 5),
        CallFailed(2, 2, "b", 0, 6, 0, "TimeoutError"),
        CallIgnored(3, 3, "b", 0, 7, 0, None),
        CallSucceeded(4, 4, "b", 0, 8),
    ]
    assert outcomes.count_if_plain("b") == 0


def test_outcomes_of_many_breakers_keep_their_order(log):
    tokens = [CircuitBreaker(name, log=log).fast_path.admit_token for name in "abab"]
    outcomes = Outcomes(calls_of([1, 2, 3, 4], [0] * 4, tokens), first_seq=1)
    assert [event.breaker for event in outcomes] == ["a", "b", "a", "b"]
    assert [outcomes.count_if_plain(name) for name in outcomes.breakers] == [2, 2]
    assert full(outcomes[2]) == CallSucceeded(3, 3, "a", 0, 0)


def test_the_rows_of_one_breaker_are_those_of_its_events(log):
    tokens = [CircuitBreaker(name, log=log).fast_path.admit_token for name in "ab"]
    failed = OutcomeToken(tokens[0], kernel.FAILED, "E")
    tokens = [tokens[0], tokens[1], failed, tokens[0]]
    outcomes = Outcomes(calls_of([1, 2, 3, 4], [5, 6, 7, 8], tokens), first_seq=11)
    rows, number = outcomes.rows("a")
    columns = (rows.kind, rows.seq, rows.at, rows.took, rows.epoch, rows.probe, rows.count)
    assert [list(column) for column in columns] == [
        [kernel.SUCCEEDED, kernel.FAILED, kernel.SUCCEEDED],
        [11, 13, 14],
        [1, 3, 4],
        [5, 7, 8],
        [0, 0, 0],
        [0, 0, 0],
        [1, 1, 1],
    ]
    assert number == 3


def test_single_outcome_equals_the_one_in_the_sequence(token):
    outcomes = Outcomes(calls_of([10, 20, 30], [1, 2, 3], [token] * 3), first_seq=7)
    whole = list(outcomes)
    assert [outcomes[0], outcomes[2], outcomes[-1]] == [whole[0], whole[2], whole[2]]
    assert outcomes[1:] == whole[1:]
    assert len(outcomes) == 3
    with pytest.raises(IndexError):
        outcomes[3]


def test_outcomes_have_the_lines_of_their_events(token):
    outcomes = Outcomes(calls_of([10, 20], [1, 2], [token] * 2), first_seq=7)
    lines = b"".join(encode_all(outcomes))
    assert lines == b"".join(encode_all([full(event) for event in outcomes]))


def test_calls_are_freed_once_they_are_encoded(token):
    calls = calls_of([10, 20], [1, 2], [token] * 2)
    before = sys.getrefcount(calls.ats)
    for _ in range(5):
        assert b"".join(encode_all(Outcomes(calls, first_seq=7)))
    after = sys.getrefcount(calls.ats)
    assert after == before


def test_single_calls_become_events_of_their_breaker_and_epoch(log):
    once_reset = CircuitBreaker("b", log=log)
    once_reset.reset()
    token = once_reset.fast_path.admit_token
    assert full(outcome_event(token, 5, 60, 7)) == CallSucceeded(5, 60, "b", 1, 7)
    breaker = CircuitBreaker("refusing", log=log)
    fail(breaker, 5)
    refusal = breaker.fast_path.reject_token
    expected = CallRejected(5, 60, "refusing", refusal.reason, 70)
    assert full(rejection_event(refusal, 5, 60, 70)) == expected
