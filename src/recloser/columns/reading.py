"""An exported log as the rows of its breakers, read a row group at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import evolve

from recloser.columns.parts import BREAKER, Part, parts_ahead, parts_of
from recloser.columns.rows import OTHER, Kinds, Rows, Whole, slices
from recloser.core import kernel
from recloser.errors import DamagedLogError
from recloser.events import BreakerEvent, Event
from recloser.log.codec import decode, decode_lines, full
from recloser.log.columns import events_of
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
_MOST_KINDS: Final = 1 << 8  # that a byte distinguishes
_BLOCK: Final = 1 << 17
_NO_CONSTANTS: Final[Mapping[str, object]] = {}
COLUMNS: Final = [BREAKER, "event", "line", "seq", "at", "epoch", "count", "probe"]
"""The columns that a fold reads, and ``took`` where it matters how long calls took."""


def whole_log_events(log: ParquetLog) -> list[Event]:
    """The events about the whole log, but for its seals, in their order.

    They stand in its first row groups.
    """
    events: list[Event] = []
    for group in range(log.file.num_row_groups):
        if log.is_about_breakers(group):
            break
        for table in log.batches(group, rows=_LOG_ROWS):
            own = table.filter(pc.is_null(table.column("breaker")))
            events += events_of(
                own.filter(pc.not_equal(own.column("event").cast("string"), "log_sealed"))
            )
    return events


def rows_of(log: ParquetLog) -> Iterator[Rows]:
    """The rows of every breaker, in the order of their names, each in one part or several.

    How long calls took is read only where settings ask for it.

    Raises:
        DamagedLogError: A part can't be read, or is not in order.
    """
    return rows_in_parts(log, parts_ahead(log, COLUMNS))


def rows_of_span(log: ParquetLog, groups: range, at_once: int) -> Iterator[Rows]:
    """As ``rows_of``, of the breakers whose first row stands in these row groups.

    Args:
        log: The exported log.
        groups: The row groups.
        at_once: No more rows than these are read at a time.
    """
    return rows_in_parts(log, parts_of(log, COLUMNS, groups, at_once))


def rows_in_parts(log: ParquetLog, parts: Iterable[Part]) -> Iterator[Rows]:
    """The rows in the parts of a log; each has all columns that a fold needs but one, ``took``.

    Raises:
        DamagedLogError: A part can't be read, or is not in order.
    """
    minding: set[str] = set()
    before: Rows | None = None
    tooks: tuple[int, Whole] | None = None
    for part in parts:
        try:
            rows = rows_in(part.table, part.breaker, part.constants)
        except DamagedLogError as error:
            raise DamagedLogError(f"{log.path}, row group {part.group}: {error}") from error
        if any(map(_minds_slowness, rows.others.values())):
            minding.add(part.breaker)
        if part.breaker in minding:
            if tooks is None or tooks[0] != part.group:
                tooks = part.group, _numbers(log.read(part.group, [_TOOK]), _TOOK)
            rows = evolve(rows, tooks=tooks[1][part.start : part.start + len(rows)])
        _check_order(log, rows, before)
        yield rows
        before = rows


def _minds_slowness(event: BreakerEvent) -> bool:
    settings: object = None
    if event.kind == "breaker_configured":
        settings = event.config
    elif event.kind == "checkpoint":
        settings = event.state.get("config")
    return isinstance(settings, Mapping) and settings.get("slow_call_seconds") is not None


def rows_in(table: pa.Table, breaker: str, constants: Mapping[str, object] = _NO_CONSTANTS) -> Rows:
    """The events of one breaker in a table of the exported schema.

    All calls are taken as quick where the table has no column ``took``.

    Args:
        table: The rows.
        breaker: The breaker.
        constants: Columns that are not in the table, as each row has this value in them.

    Raises:
        DamagedLogError: An event can't be read; the caller knows where it stands.
    """
    kinds = _kinds(table.column("event"))
    constants = {_TOOK: 0, **constants}
    seqs, ats, epochs, tooks, counts, probes = (
        _numbers(table, name)
        if name in table.column_names
        else _repeated(constants[name], len(kinds))
        for name in _NUMBERS
    )
    places = np.flatnonzero(kinds == OTHER)
    lines: list[object] = [constants.get("line")] * len(places)
    if len(places) and "line" in table.column_names:
        lines = table.column("line").take(pa.array(places)).to_pylist()
    others = dict(zip(places.tolist(), _events_in(lines), strict=True))
    return Rows(breaker, kinds, seqs, ats, epochs, tooks, counts, probes, others)


def _kinds(events: pa.ChunkedArray) -> Kinds:
    array = events.chunk(0) if events.num_chunks == 1 else events.combine_chunks()
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    codes = bytes([_CODES.get(name, OTHER) for name in array.dictionary.to_pylist()])
    if len(codes) > _MOST_KINDS:
        raise DamagedLogError(f"no log has events of {len(codes)} kinds")
    indices = bytearray(array.indices.to_numpy().astype(np.uint8))
    return np.frombuffer(indices.translate(codes.ljust(_MOST_KINDS)), np.uint8)


def _repeated(value: object, count: int) -> Whole:
    """A number, so many times, of shape (count,)."""
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
    # One after the other, it is told that one is none.
    whole = map(decode, texts) if events is None else map(_full_or_witness, events)
    return cast("Iterator[BreakerEvent]", whole)


def _full_or_witness(event: Event) -> Event:
    return event if event.kind == "state_changed" else full(event)


def _numbers(table: pa.Table, name: str) -> Whole:
    return cast("Whole", table.column(name).to_numpy())


def _check_order(log: ParquetLog, rows: Rows, before: Rows | None) -> None:
    seqs, ats = rows.seqs, rows.ats
    is_in_order = all(
        (seqs[1:][part] > seqs[:-1][part]).all() and (ats[1:][part] >= ats[:-1][part]).all()
        for part in slices(len(rows) - 1)
    )
    if is_in_order and before is not None and before.breaker == rows.breaker:
        is_in_order = seqs[0] > before.seqs[-1] and ats[0] >= before.ats[-1]
    if not is_in_order:
        raise DamagedLogError(f"{log.path}: the events of {rows.breaker!r} are not in order")
