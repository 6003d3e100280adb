"""How fast events are appended, against encoding and writing them, and against ``eventsourcing``."""

import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from uuid import uuid4

from bench.effort import Effort
from bench.results import Group
from bench.timing import Work, interleaved_rates, timed
from recloser import CircuitBreaker, EventLog
from recloser.core.events import CallSucceeded
from recloser.log.codec import encode, encode_all, lean

BARE: Final = "encode and write alone"
APPEND: Final = "recloser, append"
CALLS: Final = "recloser, calls through a breaker"
EVENTSOURCING: Final = "eventsourcing on SQLite"
EVENTS: Final = "events/s"

_BATCH: Final = 1000
_BLOCK: Final = 4096
_SHARE: Final = 10
"""Factor by which fewer events are measured with a library that is much slower."""

_Succeeded: Final = lean(CallSucceeded)


def measured(effort: Effort, folder: Path) -> Iterator[Group]:
    """Measure the events per second that are folded, encoded, sealed and written."""
    events = effort.events // _BATCH * _BATCH
    works = [
        Work(BARE, events, lambda: _bare(folder, events)),
        Work(APPEND, events, lambda: _append(folder, events)),
        Work(CALLS, events, lambda: _calls(folder, events)),
    ]
    missing = {}
    if find_spec("eventsourcing") is None:
        missing[EVENTSOURCING] = "it is not installed"
    else:
        few = max(1, events // _SHARE // _BATCH) * _BATCH
        works.append(Work(EVENTSOURCING, few, lambda: _eventsourcing(folder, few)))
    series = interleaved_rates(works, effort)
    yield Group("append", "Append", EVENTS, BARE, series, missing)


def _bare(folder: Path, events: int) -> float:
    """Seconds to encode and write the lines in batches only."""
    path = folder / f"bare-{time.monotonic_ns()}"

    def write() -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        for first in range(0, events, _BATCH):
            calls = [
                _Succeeded(seq, 10**12 + seq * 1000, "payments", 0, 700)
                for seq in range(first, first + _BATCH)
            ]
            os.write(descriptor, b"".join(encode_all(calls)))
        os.close(descriptor)

    seconds = timed(write)
    path.unlink()
    return seconds


def _append(folder: Path, events: int) -> float:
    """Seconds to append successes to a log, starting from the events that the call path makes."""
    with EventLog(
        folder / f"log-{time.monotonic_ns()}", durability="memory", compress=False
    ) as log:
        fast_path = CircuitBreaker("payments", log=log).fast_path
        assert fast_path.admit_token is not None
        at, token = fast_path.monotonic_ns() - fast_path.origin, fast_path.admit_token
        log.flush()
        seconds = 0.0
        for first in range(0, events, _BLOCK):
            # At most a few thousand events wait: with more, the garbage collector would be measured.
            last = min(first + _BLOCK, events)
            for n in range(first, last):
                fast_path.call_buffer.record(at + n, 700, token)
            started = time.perf_counter()
            log.flush()
            seconds += time.perf_counter() - started
        return seconds


def _calls(folder: Path, events: int) -> float:
    """Seconds until protected calls of an empty function are in the log."""
    with EventLog(
        folder / f"calls-{time.monotonic_ns()}", durability="memory", compress=False
    ) as log:
        protected = CircuitBreaker("payments", log=log)(lambda: None)

        def call() -> None:
            for _ in range(events):
                protected()
            log.flush()

        return timed(call)


def _eventsourcing(folder: Path, events: int) -> float:
    """Seconds to write events of ``eventsourcing`` to SQLite, in batches."""
    from eventsourcing.persistence import StoredEvent
    from eventsourcing.sqlite import SQLiteAggregateRecorder, SQLiteDatastore

    path = folder / f"events-{time.monotonic_ns()}.sqlite"
    recorder = SQLiteAggregateRecorder(SQLiteDatastore(str(path)))
    recorder.create_table()
    originator = uuid4()

    def put() -> None:
        for first in range(0, events, _BATCH):
            recorder.insert_events(
                [
                    StoredEvent(
                        originator_id=originator,
                        originator_version=version,
                        topic="calls:CallSucceeded",
                        state=encode(_Succeeded(version, version, "payments", 0, 700)),
                    )
                    for version in range(first, first + _BATCH)
                ]
            )

    return timed(put)
