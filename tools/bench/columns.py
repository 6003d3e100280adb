"""How fast the events of one breaker are folded in memory: one after another, and by columns.

Each engine is a function of the events, as they were recorded, that gets them into the form it
wants and gives back what is timed: the fold of all of them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from random import Random
from typing import Final, TypeAlias

from attrs import frozen

from bench.appending import EVENTS
from bench.effort import Effort
from bench.results import Group
from bench.timing import Work, interleaved_rates, timed
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    ManualClock,
    MemoryLog,
    TimeWindow,
)
from recloser.events import Event
from recloser.logfold import LogFold

FOLD: Final = "recloser, scalar fold"
COLUMNS: Final = "recloser, columns"

Engine: TypeAlias = Callable[[Sequence[Event]], Callable[[], object]]

_STEP_NS: Final = 1_000_000
_OUTAGE_EVERY: Final = 10_000
_OUTAGE_CALLS: Final = 100
_COOLDOWN_SECONDS: Final = 0.05
_SEED: Final = 7


@frozen
class Trace:
    """Traffic of one breaker: a call a millisecond.

    Attributes:
        key: The short name of its group.
        title: The name.
        config: What decides.
        failing: How many of a hundred calls fail.
        has_outages: Whether now and then all calls of a tenth of a second fail.
    """

    key: str
    title: str
    config: CircuitBreakerConfig
    failing: int
    has_outages: bool = True


def _config(window: CountWindow | TimeWindow | None, threshold: int | None) -> CircuitBreakerConfig:
    return CircuitBreakerConfig(
        failure_threshold=threshold,
        window=window,
        recovery_timeout_seconds=_COOLDOWN_SECONDS,
        half_open_success_threshold=1,
    )


TRACES: Final = (
    Trace("columns-consecutive", "Fold, consecutive failures", _config(None, 5), 1),
    Trace("columns-count", "Fold, count window", _config(CountWindow(100, 0.5), None), 1),
    Trace("columns-time", "Fold, time window", _config(TimeWindow(10, 0.5), None), 1),
    Trace(
        "columns-hostile", "Fold, hostile: 30 % failures", _config(None, 3), 30, has_outages=False
    ),
)


def engines() -> tuple[Mapping[str, Engine], Mapping[str, str]]:
    """The engines that there are, and why others are not."""
    found: dict[str, Engine] = {FOLD: _scalar}
    if find_spec("recloser.columns") is None:
        return found, {COLUMNS: "this recloser has no engine over columns"}
    return found, {COLUMNS: "it is not measured yet"}


def measured(effort: Effort) -> Iterator[Group]:
    """Events a second of each engine, for each rule and for a trace that is hard on columns."""
    found, missing = engines()
    for trace in TRACES:
        events = recorded(trace, effort.events)
        works = [
            Work(name, len(events), partial(timed, engine(events)))
            for name, engine in found.items()
        ]
        series = interleaved_rates(works, effort.long_rounds)
        yield Group(trace.key, trace.title, EVENTS, FOLD, series, missing)


def recorded(trace: Trace, count: int) -> Sequence[Event]:
    """What a live breaker records of so many calls."""
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("payments", trace.config, log=log)
    random = Random(_SEED)
    for call in range(count):
        clock.advance(ns=_STEP_NS)
        is_out = trace.has_outages and call % _OUTAGE_EVERY >= _OUTAGE_EVERY - _OUTAGE_CALLS
        fails = is_out or random.randrange(100) < trace.failing
        permit = breaker.before_call().permit
        if permit is None:
            continue
        if fails:
            breaker.after_failure(permit, "TimeoutError", took_ns=_STEP_NS)
        else:
            breaker.after_success(permit, took_ns=_STEP_NS)
    return list(log)


def _scalar(events: Sequence[Event]) -> Callable[[], object]:
    """The one definition of what the events come to."""

    def fold() -> LogFold:
        whole = LogFold()
        for event in events:
            whole.apply(event)
        return whole

    return fold
