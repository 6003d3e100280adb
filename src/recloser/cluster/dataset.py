"""Datasets: exported logs at local paths or at URLs that fsspec supports.

No machine reads a whole dataset. The footers of its files list the breakers of each row group, and
each job reads only its own row groups.
"""

import fnmatch
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import fsspec
from attrs import frozen

from recloser.core.events import ClockTicked, LogOpened
from recloser.errors import LogError, MissingLibraryError, NotALogError, RecloserError
from recloser.history.columnar.exported_log import whole_log_events
from recloser.log.listing import entries, files_below, is_folder
from recloser.log.parquet import About, ParquetLog
from recloser.log.reader import PARQUET_SUFFIX

ROWS_AT_ONCE: Final = 1 << 17
"""The most rows that a worker holds in memory at a time."""

_MAX_JOBS_PER_LOG: Final = 64


@frozen
class Source:
    """One log of a dataset.

    Attributes:
        url: Its path or URL.
        about: What the file says about the log that it was exported from.
        host: The host that wrote it; empty if unknown.
        readings: The readings of the host's clock, in their order.
        row_groups: Ranges of row groups, one per job: a job handles the breakers that begin there.
    """

    url: str
    about: About
    host: str
    readings: Sequence[LogOpened | ClockTicked]
    row_groups: Sequence[range]


def urls_of(dataset: str) -> list[str]:
    """Return the files of a dataset, in the order of their names.

    Args:
        dataset: A file, a folder of ``*.parquet``, or a pattern with ``*``; a path or a URL.

    Raises:
        NotALogError: There is no such file.
    """
    with _store_errors(dataset):
        store, path = fsspec.core.url_to_fs(dataset)
        if store.isdir(path):
            path = f"{path.rstrip('/')}/*{PARQUET_SUFFIX}"
        is_local = "file" in (store.protocol if isinstance(store.protocol, tuple) else ())
        found = sorted(store.glob(path)) if fsspec.core.has_magic(path) else [path]
        if is_local and fsspec.core.has_magic(path):
            _check_listed(Path(path))
        if not found:
            raise NotALogError(f"{dataset}: there is no such file")
        return [name if is_local else store.unstrip_protocol(name) for name in found]


def _check_listed(pattern: Path) -> None:
    """Check that every folder of a local pattern can be listed.

    fsspec ignores folders that cannot be listed.

    Raises:
        OSError: A folder cannot be listed.
    """
    parts = pattern.parts
    fixed = next(index for index, part in enumerate(parts) if fsspec.core.has_magic(part))
    folders = [Path(*parts[:fixed])]
    for index in range(fixed, len(parts)):
        if parts[index] == "**":
            for folder in folders:
                list(files_below(folder))
            return
        listed = [entry for folder in folders for entry in entries(folder)]
        folders = [
            Path(entry.path)
            for entry in listed
            if fnmatch.fnmatchcase(entry.name, parts[index]) and is_folder(Path(entry.path))
        ]


def labels_of(sources: Sequence[Source]) -> Sequence[str]:
    """Return a distinct label per log: its host, else file name, else URL."""
    choices = (
        [source.host for source in sources],
        [source.url.rpartition("/")[2] for source in sources],
    )
    for labels in choices:
        if len(set(labels)) == len(labels) and all(labels):
            return labels
    return [source.url for source in sources]


@contextmanager
def opened(url: str) -> Iterator[ParquetLog]:
    """Open an exported log at a path or URL, within a ``with`` block.

    Raises:
        LogError: The file cannot be read.
    """
    with ExitStack() as stack:
        with _store_errors(url):
            log = ParquetLog(url, stack.enter_context(fsspec.open(url, "rb")))
        yield log


@contextmanager
def _store_errors(url: str) -> Iterator[None]:
    try:
        yield
    except RecloserError:
        raise
    except FileNotFoundError as error:
        raise NotALogError(f"{url}: there is no such file") from error
    except ImportError as error:  # fsspec raises it if the library of a store is missing
        raise MissingLibraryError(f"{url}: {error}") from error
    except Exception as error:  # each store raises errors of its own library
        raise LogError(f"{url}: cannot read it: {error}") from error


def describe(url: str) -> Source:
    """Describe a log by the footer and the first rows of its file.

    Raises:
        LogError: The file cannot be read.
    """
    with opened(url) as log:
        readings = [
            event for event in whole_log_events(log) if isinstance(event, LogOpened | ClockTicked)
        ]
        first = readings[0] if readings else None
        host = first.host if isinstance(first, LogOpened) else ""
        return Source(url, log.about, host, readings, _job_ranges(log))


def _job_ranges(log: ParquetLog) -> Sequence[range]:
    total = log.file.num_row_groups
    if any(log.breakers(group) is None and not log.is_about_all(group) for group in range(total)):
        return [range(total)]
    size = -(-total // _MAX_JOBS_PER_LOG)
    return [range(first, min(total, first + size)) for first in range(0, total, size)]
