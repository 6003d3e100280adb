"""The rows of an exported log, breaker by breaker, as they are read."""

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
"""The column of names, which tells the parts from one another."""

_CAN_BE_CONSTANT: Final = (BREAKER, "epoch", "probe", "count", "line")
_THREADS: Final = 1 if (os.cpu_count() or 1) <= 2 else 2  # noqa: PLR2004  # one is for the fold
_TABLES: Final = 4  # that each is ahead
_AT_ONCE: Final = 1 << 17  # rows are decoded, so that they are still in the cache when used

_Constants: TypeAlias = Mapping[str, object]
T = TypeVar("T")


@frozen
class Part:
    """Rows of one breaker that stand together.

    Attributes:
        breaker: Its name.
        group: The row group.
        start: Where in the group they begin.
        table: The columns asked for.
        constants: Columns asked for that are not in the table, as each row has this value in them.
    """

    breaker: str
    group: int
    start: int
    table: pa.Table
    constants: _Constants = field(factory=dict)


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
            for part in _split(log.constants(group, [BREAKER]), group, start, table):
                if part.breaker == taken:
                    continue
                if group >= own.stop and part.breaker != before:
                    return
                before = part.breaker
                yield part
            start += len(table)


def used_ahead(log: ParquetLog, columns: Sequence[str], use: Callable[[Part], T]) -> Iterator[T]:
    """The result of ``use`` for each part of a whole log, in their order; see ``parts_of``.

    Threads decode several row groups and use their parts, while the caller takes earlier results. A
    column that has one value in all rows of a row group is not decoded: the group's statistics have
    that value.
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
    """The results of the parts of a row group, made by a thread that is a few tables ahead."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        log: ParquetLog,
        group: int,
        columns: Sequence[str],
        use: Callable[[Part], T],
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
        self._is_stopped = True
        self._room.release()

    def _work(
        self, log: ParquetLog, group: int, columns: Sequence[str], use: Callable[[Part], T]
    ) -> None:
        constants = log.constants(group, _CAN_BE_CONSTANT)
        start = 0
        try:
            named = [name for name in columns if name not in constants]
            for table in log.batches(group, named, _AT_ONCE):
                if self._is_stopped:
                    return
                self._found.put([use(part) for part in _split(constants, group, start, table)])
                start += len(table)
                self._room.acquire()
        finally:
            self._found.put(None)


def _split(constants: _Constants, group: int, start: int, table: pa.Table) -> Iterator[Part]:
    """The parts in rows of a group that begin at ``start``."""
    if isinstance(only := constants.get(BREAKER), str):
        yield Part(only, group, start, table, constants)
        return
    for name, rows in _stretches(table.column(BREAKER).combine_chunks()):
        part = table.slice(rows.start, len(rows))
        yield Part(name, group, start + rows.start, part, constants)


def _stretches(names: pa.Array) -> Iterator[tuple[str, range]]:
    """The stretches of rows of one breaker each; those about the whole log are left out."""
    indices = names.indices.fill_null(-1).to_numpy()
    bounds = [0, *(np.flatnonzero(np.diff(indices)) + 1).tolist(), len(indices)]
    for start, stop in pairwise(bounds):
        if stop > start and indices[start] >= 0:
            yield names.dictionary[int(indices[start])].as_py(), range(start, stop)
