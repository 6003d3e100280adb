"""Measures how fast exported logs are folded, in quiet times and in outages.

python tools/column_rates.py --events 4000000 --rounds 3

The first table is for logs whose breaker tolerates its failures and trips once in 100,000 calls. It
has, for each rule and share of failures, the events per second in memory and from Parquet, and those
that pyarrow needs to decode the columns only. It decodes all columns that a fold needs; the fold
itself skips a column if the statistics of a row group show one value for all rows.

The second table is for breakers that trip all the time. It has the time that an edge takes outside
the kernel, from the row where the kernel stops to its next start, and whether both parts add up to
the total. Each figure is the median of the rounds. ``--cpu`` measures processor time, for machines
that others use too; work that overlaps is then counted twice.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias
from unittest import mock

from attrs import frozen

import long_columns
from recloser import CircuitBreakerConfig, CountWindow, TimeWindow
from recloser.core import kernel
from recloser.history.columnar.breaker_fold import BreakerFold, ClockEvents, clock_events_of
from recloser.history.columnar.columnar_fold import fold_columns
from recloser.history.columnar.event_columns import EventColumns
from recloser.history.columnar.exported_log import COLUMNS, columns_of, whole_log_events
from recloser.log.parquet import ParquetLog

Clock: TypeAlias = Callable[[], int]

_READINGS: Final = 10_000
SHARES: Final = (0.0001, 0.03, 0.3, 0.6)


def _config(
    threshold: int | None = None, window: CountWindow | TimeWindow | None = None
) -> CircuitBreakerConfig:
    return CircuitBreakerConfig(
        failure_threshold=threshold,
        window=window,
        recovery_timeout_seconds=0.02,
        half_open_success_threshold=1,
    )


BEARING: Final = {
    "consecutive failures": _config(threshold=100),
    "count window": _config(window=CountWindow(100, failure_rate=0.95)),
    "time window": _config(window=TimeWindow(2, failure_rate=0.9)),
}
"""Settings with which a breaker tolerates any share of failures except an outage."""

TRIPPING: Final = {
    "consecutive failures": _config(threshold=3),
    "count window": _config(window=CountWindow(20, failure_rate=0.25)),
    "time window": _config(window=TimeWindow(2, failures=30)),
}
"""Settings with which a breaker trips all the time if many calls fail."""


@frozen
class Rates:
    """The rates of one log.

    Attributes:
        memory: Events per second folded in memory.
        decoded: Events per second that pyarrow decodes.
        parquet: Events per second from the file to the history.
    """

    memory: float
    decoded: float
    parquet: float


@frozen
class Edges:
    """The time that the edges of a log take.

    Attributes:
        count: The number of edges.
        rows: The number of rows of the log.
        seconds: The seconds of the fold in memory.
        outside: The seconds of the fold outside the kernel.
    """

    count: int
    rows: int
    seconds: float
    outside: float


class Log:
    """An exported log of one breaker, its columns in memory.

    Args:
        path: The file.
        clock: Returns the time in nanoseconds.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._log = ParquetLog(path)
        self._times: ClockEvents = clock_events_of(whole_log_events(self._log))
        self._rows: Sequence[EventColumns] = list(columns_of(self._log))
        self.events = self._log.about.events
        for rows in self._rows:
            assert len(rows.columns.seq)

    def fold(self) -> BreakerFold:
        """Fold the columns in memory."""
        fold = BreakerFold(long_columns.BREAKER, self._times)
        for rows in self._rows:
            fold.fold_rows(rows)
        fold.fold_rest()
        return fold

    def decode(self) -> None:
        """Decode the columns only."""
        log = ParquetLog(self.path)
        for group in range(log.file.num_row_groups):
            named = log.constants(group, ["breaker"])
            log.read(group, [name for name in COLUMNS if name not in named])

    def rates(self, rounds: int) -> Rates:
        """Measure the three rates, in alternation."""
        works = (self.fold, self.decode, lambda: fold_columns(ParquetLog(self.path)))
        times: list[list[float]] = [[] for _ in works]
        for _ in range(rounds):
            for work, taken in zip(works, times, strict=True):
                taken.append(self._seconds(work))
        memory, decoded, parquet = (self.events / statistics.median(taken) for taken in times)
        return Rates(memory, decoded, parquet)

    def edges(self, rounds: int) -> Edges:
        """Measure the time that the edges take."""
        whole = statistics.median([self._seconds(self.fold) for _ in range(rounds)])
        inside = statistics.median([self._in_kernel() for _ in range(rounds)])
        rows = sum(map(len, self._rows))
        return Edges(len(self.fold().edges), rows, whole, whole - inside)

    def _seconds(self, work: Callable[[], object]) -> float:
        begun = self._clock()
        work()
        return (self._clock() - begun) / 1e9

    def _in_kernel(self) -> float:
        run, spent, calls = kernel.run, 0, 0

        def timed(state: kernel.State, rows: kernel.Rows, start: int, stop: int) -> int:
            nonlocal spent, calls
            begun = self._clock()
            stopped_at = run(state, rows, start, stop)
            spent += self._clock() - begun
            calls += 1
            return stopped_at

        with mock.patch.object(kernel, "run", timed):
            self.fold()
        # The time for reading the clock is not time in the kernel.
        readings = [self._clock() for _ in range(_READINGS)]
        return (spent - calls * (readings[-1] - readings[0]) / (_READINGS - 1)) / 1e9


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cpu", action="store_true", help="count the time of processors")
    arguments = parser.parse_args()
    clock = time.process_time_ns if arguments.cpu else time.perf_counter_ns
    rates: dict[tuple[str, float], Rates] = {}
    with tempfile.TemporaryDirectory() as folder:
        print("| rule | failing | in memory, M/s | decoded, M/s | Parquet, M/s | of decoded |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
        for rule, config in BEARING.items():
            for share in SHARES:
                log = _written(Path(folder), arguments.events, config, share, clock)
                found = rates[rule, share] = log.rates(arguments.rounds)
                print(
                    f"| {rule} | {share:.2%} | {found.memory / 1e6:.0f} | {found.decoded / 1e6:.0f} "
                    f"| {found.parquet / 1e6:.0f} | {found.parquet / found.decoded:.2f} |",
                    flush=True,
                )
        print("\n| rule | failing | edges | rows an edge | an edge, µs | rows + edges | whole |")
        print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
        for rule, config in TRIPPING.items():
            for share in SHARES[1:]:
                log = _written(Path(folder), arguments.events // 8, config, share, clock)
                edges = log.edges(arguments.rounds)
                added = edges.rows / rates[rule, share].memory + edges.outside
                print(
                    f"| {rule} | {share:.2%} | {edges.count:,} | {edges.rows / edges.count:.0f} "
                    f"| {edges.outside / edges.count * 1e6:.2f} | {added * 1e3:.1f} ms "
                    f"| {edges.seconds * 1e3:.1f} ms |",
                    flush=True,
                )


def _written(
    folder: Path, events: int, config: CircuitBreakerConfig, share: float, clock: Clock
) -> Log:
    path = folder / "log.parquet"
    path.unlink(missing_ok=True)
    long_columns.write(path, events, config, share)
    return Log(path, clock)


if __name__ == "__main__":
    main()
