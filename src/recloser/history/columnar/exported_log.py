"""Reads an exported log as columns of its breakers, a row group at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import evolve

from recloser.core import kernel
from recloser.core.events import BreakerEvent, Event
from recloser.errors import DamagedLogError
from recloser.history.columnar.event_columns import (
    OTHER,
    EventColumns,
    Kinds,
    Whole,
    slices,
)
from recloser.history.columnar.row_groups import BREAKER, RowChunk, chunks_of, map_ahead
from recloser.log.arrow_table import events_of
from recloser.log.codec import decode, decode_lines, full
from recloser.log.parquet import ParquetLog

_CODES: Final = {
    "call_succeeded": kernel.SUCCEEDED,
    "call_failed": kernel.FAILED,
    "call_ignored": kernel.IGNORED,
    "call_rejected": kernel.REJECTED,
    "probe_admitted": kernel.ADMITTED,
}
_TOOK: Final = "took"
_NUMBERS: Final = ["seq", "at", "epoch", _TOOK, "count", "probe"]
_LOG_ROWS: Final = 1 << 15
_MOST_KINDS: Final = 1 << 8  # the values of a byte
_BLOCK: Final = 1 << 17
_FEW: Final = 64
_NO_CONSTANTS: Final[Mapping[str, object]] = {}
COLUMNS: Final = [BREAKER, "event", "line", "seq", "at", "epoch", "count", "probe"]
"""The columns that a fold reads; it reads ``took`` too if slow calls count."""


def whole_log_events(log: ParquetLog) -> list[Event]:
    """Return the events about the whole log, without its seals, in order.

    They are in the first row groups.
    """
    events: list[Event] = []
    for group in range(log.file.num_row_groups):
        if log.is_about_breakers(group):
            break
        for table in log.batches(group, rows=_LOG_ROWS):
            own = table
            if not log.is_about_all(group):
                own = table.filter(pc.is_null(table.column("breaker")))
            events += events_of(
                own.filter(pc.not_equal(own.column("event").cast("string"), "log_sealed"))
            )
    return events


def columns_of(log: ParquetLog) -> Iterator[EventColumns]:
    """Yield the columns of every breaker, sorted by name, in one or more chunks each.

    Durations of calls are read only for breakers whose settings count slow calls.

    Raises:
        DamagedLogError: A chunk can't be read, or is not in order.
    """
    return _checked(log, map_ahead(log, COLUMNS, partial(_read, log)))


def columns_of_span(log: ParquetLog, groups: range, at_once: int) -> Iterator[EventColumns]:
    """Yield the columns of the breakers whose first row is in the given row groups.

    Args:
        log: The exported log.
        groups: The row groups.
        at_once: Number of rows read at once, at most.

    Raises:
        DamagedLogError: A chunk can't be read, or is not in order.
    """
    return _checked(log, map(partial(_read, log), chunks_of(log, COLUMNS, groups, at_once)))


def _read(log: ParquetLog, chunk: RowChunk) -> tuple[int, int, EventColumns]:
    """Convert a chunk of rows, without the column ``took``.

    Returns:
        The row group, the row in it at which the chunk begins, and the columns.

    Raises:
        DamagedLogError: The chunk can't be read, or is not in order.
    """
    try:
        rows = columns_in(chunk.table, chunk.breaker, chunk.constants)
    except DamagedLogError as error:
        raise DamagedLogError(f"{log.path}, row group {chunk.group}: {error}") from error
    seqs, ats = rows.seqs, rows.ats
    if not all(
        (seqs[1:][rest] > seqs[:-1][rest]).all() and (ats[1:][rest] >= ats[:-1][rest]).all()
        for rest in slices(len(rows) - 1)
    ):
        raise _disorder(log, rows)
    return chunk.group, chunk.start, rows


def _checked(
    log: ParquetLog, chunks: Iterable[tuple[int, int, EventColumns]]
) -> Iterator[EventColumns]:
    """Check the order of chunks, and add the column ``took`` to those that need it.

    Raises:
        DamagedLogError: The chunks are not in order.
    """
    with_slow_calls: set[str] = set()
    tooks: tuple[int, Whole] | None = None
    last = "", 0, 0
    for group, start, chunk in chunks:
        rows = chunk
        if any(map(_counts_slow_calls, rows.others.values())):
            with_slow_calls.add(rows.breaker)
        if rows.breaker in with_slow_calls:
            if tooks is None or tooks[0] != group:
                tooks = group, _numbers(log.read(group, [_TOOK]), _TOOK)
            rows = evolve(rows, tooks=tooks[1][start : start + len(rows)])
        breaker, seq, at = last
        if breaker == rows.breaker and (rows.seqs[0] <= seq or rows.ats[0] < at):
            raise _disorder(log, rows)
        last = rows.breaker, rows.seqs.item(-1), rows.ats.item(-1)
        yield rows


def _disorder(log: ParquetLog, rows: EventColumns) -> DamagedLogError:
    return DamagedLogError(f"{log.path}: the events of {rows.breaker!r} are not in order")


def _counts_slow_calls(event: BreakerEvent) -> bool:
    settings: object = None
    if event.kind == "breaker_configured":
        settings = event.config
    elif event.kind == "checkpoint":
        settings = event.state.get("config")
    return isinstance(settings, Mapping) and settings.get("slow_call_seconds") is not None


def columns_in(
    table: pa.Table, breaker: str, constants: Mapping[str, object] = _NO_CONSTANTS
) -> EventColumns:
    """Convert the events of one breaker in a table of the exported schema.

    If the table has no column ``took``, all durations are 0.

    Args:
        table: The rows.
        breaker: The breaker's name.
        constants: Values of columns that are missing from the table because all rows have the same.

    Raises:
        DamagedLogError: An event can't be read. The caller adds the place.
    """
    kinds = _kinds(table.column("event"))
    constants = {_TOOK: 0, **constants}
    seqs, ats, epochs, tooks, counts, probes = (
        _numbers(table, name)
        if name in table.column_names
        else _repeated(constants[name], len(kinds))
        for name in _NUMBERS
    )
    other_rows = _others_in(kinds)
    lines: list[object] = [constants.get("line")] * len(other_rows)
    if "line" in table.column_names:
        column = table.column("line")
        if len(other_rows) > _FEW:
            lines = column.take(pa.array(other_rows)).to_pylist()
        else:
            lines = [column[row].as_py() for row in other_rows]
    others = dict(zip(other_rows, _events_in(lines), strict=True))
    return EventColumns(breaker, kinds, seqs, ats, epochs, tooks, counts, probes, others)


def _others_in(kinds: Kinds) -> list[int]:
    """Return the rows of kind ``OTHER``; searching bytes is fastest if few exist."""
    text = kinds.tobytes()
    rows: list[int] = []
    row = text.find(OTHER)
    while row >= 0:
        if len(rows) > _FEW:
            return np.flatnonzero(kinds == OTHER).tolist()
        rows.append(row)
        row = text.find(OTHER, row + 1)
    return rows


def _kinds(events: pa.ChunkedArray) -> Kinds:
    array = events.chunk(0) if events.num_chunks == 1 else events.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes = bytes([_CODES.get(name, OTHER) for name in array.dictionary.to_pylist()])
    if len(codes) > _MOST_KINDS:
        raise DamagedLogError(f"it has events of {len(codes)} kinds, more than a log can have")
    indices = bytearray(array.indices.to_numpy().astype(np.uint8))
    return np.frombuffer(indices.translate(codes.ljust(_MOST_KINDS)), np.uint8)


def _repeated(value: object, count: int) -> Whole:
    """Return an array of shape (count,) filled with one number."""
    block = _block(value)
    return block[:count] if count <= len(block) else np.full(count, value, np.int64)


@lru_cache(maxsize=16)
def _block(value: object) -> Whole:
    block = np.full(_BLOCK, value, np.int64)
    block.flags.writeable = False
    return block


def _events_in(lines: Sequence[object]) -> Iterator[BreakerEvent]:
    texts = [str(line or "").encode() for line in lines]
    events = decode_lines(b"\n".join(texts), len(texts))
    # If a text is not an event, decoding them one by one raises the error for it.
    whole = map(decode, texts) if events is None else map(_full_or_witness, events)
    return cast("Iterator[BreakerEvent]", whole)


def _full_or_witness(event: Event) -> Event:
    return event if event.kind == "state_changed" else full(event)


def _numbers(table: pa.Table, name: str) -> Whole:
    return cast("Whole", table.column(name).to_numpy())
