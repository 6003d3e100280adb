"""Contents of a folder, and whether something is there at all.

``Path.glob``, ``Path.exists`` and ``Path.is_dir`` answer "nothing" where the operating system says
that it can't tell: too many files are open, or the folder may not be read. A folder that can't be
listed is no empty log, so here each such error is raised.
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

_LISTED_AGAIN: Final = 2


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Everything in a folder, in the order of the names.

    Raises:
        OSError: The folder is not there, or can't be listed.
    """
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def matching(folder: Path, pattern: str) -> list[Path]:
    """Everything in a folder under a name such as ``*.json``, in the order of the names.

    Raises:
        OSError: The folder is not there, or can't be listed.
    """
    return [folder / e.name for e in entries(folder) if fnmatch.fnmatchcase(e.name, pattern)]


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and the folders in it; links to folders are not followed.

    Raises:
        OSError: One of the folders can't be listed.
    """
    for entry in entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from files_below(folder / entry.name)
        else:
            yield folder / entry.name


def is_there(path: Path) -> bool:
    """Whether there is a file or folder at a path.

    Raises:
        OSError: That can't be found out.
    """
    return _mode(path) is not None


def is_anything_at(path: Path) -> bool:
    """Whether a path is taken, be it by a link that leads nowhere.

    Raises:
        OSError: That can't be found out.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path.

    Raises:
        OSError: That can't be found out.
    """
    mode = _mode(path)
    return mode is not None and stat.S_ISDIR(mode)


def is_file(path: Path) -> bool:
    """Whether there is a regular file at a path.

    Raises:
        OSError: That can't be found out.
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
    """Have an error of the operating system in this block raised as one line with a remedy.

    Raises:
        LogError: There was one; it names the place.
    """
    try:
        yield
    except OSError as error:
        raise LogError(read_failure(path, error)) from error


def segments_in(folder: Path) -> list[Path]:
    """The segments in a folder in their order, compressed or not.

    Only files with the name of a segment are taken. Of one that is there in both forms, as while it
    is compressed, the plain one is taken.

    Raises:
        OSError: The folder is not there, or can't be listed.
    """
    found = _listed(folder)
    for _ in range(_LISTED_AGAIN):
        if not found or len(found) == max(found) - min(found) + 1:
            break
        # A long listing may miss a file that is renamed in between, as one that was compressed.
        found = found | _listed(folder)
    return [path for _, path in sorted(found.items())]


def _listed(folder: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for entry in entries(folder):
        number = number_in(entry.name)
        # The plain name is sorted before the compressed one.
        if number is not None and number not in found and _may_be_read(entry):
            found[number] = folder / entry.name
    return found


def other_files(folder: Path) -> list[Path]:
    """Files of events in a folder that have not the name of a segment, sorted.

    Raises:
        OSError: The folder is not there, or can't be listed.
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
    """The highest number that a name in a folder has, be it a segment or not; 0 if none has.

    Raises:
        OSError: The folder is not there, or can't be listed.
    """
    return max((number_in(entry.name) or 0 for entry in entries(folder)), default=0)


def number_of(segment: Path) -> int:
    """The number that a segment's name begins with."""
    return int(segment.name.partition(".")[0])


def number_in(name: str) -> int | None:
    """The number in the name of a segment; None if it is no such name."""
    matched = _NAME.fullmatch(name)
    return None if matched is None else int(matched[1])


def _may_be_read(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file, or a link that may lead to one; no folder, and nothing that blocks.

    A link that leads nowhere is taken for a file, so that whoever reads it says so.
    """
    if not entry.is_symlink():
        return entry.is_file()
    try:
        return stat.S_ISREG(entry.stat().st_mode)
    except OSError:
        return True
