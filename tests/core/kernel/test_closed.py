"""A closed breaker in the kernel: evidence, and many rows at once."""

import sys
from random import Random

import pytest
from attrs import astuple, evolve
from kernel_breakers import (
    SECOND,
    SLOW_NS,
    breaker,
    contents_of,
    fail,
    of_each_kernel,
    run,
    succeed,
    thresholds,
)
from kernel_driver import Row, columns, kernels

from recloser.core import kernel
from recloser.core.limits import MAX_SEQS


@of_each_kernel
def test_evidence_has_every_failure_up_to_the_limit_and_above_it_the_first_and_last(of):
    for threshold, kept in ((MAX_SEQS, list(range(1, 401))), (MAX_SEQS + 1, [1, 400])):
        state = breaker(of, threshold)
        for seq in range(1, 401):
            fail(of, state, seq)
        assert state.failure_seqs.to_list() == kept
        succeed(of, state, 401)
        assert state.failure_seqs.to_list() == []
        fail(of, state, 402)
        assert state.failure_seqs.to_list() == [402]


@of_each_kernel
def test_failures_are_not_recorded_while_the_rule_is_off(of):
    state = breaker(of)
    fail(of, state, 1)
    assert state.consecutive_failures == 1
    assert state.failure_seqs is None


def test_idle_breaker_takes_little_memory():
    of = kernels()[-1]
    if not of.IS_COMPILED:
        pytest.skip("the kernel is not compiled")
    state = breaker(of, window=thresholds(of, 100, failures=5))
    parts = [state, state.window, state.window.numbers]
    assert sum(map(sys.getsizeof, parts)) <= 550


@of_each_kernel
def test_success_that_completes_the_minimum_trips_within_a_block_of_rows(of):
    """The 50th outcome is a success, and the first at which one failure of 50 is too many."""
    window = thresholds(of, 100, failure_num=1, failure_den=50, needed=50)
    state = breaker(of, window=window)
    rows = [Row(of.FAILED if seq == 1 else of.SUCCEEDED, seq, 0) for seq in range(1, 101)]
    assert run(of, state, rows) == 49
    assert state.fired == of.FAILURE_RATE


@of_each_kernel
def test_success_that_begins_a_second_trips_when_older_outcomes_leave(of):
    state = breaker(of, window=thresholds(of, 2, is_timed=True, failure_num=1, failure_den=40))
    times = [0] * 100 + [SECOND] * 31 + [2 * SECOND] * 5
    rows = [Row(of.FAILED if n == 100 else of.SUCCEEDED, n + 1, at) for n, at in enumerate(times)]
    assert run(of, state, rows) == 131
    assert state.fired == of.FAILURE_RATE
    assert (state.window.calls, state.window.failures) == (32, 1)


UNLIKE = {
    "stale": {"epoch": 0},
    "several": {"count": 7},
    "slow": {"took": SLOW_NS + 1},
    "failed": {"kind": kernel.FAILED},
    "ignored": {"kind": kernel.IGNORED},
    "rejected": {"kind": kernel.REJECTED},
    "of the next second": {"at": SECOND},
}


WINDOWS = [{"size": 5}, {"size": 50}, {"size": 90}, {"size": 1, "is_timed": True}, None]


@of_each_kernel
@pytest.mark.parametrize("unlike", UNLIKE)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("place", [3, 30, 31, 32])
def test_different_row_within_many_successes_counts_as_alone(of, unlike, window, place):
    rows = [Row(of.SUCCEEDED, seq, 0, 0, 1) for seq in range(1, 81)]
    rows[0] = Row(of.FAILED, 1, 0, 0, 1)
    rows[place] = evolve(rows[place], **UNLIKE[unlike])
    rows = rows[: place + 1] + [evolve(row, at=rows[place].at) for row in rows[place + 1 :]]
    states = []
    for way in ("run", "step"):
        numbers = window and {"needed": 2, "failure_num": 1, "failure_den": 1, **window}
        state = breaker(of, 100, numbers and thresholds(of, **numbers))
        state.epoch = 1
        if way == "run":
            assert run(of, state, rows) == len(rows)
        else:
            for row in rows:
                assert of.step(state, *astuple(row)) == of.NO_RULE
        counters = state.succeeded, state.failed, state.ignored, state.rejected, state.stale
        states.append((counters, state.consecutive_failures, window and contents_of(state.window)))
    assert states[0] == states[1]


@of_each_kernel
def test_success_after_ignored_calls_ends_consecutive_failures(of):
    kinds = [of.FAILED] * 2 + [of.IGNORED] * 40 + [of.SUCCEEDED] * 40 + [of.FAILED]
    state = breaker(of, 3)
    rows = [Row(kind, seq, 0) for seq, kind in enumerate(kinds, start=1)]
    assert run(of, state, rows) == len(rows)
    assert (state.consecutive_failures, state.failure_seqs.to_list()) == (1, [83])


LONG_RUNS = {
    "failures in a row": {"failure_threshold": 7},
    "a window of outcomes": {"window": {"size": 40, "needed": 40, "failure_num": 3}},
    "a window that is not full": {"window": {"size": 5000, "needed": 60, "failure_num": 3}},
    "a window of few outcomes": {"window": {"size": 3, "needed": 2, "failures": 3}},
    "slow calls": {"window": {"size": 40, "needed": 10, "slow_num": 3}},
    "seconds": {"window": {"size": 2, "is_timed": True, "needed": 20, "failure_num": 3}},
    "slow calls of some seconds": {
        "window": {"size": 2, "is_timed": True, "needed": 20, "slow_num": 3}
    },
    "both": {"failure_threshold": 9, "window": {"size": 40, "needed": 40, "failure_num": 3}},
}


@of_each_kernel
@pytest.mark.parametrize("name", LONG_RUNS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.6])
def test_many_rows_at_once_count_the_same_as_one_by_one(of, name, share):
    """However long the stretches are in which nothing fires, and wherever they end."""
    config = dict(LONG_RUNS[name])
    slow_ns = SLOW_NS if "slow" in name else of.NEVER
    chance = Random(len(name))
    if limits := config.get("window"):
        rates = {"failure_den": 4 if "failure_num" in limits else 0}
        rates["slow_den"] = 4 if "slow_num" in limits else 0
        config["window"] = thresholds(of, **rates, **limits)
    rows, at = [], 0
    for seq in range(1, 6001):
        at += chance.randrange(4_000_000)
        kind = of.FAILED if chance.random() < share else of.SUCCEEDED
        kind = of.IGNORED if chance.random() < 0.001 else kind
        took = SLOW_NS * 2 if chance.random() < share else 0
        count = 3 if kind == of.SUCCEEDED and chance.random() < 0.001 else 1
        rows.append(Row(kind, seq, at, took, count=count))
    whole = of.Rows(*columns(rows))
    fired = {}
    for way in ("run", "step"):
        state = breaker(of, **config, slow_ns=slow_ns)
        fired[way] = []
        row = 0
        while row < len(rows):
            if way == "run":
                row = of.run(state, whole, row, len(rows))
                rule = state.fired
            else:
                rule = of.step(state, *astuple(rows[row]))
            if rule:
                run_seqs = state.failure_seqs and state.failure_seqs.to_list()
                window = state.window and contents_of(state.window)
                counters = state.succeeded, state.failed, state.ignored, state.consecutive_failures
                fired[way].append((row, rule, counters, run_seqs, window))
                assert of.enter(state, rows[row].at, -1) == of.NO_RULE
                state.epoch = 0  # that of all rows
            row += way == "step" or bool(rule)
        fired[way].append(
            (state.succeeded, state.failed, state.window and contents_of(state.window))
        )
    assert fired["run"] == fired["step"]
