"""The calls to the operating system by which a log is written, in one place.

Every name that is made, changed or taken away is synced with its folder before a caller goes on, so
that a loss of power leaves each step done or not done, in the order in which they were made.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from recloser.errors import LogError
from recloser.log.listing import is_anything_at
from recloser.log.own_file import OwnFile

_BINARY: Final = getattr(os, "O_BINARY", 0)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_PIECE: Final = 1 << 20


def create(path: Path, mode: int | None = None) -> int:
    """A descriptor for a new file.

    Args:
        path: The file.
        mode: Its mode, less what the umask takes away; by default that of the files of its folder.

    Raises:
        OSError: It can't be made, or something is there already, be it a link to nowhere.
    """
    given = _mode_in(path.parent) if mode is None else mode
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, given)


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


def open_to_read(path: Path) -> int:
    """A descriptor to read a file with; a link is not followed."""
    return os.open(path, os.O_RDONLY | _BINARY | _NO_LINK)


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


def sync_file(path: Path) -> None:
    """Wait until the disk has all of a file, whoever wrote it; one that is gone is passed over."""
    try:
        descriptor = os.open(path, os.O_RDWR | _BINARY)
    except FileNotFoundError:
        return
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY | _BINARY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def write_new(
    path: Path, parts: Iterable[bytes], *, like: Path | None = None, mode: int | None = None
) -> None:
    """Write a new file, all of which is on disk afterwards; what else had its name is removed.

    Args:
        path: The file.
        parts: What is in it.
        like: A file that may be read by the same people.
        mode: As in ``create``.

    Raises:
        OSError: It could not be written; nothing has its name then.
    """
    path.unlink(missing_ok=True)
    file = OwnFile(path, create(path, mode))
    try:
        try:
            if like is not None:
                give_mode(file.descriptor, like)
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[write(file.descriptor, view) :]
            sync(file.descriptor)
        finally:
            file.close()
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()  # on a full disk it would take the space that is missing
        raise


def rename(source: Path, target: Path) -> None:
    """Give a file another name in its folder, and take that from what had it."""
    source.replace(target)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file."""
    path.unlink()
    sync_folder(path.parent)


def name_also(source: Path, target: Path) -> None:
    """Give a file a second name, or where that can't be done copy it; the name must be free."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # the file system has no second names
        with source.open("rb") as stream:
            if is_anything_at(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
            write_new(target, iter(lambda: stream.read(_PIECE), b""), like=source)
    sync_folder(target.parent)


def make_folder(folder: Path, *, like: Path | None = None, may_exist: bool = True) -> list[Path]:
    """Make the folder of a log, for its owner only, and those above it, as any others are made.

    Args:
        folder: The folder; one that is there already is left as it is.
        like: A folder that it is to be read by the same people as, less those that the umask
            takes away.
        may_exist: Whether it may be there already.

    Returns:
        The folders that hold new names, for ``sync_names``. Of one that is there already too: it may
        have been made by a process that was killed before it could make sure of its name.

    Raises:
        FileExistsError: It is there and may not be, or a file is in its place.
        OSError: It can't be made.
    """
    mode = 0o700
    if like is not None and like.is_dir():
        mode |= like.stat().st_mode & 0o055
    return _made(folder, mode, may_exist=may_exist)


def _made(folder: Path, mode: int, *, may_exist: bool) -> list[Path]:
    above: list[Path] = []
    try:
        folder.mkdir(mode)
    except FileNotFoundError:
        above = _made(folder.parent, 0o777, may_exist=True)
        folder.mkdir(mode, exist_ok=may_exist)
    except FileExistsError:
        if not may_exist or not folder.is_dir():
            raise
    return [*above, folder.parent]


def sync_names(folders: list[Path]) -> None:
    """Make the new names in these folders survive a loss of power, and empty the list.

    Raises:
        OSError: That can't be done; those that are left are still in the list.
    """
    while folders:
        with contextlib.suppress(PermissionError):  # a folder can be used that can't be read
            sync_folder(folders[-1])
        folders.pop()
