"""Windows of the kernel: what they hold, and how much memory they take."""

import pickle
import sys
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kernel_breakers import (
    SLOW_NS,
    breaker,
    contents_of,
    expanded,
    fail,
    of_each_kernel,
    run,
    succeed,
    thresholds,
)
from kernel_driver import Row, kernels

from recloser.core.limits import MAX_COUNT, MAX_SEQ, MAX_SETTING

entries = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.sampled_from([1, 1, 1, 2, 3, 7, 50, MAX_COUNT])),
    max_size=60,
)


@of_each_kernel
@given(added=entries, size=st.sampled_from([1, 2, 5, 8, 9, 33]))
def test_count_window_holds_the_last_outcomes(of, added, size):
    state = breaker(of, window=thresholds(of, size, failure_num=1, failure_den=1, needed=MAX_COUNT))
    last = deque(maxlen=size)
    for seq, (failed, slow, count) in enumerate(added, start=1):
        apply = fail if failed else succeed
        more = {} if failed else {"count": count}
        assert apply(of, state, seq, took=SLOW_NS + slow, **more) == of.NO_RULE
        times = 1 if failed else count
        last.extend([seq << 2 | failed << 1 | slow] * min(times, size))
    window = state.window
    assert expanded(window.to_data()) == list(last)
    assert window.calls == len(last)
    assert window.failures == sum(code >> 1 & 1 for code in last)
    assert window.slow == sum(code & 1 for code in last)
    if last:
        assert window.span() == (last[0] >> 2, last[-1] >> 2)
    assert len(window.numbers) <= size


@of_each_kernel
@given(added=entries, size=st.sampled_from([1, 2, 9, 33]))
def test_window_can_be_restored_from_its_data_and_copied(of, added, size):
    state = breaker(of, window=thresholds(of, size, failures=MAX_COUNT))
    for seq, (_, slow, count) in enumerate(added, start=1):
        succeed(of, state, seq, took=SLOW_NS + slow, count=count)
    window = of.Window(state.window.thresholds)
    window.restore(state.window.to_data())
    for other in (window, state.window.copy()):
        assert contents_of(other) == contents_of(state.window)
        other.restore([MAX_SEQ << 2])
        assert contents_of(other) != contents_of(state.window)


def test_window_and_ring_can_be_pickled():
    of = kernels()[-1]
    state = breaker(of, window=thresholds(of, 5, failures=3), failure_threshold=9)
    for seq in range(1, 4):
        succeed(of, state, seq, count=2)
    fail(of, state, 4)
    again = pickle.loads(pickle.dumps(state))
    assert contents_of(again.window) == contents_of(state.window)
    assert again.failure_seqs.to_list() == [4]
    assert again.failed == 1


@of_each_kernel
def test_window_rejects_data_with_more_outcomes_than_its_size(of):
    window = of.Window(thresholds(of, 5, failures=1))
    with pytest.raises(ValueError, match="6 outcomes in a window of 5"):
        window.restore([4, [8, 5]])


@of_each_kernel
def test_any_number_of_outcomes_of_one_event_takes_one_entry(of):
    state = breaker(of, window=thresholds(of, MAX_SETTING, failures=MAX_SETTING))
    for seq in range(1, 1001):
        succeed(of, state, seq, count=MAX_COUNT if seq % 2 else 5)
    assert len(state.window.to_data()) == 2
    assert len(state.window.numbers) <= 8


@of_each_kernel
def test_window_takes_8_bytes_per_outcome_and_none_while_empty(of):
    state = breaker(of, window=thresholds(of, 100_000, failures=MAX_SETTING))
    assert len(state.window.numbers) == 0
    rows = [Row(of.SUCCEEDED, seq, 0) for seq in range(1, 100_002)]
    assert run(of, state, rows) == len(rows)
    assert sys.getsizeof(state.window.numbers) <= 8 * 100_000 + 100


@of_each_kernel
@pytest.mark.parametrize("size", [1, 2, 8])
@pytest.mark.parametrize("count", [0, -1, -(2**40)])
def test_event_with_a_count_below_1_adds_nothing_to_a_window(of, size, count):
    """No log has one, but rows of another's file may: nothing may be written past a window's end."""
    state = breaker(of, window=thresholds(of, size, failures=2 * size))
    for seq in range(1, 100):
        of.step(state, of.SUCCEEDED, seq, seq, 0, 0, 0, 1)
        of.step(state, of.SUCCEEDED, seq, seq, 0, 0, 0, count)
    assert (state.window.calls, state.window.length) == (size, size)
