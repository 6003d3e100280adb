"""An exported log as the rows of its breakers, read a row group at a time."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import evolve
from numpy.typing import NDArray

from recloser.columns.rows import FAILED, IGNORED, OTHER, PROBE, REJECTED, SUCCEEDED, Rows, Whole
from recloser.columns.skipping import Times
from recloser.errors import DamagedLogError
from recloser.events import BreakerEvent, ClockTicked, Event, LogOpened
from recloser.log.codec import decode
from recloser.log.columns import SCHEMA, events_of
from recloser.log.parquet import ParquetLog

_CODES: Final = {
    "call_succeeded": SUCCEEDED,
    "call_failed": FAILED,
    "call_ignored": IGNORED,
    "call_rejected": REJECTED,
    "probe_admitted": PROBE,
}
_NUMBERS: Final = ["seq", "at", "epoch", "count", "probe"]
_MOST_IN_32_BITS: Final = (1 << 31) - 1
_BREAKER: Final = SCHEMA.get_field_index("breaker")
_COLUMNS: Final = ["breaker", "event", "line", *_NUMBERS]


def whole_log_events(log: ParquetLog) -> list[Event]:
    """The events about the whole log, but for its seals, in their order.

    They stand in its first row groups.
    """
    events: list[Event] = []
    for group in range(log.file.num_row_groups):
        told = log.file.metadata.row_group(group).column(_BREAKER).statistics
        if told is not None and told.null_count == 0:
            break
        table = log.read(group)
        own = table.filter(pc.is_null(table.column("breaker")))
        events += events_of(
            own.filter(pc.not_equal(own.column("event").cast("string"), "log_sealed"))
        )
    return events


def times_of(events: list[Event]) -> Times:
    """Those of the events about the whole log that can move a breaker."""
    session = 0
    moving: list[ClockTicked | LogOpened] = []
    openings = []
    for event in events:
        if event.kind == "clock_ticked":
            moving.append(event)
        elif event.kind == "log_opened" and event.session != session:
            if session:
                openings.append(len(moving))
                moving.append(event)
            session = event.session
    return Times(
        moving,
        np.array([event.seq for event in moving], np.int64),
        np.array([event.at for event in moving], np.int64),
        np.array(openings, np.int64),
    )


def rows_of(log: ParquetLog) -> Iterator[Rows]:
    """The rows of every breaker, in the order of their names, each in one part or several.

    How long calls took is read only where settings ask for it.

    Raises:
        DamagedLogError: A part can't be read, or is not in order.
    """
    minding: set[str] = set()
    before: Rows | None = None
    for group, table in enumerate(_read_ahead(log)):
        tooks: Whole | None = None
        for name, part in _parts(table.column("breaker").combine_chunks()):
            rows = rows_in(table.slice(part.start, len(part)), name)
            if any(map(_minds_slowness, rows.others.values())):
                minding.add(name)
            if name in minding:
                if tooks is None:
                    tooks = _numbers(log.read(group, ["took"]), "took")
                rows = evolve(rows, tooks=tooks[part.start : part.stop])
            _check_order(log, rows, before)
            yield rows
            before = rows


def _read_ahead(log: ParquetLog) -> Iterator[pa.Table]:
    """The row groups, each decoded while the one before it is folded."""
    ahead = ParquetLog(log.path)
    groups = range(log.file.num_row_groups)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(ahead.read, 0, _COLUMNS) if groups else None
        for group in groups:
            assert coming is not None
            table = coming.result()
            if group + 1 < len(groups):
                coming = pool.submit(ahead.read, group + 1, _COLUMNS)
            yield table


def _minds_slowness(event: BreakerEvent) -> bool:
    settings: object = None
    if event.kind == "breaker_configured":
        settings = event.config
    elif event.kind == "checkpoint":
        settings = event.state.get("config")
    return isinstance(settings, Mapping) and settings.get("slow_call_seconds") is not None


def _parts(names: pa.Array) -> Iterator[tuple[str, range]]:
    """The stretches of rows of one breaker each; those about the whole log are left out."""
    indices = names.indices.fill_null(-1).to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(indices)]
    for start, stop in pairwise(bounds):
        if stop > start and indices[start] >= 0:
            yield names.dictionary[int(indices[start])].as_py(), range(start, stop)


def _kinds(events: pa.ChunkedArray) -> NDArray[np.uint8]:
    array = events.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes = [_CODES.get(name, OTHER) for name in array.dictionary.to_pylist()]
    kinds: NDArray[np.uint8] = np.array(codes, np.uint8)[array.indices.to_numpy()]
    return kinds


def rows_in(table: pa.Table, breaker: str) -> Rows:
    """The events of one breaker in a table of the exported schema; all calls as if quick."""
    kinds = _kinds(table.column("event"))
    seqs, ats, epochs, counts, probes = (_numbers(table, name) for name in _NUMBERS)
    places = np.flatnonzero(kinds == OTHER)
    lines = table.column("line").take(pa.array(places)).to_pylist() if len(places) else []
    others = {
        place: cast("BreakerEvent", decode(line.encode()))
        for place, line in zip(places.tolist(), lines, strict=True)
    }
    if epochs.max(initial=0) <= _MOST_IN_32_BITS:
        epochs = epochs.astype(np.int32)  # they are compared from row to row
    if (counts == 1).all():
        counts = np.broadcast_to(np.int64(1), len(kinds))
    tooks = np.broadcast_to(np.int64(0), len(kinds))
    return Rows(breaker, kinds, seqs, ats, epochs, tooks, counts, probes, others)


def _numbers(table: pa.Table, name: str) -> Whole:
    return cast("Whole", table.column(name).to_numpy())


def _check_order(log: ParquetLog, rows: Rows, before: Rows | None) -> None:
    seqs, ats = rows.seqs, rows.ats
    is_in_order = (seqs[1:] > seqs[:-1]).all() and (ats[1:] >= ats[:-1]).all()
    if is_in_order and before is not None and before.breaker == rows.breaker:
        is_in_order = seqs[0] > before.seqs[-1] and ats[0] >= before.ats[-1]
    if not is_in_order:
        raise DamagedLogError(f"{log.path}: the events of {rows.breaker!r} are not in order")
