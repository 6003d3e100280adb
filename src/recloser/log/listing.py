"""Lists folders, and checks whether files exist, without hiding errors.

``Path.glob``, ``Path.exists`` and ``Path.is_dir`` answer "nothing there" when the operating system
can't say, for example because too many files are open or the folder may not be read. A folder that
can't be listed is not an empty log, so the functions here raise each such error.
"""

import fnmatch
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from recloser.errors import LogError
from recloser.log.open_errors import read_failure

SEGMENT_SUFFIX: Final = ".jsonl"
COMPRESSED_SUFFIX: Final = ".zst"
_NAME: Final = re.compile(r"([0-9]{12,18})\.jsonl(\.zst)?", re.ASCII)

_RELISTINGS: Final = 2


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """List a folder, sorted by name.

    Raises:
        OSError: The folder does not exist, or can't be listed.
    """
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def matching(folder: Path, pattern: str) -> list[Path]:
    """List the entries of a folder that match a pattern such as ``*.json``, by name.

    Raises:
        OSError: The folder does not exist, or can't be listed.
    """
    return [folder / e.name for e in entries(folder) if fnmatch.fnmatchcase(e.name, pattern)]


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files in a folder and its subfolders, without following links.

    Raises:
        OSError: A folder can't be listed.
    """
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name)
        else:
            yield folder / entry.name


def is_there(path: Path) -> bool:
    """Whether a file or folder exists at a path.

    Raises:
        OSError: The operating system can't say.
    """
    return _mode(path) is not None


def is_anything_at(path: Path) -> bool:
    """Whether a name exists, even if it is a link that leads nowhere.

    Raises:
        OSError: The operating system can't say.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether a path is a folder.

    Raises:
        OSError: The operating system can't say.
    """
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def is_file(path: Path) -> bool:
    """Whether a path is a regular file.

    Raises:
        OSError: The operating system can't say.
    """
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Convert an ``OSError`` in this block to a ``LogError`` with a remedy.

    Raises:
        LogError: An ``OSError`` occurred; the message names the path.
    """
    try:
        yield
    except OSError as error:
        raise LogError(read_failure(path, error)) from error


def segments_in(folder: Path) -> list[Path]:
    """List the segments in a folder in order, compressed or not.

    Files with any other name are left out. While a segment is being compressed it exists in both
    forms; the plain one is listed.

    Raises:
        OSError: The folder does not exist, or can't be listed.
    """
    found = _listed(folder)
    for _ in range(_RELISTINGS):
        if not found or len(found) == max(found) - min(found) + 1:
            break
        # While a folder is listed, the writer may compress a segment and rename the result. The
        # listing may then show neither name. If a number is missing, another listing finds it; a
        # number that was skipped for good costs two listings more, and nothing else.
        found = found | _listed(folder)
    return [path for _, path in sorted(found.items())]


def _listed(folder: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for entry in entries(folder):
        number = number_in(entry.name)
        # Entries are sorted by name, so a plain name comes before the compressed one.
        if number is not None and number not in found and _may_be_read(entry):
            found[number] = folder / entry.name
    return found


def other_files(folder: Path) -> list[Path]:
    """List event files in a folder that do not have a segment's name, sorted by name.

    Raises:
        OSError: The folder does not exist, or can't be listed.
    """
    suffixes = (SEGMENT_SUFFIX, SEGMENT_SUFFIX + COMPRESSED_SUFFIX)
    found = {
        entry.name: folder / entry.name
        for entry in entries(folder)
        if entry.name.endswith(suffixes) and number_in(entry.name) is None and _may_be_read(entry)
    }
    for name in [name for name in found if name.endswith(SEGMENT_SUFFIX)]:
        found.pop(name + COMPRESSED_SUFFIX, None)
    return list(found.values())


def last_number(folder: Path) -> int:
    """Return the highest number in the names of segments, whatever has the name.

    0 if nothing has such a name.

    Raises:
        OSError: The folder does not exist, or can't be listed.
    """
    return max((number_in(entry.name) or 0 for entry in entries(folder)), default=0)


def number_of(segment: Path) -> int:
    """Return the number that a segment's name begins with."""
    return int(segment.name.partition(".")[0])


def number_in(name: str) -> int | None:
    """Return the number in a segment's name; None if the name is not a segment's."""
    matched = _NAME.fullmatch(name)
    return None if matched is None else int(matched[1])


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link that may lead to one.

    Folders, pipes and sockets are not. A link that leads nowhere counts as a file, so that reading
    it reports the error.
    """
    if not entry.is_symlink():
        return entry.is_file()
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True
