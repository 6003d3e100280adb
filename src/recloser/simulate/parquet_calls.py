"""Imported traffic out of an exported log, by its columns: no object is made of a call."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recloser.core.events import REFUSED
from recloser.errors import DamagedLogError
from recloser.log.parquet import ParquetLog
from recloser.simulate.call_table import IGNORED, OUTCOME_CODES, UNKNOWN, Calls

_COLUMNS: Final = ["breaker", "event", "seq", "at", "took", "outcome", "labels", "line"]
_decode_labels: Final = msgspec.json.Decoder(dict[str, str]).decode

_Columns: TypeAlias = tuple[NDArray[Any], ...]


def calls_in_parquet(log: ParquetLog, refused: int = UNKNOWN) -> dict[str, Calls] | None:
    """The calls of each breaker in an exported log of imported traffic, by name.

    Args:
        log: The exported log.
        refused: What the outcome of a call is that another breaker refused.

    Returns:
        None where the log holds more of breakers than calls that the columns tell whole; it is then
        to be read event by event.

    Raises:
        DamagedLogError: It can't be read.
    """
    parts: dict[str, list[_Columns]] = {}
    for group in range(log.file.num_row_groups):
        table = log.read(group, _COLUMNS)
        table = table.filter(pc.is_valid(table.column("breaker")))
        if not len(table):
            continue
        kinds = table.column("event").unique().to_pylist()
        if kinds != ["call_observed"] or table.column("line").null_count < len(table):
            return None
        for name, rows in _by_breaker(table):
            parts.setdefault(name, []).append(_columns_of(log, name, rows, refused))
    return {name: _calls_of(log, name, several) for name, several in parts.items()}


def _by_breaker(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    names = table.column("breaker").combine_chunks()
    changes = np.flatnonzero(np.diff(names.indices.to_numpy())) + 1
    for begin, end in pairwise([0, *changes.tolist(), len(table)]):
        yield names[begin].as_py(), table.slice(begin, end - begin)


def _columns_of(log: ParquetLog, name: str, rows: pa.Table, refused: int) -> _Columns:
    """Starts, ends, durations, outcomes and the ``seq`` of each."""
    ends, tooks, seqs = (rows.column(column).to_numpy() for column in ("at", "took", "seq"))
    outcomes = rows.column("outcome").combine_chunks().dictionary_encode()
    told = outcomes.dictionary.to_pylist()
    if outcomes.null_count or not set(told) <= set(OUTCOME_CODES):
        raise DamagedLogError(f"{log.path}: a call of {name!r} has no outcome that there is")
    codes = np.array([OUTCOME_CODES[each] for each in told], np.uint8)[outcomes.indices.to_numpy()]
    ignored = np.flatnonzero(codes == IGNORED)
    for row, labels in zip(
        ignored.tolist(), rows.column("labels").take(pa.array(ignored)).to_pylist(), strict=True
    ):
        if labels is not None and REFUSED in _labels_in(log, labels):
            codes[row] = refused
    return ends - tooks, ends, tooks, codes, seqs


def _labels_in(log: ParquetLog, text: str) -> Mapping[str, str]:
    try:
        return _decode_labels(text)
    except msgspec.DecodeError as error:
        raise DamagedLogError(f"{log.path}: labels can't be read: {error}") from error


def _calls_of(log: ParquetLog, name: str, parts: Sequence[_Columns]) -> Calls:
    starts, ends, tooks, codes, seqs = map(np.concatenate, zip(*parts, strict=True))
    if (tooks < 0).any() or (starts < 0).any() or (np.diff(ends) < 0).any():
        raise DamagedLogError(f"{log.path}: the events of {name!r} are not in order")
    return Calls.from_log(name, starts.data, ends.data, tooks.data, codes.tobytes(), seqs=seqs.data)
