"""Messages for a log's folder or file that can't be used: place, cause and remedy."""

import errno
from pathlib import Path
from typing import Final

_REMEDIES: Final = {
    errno.EACCES: "give this process the right to write there, or choose another folder",
    errno.EPERM: "give this process the right to write there, or choose another folder",
    errno.EROFS: "the file system is read-only; choose a folder that can be written",
    errno.ENOSPC: "the disk is full; free space there, or choose another disk",
    errno.EDQUOT: "the disk quota is used up; free space there, or choose another disk",
    errno.EEXIST: "a file is in its place; move it away, or choose another name",
    errno.ENOTDIR: "a file is in its place; move it away, or choose another name",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EMFILE: "this process has too many files open; raise its limit (ulimit -n)",
    errno.ENFILE: "the machine has too many files open",
    errno.ENOLCK: "the file system (a network disk?) has no locks; choose a local disk",
    errno.EOPNOTSUPP: "the file system (a network disk?) has no locks; choose a local disk",
}


_TO_READ: Final = "give this process the right to read there"
_READ_REMEDIES: Final = _REMEDIES | {
    errno.EACCES: _TO_READ,
    errno.EPERM: _TO_READ,
    errno.ENOENT: "it may have been moved or removed; check the path, and try again",
    errno.ENOTDIR: "a file is in the place of a folder",
    errno.ELOOP: "a link leads to itself; remove it",
}


_OF_ONE_FILE: Final = frozenset(
    getattr(errno, name, 0)
    for name in ("EACCES", "EPERM", "EIO", "EISDIR", "ELOOP", "ENOENT", "EBADMSG", "EUCLEAN")
)


def is_of_one_file(error: OSError) -> bool:
    """Whether an error concerns one file; others, such as too many open files, do not."""
    return error.errno in _OF_ONE_FILE


def read_failure(path: Path, error: OSError) -> str:
    """Return one line about a file or folder that can't be read.

    It names the place, the cause and a remedy.
    """
    cause = error.strerror or str(error)
    remedy = _READ_REMEDIES.get(error.errno or 0, "check the disk, and try again")
    return f"{_place(path, error)}: it can't be read: {cause}; {remedy}"


def _place(path: Path, error: OSError) -> str:
    where = str(path)
    if error.filename is not None and str(error.filename) != where:
        return f"{where} ({error.filename})"
    return where


def open_failure(folder: Path, error: OSError) -> str:
    """Return one line about a folder that can't be used as a log.

    It names the place, the cause and a remedy.
    """
    cause = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "choose a folder on a disk that works")
    return f"{_place(folder, error)}: the log can't be opened: {cause}; {remedy}"
