"""Converts the settings of a breaker to the integers that the kernel compares."""

from fractions import Fraction
from functools import lru_cache

from recloser.core.config import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.core.kernel import NEVER, Rules, Thresholds
from recloser.core.limits import MAX_SETTING
from recloser.core.validation import Rate, exact


def rules_of(config: CircuitBreakerConfig) -> Rules:
    """The settings as integers for the kernel; breakers of equal settings share one object."""
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
def _shared(  # noqa: PLR0917  # the key of the cache
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
    if rate is None:
        return Fraction(0)
    fraction = exact(rate)
    return fraction if fraction.denominator <= MAX_SETTING else least_from(fraction, MAX_SETTING)


def least_from(rate: Fraction, most: int) -> Fraction:
    """The smallest fraction from ``rate`` up whose denominator is at most ``most``.

    The share of failures among up to ``most`` calls is such a fraction too, so it reaches the result
    exactly when it reaches ``rate``: both decide alike. That is how a rate such as
    0.3333333333333333, whose denominator is 10**16, fits into the 64-bit products of the kernel.

    Args:
        rate: A fraction with a larger denominator.
        most: The largest denominator of the result.
    """
    # Continued fractions find the neighbours of the rate among such fractions, one on either side.
    before, last = (0, 1), (1, 0)
    numerator, denominator = rate.numerator, rate.denominator
    while True:
        whole, rest = divmod(numerator, denominator)
        after = (before[0] + whole * last[0], before[1] + whole * last[1])
        if after[1] > most:
            break
        before, last = last, after
        numerator, denominator = denominator, rest
    times = (most - before[1]) // last[1]
    between = Fraction(before[0] + times * last[0], before[1] + times * last[1])
    return max(between, Fraction(*last))
