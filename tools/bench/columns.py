"""How fast the log of one breaker is folded: event after event, and by columns.

An *engine* is given a log, gets it into the form that it folds, and gives back what is timed. By
columns next to nothing is done between two edges, so those of traffic that has few are of a log as
long as there is reason to have columns of.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Final, TypeAlias

from attrs import frozen

from bench.adapters import Broken
from bench.appending import EVENTS
from bench.effort import Effort
from bench.results import Group
from bench.timing import Work, interleaved_rates, timed
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CountWindow,
    EventLog,
    ManualClock,
    TimeWindow,
)
from recloser.log.reader import LogReader
from recloser.logfold import LogFold

FOLD: Final = "recloser, scalar fold"
COLUMNS: Final = "recloser, columns in memory"
PARQUET: Final = "recloser, columns out of Parquet"

Engine: TypeAlias = Callable[[Path], tuple[int, Callable[[], object]]]
"""Of a log's folder, how many events are in it and what folds them."""

_STEP_NS: Final = 1_000_000
_OUTAGE_EVERY: Final = 50_000
_OUTAGE_CALLS: Final = 200
_BREAKER: Final = "payments"
_FLUSH_EVERY: Final = 4000
_LONGER: Final = 20
_SEED: Final = 7


@frozen
class Trace:
    """Traffic of one breaker: a call a millisecond.

    Attributes:
        key: The short name of its group.
        title: The name.
        config: What decides.
        failing: How many of a hundred calls fail.
        has_outages: Whether all calls of a fifth of a second fail, once in 50 seconds.
    """

    key: str
    title: str
    config: CircuitBreakerConfig
    failing: int = 1
    has_outages: bool = True


def _config(
    window: CountWindow | TimeWindow | None = None,
    threshold: int | None = None,
    cooldown_seconds: float = 0.5,
) -> CircuitBreakerConfig:
    return CircuitBreakerConfig(
        failure_threshold=threshold,
        window=window,
        recovery_timeout_seconds=cooldown_seconds,
        half_open_success_threshold=1,
    )


TRACES: Final = (
    Trace("columns-consecutive", "Fold, consecutive failures", _config(threshold=5)),
    Trace("columns-count", "Fold, count window", _config(CountWindow(100, 0.5))),
    Trace("columns-time", "Fold, time window", _config(TimeWindow(2, failures=60))),
    Trace(
        "columns-hostile",
        "Fold, 30 % failures",
        _config(threshold=3, cooldown_seconds=0.02),
        failing=30,
        has_outages=False,
    ),
)


def engines() -> tuple[Mapping[str, Engine], Mapping[str, str]]:
    """The engines that there are, by name; and why others are not."""
    if find_spec("pyarrow") is None:
        why = "pyarrow is not installed: pip install 'recloser[parquet]'"
        return {FOLD: _scalar}, {COLUMNS: why, PARQUET: why}
    return {FOLD: _scalar, COLUMNS: _in_memory, PARQUET: _out_of_parquet}, {}


def measured(effort: Effort, folder: Path) -> Iterator[Group]:
    """Events a second of each engine, for each rule and for traffic that is hard on columns."""
    found, missing = engines()
    for trace in TRACES:
        log = folder / trace.key
        record(log, trace, effort.folded)
        if not missing:
            export(log, trace, _LONGER * effort.folded)
        works = []
        for name, engine in found.items():
            count, fold = engine(log)
            works.append(Work(name, count, partial(timed, fold)))
        series = interleaved_rates(works, effort.long_rounds)
        yield Group(trace.key, trace.title, EVENTS, FOLD, series, missing)


def record(path: Path, trace: Trace, count: int) -> None:
    """Have a live breaker write a log of so many calls."""
    clock = ManualClock()
    random = Random(_SEED)
    with EventLog(path, clock=clock, durability="memory", compress=False, host="") as log:
        breaker = CircuitBreaker(_BREAKER, trace.config, log=log)

        @breaker
        def call(fails: bool) -> None:
            clock.advance_monotonic(ns=_STEP_NS)
            if fails:
                raise Broken

        for number in range(count):
            is_out = trace.has_outages and number % _OUTAGE_EVERY < _OUTAGE_CALLS
            try:
                call(is_out or random.randrange(100) < trace.failing)
            except Broken:
                pass
            except CircuitOpenError:
                clock.advance_monotonic(ns=_STEP_NS)
            if number % _FLUSH_EVERY == 0:
                log.flush()


def export(path: Path, trace: Trace, count: int) -> None:
    """Write the columns of a log: of one with as many calls, where edges are few."""
    import long_columns
    from recloser.log.parquet import write_parquet

    if trace.has_outages:
        long_columns.write(_columns_of(path), count, trace.config)
    else:
        write_parquet(LogReader(path), _columns_of(path))


def _scalar(path: Path) -> tuple[int, Callable[[], object]]:
    """The one definition of what the events come to."""
    events = list(LogReader(path))

    def fold() -> LogFold:
        whole = LogFold()
        for event in events:
            whole.apply(event)
        return whole

    return len(events), fold


def _in_memory(path: Path) -> tuple[int, Callable[[], object]]:
    """The columns that a fold needs, read already."""
    from recloser.columns.breaker_fold import BreakerFold, times_of
    from recloser.columns.reading import rows_of, whole_log_events
    from recloser.log.parquet import ParquetLog

    log = ParquetLog(_columns_of(path))
    times, rows = times_of(whole_log_events(log)), list(rows_of(log))

    def fold() -> BreakerFold:
        breaker = BreakerFold(_BREAKER, times)
        for part in rows:
            breaker.take(part)
        breaker.finish()
        return breaker

    return log.about.events, fold


def _out_of_parquet(path: Path) -> tuple[int, Callable[[], object]]:
    """From the file to the history, as a replay has it."""
    from recloser.columns.folding import fold_columns
    from recloser.log.parquet import ParquetLog

    log = ParquetLog(_columns_of(path))
    return log.about.events, lambda: fold_columns(ParquetLog(log.path))


def _columns_of(path: Path) -> Path:
    return path.with_suffix(".parquet")
