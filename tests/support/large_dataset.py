"""Writes a dataset of exported logs of any size, for measurements.

Each file is the log of one host. Each of its breakers gets one call per millisecond and has an outage
now and then. The rows, including the witnesses, equal those that live breakers would have written.

python tests/support/large_dataset.py FOLDER --files 6 --breakers 10 --calls 1000000
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from attrs import evolve

from recloser import CircuitBreakerConfig
from recloser.core.events import BreakerConfigured, ClockTicked, Event, LogOpened
from recloser.history.columnar.breaker_fold import BreakerFold, clock_events_of, in_order
from recloser.history.columnar.exported_log import columns_in
from recloser.log.arrow_table import SCHEMA, table_of
from recloser.log.codec import encode
from recloser.log.parquet import COLUMNS_VERSION, About, write_batches

STEP_NS = 1_000_000
STEPS_PER_TICK = 1_000
FAILURES = 5
COOLING = 500  # steps
OUTAGE_EVERY = 100  # ticks

CONFIG = CircuitBreakerConfig(
    failure_threshold=FAILURES,
    recovery_timeout_seconds=COOLING * STEP_NS / 1e9,
    half_open_success_threshold=1,
)
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
KINDS = ("call_succeeded", "call_failed", "call_rejected", "probe_admitted", "state_changed")
OUTAGE = [1] * (FAILURES - 1) + [1, 4] + [2] * (COOLING - 1) + [3, 4, 0, 4]  # as codes of KINDS
OUTAGE_STEPS = len(OUTAGE) - 3  # a witness belongs to the step of its event


def write(path: Path, host: str, breakers: int, calls: int, seed: int = 0) -> About:
    """Write one log.

    Args:
        path: The file, which must not exist.
        host: The name of the host in the log.
        breakers: The number of breakers.
        calls: The number of calls of each breaker.
        seed: Seed of the random durations.
    """
    log = _Log(host, breakers, calls, seed)
    write_batches(log.about_all(), log.batches(), log.about, path)
    return log.about


class _Log:
    def __init__(self, host: str, breakers: int, calls: int, seed: int) -> None:
        self._breakers, self._calls = breakers, calls
        self._chance = np.random.default_rng(seed)
        starts = [self._outages(number) for number in range(breakers)]
        offsets = np.flatnonzero(np.array(OUTAGE) == KINDS.index("state_changed"))
        steps = offsets - np.arange(1, len(offsets) + 1)  # of the events that they follow
        # Indexes, among all calls, of the events that are followed by a witness.
        self._witnessed = np.sort(
            np.concatenate(
                [
                    ((begun[:, None] + steps[None, :]) * breakers + number).ravel()
                    for number, begun in enumerate(starts)
                ]
            )
        )
        first = LogOpened(1, 0, 1, 1, 1, START, 0, "", host, 1, "0.1.0")
        ticks = np.arange(0, calls, STEPS_PER_TICK)
        self._opening: list[Event] = [
            first,
            *(
                ClockTicked(int(seq), int(at), START + timedelta(microseconds=int(at) // 1000), at)
                for seq, at in zip(
                    self._seqs(ticks, 0) - 1, (ticks * STEP_NS).tolist(), strict=True
                )
            ),
        ]
        last = int(self._seqs(np.array([calls - 1]), breakers - 1)[0])
        self.about = About(COLUMNS_VERSION, last, 1, self._at(calls - 1, breakers - 1), False)

    def _outages(self, number: int) -> Any:
        last = (self._calls - OUTAGE_STEPS - 2) // STEPS_PER_TICK
        return np.arange(1 + number % OUTAGE_EVERY, last, OUTAGE_EVERY) * STEPS_PER_TICK + 1

    def _seqs(self, steps: Any, number: int) -> Any:
        """Return the ``seq`` of a breaker's event in each of the given steps."""
        index = steps * self._breakers + number
        opening = 1 + self._breakers  # events that open the log and configure its breakers
        ticks = steps // STEPS_PER_TICK + 1
        return 1 + opening + ticks + index + np.searchsorted(self._witnessed, index)

    def _at(self, steps: Any, number: int) -> Any:
        return steps * STEP_NS + number * STEP_NS // self._breakers

    def about_all(self) -> list[pa.RecordBatch]:
        """Return the rows that belong to no single breaker."""
        batches: list[pa.RecordBatch] = table_of(None, self._opening).to_batches()
        return batches

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows of each breaker."""
        for number in range(self._breakers):
            yield from self._of_breaker(number).to_batches()

    def _of_breaker(self, number: int) -> pa.Table:
        name = f"b{number:03}"
        opening = BreakerConfigured(2 + number, 0, name, CONFIG.to_mapping())
        codes = np.zeros(self._calls, np.int8)
        epochs = np.zeros(self._calls, np.int64)
        probes = np.zeros(self._calls, np.int64)
        own = [code for code in OUTAGE if KINDS[code] != "state_changed"]
        for begun in self._outages(number):
            codes[begun : begun + OUTAGE_STEPS] = own
            epochs[begun + FAILURES :] += 1
            epochs[begun + FAILURES + COOLING - 1 :] += 1
            epochs[begun + OUTAGE_STEPS :] += 1
            probes[begun + FAILURES + COOLING - 1 : begun + OUTAGE_STEPS] = 1
        steps = np.arange(self._calls)
        calls = self._table(name, codes, self._seqs(steps, number), self._at(steps, number))
        calls = self._with(calls, epoch=epochs, probe=probes)
        table = pa.concat_tables([table_of(name, [opening]), calls])
        fold = BreakerFold(name, clock_events_of(self._opening))
        fold.fold_rows(columns_in(table, name))
        edges = in_order(fold.edges)
        witnesses = table_of(name, [evolve(edge) for edge in edges])
        assert witnesses.column("line")[0].as_py() == encode(edges[0])[:-1].decode()
        return pa.concat_tables([table, witnesses]).sort_by("seq").cast(SCHEMA)

    def _table(self, name: str, codes: Any, seqs: Any, ats: Any) -> pa.Table:
        size = len(codes)
        tooks = self._chance.lognormal(16, 1, size).astype(np.int64)
        tooks[codes >= KINDS.index("call_rejected")] = 0
        errors = pa.DictionaryArray.from_arrays(
            pa.array(np.where(codes == 1, 0, -1), mask=codes != 1), ["TimeoutError"]
        )
        reasons = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(size, np.int8), mask=codes != KINDS.index("call_rejected")),
            ["cooldown_active"],
        )
        columns: dict[str, Any] = {
            "breaker": pa.array([name]).take(pa.array(np.zeros(size, np.int8))),
            "seq": seqs,
            "at": ats,
            "event": pa.DictionaryArray.from_arrays(pa.array(codes), list(KINDS)).cast("string"),
            "epoch": np.zeros(size, np.int64),
            "took": tooks,
            "probe": np.zeros(size, np.int64),
            "count": np.ones(size, np.int64),
            "error": errors.cast("string"),
            "reason": reasons.cast("string"),
        }
        return pa.Table.from_arrays(
            [
                pa.array(columns[field.name], field.type)
                if field.name in columns
                else pa.nulls(size, field.type)
                for field in SCHEMA
            ],
            schema=SCHEMA,
        )

    def _with(self, table: pa.Table, **columns: Any) -> pa.Table:
        for name, values in columns.items():
            index = SCHEMA.get_field_index(name)
            table = table.set_column(index, SCHEMA.field(index), pa.array(values))
        return table


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--files", type=int, default=6)
    parser.add_argument("--breakers", type=int, default=10)
    parser.add_argument(
        "--calls", type=int, default=1_000_000, help="number of calls of each breaker"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True)
    for number in range(arguments.files):
        path = arguments.folder / f"host{number:02}.parquet"
        about = write(path, f"host{number}", arguments.breakers, arguments.calls, number)
        print(f"{path}: {about.events:,} events, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
