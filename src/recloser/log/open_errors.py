"""What is said where the folder of a log can't be made, locked, read or written."""

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
    errno.ENOLCK: "the file system has no locks, as some network disks; choose a local disk",
    errno.EOPNOTSUPP: "the file system has no locks, as some network disks; choose a local disk",
}


def open_failure(folder: Path, error: OSError) -> str:
    """One line for a folder that can't be used as a log: the place, the cause and the remedy."""
    where = str(folder)
    if error.filename is not None and str(error.filename) != where:
        where = f"{where} ({error.filename})"
    cause = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "choose a folder on a disk that works")
    return f"{where}: the log can't be opened: {cause}; {remedy}"
