"""The calls to the operating system by which a log is written, in one place.

Every name that is made, changed or taken away is synced with its folder before a caller goes on, so
that a loss of power leaves each step done or not done, in the order in which they were made.
"""

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_PIECE: Final = 1 << 20


def create(path: Path) -> int:
    """A descriptor for a new file; one that exists is an error."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)


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
        descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, parts: Iterable[bytes]) -> None:
    """Write a new file, all of which is on disk afterwards; what else had its name is removed.

    Raises:
        OSError: It could not be written; nothing has its name then.
    """
    path.unlink(missing_ok=True)
    descriptor = create(path)
    try:
        try:
            for part in parts:
                view = memoryview(part)
                while view:
                    view = view[write(descriptor, view) :]
            sync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
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
            if target.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
            write_new(target, iter(lambda: stream.read(_PIECE), b""))
    sync_folder(target.parent)


def make_folder(folder: Path, *, may_exist: bool = True) -> list[Path]:
    """Make a folder and those above it.

    Returns:
        The folders that hold new names, for ``sync_names``. Of one that is there already too: it may
        have been made by a process that was killed before it could make sure of its name.

    Raises:
        FileExistsError: It is there and may not be, or a file is in its place.
        OSError: It can't be made.
    """
    above: list[Path] = []
    try:
        folder.mkdir()
    except FileNotFoundError:
        above = make_folder(folder.parent)
        folder.mkdir(exist_ok=may_exist)
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
