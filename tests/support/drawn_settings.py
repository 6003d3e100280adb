"""Hypothesis strategies for settings whose thresholds are reached by few calls."""

from fractions import Fraction

from hypothesis import strategies as st

from recloser import CircuitBreakerConfig, Constant, CountWindow, Exponential, TimeWindow

MS = 10**6
SECOND = 10**9
SLOW_NS = 50 * MS

rates = st.sampled_from([None, 0.1, 0.5, Fraction(1, 3), Fraction(2, 3), 0.7, 1])
thresholds = {
    "failure_rate": rates,
    "minimum_calls": st.integers(1, 6),
    "slow_call_rate": rates,
    "failures": st.sampled_from([None, 1, 3]),
}


def _windows(kind, length):
    drawn = st.fixed_dictionaries({length: st.sampled_from([1, 2, 3, 4, 8]), **thresholds})
    limits = ("failure_rate", "slow_call_rate", "failures")
    return drawn.filter(lambda d: any(d[name] is not None for name in limits)).map(
        lambda d: kind(**d)
    )


count_windows = _windows(CountWindow, "size")
time_windows = _windows(TimeWindow, "seconds")
jitters = st.sampled_from(["none", "full", "equal"])
configs = st.builds(
    CircuitBreakerConfig,
    failure_threshold=st.sampled_from([None, None, 1, 2, 3, 5]),
    window=st.one_of(st.none(), count_windows, time_windows),
    slow_call_seconds=st.just(SLOW_NS / SECOND),
    recovery_timeout_seconds=st.sampled_from([0, 0.5, 2]),
    backoff=st.one_of(
        st.builds(Constant, jitters),
        st.builds(Exponential, st.sampled_from([2, 1.5]), st.sampled_from([1, 8]), jitters),
    ),
    half_open_success_threshold=st.integers(0, 3),
    half_open_max_probes=st.integers(1, 3),
    half_open_window=st.one_of(st.none(), count_windows),
    half_open_timeout_seconds=st.sampled_from([None, 3]),
    probe_timeout_seconds=st.sampled_from([1, 3, 10]),
    mode=st.sampled_from([*["enforce"] * 6, "shadow", "disabled"]),
)
