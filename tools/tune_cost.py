"""The seconds that trying 1,000 settings on the calls of a trace takes.

    python tools/tune_cost.py [--calls N] [--trace trainticket.csv.gz] [--processes N]

Measures three traces of N calls: two generated ones of one breaker, with 0.01 % and 30 % failing
calls; and, if ``--trace`` or its default can be read, a real one with the columns
``start_unix_nano``, ``duration_ms``, ``caller``, ``target`` and ``outcome``, repeated as often as
needed. For each of three grids of 1,000 settings (consecutive failures, count windows and time
windows, each with twenty recovery timeouts) it prints the time of ``tune`` from the loaded columns,
as the median of three, and the time of one replay by columns. On the generated traces tuning must
take at most 5 s and 10 s of wall time.
"""

import argparse
import csv
import gzip
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from recloser.core import kernel
from recloser.core.settings import configured
from recloser.history.timeline import Timeline
from recloser.log.listing import is_there
from recloser.simulate.call_table import FAILED, SUCCEEDED, Calls
from recloser.simulate.imported_history import simulate_calls
from recloser.simulate.recorded_calls import Traffic
from recloser.whatif.settings_search import grid_of, tune

MOST: Final[Mapping[float, float]] = {0.0001: 5, 0.3: 10}
"""The limit in seconds, by the share of failures."""

ROUNDS: Final = 3
REAL: Final = Path(__file__).parents[2] / "shared/data/trainticket-2023-01-29.csv.gz"
TIMEOUTS: Final = (1, 2, 3, 4, 5, 7, 10, 12, 15, 20, 25, 30, 35, 40, 45, 50, 60, 75, 90, 120)
RATES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)

Ints: TypeAlias = NDArray[np.int64]
Axes: TypeAlias = Mapping[str, Sequence[object]]


@frozen
class Rows:
    """The calls of one breaker in the order of a log: starts, ends, durations and outcomes."""

    starts: Ints
    ends: Ints
    tooks: Ints
    outcomes: bytes

    def calls(self, breaker: str) -> Calls:
        """The calls in the orders that a simulation needs."""
        columns = (self.starts.data, self.ends.data, self.tooks.data)
        return Calls.from_log(breaker, *columns, self.outcomes)


Trace: TypeAlias = Mapping[str, Rows]

_TIMEOUTS: Final[Axes] = {"recovery_timeout_seconds": TIMEOUTS}
GRIDS: Final[Mapping[str, tuple[Mapping[str, object], Axes]]] = {
    "failures in a row": ({}, {"failure_threshold": range(1, 51), **_TIMEOUTS}),
    "count windows": (
        {"failure_threshold": None, "window": {"size": 20, "failure_rate": 0.5}},
        {"window.size": (10, 20, 50, 100, 200), "window.failure_rate": RATES, **_TIMEOUTS},
    ),
    "time windows": (
        {
            "failure_threshold": None,
            "window": {"seconds": 10, "failure_rate": 0.5, "minimum_calls": 5},
        },
        {"window.seconds": (5, 10, 30, 60, 120), "window.failure_rate": RATES, **_TIMEOUTS},
    ),
}
"""The base settings of each grid, and its axes."""


def rows_of(starts: Ints, tooks: Ints, failed: NDArray[np.bool_]) -> Rows:
    """Make calls, in the order of their ends as in a log."""
    ends = starts + tooks
    order = np.argsort(ends, kind="stable")
    codes = np.where(failed, FAILED, SUCCEEDED).astype(np.uint8)
    return Rows(starts[order], ends[order], tooks[order], codes[order].tobytes())


def made_up(calls: int, share: float) -> Trace:
    """Generate 200 calls per second, of which a share fails."""
    chance = np.random.default_rng(1)
    starts = np.cumsum(chance.exponential(5e6, calls).astype(np.int64))
    tooks = chance.lognormal(np.log(20e6), 1, calls).astype(np.int64)
    return {"b": rows_of(starts, tooks, chance.random(calls) < share)}


def real(path: Path, calls: int) -> Trace:
    """A recorded trace, repeated until it has the given number of calls."""
    recorded: dict[str, list[tuple[int, int, bool]]] = {}
    with gzip.open(path, "rt", newline="") as text:
        for row in csv.DictReader(text):
            took = round(Fraction(row["duration_ms"] or "0") * 10**6)
            call = int(row["start_unix_nano"]), took, row["outcome"] == "fail"
            recorded.setdefault(f"{row['caller']}->{row['target']}", []).append(call)
    columns = {name: np.array(found, np.int64).T for name, found in sorted(recorded.items())}
    first = min(int(starts.min()) for starts, _, _ in columns.values())
    length = max(int((starts + tooks).max()) for starts, tooks, _ in columns.values()) - first
    times = -(-calls // sum(map(len, recorded.values())))
    shifts = np.arange(times) * (length + 10**9)
    return {
        name: rows_of(
            (starts[None, :] - first + shifts[:, None]).ravel(),
            np.tile(tooks, times),
            np.tile(failed, times).astype(np.bool_),
        )
        for name, (starts, tooks, failed) in columns.items()
    }


def seconds_of(work: Callable[[], object], rounds: int) -> float:
    """The median of the seconds that a function takes, over several rounds."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def measured(
    trace: Trace,
    base: Mapping[str, object],
    axes: Axes,
    processes: int | None,
    rounds: int = ROUNDS,
) -> tuple[float, float, int]:
    """Measure the seconds of a replay and of a search, and count the edges of the replay."""
    config = configured(base, {})
    edges = 0

    def replay_once() -> None:
        nonlocal edges
        driven = simulate_calls((rows.calls(name) for name, rows in trace.items()), config)
        assert driven.digest
        edges = len(driven.edges)

    def tune_once() -> None:
        calls = {name: rows.calls(name) for name, rows in trace.items()}
        traffic = Traffic.imported(calls, 0, Timeline())
        tuning = tune(traffic, base, grid_of(axes), processes=processes)
        assert len(tuning.candidates) == 1000

    replay_once()  # the first call loads numpy
    return seconds_of(replay_once, rounds), seconds_of(tune_once, rounds), edges


def main() -> None:
    """Print one line for each trace and grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--trace", type=Path, default=REAL)
    parser.add_argument("--processes", type=int)
    options = parser.parse_args()
    traces = {
        f"made up, {share:.2%} fail": (made_up(options.calls, share), most)
        for share, most in MOST.items()
    }
    if is_there(options.trace):
        traces[options.trace.name] = real(options.trace, options.calls), float("inf")
    else:
        print(f"{options.trace}: there is no such file; the real trace is left out")
    build = "compiled" if kernel.IS_COMPILED else "interpreted"
    print(
        f"{os.cpu_count()} processors; Python {sys.version.split()[0]}, numpy {np.__version__}; "
        f"{build}"
    )
    is_slow = False
    for name, (trace, most) in traces.items():
        calls = sum(len(rows.starts) for rows in trace.values())
        for what, (base, axes) in GRIDS.items():
            replayed, tuned, edges = measured(trace, base, axes, options.processes)
            is_slow |= tuned > most
            print(
                f"{name}, {calls:,} calls, {len(trace)} breakers; {what}: "
                f"replay {replayed * 1000:.0f} ms ({edges:,} edges), "
                f"1,000 settings {tuned:.2f} s",
                flush=True,
            )
    sys.exit(is_slow)


if __name__ == "__main__":
    main()
