"""How fast a log is written and opened, as ratios to what was measured in the same run.

    python tools/rates.py [--events 1000000] [--opening 10000000]

Append: successes are handed to a log as a breaker's call path leaves them, and the time until all
are folded, encoded, sealed and written is compared with that of encoding and writing the same lines
in batches of 1,000 and nothing else. Where the ``eventsourcing`` package is installed, the same
number of its events is put into SQLite in batches of 1,000. Opening: a log with checkpoints is
opened, and folded whole.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from recloser import CircuitBreaker, EventLog
from recloser.events import CallSucceeded
from recloser.log.codec import encode_all, lean
from recloser.replay.engine import replay

BATCH = 1000
ROUNDS = 5
_BLOCK = 4096
_Succeeded = lean(CallSucceeded)


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bare(folder: Path, events: int) -> float:
    """Seconds to encode and write the lines, and nothing else."""
    path = folder / f"bare-{time.monotonic_ns()}"

    def write() -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        for first in range(0, events, BATCH):
            lines = encode_all(
                [
                    _Succeeded(seq, 10**12 + seq * 1000, "payments", 0, 700)
                    for seq in range(first, first + BATCH)
                ]
            )
            os.write(descriptor, lines)
        os.close(descriptor)

    seconds = seconds_of(write)
    path.unlink()
    return seconds


def append(folder: Path, events: int) -> float:
    """Seconds until a log has as many successes, from the call path's tuples on."""
    with EventLog(
        folder / f"log-{time.monotonic_ns()}", durability="memory", compress=False
    ) as log:
        gate = CircuitBreaker("payments", log=log).gate
        leave, now = gate.leave, gate.monotonic_ns()
        assert leave is not None
        log.flush()
        seconds = 0.0
        for first in range(0, events, _BLOCK):
            # What waits is a few thousand at most; more would be the collector's work, not the log's.
            last = min(first + _BLOCK, events)
            block = [(leave, now + n, now + n + 700) for n in range(first, last)]
            started = time.perf_counter()
            gate.pending += block
            log.flush()
            seconds += time.perf_counter() - started
        return seconds


def calls(folder: Path, events: int) -> float:
    """Seconds that as many protected calls of nothing take, until they are in the log."""
    with EventLog(
        folder / f"calls-{time.monotonic_ns()}", durability="memory", compress=False
    ) as log:
        protected = CircuitBreaker("payments", log=log)(lambda: None)

        def call() -> None:
            for _ in range(events):
                protected()
            log.flush()

        return seconds_of(call)


def eventsourcing(folder: Path, events: int) -> float | None:
    """Seconds that the ``eventsourcing`` package takes for as many; None if it isn't installed."""
    try:
        from eventsourcing.persistence import StoredEvent
        from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteDatastore
    except ImportError:
        return None
    from uuid import uuid4

    recorder = SQLiteAggregateRecorder(SQLiteDatastore(str(folder / "events.sqlite")))
    recorder.create_table()
    originator = uuid4()

    def put() -> None:
        for first in range(0, events, BATCH):
            recorder.insert_events(
                [
                    StoredEvent(
                        originator_id=originator,
                        originator_version=version,
                        topic="calls:CallSucceeded",
                        state=encode_all([_Succeeded(version, version, "payments", 0, 700)]),
                    )
                    for version in range(first, first + BATCH)
                ]
            )

    return seconds_of(put)


def opening(folder: Path, events: int) -> tuple[float, float]:
    """Seconds to open a log of so many events, and to fold it whole."""
    path = folder / "large"
    with EventLog(path, durability="memory", tick_seconds=None) as log:
        gate = CircuitBreaker("payments", log=log).gate
        assert gate.leave is not None
        for number in range(0, events, _BLOCK):
            gate.pending += [(gate.leave, number, number + 700)] * min(_BLOCK, events - number)
            log.flush()

    def reopen() -> None:
        with EventLog(path) as log:
            CircuitBreaker("payments", log=log)

    return seconds_of(reopen), seconds_of(lambda: replay(path))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--opening", type=int, default=10_000_000)
    options = parser.parse_args()
    rounded = options.events // BATCH * BATCH
    with tempfile.TemporaryDirectory(prefix="recloser-rates-") as name:
        folder = Path(name)
        rounds = [
            (bare(folder, rounded), append(folder, rounded), calls(folder, rounded))
            for _ in range(ROUNDS)
        ]
        written, appended, called = (
            statistics.median(column) for column in zip(*rounds, strict=True)
        )
        print(f"encode and write alone   {rounded / written:12,.0f} events/s")
        print(
            f"append                   {rounded / appended:12,.0f} events/s, {written / appended:.2f} of it"
        )
        print(
            f"calls through a breaker  {rounded / called:12,.0f} events/s, {written / called:.2f} of it"
        )
        other = eventsourcing(folder, rounded // 10 // BATCH * BATCH)
        if other is None:
            print("eventsourcing            not measured: pip install eventsourcing")
        else:
            rate = rounded // 10 // BATCH * BATCH / other
            print(
                f"eventsourcing on SQLite  {rate:12,.0f} events/s; append is "
                f"{rounded / appended / rate:.0f} times that"
            )
        opened, folded = opening(folder, options.opening)
        print(
            f"opening {options.opening:,} events: {opened:.3f} s; folding them whole: {folded:.1f} s; "
            f"{opened / folded:.2%}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
