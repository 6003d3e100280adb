"""What trying 1,000 settings costs, in column replays of the same trace, from one run.

    python tools/tune_cost.py [--calls 1000000] [--trace trainticket.csv.gz] [--commands]

Two traces of so many calls: one made up, of a breaker with outages and 1 % of failures; and, where
``--trace`` or its default can be read, a real one with the columns ``start_unix_nano``,
``duration_ms``, ``caller``, ``target`` and ``outcome``, laid end to end. For each of three grids of
1,000 settings, of failures in a row, count windows and windows of seconds, each by twenty recovery
timeouts: the time of one replay by columns from the loaded columns (putting the calls in order,
driving a breaker, each edge through the state machine, the digest), in the median of five; the time
of ``tune`` from the same columns; and their ratio, which must be no more than 100. With
``--commands``, also the whole of ``recloser replay`` and ``recloser tune`` on the same Parquet file.
"""

import argparse
import csv
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from recloser.events import Outcome
from recloser.importers.trace import ObservedCall, write_trace
from recloser.log.listing import is_there
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader
from recloser.replay.calls import FAILED, SUCCEEDED, Calls
from recloser.replay.column_drive import drive_columns
from recloser.replay.timeline import Timeline
from recloser.replay.traffic import Traffic
from recloser.replay.tune import configured, grid_of, tune

MOST: Final = 100
ROUNDS: Final = 5
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
        """The same, put in order."""
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
"""The settings that a grid departs from, and its axes."""


def rows_of(starts: Ints, tooks: Ints, failed: NDArray[np.bool_]) -> Rows:
    """Calls in the order of their ends, as a log has them."""
    ends = starts + tooks
    order = np.argsort(ends, kind="stable")
    codes = np.where(failed, FAILED, SUCCEEDED).astype(np.uint8)
    return Rows(starts[order], ends[order], tooks[order], codes[order].tobytes())


def made_up(calls: int) -> Trace:
    """200 calls a second; 1 % fail, half of them in outages of a hundred, half on their own."""
    chance = np.random.default_rng(1)
    starts = np.cumsum(chance.exponential(5e6, calls).astype(np.int64))
    tooks = chance.lognormal(np.log(20e6), 1, calls).astype(np.int64)
    failed = chance.random(calls) < 0.005
    for first in range(calls // 40_000, calls, 20_000):
        failed[first : first + 100] = True
    return {"b": rows_of(starts, tooks, failed)}


def real(path: Path, calls: int) -> Trace:
    """A recorded trace, as often one after another as it takes."""
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


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def from_columns(trace: Trace, base: Mapping[str, object], axes: Axes) -> tuple[float, float, int]:
    """Seconds of a replay and of a tuning, and the edges of the replay."""
    config = configured(base, {})
    edges = 0

    def replay_once() -> None:
        nonlocal edges
        driven = drive_columns((rows.calls(name) for name, rows in trace.items()), config)
        assert driven.digest
        edges = len(driven.edges)

    def tune_once() -> None:
        calls = {name: rows.calls(name) for name, rows in trace.items()}
        tuning = tune(Traffic.imported(calls, 0, Timeline()), base, grid_of(axes))
        assert len(tuning.candidates) == 1000

    replay_once()  # numpy has then been warmed up
    replayed = [seconds_of(replay_once) for _ in range(ROUNDS // 2 + 1)]
    tuned = seconds_of(tune_once)
    replayed += [seconds_of(replay_once) for _ in range(ROUNDS // 2)]
    return statistics.median(replayed), tuned, edges


def exported(trace: Trace, folder: Path) -> Path:
    """The trace as a Parquet file."""
    log, path = folder / "log", folder / "trace.parquet"
    write_trace(log, _calls(trace))
    events = LogReader(log)
    write_parquet(events, path, lambda: events.tail)
    return path


def _calls(trace: Trace) -> Iterator[ObservedCall]:
    outcomes = {SUCCEEDED: Outcome.SUCCEEDED, FAILED: Outcome.FAILED}
    rows = sorted(
        (end, start, took, name, code)
        for name, each in trace.items()
        for end, start, took, code in zip(
            each.ends.tolist(),
            each.starts.tolist(),
            each.tooks.tolist(),
            each.outcomes,
            strict=True,
        )
    )
    epoch = 1_767_225_600 * 10**9
    for _, start, took, name, code in rows:
        yield ObservedCall(name, epoch + start, took, outcomes[code])


def by_commands(
    path: Path, base: Mapping[str, object], axes: Axes, folder: Path
) -> tuple[float, float]:
    """Seconds of the whole commands: replay, and tune."""
    config = folder / "base.json"
    config.write_text(json.dumps({n: "none" if v is None else v for n, v in base.items()}))
    grid = [
        option
        for name, values in axes.items()
        for option in ("--grid", f"{name}={','.join(map(str, values))}")
    ]

    def run(*arguments: str) -> None:
        start = "import sys; from recloser.cli import run; sys.argv[0] = 'recloser'; run()"
        command = (sys.executable, "-P", "-c", start, *arguments, "--config", str(config))
        subprocess.run(command, check=True, capture_output=True)

    return (
        statistics.median(seconds_of(lambda: run("replay", str(path))) for _ in range(3)),
        seconds_of(lambda: run("tune", str(path), *grid)),
    )


def main() -> None:
    """Print one line for each trace and grid."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--trace", type=Path, default=REAL)
    parser.add_argument("--commands", action="store_true")
    options = parser.parse_args()
    traces = {"made up": made_up(options.calls)}
    if is_there(options.trace):
        traces[options.trace.name] = real(options.trace, options.calls)
    else:
        print(f"{options.trace}: there is no such file; the real trace is left out")
    print(f"{os.cpu_count()} processors; Python {sys.version.split()[0]}, numpy {np.__version__}")
    worst = 0.0
    for name, trace in traces.items():
        calls = sum(len(rows.starts) for rows in trace.values())
        with tempfile.TemporaryDirectory() as folder:
            path = exported(trace, Path(folder)) if options.commands else None
            for what, (base, axes) in GRIDS.items():
                replayed, tuned, edges = from_columns(trace, base, axes)
                worst = max(worst, tuned / replayed)
                print(
                    f"{name}, {calls:,} calls, {len(trace)} breakers; {what}: "
                    f"replay {replayed * 1000:.0f} ms ({edges:,} edges), "
                    f"1,000 settings {tuned:.2f} s: {tuned / replayed:.0f} replays",
                    flush=True,
                )
                if path is not None:
                    replayed, tuned = by_commands(path, base, axes, Path(folder))
                    print(
                        f"    the commands: replay {replayed:.2f} s, tune {tuned:.2f} s: "
                        f"{tuned / replayed:.1f} replays",
                        flush=True,
                    )
    sys.exit(worst > MOST)


if __name__ == "__main__":
    main()
