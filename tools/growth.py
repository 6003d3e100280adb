"""Checks that time and memory do not grow: ``python tools/growth.py [WORK ...] [--events N ...]``.

Makes inputs of each size, runs the work on each in a process of its own, and prints its processor
time, the time per event, and its peak memory, on Linux. From the smallest size to the largest, the
time per event may grow by at most a tenth, and the memory by a tenth and 16 MiB. The time that a
process needs before its first event is measured on an input of 100 events and subtracted.
Works: ``live`` makes calls through breakers that record them, ``jsonl`` replays the log that they
wrote, ``columns`` such a log out of Parquet, ``traffic`` replays imported calls, ``import`` turns a
CSV file into them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import support_path
from attrs import frozen
from long_log import write as write_long_log

import long_columns

SIZES = (100_000, 1_000_000)
BREAKERS = 20
WITHIN = 1.1
SLACK_MIB = 16
_BARE = 100

_MEASURED = """
import json, os, re, sys
from pathlib import Path
from {does} as does
status = does(sys.argv[1:])
sys.stdout.flush()
seconds = sum(os.times()[:4])
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(json.dumps([status, seconds, int(peak) / 1024]), file=sys.stderr)
"""
PATH, OUT, EVENTS = "PATH", "OUT", "EVENTS"


@frozen
class Work:
    """A task that is measured on inputs of several sizes.

    Attributes:
        make: Writes an input with the given number of events.
        arguments: The arguments of the command line. ``PATH`` stands for the input, ``OUT`` for the
            output and ``EVENTS`` for the number of events.
        suffix: The suffix of the name of the input.
        does: The import of a function that takes the arguments and returns an exit status.
    """

    make: Callable[[Path, int], None]
    arguments: tuple[str, ...]
    suffix: str = ""
    does: str = "recloser.cli import status_of"


def nothing(_path: Path, _events: int) -> None:
    """Write nothing, for a task without an input."""


def record(path: Path, events: int) -> None:
    """Write a log of breakers that trip now and then."""
    write_long_log(path, events, BREAKERS, trips_every=50_000)


def spread(path: Path, events: int) -> None:
    """Write the Parquet file of a breaker that trips now and then."""
    long_columns.write(path, events)


def spell(path: Path, events: int) -> None:
    """Write a CSV file of overlapping calls: one in a hundred fails, and more in regular outages."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("target,start_ns,duration_ms,outcome\n")
        for call in range(events):
            fails = call * 7919 % 100 == 0 or call % 20_000 < 400
            stream.write(
                f"b{call % BREAKERS},{1_700_000_000_000_000_000 + call * 1_000_000},"
                f"{call * 7919 % 50},{'fail' if fails else 'ok'}\n"
            )


_IMPORT = (
    "import", "csv", "--breaker", "{target}", "--start", "start_ns", "--duration", "duration_ms",
    "--outcome", "outcome", "--failure", "fail", PATH, "-o", OUT,
)  # fmt: skip


def bring(path: Path, events: int) -> None:
    """Write the log of imported calls from such a CSV file."""
    file = path.with_suffix(".csv")
    spell(file, events)
    done(Work(spell, _IMPORT), file, path, events)
    file.unlink()


WORKS = {
    "live": Work(nothing, (OUT, "--events", EVENTS), does="long_log import run"),
    "jsonl": Work(record, ("replay", "--edges", "1", PATH)),
    "columns": Work(spread, ("replay", "--edges", "1", PATH), suffix=".parquet"),
    "traffic": Work(bring, ("replay", "--edges", "1", "--set", "recovery_timeout_seconds=2", PATH)),
    "import": Work(spell, _IMPORT),
}


def done(work: Work, path: Path, out: Path, events: int) -> tuple[float, float]:
    """Run a task in a process of its own; returns its seconds of processor time and its peak MiB."""
    given = {PATH: str(path), OUT: str(out), EVENTS: str(events)}
    command = [given.get(word, word) for word in work.arguments]
    process = subprocess.run(
        [sys.executable, "-P", "-c", _MEASURED.format(does=work.does), *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": support_path.SUPPORT},  # where long_log is
    )
    if process.returncode:
        raise RuntimeError(f"{command}: {process.stderr}")
    status, seconds, peak = json.loads(process.stderr.splitlines()[-1])
    if status:
        raise RuntimeError(f"{command} ended with {status}: {process.stderr}")
    return seconds, peak


def measured(name: str, work: Work, sizes: list[int], folder: Path) -> bool:
    """Print a line for each size; returns whether time per event and memory stayed constant."""
    rows: list[tuple[int, float, float]] = []
    for events in (_BARE, *sizes):
        path = folder / f"{name}-{events}{work.suffix}"
        work.make(path, events)
        seconds, peak = done(work, path, folder / f"{name}-{events}-out", events)
        rows.append((events, seconds - (rows[0][1] if rows else 0), peak))
        if len(rows) > 1:
            each = rows[-1][1] / events * 1e9
            print(
                f"{name:8} {events:12,} events {rows[-1][1]:8.2f} s {each:9.0f} ns an event "
                f"{peak:7.0f} MiB",
                flush=True,
            )
    _, smallest, *_, largest = [rows[0], *rows[1:], rows[-1]]
    paces = [seconds / events for events, seconds, _ in (smallest, largest)]
    is_flat = largest[2] <= smallest[2] * WITHIN + SLACK_MIB
    is_linear = paces[1] <= paces[0] * WITHIN
    print(
        f"{name:8} the time for an event grew by {paces[1] / paces[0]:.2f}, "
        f"the memory by {largest[2] / smallest[2]:.2f}"
    )
    return is_flat and is_linear


def main() -> int:
    """Measure, print, and return 1 if the time per event or the memory grew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"of {', '.join(WORKS)}")
    parser.add_argument("--events", type=int, nargs="+", default=list(SIZES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="recloser-growth-") as name:
        results = [
            measured(name_of, WORKS[name_of], sorted(options.events), Path(name))
            for name_of in options.works or WORKS
        ]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
