"""The calls to the operating system that a writer makes, in one place."""

import contextlib
import os
from pathlib import Path


def create(path: Path) -> int:
    """A descriptor for a new file; one that exists is an error."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)


def reopen(path: Path, offset: int) -> int:
    """A descriptor for a file that is there, to go on writing at an offset."""
    flags = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return descriptor


def create_anew(path: Path) -> int:
    """A descriptor for a new file, in the place of a file or link that was left there."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o644)


def open_to_read(path: Path) -> int:
    """A descriptor to read a file with."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))


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
