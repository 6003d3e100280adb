"""What would have kept a breaker closed, compared with trying every possibility."""

from itertools import combinations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    ManualClock,
    MemoryLog,
    TimeWindow,
    replay,
)
from recloser.audit.explanation import why
from recloser.core.settings import configured

MS = 10**6
SLOW_MS = 50

outcomes = st.tuples(
    st.sampled_from(["failure", "failure", "success", "ignored"]),
    st.sampled_from([0, 20, 20.5, 50, 50.5, 90]),  # how long the call took
    st.sampled_from([0, 0, 300, 1000]),  # how long after the one before it ended
)
limits = st.fixed_dictionaries(
    {
        "failure_rate": st.sampled_from([None, 0.3, 0.5, 1, "1/3"]),
        "slow_call_rate": st.sampled_from([None, 0.4, 1]),
        "failures": st.sampled_from([None, 2, 3]),
        "minimum_calls": st.integers(1, 5),
    }
).filter(lambda d: any(d[n] is not None for n in ("failure_rate", "slow_call_rate", "failures")))
windows = st.one_of(
    st.none(),
    st.builds(lambda d, size: CountWindow(size, **d), limits, st.integers(1, 7)),
    st.builds(lambda d, seconds: TimeWindow(seconds, **d), limits, st.integers(1, 4)),
)
configs = st.builds(
    CircuitBreakerConfig,
    failure_threshold=st.sampled_from([None, 2, 3, 4]),
    window=windows,
    slow_call_seconds=st.just(SLOW_MS / 1000),
)


def drive(config, trace):
    """Drive a live breaker with the trace until it trips, and return its log."""
    clock = ManualClock()
    log = MemoryLog(clock=clock, tick_seconds=None)
    breaker = CircuitBreaker("b", config, log=log)
    for outcome, ms, wait in trace:
        clock.advance(ns=wait * MS)
        decision = breaker.before_call()
        if decision.permit is None:
            break
        getattr(breaker, f"after_{outcome}")(decision.permit, took_ns=int(ms * MS))
    return log


def tripped(config, trace):
    return bool(replay(drive(config, trace)).trips())


@st.composite
def trips(draw):
    """Draw settings, and a trace that ends with the outcome that trips a breaker."""
    config = draw(configs)
    assume(config.failure_threshold or config.window)
    trace = draw(st.lists(outcomes, min_size=1, max_size=12))
    history = replay(drive(config, trace))
    assume(history.trips())
    calls = [
        e for e in history.events if e.kind in ("call_succeeded", "call_failed", "call_ignored")
    ]
    length = next(n for n, e in enumerate(calls, 1) if e.seq == history.trips()[0].seq - 1)
    return config, trace[:length], history


def place_of(history, seq):
    calls = [
        e for e in history.events if e.kind in ("call_succeeded", "call_failed", "call_ignored")
    ]
    return next(n for n, event in enumerate(calls) if event.seq == seq)


def gone_well(trace, places):
    return [
        ("success", min(ms, SLOW_MS), wait) if n in places else (outcome, ms, wait)
        for n, (outcome, ms, wait) in enumerate(trace)
    ]


@given(trips())
@settings(max_examples=150)
def test_the_minimal_cause_keeps_the_breaker_closed_and_nothing_smaller_does(trip):
    config, trace, history = trip
    cause = why(history, "b", 1).minimal_cause
    places = [place_of(history, seq) for seq in cause.seqs]
    assert len(places) == cause.count > 0
    assert not tripped(config, gone_well(trace, places))
    for fewer in range(cause.count):
        for chosen in combinations(range(len(trace)), fewer):
            assert tripped(config, gone_well(trace, chosen))


@given(trips())
@settings(max_examples=100)
def test_every_choice_from_any_of_keeps_the_breaker_closed(trip):
    config, trace, history = trip
    cause = why(history, "b", 1).minimal_cause
    for chosen in combinations(cause.any_of, cause.count):
        assert not tripped(config, gone_well(trace, [place_of(history, seq) for seq in chosen]))


@given(trips())
@settings(max_examples=150)
def test_each_prevention_keeps_the_breaker_closed_and_one_step_back_trips_it(trip):
    config, trace, history = trip
    for prevention in why(history, "b", 1).preventions:
        values = {change.setting: change.value for change in prevention.changes}
        assert not tripped(configured(config, values), trace)
        for change in prevention.changes:
            back = {**values, change.setting: change.step_back}
            assert tripped(configured(config, back), trace)
            assert change.value > with_settings_value(config, change.setting)


def with_settings_value(config, setting):
    name, _, of_window = setting.partition(".")
    return getattr(config.window, of_window) if of_window else getattr(config, name)


@given(trips())
@settings(max_examples=10)
def test_outcomes_before_those_in_the_counters_do_not_change_the_answer(trip):
    """Only the outcomes in the counters matter, however long the epoch is."""
    config, trace, _history = trip
    assume(not isinstance(config.window, TimeWindow))
    assume(config.window is None or config.window.size <= 7)
    quiet = [("success", 0, 0)] * 9000
    long = replay(drive(config, [*quiet, *trace]))
    assume(long.trips())
    short = replay(drive(config, [*quiet[-20:], *trace]))
    answer, expected = why(long, "b", 1), why(short, "b", 1)
    assert answer.preventions == expected.preventions
    assert answer.minimal_cause.count == expected.minimal_cause.count
    assert len(answer.evidence) == len(expected.evidence)


def explained(config, *trace):
    return why(replay(drive(config, trace)), "b", 1)


def values(cause):
    return [{c.setting: c.value for c in p.changes} for p in cause.preventions]


def failed(times, ms=0, wait=0):
    return [("failure", ms, wait)] * times


def test_for_consecutive_failures_one_success_or_one_more_allowed_failure_is_enough():
    cause = explained(CircuitBreakerConfig(failure_threshold=3), ("success", 0, 0), *failed(3))
    assert cause.minimal_cause.count == 1
    assert cause.minimal_cause.any_of == [c.seq for c in cause.evidence]
    assert values(cause) == [{"failure_threshold": 4}]


def test_for_a_failure_rate_the_failures_above_it_would_have_had_to_succeed():
    window = CountWindow(10, 0.5, minimum_calls=10)
    config = CircuitBreakerConfig(failure_threshold=None, window=window)
    cause = explained(config, *[("success", 0, 0)] * 3, *failed(7))
    assert cause.rule.observed == 7
    assert cause.minimal_cause.count == 3
    assert cause.minimal_cause.any_of == [c.seq for c in cause.evidence]
    assert values(cause) == [{"window.failure_rate": 0.71}]


def test_slow_calls_are_prevented_by_rate_by_limit_or_by_minimum_calls():
    window = CountWindow(8, slow_call_rate=0.5, minimum_calls=4)
    config = CircuitBreakerConfig(failure_threshold=None, window=window, slow_call_seconds=0.05)
    cause = explained(config, *[("success", 0, 0)] * 2, ("success", 70.5, 0), ("success", 90, 0))
    assert cause.minimal_cause.count == 1
    assert values(cause) == [
        {"window.slow_call_rate": 0.51},
        {"slow_call_seconds": 0.071},
        {"window.minimum_calls": 5},
    ]


def test_two_rules_reached_at_once_need_two_changed_settings():
    config = CircuitBreakerConfig(failure_threshold=3, window=CountWindow(5, failures=3))
    cause = explained(config, *failed(3))
    assert values(cause) == [{"failure_threshold": 4, "window.failures": 4}]
    assert cause.minimal_cause.count == 1
    assert len(cause.minimal_cause.any_of) == 3


def test_a_failed_and_slow_call_counts_against_both_limits():
    window = CountWindow(4, 0.5, minimum_calls=4, slow_call_rate=0.5)
    config = CircuitBreakerConfig(failure_threshold=None, window=window, slow_call_seconds=0.05)
    cause = explained(
        config, ("failure", 90, 0), ("success", 0, 0), ("failure", 0, 0), ("success", 90, 0)
    )
    assert cause.minimal_cause.seqs == [cause.evidence[0].seq]
    assert cause.minimal_cause.any_of == []
    assert {"window.failure_rate": 0.51, "window.slow_call_rate": 0.51} in values(cause)
