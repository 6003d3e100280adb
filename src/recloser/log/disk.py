"""The operating system calls that write a log.

``rename``, ``remove`` and ``name_also`` sync the folder before they return. After ``create``,
``write_new`` and ``make_folder`` the caller syncs the folder, or renames the file, before it relies
on the new name. So after a power loss each step is either done or not done, and no later step is
done without the earlier ones.
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
    """Create a new file and return its descriptor.

    Args:
        path: The file.
        mode: Its mode, before the umask; by default what the folder's mode allows others to read.

    Raises:
        OSError: The file can't be created, or the name exists, even as a link that leads nowhere.
    """
    given = _mode_in(path.parent) if mode is None else mode
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, given)


def open_lock(path: Path) -> int:
    """Open the file of a lock, and create it if necessary.

    Raises:
        LogError: The path is a link or no regular file, which this library does not write to.
        OSError: The file can't be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NONBLOCK", 0) | _BINARY | _NO_LINK
    if path.is_symlink():
        raise LogError(f"{path}: this is a symbolic link, which a log never has; remove it")
    descriptor = os.open(path, flags, _mode_in(path.parent))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LogError(f"{path}: this is not a regular file; remove it")
    return descriptor


def give_mode(descriptor: int, source: Path) -> None:
    """Let the readers of ``source`` read a copy too, if the file system supports it."""
    if hasattr(os, "fchmod"):
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o600 | (source.stat().st_mode & 0o066))


def _mode_in(folder: Path) -> int:
    # Users who may list the folder may read the files in it, as far as the umask allows.
    return 0o600 | (folder.stat().st_mode & 0o044)


def reopen(path: Path, offset: int) -> int:
    """Open an existing file for writing at an offset, and return its descriptor."""
    descriptor = os.open(path, os.O_WRONLY | _BINARY | _NO_LINK)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return descriptor


def open_to_read(path: Path) -> int:
    """Open a file for reading without following a link, and return its descriptor."""
    return os.open(path, os.O_RDONLY | _BINARY | _NO_LINK)


def write(descriptor: int, data: memoryview) -> int:
    """Write to a file once, and return how many bytes the operating system accepted."""
    return os.write(descriptor, data)


def sync(descriptor: int) -> None:
    """Wait until the disk has what was written."""
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(descriptor)


def cut(descriptor: int, offset: int) -> None:
    """Truncate a file at an offset, and continue writing there."""
    os.ftruncate(descriptor, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)


def sync_folder(folder: Path) -> None:
    """Make a folder's new entries survive a power loss. Does nothing on Windows."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Wait until the disk has a whole file; ignore a missing file."""
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
    """Write a new file and sync it. A file that had the name is removed first.

    Args:
        path: The file.
        parts: Its contents.
        like: A file whose readers may read the new one too.
        mode: See ``create``.

    Raises:
        OSError: The file could not be written; nothing has its name then.
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
            path.unlink()  # a partial file would only use space, which a full disk lacks
        raise


def rename(source: Path, target: Path) -> None:
    """Rename a file within its folder, replacing any file that has the new name."""
    source.replace(target)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file."""
    path.unlink()
    sync_folder(path.parent)


def name_also(source: Path, target: Path) -> None:
    """Give a file a second name; where links are not supported, copy it.

    Raises:
        FileExistsError: The name exists.
        OSError: The file can't be linked or copied.
    """
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
    """Create the folder of a log for its owner only, and its parents with usual modes.

    Args:
        folder: The folder. If it exists, it is left as it is.
        like: A folder whose readers may read the new one too, as far as the umask allows.
        may_exist: Whether the folder may exist already.

    Returns:
        The folders that hold new names, for ``sync_names``. The parent is always among them, since
        a process that created the folder may have been killed before it synced the name.

    Raises:
        FileExistsError: The folder exists and may not, or a file has its name.
        OSError: The folder can't be created.
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
    """Sync folders, so that new names survive a power loss, and empty the list.

    Raises:
        OSError: A folder can't be synced; it and those not yet synced stay in the list.
    """
    while folders:
        # A folder that may be written but not read can't be synced; the log can still use it.
        with contextlib.suppress(PermissionError):
            sync_folder(folders[-1])
        folders.pop()
