"""The rows of an exported log, breaker by breaker, as they are read."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
from attrs import frozen

from recloser.log.parquet import ROW_GROUP, ParquetLog

BREAKER: Final = "breaker"
"""The column of names, which tells the parts from one another."""


@frozen
class Part:
    """Rows of one breaker that stand together.

    Attributes:
        breaker: Its name.
        group: The row group.
        start: Where in the group they begin.
        table: The columns asked for.
    """

    breaker: str
    group: int
    start: int
    table: pa.Table


def parts_of(
    log: ParquetLog,
    columns: Sequence[str] | None = None,
    groups: range | None = None,
    at_once: int = ROW_GROUP,
) -> Iterator[Part]:
    """The rows of breakers, in the order of their names, each in one part or several.

    Args:
        log: The exported log.
        columns: The columns to read, ``breaker`` among them; by default all.
        groups: Only the breakers whose first row stands in these row groups; by default all.
        at_once: No part has more rows than these.

    Raises:
        DamagedLogError: A part can't be read.
    """
    total = log.file.num_row_groups
    own = range(total) if groups is None else groups
    ahead = log.breakers(own.start - 1) if own.start else None
    taken = None if ahead is None else ahead[1]  # that one begins further ahead
    before = None
    for group in range(own.start, total):
        bounds = log.breakers(group)
        if group >= own.stop and (bounds is None or before is None or bounds[0] != before):
            return
        if taken is not None and bounds == (taken, taken):
            continue
        start = 0
        for table in log.batches(group, columns, at_once):
            for part in _split(log, group, start, table):
                if part.breaker == taken:
                    continue
                if group >= own.stop and part.breaker != before:
                    return
                before = part.breaker
                yield part
            start += len(table)


def parts_ahead(log: ParquetLog, columns: Sequence[str]) -> Iterator[Part]:
    """As ``parts_of``, of the whole log, each row group decoded while the one before it is used.

    The tables lack the names where a row group has but one.
    """
    ahead = ParquetLog(log.path)
    groups = range(log.file.num_row_groups)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read_group, ahead, 0, columns) if groups else None
        for group in groups:
            assert coming is not None
            table = coming.result()
            if group + 1 < len(groups):
                coming = pool.submit(read_group, ahead, group + 1, columns)
            yield from _split(log, group, 0, table)


def read_group(log: ParquetLog, group: int, columns: Sequence[str]) -> pa.Table:
    """These columns of a row group, but for the names where it has but one.

    Raises:
        DamagedLogError: It can't be read.
    """
    if log.only_breaker(group) is None:
        return log.read(group, columns)
    return log.read(group, [column for column in columns if column != BREAKER])


def _split(log: ParquetLog, group: int, start: int, table: pa.Table) -> Iterator[Part]:
    """The parts in rows of a group that begin at ``start``."""
    only = log.only_breaker(group)
    if only is not None:
        yield Part(only, group, start, table)
        return
    for name, rows in _stretches(table.column(BREAKER).combine_chunks()):
        yield Part(name, group, start + rows.start, table.slice(rows.start, len(rows)))


def _stretches(names: pa.Array) -> Iterator[tuple[str, range]]:
    """The stretches of rows of one breaker each; those about the whole log are left out."""
    indices = names.indices.fill_null(-1).to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(indices)]
    for start, stop in pairwise(bounds):
        if stop > start and indices[start] >= 0:
            yield names.dictionary[int(indices[start])].as_py(), range(start, stop)
