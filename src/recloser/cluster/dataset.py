"""A dataset: exported logs at local paths or at the URLs of any store that fsspec knows.

No machine ever reads a whole one. The footers of its files tell which row groups hold which
breakers, and each piece of work reads only those that are its own.
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

AT_ONCE: Final = 1 << 17
"""So many rows are in the memory of a worker at a time."""

_MOST_SPANS: Final = 64


@frozen
class Source:
    """One log of a dataset.

    Attributes:
        url: Its path or URL.
        about: What the file says of the log that it was made of.
        host: The host that wrote it; empty where it does not tell.
        readings: The readings of both hands of its clock, in their order.
        spans: What can be worked on apart: the breakers whose first row stands in these row groups.
    """

    url: str
    about: About
    host: str
    readings: Sequence[LogOpened | ClockTicked]
    spans: Sequence[range]


def urls_of(dataset: str) -> list[str]:
    """The files of a dataset, in the order of their names.

    Args:
        dataset: A file, a folder of ``*.parquet``, or a pattern with ``*``; a path or a URL.

    Raises:
        NotALogError: There is none.
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
    """Check that each folder that a pattern leads through can be listed: a store passes over it.

    Raises:
        OSError: One can't be.
    """
    parts = pattern.parts
    fixed = next(place for place, part in enumerate(parts) if fsspec.core.has_magic(part))
    folders = [Path(*parts[:fixed])]
    for place in range(fixed, len(parts)):
        if parts[place] == "**":
            for folder in folders:
                list(files_below(folder))
            return
        listed = [entry for folder in folders for entry in entries(folder)]
        folders = [
            Path(entry.path)
            for entry in listed
            if fnmatch.fnmatchcase(entry.name, parts[place]) and is_folder(Path(entry.path))
        ]


def labels_of(sources: Sequence[Source]) -> Sequence[str]:
    """What to call each log: by its host, or else its file, or else its URL, as tells them apart."""
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
    """An exported log at a path or URL, to be read within this block.

    Raises:
        LogError: It can't be read.
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
    except ImportError as error:  # fsspec says so of a store whose library is missing
        raise MissingLibraryError(f"{url}: {error}") from error
    except Exception as error:  # each store raises errors of its own library
        raise LogError(f"{url}: it can't be read: {error}") from error


def described(url: str) -> Source:
    """What the footer and the first rows of a file tell.

    Raises:
        LogError: It can't be read.
    """
    with opened(url) as log:
        readings = [
            event for event in whole_log_events(log) if isinstance(event, LogOpened | ClockTicked)
        ]
        first = readings[0] if readings else None
        host = first.host if isinstance(first, LogOpened) else ""
        return Source(url, log.about, host, readings, _spans(log))


def _spans(log: ParquetLog) -> Sequence[range]:
    total = log.file.num_row_groups
    if any(log.breakers(group) is None and not log.is_about_all(group) for group in range(total)):
        return [range(total)]
    size = -(-total // _MOST_SPANS)
    return [range(first, min(total, first + size)) for first in range(0, total, size)]
