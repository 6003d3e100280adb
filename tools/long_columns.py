"""Writes an exported log of any length, of one breaker, much faster than a live breaker could.

python tools/long_columns.py OUT.parquet --events 100000000

There is one call per millisecond, which fails at random; once in 100,000 calls there is an outage, in
which all calls fail until the breaker trips. If more calls fail than its settings tolerate, it trips
without an outage too. The calls are folded, so that the file is the same as the log of a live breaker.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from attrs import frozen
from numpy.typing import NDArray

from recloser import CircuitBreakerConfig
from recloser.core import kernel
from recloser.core.events import (
    BreakerConfigured,
    BreakerEvent,
    CallFailed,
    CallRejected,
    CallSucceeded,
    ClockTicked,
    Event,
    LogOpened,
    ProbeAdmitted,
    Reason,
)
from recloser.core.fold import apply, edges_of
from recloser.core.state import BreakerState
from recloser.log.arrow_table import SCHEMA, table_of
from recloser.log.parquet import COLUMNS_VERSION, ROW_GROUP, About, parquet_writer

BREAKER: Final = "payments"
OUTAGE_EVERY: Final = 100_000
STEP_NS: Final = 1_000_000
_FEW: Final = 256  # calls are made in blocks of this size after a trip, then in growing ones
_WALL: Final = datetime(2026, 1, 1, tzinfo=UTC)


@frozen(eq=False)
class Calls:
    """Calls that a closed breaker admitted, as columns of shape (n,)."""

    seq: int
    epoch: int
    ats: NDArray[np.int64]
    tooks: NDArray[np.int64]
    failed: NDArray[np.uint8]

    def part(self, start: int, stop: int) -> "Calls":
        """The calls from ``start`` to before ``stop``."""
        own = slice(start, stop)
        return Calls(self.seq + start, self.epoch, self.ats[own], self.tooks[own], self.failed[own])

    def __len__(self) -> int:
        return len(self.ats)


@frozen
class Others:
    """Events of other kinds, from a trip until the breaker is closed again."""

    about_all: list[Event]
    epoch: int
    own: list[Event]


class _Course:
    """The events of one breaker over calls and outages."""

    def __init__(self, config: CircuitBreakerConfig, failing: float, outage_every: int) -> None:
        self.random = np.random.default_rng(1)
        self.failing = failing
        self.outage_every = outage_every
        self.seq, self.at = 2, 0
        self.state: BreakerState = BreakerState(BREAKER, config)

    def parts(self) -> Iterator[Calls | Others]:
        """Yield the events until the end of an outage, in parts."""
        gaps = self.random.integers(STEP_NS // 2, STEP_NS * 3 // 2, self.outage_every)
        tooks = self.random.lognormal(15, 0.5, self.outage_every).astype(np.int64)
        failed = (self.random.random(self.outage_every) < self.failing).astype(np.uint8)
        start, size = 0, _FEW
        while start < self.outage_every:
            part = slice(start, start + size)
            ats = self.at + np.cumsum(gaps[part])
            calls = Calls(self.seq + 1, self.state.epoch, ats, tooks[part], failed[part])
            done = self._let_through(calls)
            yield calls.part(0, done)
            start, size = start + done, 2 * size
            if self.state.fired:
                yield self._opening([])
                size = _FEW
        own: list[Event] = []
        while self.state.where == kernel.CLOSED:
            self._next(own, CallFailed, self.state.epoch, STEP_NS, 0, "TimeoutError")
        yield self._opening(own)

    def _let_through(self, calls: Calls) -> int:
        """Let the breaker count calls up to one that trips it; returns their number."""
        size = len(calls)
        rows = kernel.Rows(
            calls.failed.data,
            np.arange(calls.seq, calls.seq + size).data,
            calls.ats.data,
            calls.tooks.data,
            np.full(size, calls.epoch).data,
            np.zeros(size, np.int64).data,
            np.ones(size, np.int64).data,
        )
        done = min(size, kernel.run(self.state, rows, 0, size) + 1)
        self.seq += done
        self.at = int(calls.ats[done - 1])
        return done

    def _opening(self, own: list[Event]) -> Others:
        """The events from a trip until the breaker is closed again."""
        state, about_all = self.state, list[Event]()
        epoch = state.epoch
        if state.fired:
            edges = edges_of(state, state.fired, self.seq, self.at)
            state.fired = kernel.NO_RULE
            own += edges
            self.seq = edges[-1].seq
        while state.where != kernel.CLOSED:
            if state.where == kernel.OPEN:
                while self.at + STEP_NS < state.deadline:
                    self._next(own, CallRejected, Reason.COOLDOWN_ACTIVE, None)
                self.seq, self.at = self.seq + 1, max(self.at, state.deadline)
                wall = _WALL + timedelta(microseconds=self.at // 1000)
                tick = ClockTicked(self.seq, self.at, wall, self.at)
                about_all.append(tick)
                self._witness(own, tick)
            else:
                self._next(own, ProbeAdmitted, state.epoch, state.probes_admitted + 1)
                ended = (state.epoch, STEP_NS, state.probes_admitted)
                if self.random.random() < self.failing:
                    self._next(own, CallFailed, *ended, "TimeoutError")
                else:
                    self._next(own, CallSucceeded, *ended)
        return Others(about_all, epoch, own)

    def _next(self, own: list[Event], kind: type[BreakerEvent], *fields: object) -> None:
        self.seq, self.at = self.seq + 1, self.at + STEP_NS
        event = kind(self.seq, self.at, BREAKER, *fields)  # type: ignore[arg-type]  # the kind has these fields
        own.append(event)
        self._witness(own, event)

    def _witness(self, own: list[Event], event: BreakerEvent | ClockTicked) -> None:
        for edge in apply(self.state, event):
            own.append(edge)
            self.seq = edge.seq


def course(
    events: int, config: CircuitBreakerConfig, failing: float, outage_every: int
) -> Iterator[Calls | Others]:
    """Yield the events of a breaker until there are ``events``; always the same ones."""
    way = _Course(config, failing, outage_every)
    while way.seq < events:
        yield from way.parts()


def write(
    out: Path,
    events: int,
    config: CircuitBreakerConfig | None = None,
    failing: float = 0.01,
    outage_every: int = OUTAGE_EVERY,
) -> int:
    """Write about ``events`` events, and return how many there are.

    Args:
        out: The file, which must not exist.
        events: About how many events.
        config: The settings of the breaker; by default ``CircuitBreakerConfig()``.
        failing: The share of calls that fail outside outages.
        outage_every: Number of calls from one outage to the next.
    """
    config = CircuitBreakerConfig() if config is None else config
    about_all: list[Event] = [
        LogOpened(1, 0, 1, 1, 1, _WALL, 0, boot_id="", host="", pid=0, library="")
    ]
    last_seq = last_at = 0
    for part in course(events, config, failing, outage_every):
        if isinstance(part, Others):
            about_all += part.about_all
            last_seq, last_at = part.own[-1].seq, part.own[-1].at
    about = About(COLUMNS_VERSION, last_seq, 1, last_at, traffic=False)
    with out.open("xb") as stream, parquet_writer(stream, about) as writer:
        writer.write_table(table_of(None, about_all))
        calls = course(events, config, failing, outage_every)
        for group in _row_groups(_tables(calls, config)):
            writer.write_table(group, ROW_GROUP)
    return last_seq


def _tables(parts: Iterator[Calls | Others], config: CircuitBreakerConfig) -> Iterator[pa.Table]:
    yield table_of(BREAKER, [BreakerConfigured(2, 0, BREAKER, config.to_mapping())])
    for part in parts:
        if isinstance(part, Others):
            yield table_of(BREAKER, part.own, part.epoch)
        else:
            yield _calls_table(part)


def _calls_table(part: Calls) -> pa.Table:
    size = len(part.ats)
    kinds = pa.array(["call_succeeded", "call_failed"]).take(pa.array(part.failed))
    errors = pa.array([None, "TimeoutError"]).take(pa.array(part.failed))
    columns = {
        "breaker": pa.repeat(BREAKER, size),
        "seq": pa.array(np.arange(part.seq, part.seq + size)),
        "at": pa.array(part.ats),
        "event": kinds,
        "epoch": pa.array(np.full(size, part.epoch)),
        "took": pa.array(part.tooks),
        "probe": pa.array(np.zeros(size, np.int64)),
        "count": pa.array(np.ones(size, np.int64)),
        "error": errors,
    }
    arrays = [columns.get(field.name, pa.nulls(size, field.type)) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _row_groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    rows = 0
    for table in tables:
        held.append(table)
        rows += len(table)
        if rows >= ROW_GROUP - 2 * OUTAGE_EVERY:
            yield pa.concat_tables(held)
            held, rows = [], 0
    if held:
        yield pa.concat_tables(held)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--failing", type=float, default=0.01, help="share of calls that fail")
    arguments = parser.parse_args()
    written = write(arguments.out, arguments.events, failing=arguments.failing)
    print(f"{written:,} events")


if __name__ == "__main__":
    main()
