"""The calls to the operating system that a writer makes, in one place."""

import contextlib
import os
import stat
from pathlib import Path
from typing import Final

from recloser.errors import LogError

_BINARY: Final = getattr(os, "O_BINARY", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)


def create(path: Path) -> int:
    """A descriptor for a new file, of the mode that files of its folder have.

    Raises:
        OSError: It can't be made, or something is there already, be it a link to nowhere.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, _mode_in(path.parent))


def open_lock(path: Path) -> int:
    """A descriptor for the file of a lock, which is made if it is not there.

    Raises:
        LogError: Something else is there: a link leads to a file that is not ours to write to.
        OSError: It can't be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | _BINARY | _NO_LINK
    if path.is_symlink():
        raise LogError(f"{path}: this is a symbolic link, which no log has; remove it")
    descriptor = os.open(path, flags, _mode_in(path.parent))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LogError(f"{path}: this is no file, as a log has it; remove it")
    return descriptor


def make_folder(path: Path, like: Path | None = None, *, exist_ok: bool = False) -> None:
    """Make the folder of a log, for its owner only.

    Args:
        path: The folder; those above it are made as any others.
        like: A folder that it is to be read by the same people as, less those that the umask
            takes away.
        exist_ok: Whether it may be there already; it is then left as it is.
    """
    mode = 0o700
    if like is not None and like.is_dir():
        mode |= like.stat().st_mode & 0o055
    path.mkdir(mode, parents=True, exist_ok=exist_ok)


def give_mode(descriptor: int, source: Path) -> None:
    """Let a copy be read by the same people as its source, where the file system can do that."""
    if hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o600 | (source.stat().st_mode & 0o066))


def _mode_in(folder: Path) -> int:
    # Those who may list the folder may read the files in it; the umask takes away more.
    return 0o600 | (folder.stat().st_mode & 0o044)


def reopen(path: Path, offset: int) -> int:
    """A descriptor for a file that is there, to go on writing at an offset."""
    descriptor = os.open(path, os.O_WRONLY | _BINARY | _NO_LINK)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return descriptor


def create_anew(path: Path) -> int:
    """A descriptor for a new file, in the place of a file or link that was left there."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return create(path)


def open_to_read(path: Path) -> int:
    """A descriptor to read a file with; a link is not followed."""
    return os.open(path, os.O_RDONLY | _BINARY | _NO_LINK)


def write_all(descriptor: int, data: bytes) -> None:
    """Hand all of the data to the operating system."""
    with memoryview(data) as view:
        start = 0
        while start < len(view):
            start += os.write(descriptor, view[start:])


def write(descriptor: int, data: memoryview) -> int:
    """Hand data to the operating system; how much of it was taken."""
    return os.write(descriptor, data)


def sync(descriptor: int) -> None:
    """Wait until the disk has what was written."""
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def cut(descriptor: int, offset: int) -> None:
    """Cut a file off, and go on writing there."""
    os.ftruncate(descriptor, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)


def sync_folder(folder: Path) -> None:
    """Make a folder's new entry survive a loss of power, where folders can be opened at all."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
