"""The rules of breakers whose calls fail at random, and how each library is given them.

A rule that is *borne* is not fired by any percentage of failures in this traffic; a rule that *trips*
opens the breaker again and again. An open breaker probes after 200 µs, so a turn holds many open
periods with hundreds of rejected calls each; a faster library rejects more calls in that time.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Final, Literal, TypeAlias

from attrs import frozen

from bench.adapters import Call, Protection, Unsupported
from bench.ours import DISK, NO_LOG, RUNS, WAYS
from recloser import CircuitBreakerConfig, CountWindow, TimeWindow

Kind: TypeAlias = Literal["consecutive failures", "count window", "time window"]

COOLDOWN_SECONDS: Final = 200e-6
_MINIMUM_CALLS: Final = 100


@frozen
class Rule:
    """When a breaker is to open.

    Attributes:
        kind: What the rule counts.
        trips: Whether it opens in this traffic.
        failures: How many failures open it, consecutive or in its window; 0 if a rate opens it.
        calls: How many calls its window has; 0 for the others.
        seconds: How long its window is; 0 for the others.
        rate: The share of failures in its window that opens it; 0 if a number opens it.
        minimum_calls: How many calls its window must have for a rate to count.
    """

    kind: Kind
    trips: bool
    failures: int = 0
    calls: int = 0
    seconds: int = 0
    rate: float = 0
    minimum_calls: int = 10


RULES: Final = (
    Rule("consecutive failures", trips=False, failures=100),
    Rule("consecutive failures", trips=True, failures=3),
    Rule("count window", trips=False, calls=100, rate=0.95, minimum_calls=_MINIMUM_CALLS),
    Rule("count window", trips=True, calls=20, rate=0.25),
    Rule("time window", trips=False, seconds=2, rate=0.9, minimum_calls=_MINIMUM_CALLS),
    Rule("time window", trips=True, seconds=2, failures=30),
)
"""Two rules of each kind, one borne and one that trips; the settings of ``tools/column_rates.py``."""

RuleMaker: TypeAlias = Callable[[Rule], Protection[Call]]
"""Makes a breaker with a rule; raises ``Unsupported`` if the library has no such rule."""


def config_of(rule: Rule) -> CircuitBreakerConfig:
    """The settings of recloser for a rule."""
    window: CountWindow | TimeWindow | None = None
    if rule.kind == "count window":
        window = CountWindow(rule.calls, rule.rate, minimum_calls=rule.minimum_calls)
    elif rule.rate:
        window = TimeWindow(rule.seconds, rule.rate, minimum_calls=rule.minimum_calls)
    elif rule.kind == "time window":
        window = TimeWindow(rule.seconds, failures=rule.failures)
    return CircuitBreakerConfig(
        failure_threshold=None if window else rule.failures,
        window=window,
        recovery_timeout_seconds=COOLDOWN_SECONDS,
        half_open_success_threshold=1,
    )


def ours() -> Mapping[str, RuleMaker]:
    """The adapters of recloser that differ here; a log in memory costs the same as one on disk."""
    return {
        way.name: partial(_made, way.with_config)
        for way in WAYS
        if way.with_config is not None and way.name in (NO_LOG, DISK, RUNS)
    }


def _made(
    with_config: Callable[[CircuitBreakerConfig], Protection[Call]], rule: Rule
) -> Protection[Call]:
    return with_config(config_of(rule))


def _in_a_row(rule: Rule) -> int:
    if rule.kind != "consecutive failures":
        raise Unsupported("it counts failures in a row only")
    return rule.failures


def _circuitbreaker(rule: Rule) -> Protection[Call]:
    library = import_module("circuitbreaker")
    breaker = library.CircuitBreaker(_in_a_row(rule), COOLDOWN_SECONDS, name="payments")
    return Protection(breaker, breaker, library.CircuitBreakerError)


def _pybreaker(rule: Rule) -> Protection[Call]:
    library = import_module("pybreaker")
    breaker = library.CircuitBreaker(_in_a_row(rule), COOLDOWN_SECONDS)
    return Protection(breaker, breaker, library.CircuitBreakerError)


def _purgatory(rule: Rule) -> Protection[Call]:
    library = import_module("purgatory")
    factory = library.SyncCircuitBreakerFactory(_in_a_row(rule), COOLDOWN_SECONDS)
    opened = import_module("purgatory.domain.model").OpenedState
    return Protection(factory, factory("payments"), opened)


def _pyresilience(rule: Rule) -> Protection[Call]:
    library = import_module("pyresilience")
    if rule.kind == "time window":
        raise Unsupported("it has no window of time")
    config = library.CircuitBreakerConfig(
        failure_threshold=rule.failures or 1,
        sliding_window_size=rule.calls,
        failure_rate_threshold=rule.rate,
        minimum_calls=rule.minimum_calls,
        recovery_timeout=COOLDOWN_SECONDS,
        success_threshold=1,
    )
    protect = library.resilient(circuit_breaker=config)
    return Protection(protect, protect, library.CircuitOpenError)


def _nopanic(rule: Rule) -> Protection[Call]:
    library = import_module("nopanic")
    if not rule.seconds or not rule.rate:
        raise Unsupported("it counts the rate of failures in a window of time only")
    breaker = library.circuit_breaker(
        failure_threshold=rule.rate,
        min_calls=rule.minimum_calls,
        window=float(rule.seconds),
        reset_timeout=COOLDOWN_SECONDS,
    )
    return Protection(breaker, breaker, library.CircuitOpen)


PEERS: Final[Mapping[str, RuleMaker]] = {
    "circuitbreaker": _circuitbreaker,
    "pybreaker": _pybreaker,
    "purgatory": _purgatory,
    "pyresilience": _pyresilience,
    "nopanic": _nopanic,
}
"""The peers that are measured with these rules, by the names of their adapters."""
