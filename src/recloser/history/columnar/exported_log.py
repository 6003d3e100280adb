"""An exported log as the rows of its breakers, read a row group at a time."""

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
from recloser.history.columnar.event_columns import OTHER, Kinds, Rows, Whole, slices
from recloser.history.columnar.row_groups import BREAKER, Part, parts_of, used_ahead
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
_MOST_KINDS: Final = 1 << 8  # that a byte distinguishes
_BLOCK: Final = 1 << 17
_FEW: Final = 64
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
            own = table
            if not log.is_about_all(group):
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
    return _joined(log, used_ahead(log, COLUMNS, partial(_read, log)))


def rows_of_span(log: ParquetLog, groups: range, at_once: int) -> Iterator[Rows]:
    """As ``rows_of``, of the breakers whose first row stands in these row groups.

    Args:
        log: The exported log.
        groups: The row groups.
        at_once: No more rows than these are read at a time.
    """
    return _joined(log, map(partial(_read, log), parts_of(log, COLUMNS, groups, at_once)))


def _read(log: ParquetLog, part: Part) -> tuple[int, int, Rows]:
    """The row group of a part, where in it the part begins, and its rows, all columns but ``took``.

    Raises:
        DamagedLogError: It can't be read, or is not in order.
    """
    try:
        rows = rows_in(part.table, part.breaker, part.constants)
    except DamagedLogError as error:
        raise DamagedLogError(f"{log.path}, row group {part.group}: {error}") from error
    seqs, ats = rows.seqs, rows.ats
    if not all(
        (seqs[1:][part] > seqs[:-1][part]).all() and (ats[1:][part] >= ats[:-1][part]).all()
        for part in slices(len(rows) - 1)
    ):
        raise _disorder(log, rows)
    return part.group, part.start, rows


def _joined(log: ParquetLog, parts: Iterable[tuple[int, int, Rows]]) -> Iterator[Rows]:
    """The rows of parts that were read, with the column ``took`` where it is needed.

    Raises:
        DamagedLogError: They are not in order.
    """
    minding: set[str] = set()
    tooks: tuple[int, Whole] | None = None
    last = "", 0, 0
    for group, start, part in parts:
        rows = part
        if any(map(_minds_slowness, rows.others.values())):
            minding.add(rows.breaker)
        if rows.breaker in minding:
            if tooks is None or tooks[0] != group:
                tooks = group, _numbers(log.read(group, [_TOOK]), _TOOK)
            rows = evolve(rows, tooks=tooks[1][start : start + len(rows)])
        breaker, seq, at = last
        if breaker == rows.breaker and (rows.seqs[0] <= seq or rows.ats[0] < at):
            raise _disorder(log, rows)
        last = rows.breaker, rows.seqs.item(-1), rows.ats.item(-1)
        yield rows


def _disorder(log: ParquetLog, rows: Rows) -> DamagedLogError:
    return DamagedLogError(f"{log.path}: the events of {rows.breaker!r} are not in order")


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
    places = _others_in(kinds)
    lines: list[object] = [constants.get("line")] * len(places)
    if "line" in table.column_names:
        column = table.column("line")
        if len(places) > _FEW:
            lines = column.take(pa.array(places)).to_pylist()
        else:
            lines = [column[place].as_py() for place in places]
    others = dict(zip(places, _events_in(lines), strict=True))
    return Rows(breaker, kinds, seqs, ats, epochs, tooks, counts, probes, others)


def _others_in(kinds: Kinds) -> list[int]:
    """The rows of kind ``OTHER``, quickly where they are few."""
    text = kinds.tobytes()
    places: list[int] = []
    place = text.find(OTHER)
    while place >= 0:
        if len(places) > _FEW:
            return np.flatnonzero(kinds == OTHER).tolist()
        places.append(place)
        place = text.find(OTHER, place + 1)
    return places


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
    """An array of shape (count,) that is filled with one number."""
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
