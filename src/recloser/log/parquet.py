"""Writes a log as a Parquet file, sorted by breaker and ``seq``, and reads it.

Writing and reading hold a bounded number of events in memory. Sorting uses temporary files.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Final

import attrs
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import frozen

from recloser.core.events import GENESIS, Event
from recloser.errors import DamagedLogError, FutureVersionError, LogError, NotALogError
from recloser.log.arrow_table import SCHEMA, events_of, table_of
from recloser.log.tail import Tail

COLUMNS_VERSION: Final = 1
"""Version of the columns that this library writes; it reads this and all earlier ones."""

SORTED_AT_ONCE: Final = 1 << 18
"""Number of events that are sorted in memory at once."""

ROW_GROUP: Final = 1 << 20
"""Number of rows in one row group."""

_ABOUT: Final = b"recloser"
_TEXTS: Final = [
    "breaker",
    "event",
    "epoch",
    "probe",
    "count",
    "error",
    "reason",
    "outcome",
    "labels",
]
_DELTAS: Final = ["seq", "at", "took", "retry_after", "monotonic"]
_BREAKER: Final = SCHEMA.get_field_index("breaker")
_IPC: Final = pa.ipc.IpcWriteOptions(compression="lz4")


@frozen
class About:
    """Facts about a log, stored in the file that it was exported to.

    Attributes:
        columns: Version of the columns.
        events: Number of events in the file.
        first_seq: The ``seq`` of the first event.
        last_at: The time of the last event, in nanoseconds of the log.
        traffic: Whether the log holds imported calls instead of the events of breakers.
        chain: The ``chain`` of the log's ``Tail``.
        unsealed: Number of events after the last seal.
        torn: Number of bytes at the log's end that were not part of it.
    """

    columns: int
    events: int
    first_seq: int
    last_at: int
    traffic: bool
    chain: str = GENESIS
    unsealed: int = 0
    torn: int = 0

    @property
    def tail(self) -> Tail:
        """How the log ended."""
        return Tail(self.chain, self.unsealed, self.torn)


def write_parquet(events: Iterable[Event], path: Path, tail: Callable[[], Tail] = Tail) -> About:
    """Write the events of a whole log to a new Parquet file.

    Args:
        events: All events of the log, in order.
        path: The file, which must not exist.
        tail: Called after the events were read; returns how the log ends.

    Returns:
        What the file says about the log.

    Raises:
        LogError: The events can't be read, or the file can't be written. A partial file is removed.
        NotALogError: There are no events.
    """
    with tempfile.TemporaryDirectory(prefix="recloser-") as folder, ExitStack() as stack:
        runs, about = _sorted_runs(events, Path(folder), stack, tail)
        try:
            write_batches(_batches_of(runs, None), _by_breaker(runs), about, path)
        except OSError as error:
            reason = error.strerror or _first_line(error)
            raise LogError(f"{path}: it can't be written: {reason}") from error
    return about


def parquet_writer(stream: IO[bytes], about: About) -> pq.ParquetWriter:
    """Return a writer whose files of ``SCHEMA`` are small and fast to read."""
    return pq.ParquetWriter(
        stream,
        SCHEMA.with_metadata({_ABOUT: msgspec.json.encode(about)}),
        compression="zstd",
        use_dictionary=_TEXTS,
        column_encoding=dict.fromkeys(_DELTAS, "DELTA_BINARY_PACKED"),
    )


def write_batches(
    about_all: Iterable[pa.RecordBatch],
    breakers: Iterable[pa.RecordBatch],
    about: About,
    path: Path,
) -> None:
    """Write columns to a new Parquet file; a partial file is removed.

    Args:
        about_all: Rows of ``SCHEMA`` about the whole log, sorted by ``seq``.
        breakers: Rows about breakers, sorted by breaker and ``seq``.
        about: What the file is to say about its log.
        path: The file, which must not exist.
    """
    with path.open("xb") as stream:
        try:
            with parquet_writer(stream, about) as writer:
                for table in chain(_in_row_groups(about_all), _in_row_groups(breakers)):
                    writer.write_table(table, ROW_GROUP)
        except BaseException:
            path.unlink()
            raise


class _Run:
    """Consecutive events of a log in a temporary file, grouped by breaker."""

    def __init__(
        self, path: Path, groups: dict[str | None, list[Event]], epochs: dict[str | None, int]
    ) -> None:
        self._path = path
        self._batches: dict[str | None, range] = {}
        written = 0
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA, options=_IPC) as out:
            for name, events in groups.items():
                epoch = epochs.get(name, 0)
                table = table_of(name, events, epoch)
                epochs[name] = table.column("epoch")[-1].as_py()
                batches = table.to_batches()
                for batch in batches:
                    out.write_batch(batch)
                self._batches[name] = range(written, written + len(batches))
                written += len(batches)

    @property
    def names(self) -> Iterable[str | None]:
        return self._batches

    def open(self, stack: ExitStack) -> None:
        source = stack.enter_context(pa.memory_map(str(self._path)))
        self._reader = pa.ipc.open_file(source)

    def batches_of(self, name: str | None) -> Iterator[pa.RecordBatch]:
        for index in self._batches.get(name, ()):
            yield self._reader.get_batch(index)


def _sorted_runs(
    events: Iterable[Event], folder: Path, stack: ExitStack, tail: Callable[[], Tail]
) -> tuple[list[_Run], About]:
    rest = iter(events)
    runs: list[_Run] = []
    epochs: dict[str | None, int] = {}
    count, first_seq, last_at, traffic = 0, 0, 0, False
    while chunk := list(islice(rest, SORTED_AT_ONCE)):
        first_seq = first_seq or chunk[0].seq
        groups: dict[str | None, list[Event]] = {}
        for event in chunk:
            groups.setdefault(getattr(event, "breaker", None), []).append(event)
        traffic = traffic or any(
            event.kind == "call_observed" for group in groups.values() for event in group[:1]
        )
        count += len(chunk)
        last_at = chunk[-1].at
        runs.append(_Run(folder / f"{len(runs)}.arrow", groups, epochs))
    if not count:
        raise NotALogError("there are no events in this log")
    for run in runs:
        run.open(stack)
    ends = attrs.astuple(tail())
    return runs, About(COLUMNS_VERSION, count, first_seq, last_at, traffic, *ends)


def _by_breaker(runs: Sequence[_Run]) -> Iterator[pa.RecordBatch]:
    for name in sorted({name for run in runs for name in run.names if name is not None}):
        yield from _batches_of(runs, name)


def _batches_of(runs: Sequence[_Run], name: str | None) -> Iterator[pa.RecordBatch]:
    for run in runs:
        yield from run.batches_of(name)


def _in_row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        rest = batch
        while rows + len(rest) >= ROW_GROUP:
            missing = ROW_GROUP - rows
            yield pa.Table.from_batches([*held, rest.slice(0, missing)])
            held, rows, rest = [], 0, rest.slice(missing)
        if len(rest):
            held.append(rest)
            rows += len(rest)
    if held:
        yield pa.Table.from_batches(held)


class ParquetLog:
    """The events of an exported log, by column or in the order of their ``seq``.

    Args:
        path: The file.
        stream: The contents of the file; by default the file at that path on this machine.

    Attributes:
        path: The file.
        about: What the file says about the log it was made from.
        file: The open file.

    Raises:
        NotALogError: The file does not exist or is not an exported log.
        FutureVersionError: A later version of the library wrote it.
    """

    def __init__(self, path: Path | str, stream: IO[bytes] | None = None) -> None:
        source = path if stream is None else stream
        try:
            metadata = pq.read_metadata(source)
            schema = metadata.schema.to_arrow_schema()
            self.about = _about(path, schema)
            self.file = pq.ParquetFile(
                source, metadata=metadata, read_dictionary=["breaker", "event"]
            )
        except FileNotFoundError as error:
            raise NotALogError(f"{path}: there is no such file or folder") from error
        except (OSError, pa.ArrowException) as error:
            raise NotALogError(
                f"{path}: this can't be read as Parquet: {_first_line(error)}"
            ) from error
        self.path = path
        self._index_of = {name: index for index, name in enumerate(schema.names)}

    def __iter__(self) -> Iterator[Event]:
        """Yield the events in the order of their ``seq``."""
        groups = range(self.file.num_row_groups)
        if self.about.events <= SORTED_AT_ONCE:
            yield from events_of(_by_seq(pa.concat_tables(map(self.read, groups))))
            return
        with tempfile.TemporaryDirectory(prefix="recloser-") as folder:
            yield from self._reordered(Path(folder))

    def read(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read one row group.

        Args:
            group: Index of the row group.
            columns: The columns to read; by default all.

        Raises:
            DamagedLogError: The row group can't be read.
        """
        try:
            return self.file.read_row_group(group, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(group, error) from error

    def batches(
        self, group: int, columns: Sequence[str] | None = None, rows: int = ROW_GROUP
    ) -> Iterator[pa.Table]:
        """Yield one row group as several tables.

        Args:
            group: Index of the row group.
            columns: The columns to read; by default all.
            rows: Number of rows in a table at most.

        Raises:
            DamagedLogError: The row group can't be read.
        """
        try:
            for batch in self.file.iter_batches(
                rows, row_groups=[group], columns=columns, use_threads=False
            ):
                yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(group, error) from error

    def breakers(self, group: int) -> tuple[str, str] | None:
        """Return the first and the last breaker in a row group, from its statistics.

        None if they are missing, or if all rows are about the whole log.
        """
        found = self._statistics(group)
        return (found.min, found.max) if found is not None and found.has_min_max else None

    def constants(self, group: int, columns: Sequence[str]) -> dict[str, object]:
        """Return the columns that have one value in all rows of a group, with that value.

        The group's statistics show it, so no row is read.
        """
        constants: dict[str, object] = {}
        rows = self.file.metadata.row_group(group)
        for name in columns:
            found = rows.column(self._index_of[name]).statistics
            if found is None or not found.has_null_count:
                continue
            if found.null_count == rows.num_rows:
                constants[name] = None
            elif found.null_count == 0 and found.has_min_max and found.min == found.max:
                constants[name] = found.min
        return constants

    def is_about_all(self, group: int) -> bool:
        """Whether all rows of a group are about the whole log, by its statistics."""
        found = self._statistics(group)
        rows = self.file.metadata.row_group(group).num_rows
        return found is not None and found.null_count == rows

    def is_about_breakers(self, group: int) -> bool:
        """Whether all rows of a group are about breakers, by its statistics."""
        found = self._statistics(group)
        return found is not None and found.null_count == 0

    def _statistics(self, group: int) -> Any:
        return self.file.metadata.row_group(group).column(_BREAKER).statistics

    def _damaged(self, group: int, error: Exception) -> DamagedLogError:
        return DamagedLogError(
            f"{self.path}, row group {group}: it can't be read: {_first_line(error)}"
        )

    def _reordered(self, folder: Path) -> Iterator[Event]:
        """Sort by ``seq`` through temporary files, each for one range of ``seq``."""
        first = self.about.first_seq
        paths: dict[int, Path] = {}
        with ExitStack() as stack:
            writers: dict[int, Any] = {}
            for group in range(self.file.num_row_groups):
                table = self.read(group)
                ranges = (table.column("seq").to_numpy() - first) // SORTED_AT_ONCE
                bounds = np.flatnonzero(np.diff(ranges)) + 1
                for begin, end in zip([0, *bounds], [*bounds, len(table)], strict=True):
                    index = int(ranges[begin])
                    if index not in writers:
                        paths[index] = folder / f"{index}.arrow"
                        sink = stack.enter_context(pa.OSFile(str(paths[index]), "wb"))
                        writers[index] = stack.enter_context(
                            pa.ipc.new_stream(sink, SCHEMA, options=_IPC)
                        )
                    writers[index].write_table(table.slice(begin, end - begin).cast(SCHEMA))
        for index in sorted(paths):
            with pa.memory_map(str(paths[index])) as source:
                yield from events_of(_by_seq(pa.ipc.open_stream(source).read_all()))
            paths[index].unlink()


def _by_seq(table: pa.Table) -> pa.Table:
    return table.sort_by("seq")


def _about(path: Path | str, schema: pa.Schema) -> About:
    text = (schema.metadata or {}).get(_ABOUT)
    if text is None:
        raise NotALogError(f"{path}: this Parquet file was not made by `recloser export`")
    try:
        about = msgspec.json.decode(text, type=About)
    except msgspec.DecodeError as error:
        raise NotALogError(f"{path}: its description of the log can't be read: {error}") from error
    if about.columns > COLUMNS_VERSION:
        raise FutureVersionError(
            f"{path}: its columns have version {about.columns}; this library reads up to "
            f"{COLUMNS_VERSION}: upgrade recloser"
        )
    missing = [name for name in SCHEMA.names if name not in schema.names]
    if missing:
        raise NotALogError(f"{path}: the column {missing[0]!r} is missing")
    return about


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
