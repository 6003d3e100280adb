"""Thresholds of the kernel: rates are compared exactly, and all numbers fit into 64 bits."""

from hypothesis import example, given
from hypothesis import strategies as st
from kernel_breakers import breaker, fail, of_each_kernel, succeed, thresholds

from recloser.core.limits import MAX_AT, MAX_COUNT, MAX_SEQ, MAX_SETTING, MAX_WHOLE


@of_each_kernel
@example(part=0, whole=2**62 - 1, num=MAX_SETTING, den=MAX_SETTING, near=0, is_near=False)
@example(part=2**31, whole=2**32 - 1, num=1, den=2, near=0, is_near=False)
@given(
    part=st.integers(0, 2**62),
    whole=st.integers(0, 2**62),
    num=st.integers(1, MAX_SETTING),
    den=st.integers(1, MAX_SETTING),
    near=st.integers(-2, 2),
    is_near=st.booleans(),
)
def test_rates_are_compared_exactly_for_any_number_of_calls(
    of, part, whole, num, den, near, is_near
):
    num = min(num, den)
    if is_near:
        part = max(0, num * whole // den + near)
    part = min(part, whole)
    window = thresholds(of, 1, is_timed=True, failure_num=num, failure_den=den)
    state = breaker(of, window=window)
    state.window.restore([[0, 1, 1, whole, part, 0]])
    rule = succeed(of, state, 2)
    is_reached = part * den >= num * (whole + 1)
    assert rule == (of.FAILURE_RATE if is_reached else of.NO_RULE)


@of_each_kernel
def test_largest_numbers_fit_into_64_bits(of):
    window = thresholds(
        of, MAX_SETTING, failure_num=MAX_SETTING - 1, failure_den=MAX_SETTING, needed=MAX_SETTING
    )
    state = breaker(of, MAX_SETTING, window)
    for seq in range(MAX_SEQ - 3, MAX_SEQ):
        succeed(of, state, seq, MAX_AT, MAX_WHOLE, MAX_COUNT)
    assert state.succeeded == 3 * MAX_COUNT
    assert (state.window.calls, state.window.slow) == (MAX_SETTING, MAX_SETTING)
    fail(of, state, MAX_SEQ, MAX_AT, MAX_WHOLE)
    codes = [(MAX_SEQ - 1) << 2 | 1, MAX_SEQ << 2 | 3]
    assert state.window.to_data() == [[codes[0], MAX_SETTING - 1], codes[1]]
    assert state.window.span() == (MAX_SEQ - 1, MAX_SEQ)


@of_each_kernel
def test_longest_cooldown_at_the_last_time_fits_into_64_bits(of):
    state = breaker(of)
    state.where = of.OPEN
    of.enter(state, MAX_AT, 2**61 - 1)
    assert state.deadline == MAX_AT + 2**61 - 1


@of_each_kernel
def test_only_a_slow_call_rate_trips_without_failures(of):
    by_slowness = thresholds(of, 4, failures=1, slow_num=1, slow_den=2)
    assert of.needs_failures(breaker(of, 1).rules)
    assert of.needs_failures(breaker(of, 0, thresholds(of, 4, failures=1)).rules)
    assert not of.needs_failures(breaker(of, 1, by_slowness).rules)
