"""How fast the log of one breaker is folded: by columns, and event by event.

The logs are those of ``tools/column_rates.py``, for each rule and share of failures. In the first
kind of log the breaker tolerates its failures and trips only in outages, once in 100,000 calls. In
the second kind it trips all the time, and the time for edges outside the kernel is measured apart
from the time for the rows between them.
"""

import operator
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench.appending import EVENTS
from bench.effort import Effort
from bench.results import Group, Series
from bench.starting import MILLISECONDS
from bench.timing import Work, interleaved_rates, timed
from recloser import CircuitBreakerConfig
from recloser.core.log_fold import LogFold

if TYPE_CHECKING:
    from column_rates import Log

FOLD: Final = "recloser, scalar fold"
COLUMNS: Final = "recloser, columns in memory"
PARQUET: Final = "recloser, columns out of Parquet"
DECODE: Final = "pyarrow, decode alone"

WHOLE: Final = "rows and edges together"
ROWS: Final = "as many rows without an edge"
EDGES: Final = "edges alone"
EACH: Final = "µs_an_edge"
SUM: Final = "the two, added"

KINDS: Final = ("consecutive failures", "count window", "time window")
SHARES: Final = (0.0001, 0.03, 0.3, 0.6)
"""The shares of calls that fail; the first is that of quiet times."""

_numbers: Final = count()
_SHORTER: Final = {0.03: 4, 0.3: 40, 0.6: 40}
"""The factor by which a log with many edges is shorter, by share of failures."""

_OUTAGES: Final = 10
"""Number of outages in such a log, which ends with one: many trips come before the first."""


def key_of(kind: str, share: float, prefix: str = "columns") -> str:
    """The short name of a group."""
    return f"{prefix}-{kind.partition(' ')[0]}-{100 * share:g}"


def measured(effort: Effort, folder: Path) -> Iterator[Group]:
    """Measure the events per second for logs whose breaker tolerates its failures."""
    from column_rates import BEARING

    for kind in KINDS:
        for share in SHARES:
            long = written(folder, effort.columns, BEARING[kind], share)
            short = written(folder, effort.folded, BEARING[kind], share)
            works = [
                Work(name, size, partial(timed, fold))
                for name, (size, fold) in engines(long, short, effort.folded).items()
            ]
            series = interleaved_rates(works, effort)
            title = f"Fold, {kind}, {share:.2%} fail"
            yield Group(key_of(kind, share), title, EVENTS, DECODE, series)
            long.path.unlink()
            short.path.unlink()


def engines(
    long: "Log", short: "Log", events: int
) -> Mapping[str, tuple[int, Callable[[], object]]]:
    """The engines by name, each with the number of events that it folds.

    Args:
        long: The log that is folded by columns.
        short: The log that is folded event by event; its events are held in memory.
        events: The most events that are held in memory.
    """
    from recloser.history.columnar.columnar_fold import fold_columns
    from recloser.log.parquet import ParquetLog

    first = list(islice(ParquetLog(short.path), events))

    def scalar() -> LogFold:
        whole = LogFold()
        for event in first:
            whole.apply(event)
        return whole

    return {
        DECODE: (long.events, long.decode),
        COLUMNS: (long.events, long.fold),
        PARQUET: (long.events, lambda: fold_columns(ParquetLog(long.path))),
        FOLD: (len(first), scalar),
    }


def measured_edges(effort: Effort, folder: Path) -> Iterator[Group]:
    """Measure the milliseconds for logs whose breaker trips all the time, and for rows and edges alone."""
    from column_rates import BEARING, TRIPPING

    for kind in KINDS:
        for share, factor in _SHORTER.items():
            events = effort.columns // factor
            tripping = written(folder, events, TRIPPING[kind], share, events // _OUTAGES)
            bearing = written(folder, events, BEARING[kind], share)
            yield _edges(kind, share, tripping, bearing, effort.long_rounds)
            tripping.path.unlink()
            bearing.path.unlink()


def _edges(kind: str, share: float, tripping: "Log", bearing: "Log", rounds: int) -> Group:
    wholes, rows, edges = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        found = tripping.edges(1)
        wholes.append(found.seconds * 1000)
        edges.append(found.outside * 1000)
        rows.append(timed(bearing.fold) * 1000 * found.rows / bearing.events)
    each = statistics.median(edges) * 1000 / found.count
    series = (
        Series(WHOLE, tuple(wholes)),
        Series(ROWS, tuple(rows)),
        Series(EDGES, tuple(edges), figures={"edges": found.count, EACH: each}),
        Series(SUM, tuple(map(operator.add, rows, edges))),
    )
    title = f"Fold of {found.rows:,} rows with edges, {kind}, {share:.2%} fail"
    return Group(key_of(kind, share, "edges"), title, MILLISECONDS, WHOLE, series)


def written(
    folder: Path,
    events: int,
    config: CircuitBreakerConfig,
    share: float,
    outage_every: int | None = None,
) -> "Log":
    """Write a log of about ``events`` events, and read its columns into memory.

    Args:
        folder: The folder to write to.
        events: About how many events to write.
        config: The settings of its breaker.
        share: The share of calls that fail outside outages.
        outage_every: Number of calls from one outage to the next.
    """
    import long_columns
    from column_rates import Log

    path = folder / f"log-{next(_numbers)}.parquet"
    every = outage_every or min(events, long_columns.OUTAGE_EVERY)
    long_columns.write(path, events, config, share, every)
    return Log(path, time.perf_counter_ns)
