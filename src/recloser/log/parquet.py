"""Parquet: a log as one file of columns, sorted by breaker and ``seq``.

Neither writing nor reading holds more than a bounded number of events in memory: what has to change
its order goes through files that are gone afterwards.
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
"""The version of the columns that this library writes; it reads all up to this one."""

SORTED_AT_ONCE: Final = 1 << 18
"""So many events are put in order in memory."""

ROW_GROUP: Final = 1 << 20
"""So many stand in one row group."""

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
    """What a file says of the log that it was made of.

    Attributes:
        columns: Version of the columns.
        events: How many events it holds.
        first_seq: The ``seq`` of the first.
        last_at: The time of the last, in nanoseconds.
        traffic: Whether it is imported traffic, and not the events of breakers.
        chain: How the log ended; see ``Tail``, as for the two below.
        unsealed: Events behind the last seal.
        torn: Bytes of a last line that was not written whole.
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
        events: All events of the log, in their order.
        path: The file, which must not exist.
        tail: Tells how the log ends, once its events have been read.

    Raises:
        LogError: They can't be read, or the file can't be written; it is then not left behind.
        NotALogError: There are none.
    """
    with tempfile.TemporaryDirectory(prefix="recloser-") as folder, ExitStack() as stack:
        runs, about = _sorted_runs(events, Path(folder), stack, tail)
        try:
            write_batches(_batches_of(runs, None), _by_breaker(runs), about, path)
        except OSError as error:
            told = error.strerror or _first_line(error)
            raise LogError(f"{path}: it can't be written: {told}") from error
    return about


def parquet_writer(stream: IO[bytes], about: About) -> pq.ParquetWriter:
    """What writes tables of ``SCHEMA`` so that they take little room and are read quickly."""
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
    """Write columns to a new Parquet file; one that could not be written whole is not left behind.

    Args:
        about_all: Rows of ``SCHEMA`` about the whole log, sorted by ``seq``.
        breakers: Those about breakers, sorted by breaker and ``seq``.
        about: What the file is to say of its log.
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
    """The events of a stretch of the log, parted by breaker, in a file of their own."""

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
            taken = ROW_GROUP - rows
            yield pa.Table.from_batches([*held, rest.slice(0, taken)])
            held, rows, rest = [], 0, rest.slice(taken)
        if len(rest):
            held.append(rest)
            rows += len(rest)
    if held:
        yield pa.Table.from_batches(held)


class ParquetLog:
    """The events of an exported log, by column or in the order of their ``seq``.

    Args:
        path: The file.
        stream: Where it is read from; by default, the file of that path on this machine.

    Attributes:
        about: What it says of the log that it was made of.
        file: The open file.

    Raises:
        NotALogError: It is no such file.
        FutureVersionError: It is one of a later version.
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
        """The events in the order of their ``seq``."""
        groups = range(self.file.num_row_groups)
        if self.about.events <= SORTED_AT_ONCE:
            yield from events_of(_by_seq(pa.concat_tables(map(self.read, groups))))
            return
        with tempfile.TemporaryDirectory(prefix="recloser-") as folder:
            yield from self._reordered(Path(folder))

    def read(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """One row group; of all columns, or of these.

        Raises:
            DamagedLogError: It can't be read.
        """
        try:
            return self.file.read_row_group(group, columns=columns)
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(group, error) from error

    def batches(
        self, group: int, columns: Sequence[str] | None = None, rows: int = ROW_GROUP
    ) -> Iterator[pa.Table]:
        """One row group, so many rows at a time; of all columns, or of these.

        Raises:
            DamagedLogError: It can't be read.
        """
        try:
            for batch in self.file.iter_batches(
                rows, row_groups=[group], columns=columns, use_threads=False
            ):
                yield pa.Table.from_batches([batch])
        except (OSError, pa.ArrowException) as error:
            raise self._damaged(group, error) from error

    def breakers(self, group: int) -> tuple[str, str] | None:
        """The first and the last breaker in a row group, as its statistics tell.

        None where it has none, or the group tells of the whole log alone.
        """
        told = self._statistics(group)
        return (told.min, told.max) if told is not None and told.has_min_max else None

    def constants(self, group: int, columns: Sequence[str]) -> dict[str, object]:
        """The columns with one value in all rows of a group, by its statistics, and that value."""
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
        """Whether a row group tells of the whole log alone, as its statistics tell."""
        told = self._statistics(group)
        return told is not None and told.null_count == self.file.metadata.row_group(group).num_rows

    def is_about_breakers(self, group: int) -> bool:
        """Whether a row group tells of breakers alone, as its statistics tell."""
        told = self._statistics(group)
        return told is not None and told.null_count == 0

    def _statistics(self, group: int) -> Any:
        return self.file.metadata.row_group(group).column(_BREAKER).statistics

    def _damaged(self, group: int, error: Exception) -> DamagedLogError:
        return DamagedLogError(
            f"{self.path}, row group {group}: it can't be read: {_first_line(error)}"
        )

    def _reordered(self, folder: Path) -> Iterator[Event]:
        """Through one file for each stretch of ``seq``; a row group is sorted within each breaker."""
        first = self.about.first_seq
        paths: dict[int, Path] = {}
        with ExitStack() as stack:
            writers: dict[int, Any] = {}
            for group in range(self.file.num_row_groups):
                table = self.read(group)
                stretches = (table.column("seq").to_numpy() - first) // SORTED_AT_ONCE
                bounds = np.flatnonzero(np.diff(stretches)) + 1
                for begin, end in zip([0, *bounds], [*bounds, len(table)], strict=True):
                    stretch = int(stretches[begin])
                    if stretch not in writers:
                        paths[stretch] = folder / f"{stretch}.arrow"
                        sink = stack.enter_context(pa.OSFile(str(paths[stretch]), "wb"))
                        writers[stretch] = stack.enter_context(
                            pa.ipc.new_stream(sink, SCHEMA, options=_IPC)
                        )
                    writers[stretch].write_table(table.slice(begin, end - begin).cast(SCHEMA))
        for stretch in sorted(paths):
            with pa.memory_map(str(paths[stretch])) as source:
                yield from events_of(_by_seq(pa.ipc.open_stream(source).read_all()))
            paths[stretch].unlink()


def _by_seq(table: pa.Table) -> pa.Table:
    return table.sort_by("seq")


def _about(path: Path | str, schema: pa.Schema) -> About:
    told = (schema.metadata or {}).get(_ABOUT)
    if told is None:
        raise NotALogError(f"{path}: this Parquet file was not made by `recloser export`")
    try:
        about = msgspec.json.decode(told, type=About)
    except msgspec.DecodeError as error:
        raise NotALogError(f"{path}: what it says of its log can't be read: {error}") from error
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
