"""Reads the row groups of an exported log, breaker by breaker and ahead of use."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice, pairwise
from queue import SimpleQueue
from typing import Final, Generic, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
from attrs import field, frozen

from recloser.log.parquet import ROW_GROUP, ParquetLog

BREAKER: Final = "breaker"
"""The column of breaker names."""

_CAN_BE_CONSTANT: Final = (BREAKER, "epoch", "probe", "count", "line")
_THREADS: Final = 1 if (os.cpu_count() or 1) <= 2 else 2  # noqa: PLR2004  # one is for the fold
_TABLES: Final = 4  # that a thread may be ahead of the fold
_AT_ONCE: Final = 1 << 17  # rows decoded at once, so that they are still in the cache when used

_Constants: TypeAlias = Mapping[str, object]
T = TypeVar("T")


@frozen
class RowChunk:
    """Consecutive rows of one breaker.

    Attributes:
        breaker: The breaker's name.
        group: The row group.
        start: The row in the group at which they begin.
        table: The requested columns.
        constants: Requested columns that the table lacks because all rows have the same value.
    """

    breaker: str
    group: int
    start: int
    table: pa.Table
    constants: _Constants = field(factory=dict)


def chunks_of(
    log: ParquetLog,
    columns: Sequence[str] | None = None,
    groups: range | None = None,
    at_once: int = ROW_GROUP,
) -> Iterator[RowChunk]:
    """Yield the rows of breakers, sorted by name, in one or several chunks each.

    Args:
        log: The exported log.
        columns: The columns to read, ``breaker`` among them; by default all.
        groups: Only the breakers whose first row is in these row groups; by default all.
        at_once: Number of rows in a chunk, at most.

    Raises:
        DamagedLogError: A row group can't be read.
    """
    total = log.file.num_row_groups
    own = range(total) if groups is None else groups
    ahead = log.breakers(own.start - 1) if own.start else None
    # The last breaker of the row group before may continue here; it belongs to earlier groups.
    earlier = None if ahead is None else ahead[1]
    before = None
    for group in range(own.start, total):
        bounds = log.breakers(group)
        if group >= own.stop and (bounds is None or before is None or bounds[0] != before):
            return
        if earlier is not None and bounds == (earlier, earlier):
            continue
        start = 0
        for table in log.batches(group, columns, at_once):
            for chunk in _split(log.constants(group, [BREAKER]), group, start, table):
                if chunk.breaker == earlier:
                    continue
                if group >= own.stop and chunk.breaker != before:
                    return
                before = chunk.breaker
                yield chunk
            start += len(table)


def map_ahead(log: ParquetLog, columns: Sequence[str], use: Callable[[RowChunk], T]) -> Iterator[T]:
    """Yield the result of ``use`` for each chunk of a log, in order.

    Threads decode several row groups and call ``use``, while the caller consumes earlier results. A
    column that has one value in all rows of a row group is not decoded, because the group's
    statistics have that value.

    Args:
        log: The exported log.
        columns: The columns to read, ``breaker`` among them.
        use: Called with each chunk, in one of the threads.
    """
    groups = [group for group in range(log.file.num_row_groups) if not log.is_about_all(group)]
    readers = cycle([ParquetLog(log.path) for _ in range(_THREADS)])
    rest = iter(groups)
    coming: deque[_Ahead[T]] = deque()
    with ThreadPoolExecutor(_THREADS) as pool:
        try:
            for group in islice(rest, _THREADS):
                coming.append(_Ahead(pool, next(readers), group, columns, use))
            while coming:
                yield from coming[0]
                coming.popleft()
                for group in islice(rest, 1):
                    coming.append(_Ahead(pool, next(readers), group, columns, use))
        finally:
            for ahead in coming:
                ahead.stop()


class _Ahead(Generic[T]):
    """The results for the chunks of a row group, which a thread computes ahead."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        log: ParquetLog,
        group: int,
        columns: Sequence[str],
        use: Callable[[RowChunk], T],
    ) -> None:
        self._found: SimpleQueue[list[T] | None] = SimpleQueue()
        self._room = threading.Semaphore(_TABLES)
        self._is_stopped = False
        self._done = pool.submit(self._work, log, group, columns, use)

    def __iter__(self) -> Iterator[T]:
        while (found := self._found.get()) is not None:
            self._room.release()
            yield from found
        self._done.result()

    def stop(self) -> None:
        # The thread may wait for room that nobody makes any more. The flag is set first, so it
        # stops when it wakes up.
        self._is_stopped = True
        self._room.release()

    def _work(
        self, log: ParquetLog, group: int, columns: Sequence[str], use: Callable[[RowChunk], T]
    ) -> None:
        constants = log.constants(group, _CAN_BE_CONSTANT)
        start = 0
        try:
            named = [name for name in columns if name not in constants]
            for table in log.batches(group, named, _AT_ONCE):
                if self._is_stopped:
                    return
                self._found.put([use(chunk) for chunk in _split(constants, group, start, table)])
                start += len(table)
                self._room.acquire()
        finally:
            # Also after an error: the consumer waits for this before it asks for the result, which
            # raises the error there.
            self._found.put(None)


def _split(constants: _Constants, group: int, start: int, table: pa.Table) -> Iterator[RowChunk]:
    """Split a table by breaker; its rows begin at ``start`` in the row group."""
    if isinstance(only := constants.get(BREAKER), str):
        yield RowChunk(only, group, start, table, constants)
        return
    for name, rows in _ranges(table.column(BREAKER).combine_chunks()):
        own = table.slice(rows.start, len(rows))
        yield RowChunk(name, group, start + rows.start, own, constants)


def _ranges(names: pa.Array) -> Iterator[tuple[str, range]]:
    """Yield each breaker with its range of rows, without rows about the whole log."""
    indices = names.indices.fill_null(-1).to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(indices)]
    for start, stop in pairwise(bounds):
        if stop > start and indices[start] >= 0:
            yield names.dictionary[int(indices[start])].as_py(), range(start, stop)
