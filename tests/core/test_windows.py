"""Windows of outcomes: what is in them, and when they reach a threshold."""

from collections import deque
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser import (
    CircuitBreakerConfig,
    ConfigError,
    CountWindow,
    FiredRule,
    Rule,
    TimeWindow,
)
from recloser.core import kernel
from recloser.core.events import CallFailed, CallSucceeded
from recloser.core.fold import apply
from recloser.core.limits import LAST_COUNTER
from recloser.core.state import BreakerState
from recloser.core.stored_window import restored_window

SECOND = 10**9

outcomes = st.lists(
    st.tuples(st.booleans(), st.booleans(), st.integers(0, 3 * SECOND)), max_size=60
)


def breaker(config):
    """A breaker that only a window can open, for which every call that took any time is slow."""
    settings = CircuitBreakerConfig(
        failure_threshold=None, window=config, slow_call_seconds=Fraction(1, 10**9)
    )
    return BreakerState("b", settings)


def filled(config, *outcomes):
    """The window that holds outcomes as (failed, slow, at), numbered from 1."""
    state = breaker(config)
    for seq, (failed, slow, at) in enumerate(outcomes, start=1):
        add(state, seq, at, 1, failed=failed, slow=slow)
    return state.window


def add(state, seq, at, count, *, failed, slow):
    """The rule that fires at an outcome, or 0; its edge is not taken."""
    kind = kernel.FAILED if failed else kernel.SUCCEEDED
    return kernel.step(state, kind, seq, at, 2 if slow else 0, 0, 0, count)


def fired(config, *outcomes):
    """The cause of the edge that the last outcome fires; None if it fires none."""
    state = breaker(config)
    for seq, (failed, slow, at) in enumerate(outcomes[:-1], start=1):
        add(state, seq, at, 1, failed=failed, slow=slow)
    failed, slow, at = outcomes[-1]
    took, seq = 2 if slow else 0, len(outcomes)
    if failed:
        edges = apply(state, CallFailed(seq, at, "b", 0, took, 0, ""))
    else:
        edges = apply(state, CallSucceeded(seq, at, "b", 0, took))
    return edges[0].cause if edges else None


def failures(count, calls):
    return [(n < count, False, 0) for n in range(calls)]


@given(outcomes, st.integers(1, 10))
def test_a_count_window_holds_the_last_outcomes(added, size):
    window = filled(CountWindow(size, failures=1), *added)
    last = deque(added, maxlen=size)
    assert window.calls == len(last)
    assert window.failures == sum(failed for failed, _, _ in last)
    assert window.slow == sum(slow for _, slow, _ in last)
    if last:
        assert window.span() == (len(added) - len(last) + 1, len(added))


@given(outcomes, st.integers(1, 4))
def test_a_time_window_holds_the_outcomes_of_its_whole_seconds(steps, seconds):
    at, added = 0, []
    for failed, slow, step in steps:
        at += step
        added.append((failed, slow, at))
    window = filled(TimeWindow(seconds, failures=1), *added)
    last = [o for o in added if o[2] // SECOND > at // SECOND - seconds]
    assert window.calls == len(last)
    assert window.failures == sum(failed for failed, _, _ in last)
    assert window.slow == sum(slow for _, slow, _ in last)
    if last:
        assert window.span() == (len(added) - len(last) + 1, len(added))


def test_the_seconds_of_a_time_window_are_whole_seconds_of_the_log():
    """Whole seconds count, not nanoseconds: 1.999 and 2.0 are one second apart, as 1.0 and 2.999."""
    config = TimeWindow(1, failures=2)
    assert filled(config, (True, False, SECOND), (True, False, 2 * SECOND - 1)).failures == 2
    assert filled(config, (True, False, 2 * SECOND - 1), (True, False, 2 * SECOND)).failures == 1


def test_idle_time_ages_a_time_window():
    window = filled(
        TimeWindow(10, failures=1), *[(True, False, 0)] * 9, (False, False, 10 * SECOND)
    )
    assert (window.calls, window.failures) == (1, 0)


def test_a_time_window_needs_no_memory_beyond_its_seconds():
    state = breaker(TimeWindow(5, failures=1))
    for n in range(10_000):
        add(state, n, n * SECOND // 100, 1, failed=True, slow=False)
    assert len(state.window.to_data()) == 5


def singly(data):
    """Each outcome or bucket that a window holds, once for as often as it counts."""
    if any(isinstance(entry, list) and len(entry) > 2 for entry in data):
        return data
    pairs = [entry if isinstance(entry, list) else (entry, 1) for entry in data]
    return [code for code, count in pairs for _ in range(count)]


@pytest.mark.parametrize("config", [CountWindow(7, failures=1), TimeWindow(3, failures=1)])
def test_several_outcomes_in_one_event_count_as_single_ones(config):
    runs, single = breaker(config), breaker(config)
    for seq, (count, failed) in enumerate([(3, True), (2, False), (20, False), (4, True)]):
        add(runs, seq, 0, count, failed=failed, slow=False)
        for _ in range(count):
            add(single, seq, 0, 1, failed=failed, slow=False)
    assert singly(runs.window.to_data()) == singly(single.window.to_data())
    assert runs.window.failures == single.window.failures


@pytest.mark.parametrize(
    ("window", "added", "rule"),
    [
        (CountWindow(10, 0.5), failures(5, 10), Rule.FAILURE_RATE),
        (CountWindow(10, 0.5), failures(4, 10), None),
        (CountWindow(10, 0.5), failures(9, 9), None),
        (CountWindow(10, 0.5, minimum_calls=4), failures(2, 4), Rule.FAILURE_RATE),
        (CountWindow(5, 1.0, minimum_calls=100), failures(5, 5), Rule.FAILURE_RATE),
        (CountWindow(10, failures=3), failures(3, 3), Rule.WINDOW_FAILURES),
        (CountWindow(10, failures=3), failures(2, 10), None),
        (CountWindow(10, 0.5, failures=5), failures(5, 10), Rule.WINDOW_FAILURES),
        (TimeWindow(10, 0.5, minimum_calls=4), failures(2, 4), Rule.FAILURE_RATE),
        (TimeWindow(10, 0.5, minimum_calls=4), failures(3, 3), None),
    ],
)
def test_rate_trips_at_its_value_once_the_minimum_of_calls_is_reached(window, added, rule):
    cause = fired(window, *added)
    assert (cause and cause.rule) is rule


def test_slow_calls_have_a_rate_of_their_own():
    config = CountWindow(4, slow_call_rate=0.5, minimum_calls=4)
    assert fired(config, *[(True, False, 0)] * 4) is None
    cause = fired(config, *[(False, True, 0)] * 2, *[(False, False, 0)] * 2)
    assert cause == FiredRule(Rule.SLOW_CALL_RATE, observed=2, calls=4, rate="0.5", span=(1, 4))


@pytest.mark.parametrize(
    ("rate", "count", "calls"),
    [
        (0.1, 1, 10),
        (0.3, 3, 10),
        (0.29, 29, 100),
        (0.07, 7, 100),
        (Fraction(1, 3), 3, 9),
        (1, 9, 9),
    ],
)
def test_a_rate_is_the_exact_fraction_of_its_decimal_form(rate, count, calls):
    """0.29 * 100 is 28.999999999999996 in floating point, and 29 here."""
    config = CountWindow(calls, rate, minimum_calls=1)
    assert fired(config, *failures(count, calls))
    if count > 1:
        assert not fired(config, *failures(count - 1, calls)[::-1])


def test_window_keeps_its_size_for_any_rate():
    """Not the denominator of a fraction that can be reduced, as 50 of 100 to 1 of 2."""
    config = CountWindow(100, Fraction(50, 100), minimum_calls=100)
    assert fired(config, *failures(99, 99)) is None
    assert fired(config, *failures(50, 100)).calls == 100


@pytest.mark.parametrize("config", [CountWindow(7, failures=1), TimeWindow(3, failures=1)])
@given(added=outcomes)
def test_window_is_equal_after_a_round_trip_through_a_checkpoint(config, added):
    at, steps = 0, []
    for failed, slow, step in added:
        at += step
        steps.append((failed, slow, at))
    window = filled(config, *steps)
    again = restored_window(window.thresholds, window.to_data())
    assert again.to_data() == window.to_data()
    counts = (window.calls, window.failures, window.slow)
    assert (again.calls, again.failures, again.slow) == counts


@pytest.mark.parametrize("counts", [(1, 2, 0), (1, 0, 2), (1, LAST_COUNTER, 0)])
def test_no_second_of_a_window_has_more_failures_or_slow_calls_than_calls(counts):
    window = filled(TimeWindow(3, failures=1))
    with pytest.raises(ValueError, match="more failures or slow calls than calls"):
        restored_window(window.thresholds, [[0, 1, 1, *counts]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CountWindow(0, 0.5), "size must be a whole number from 1 up, not 0"),
        (lambda: CountWindow(10), "a CountWindow needs a failure_rate, a slow_call_rate or"),
        (lambda: TimeWindow(10), "a TimeWindow needs"),
        (lambda: CountWindow(10, 0), "failure_rate must be a rate above 0, at most 1, .* not 0"),
        (lambda: CountWindow(10, 50), "failure_rate must be .* not 50"),
        (lambda: CountWindow(10, True), "failure_rate must be .* not True"),
        (lambda: CountWindow(10, float("nan")), "failure_rate must be .* not nan"),
        (lambda: CountWindow(10, "half"), "failure_rate must be .* not 'half'"),
        (lambda: CountWindow(10, "1/0"), "failure_rate must be .* not '1/0'"),
        (lambda: CountWindow(10, 0.5, minimum_calls=0), "minimum_calls must be .* not 0"),
        (lambda: TimeWindow(1.5, 0.5), "seconds must be a whole number from 1 up, not 1.5"),
        (lambda: CountWindow(10, failures=0), "failures must be .* not 0"),
    ],
)
def test_a_bad_window_is_refused_with_its_field_and_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
