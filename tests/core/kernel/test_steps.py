"""Rows that the kernel runs over, and other settings put in force."""

from array import array

import pytest
from kernel_breakers import (
    breaker,
    fail,
    of_each_kernel,
    run,
    thresholds,
)
from kernel_driver import Row


@of_each_kernel
def test_columns_of_rows_may_be_any_buffer(of):
    pytest.importorskip("numpy")
    import numpy as np

    kinds = np.array([0, 1, 1], np.uint8)
    numbers = [np.array(column, np.int64) for column in ([1, 2, 3], [5, 6, 7])]
    zeros = array("q", [0, 0, 0])
    ones = memoryview(array("q", [1, 1, 1]))
    for column in numbers:
        column.flags.writeable = False
    state = breaker(of, 2)
    assert of.run(state, of.Rows(kinds, *numbers, zeros, zeros, zeros, ones), 0, 3) == 2
    assert state.fired == of.CONSECUTIVE_FAILURES
    assert state.failure_seqs.to_list() == [2, 3]


@of_each_kernel
def test_impossible_row_stops_the_run(of):
    state = breaker(of)
    rows = [Row(of.SUCCEEDED, 1, 0), Row(of.SUCCEEDED, 2, 0, epoch=1), Row(of.SUCCEEDED, 3, 0)]
    assert run(of, state, rows) == 1
    assert state.fired == of.FUTURE_EPOCH
    assert run(of, state, rows, start=2) == 3
    assert (state.fired, state.succeeded) == (of.NO_RULE, 2)


@of_each_kernel
def test_rows_of_other_kinds_are_skipped(of):
    state = breaker(of, 2)
    kinds = [of.FAILED, of.OTHER, of.FAILED, of.OTHER]
    rows = [Row(kind, seq, 0) for seq, kind in enumerate(kinds, start=1)]
    assert run(of, state, rows) == 2
    assert (state.fired, state.failure_seqs.to_list()) == (of.CONSECUTIVE_FAILURES, [1, 3])
    assert run(of, state, rows, start=3) == 4
    assert state.fired == of.NO_RULE


@of_each_kernel
def test_other_thresholds_apply_to_outcomes_counted_before(of):
    state = breaker(of, 3, thresholds(of, 4, failures=4))
    for seq in (1, 2):
        assert fail(of, state, seq) == of.NO_RULE
    state.is_disabled = True
    strict = breaker(of, 0, thresholds(of, 4, failures=3)).rules
    of.judge_by(state, strict)
    assert state.window.thresholds is strict.window
    assert (state.window.failures, state.consecutive_failures) == (2, 2)
    assert fail(of, state, 3) == of.WINDOW_FAILURES


@of_each_kernel
def test_rules_without_a_window_drop_the_window(of):
    state = breaker(of, 0, thresholds(of, 4, failures=4))
    fail(of, state, 1)
    of.judge_by(state, breaker(of, 2).rules)
    assert state.window is None
    assert fail(of, state, 2) == of.CONSECUTIVE_FAILURES


@of_each_kernel
def test_judge_by_does_not_add_a_window(of):
    state = breaker(of, 2)
    of.judge_by(state, breaker(of, 0, thresholds(of, 4, failures=1)).rules)
    assert state.window is None
    assert fail(of, state, 1) == of.NO_RULE
