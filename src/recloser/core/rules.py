"""The settings of a breaker as the numbers that its rules compare."""

from fractions import Fraction
from functools import lru_cache

from recloser.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.core.kernel import NEVER, Rules, Thresholds
from recloser.validation import Rate, exact


def rules_of(config: CircuitBreakerConfig) -> Rules:
    """The numbers of some settings; breakers of equal settings share them."""
    return _shared(
        config.failure_threshold,
        config.window,
        config.slow_call_ns,
        config.half_open_success_threshold,
        config.half_open_max_probes,
        config.half_open_window,
        config.half_open_timeout_ns,
        config.probe_timeout_ns,
    )


@lru_cache(maxsize=1024)
def _shared(  # noqa: PLR0917  # by which they are kept
    failure_threshold: int | None,
    window: CountWindow | TimeWindow | None,
    slow_ns: int | None,
    success_threshold: int,
    max_probes: int,
    probe_window: CountWindow | None,
    half_open_timeout_ns: int | None,
    probe_timeout_ns: int,
) -> Rules:
    return Rules(
        failure_threshold or 0,
        None if window is None else _thresholds(window),
        NEVER if slow_ns is None else slow_ns,
        success_threshold,
        max_probes,
        None if probe_window is None else _thresholds(probe_window),
        NEVER if half_open_timeout_ns is None else half_open_timeout_ns,
        probe_timeout_ns,
    )


def _thresholds(window: CountWindow | TimeWindow) -> Thresholds:
    failure = _fraction(window.failure_rate)
    slow = _fraction(window.slow_call_rate)
    return Thresholds(
        size=window.seconds if isinstance(window, TimeWindow) else window.size,
        is_timed=isinstance(window, TimeWindow),
        needed=window.needed,
        failures=window.failures or 0,
        failure_num=failure.numerator,
        failure_den=failure.denominator if window.failure_rate is not None else 0,
        slow_num=slow.numerator,
        slow_den=slow.denominator if window.slow_call_rate is not None else 0,
    )


def _fraction(rate: Rate | None) -> Fraction:
    return Fraction(0) if rate is None else exact(rate)
