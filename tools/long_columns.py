"""Writes an exported log as long as wanted, of one breaker, faster than a breaker could live it.

python tools/long_columns.py OUT.parquet --events 100000000

Between outages calls fail at random, and too few of them to trip the breaker; in an outage all fail
until it does. What happens then is folded, so that the file tells what a live breaker's log would.
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
from recloser.events import (
    BreakerConfigured,
    BreakerEvent,
    CallFailed,
    CallSucceeded,
    ClockTicked,
    Event,
    LogOpened,
    ProbeAdmitted,
)
from recloser.fold import FOREVER, apply
from recloser.log.columns import SCHEMA, table_of
from recloser.log.parquet import COLUMNS_VERSION, ROW_GROUP, About, parquet_writer
from recloser.machine import CLOSED
from recloser.state import BreakerState

BREAKER: Final = "payments"
OUTAGE_EVERY: Final = 100_000
STEP_NS: Final = 1_000_000
_WALL: Final = datetime(2026, 1, 1, tzinfo=UTC)
_REACH: Final = 20_000  # so far back the windows of a config here may hold outcomes


@frozen(eq=False)
class Quiet:
    """Calls between two outages, as columns; all of shape (n,)."""

    seq: int
    epoch: int
    ats: NDArray[np.int64]
    tooks: NDArray[np.int64]
    failed: NDArray[np.bool_]


@frozen
class Outage:
    """What happens from the first failure of an outage until the breaker is closed again."""

    about_all: list[Event]
    epoch: int
    own: list[Event]


class _Course:
    """The way of one breaker through quiet times and outages."""

    def __init__(self, config: CircuitBreakerConfig, failing: float) -> None:
        self.random = np.random.default_rng(1)
        self.failing = failing
        self.seq, self.at = 2, 0
        self.state: BreakerState = BreakerState(BREAKER, config)

    def quiet(self) -> Quiet:
        ats = self.at + np.cumsum(
            self.random.integers(STEP_NS // 2, STEP_NS * 3 // 2, OUTAGE_EVERY)
        )
        tooks = self.random.lognormal(15, 0.5, OUTAGE_EVERY).astype(np.int64)
        failed = self.random.random(OUTAGE_EVERY) < self.failing
        failed[3::4] = False  # never four in a row
        part = Quiet(self.seq + 1, self.state.epoch, ats, tooks, failed)
        reached = zip(ats[-_REACH:].tolist(), failed[-_REACH:].tolist(), strict=True)
        for seq, (at, fails) in enumerate(reached, self.seq + 1 + OUTAGE_EVERY - _REACH):
            kind = CallFailed if fails else CallSucceeded
            if apply(self.state, kind(seq, at, BREAKER, self.state.epoch, 0)):
                raise ValueError("the breaker trips without an outage: its thresholds are too low")
        self.seq += OUTAGE_EVERY
        self.at = int(ats[-1])
        return part

    def outage(self) -> Outage:
        part = Outage([], self.state.epoch, [])
        state = self.state
        while state.state is CLOSED:
            self._next(part, CallFailed, state.epoch, STEP_NS, 0, "TimeoutError")
        assert state.deadline != FOREVER
        self.seq, self.at = self.seq + 1, state.deadline
        wall = _WALL + timedelta(microseconds=self.at // 1000)
        tick = ClockTicked(self.seq, self.at, wall, self.at)
        part.about_all.append(tick)
        self._witness(part, tick)
        while part.own[-1].kind != "state_changed" or state.half_open_at >= 0:
            self._next(part, ProbeAdmitted, state.epoch, state.probes_admitted + 1)
            self._next(part, CallSucceeded, state.epoch, STEP_NS, state.probes_admitted)
        return part

    def _next(self, part: Outage, kind: type[BreakerEvent], *fields: object) -> None:
        self.seq, self.at = self.seq + 1, self.at + STEP_NS
        event = kind(self.seq, self.at, BREAKER, *fields)  # type: ignore[arg-type]  # told by kind
        part.own.append(event)
        self._witness(part, event)

    def _witness(self, part: Outage, event: BreakerEvent | ClockTicked) -> None:
        for edge in apply(self.state, event):
            part.own.append(edge)
            self.seq = edge.seq


def course(events: int, config: CircuitBreakerConfig, failing: float) -> Iterator[Quiet | Outage]:
    """Quiet times and outages in turn, until there are so many events; always the same."""
    way = _Course(config, failing)
    while way.seq < events:
        yield way.quiet()
        yield way.outage()


def write(
    out: Path, events: int, config: CircuitBreakerConfig | None = None, failing: float = 0.01
) -> int:
    """Write about so many events; how many there are."""
    config = CircuitBreakerConfig() if config is None else config
    about_all: list[Event] = [
        LogOpened(1, 0, 1, 1, 1, _WALL, 0, boot_id="", host="", pid=0, library="")
    ]
    last_seq = last_at = 0
    for part in course(events, config, failing):
        if isinstance(part, Outage):
            about_all += part.about_all
            last_seq, last_at = part.own[-1].seq, part.own[-1].at
    about = About(COLUMNS_VERSION, last_seq, 1, last_at, traffic=False)
    with out.open("xb") as stream, parquet_writer(stream, about) as writer:
        writer.write_table(table_of(None, about_all))
        for group in _row_groups(_tables(course(events, config, failing), config)):
            writer.write_table(group, ROW_GROUP)
    return last_seq


def _tables(parts: Iterator[Quiet | Outage], config: CircuitBreakerConfig) -> Iterator[pa.Table]:
    yield table_of(BREAKER, [BreakerConfigured(2, 0, BREAKER, config.to_mapping())])
    for part in parts:
        if isinstance(part, Outage):
            yield table_of(BREAKER, part.own, part.epoch)
        else:
            yield _quiet_table(part)


def _quiet_table(part: Quiet) -> pa.Table:
    size = len(part.ats)
    kinds = pa.array(["call_succeeded", "call_failed"]).take(pa.array(part.failed.astype(np.int8)))
    errors = pa.array([None, "TimeoutError"]).take(pa.array(part.failed.astype(np.int8)))
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
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= ROW_GROUP - OUTAGE_EVERY:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--events", type=int, default=10_000_000)
    arguments = parser.parse_args()
    print(f"{write(arguments.out, arguments.events):,} events")


if __name__ == "__main__":
    main()
