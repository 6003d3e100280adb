"""A segment being written: its bytes, its seals, and two marks to come back to when a write fails."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import frozen

from recloser.log import disk
from recloser.log.own_file import OwnFile
from recloser.log.seals import SealChain

_KEPT: Final = 1 << 18
"""So many bytes are kept for lines that wait, however few do."""


@frozen
class Mark:
    """A place in a segment: all before it is known to be there.

    Attributes:
        offset: Its byte.
        chain: The seals up to it.
        seq: The number of the last event before it.
        events: How many events of callers stand before it.
    """

    offset: int
    chain: SealChain
    seq: int
    events: int


class Segment:
    """The end of a log, to which lines are appended.

    Attributes:
        path: Its file.
        chain: The seals of its lines.
        begun_at: The time of its first event, in nanoseconds of the log.
        checkpoint_bytes: How much of it are checkpoints.
        events: How many events of callers were taken in.
        pending_bytes: How much was taken in and is not written.
        written: Up to where the operating system has it.
        synced: Up to where the disk has it.
        is_sync_failed: Whether the last attempt to have the disk take it failed.
    """

    def __init__(self, path: Path, chain: SealChain, begun_at: int) -> None:
        self.path = path
        self.chain = chain
        self.begun_at = begun_at
        self.checkpoint_bytes = 0
        self._file = OwnFile(path, disk.create(path))
        self.written = self.synced = Mark(0, chain.copy(), 0, 0)
        self.is_sync_failed = False
        self._seq = 0
        self.events = 0
        # Kept from write to write: new memory would cost as much as encoding.
        self._pending = bytearray()
        self.pending_bytes = 0

    @property
    def size(self) -> int:
        """How many bytes the operating system has."""
        return self.written.offset

    @property
    def is_synced(self) -> bool:
        """Whether the disk has all that the operating system has."""
        return self.synced is self.written

    def add(self, parts: Iterable[bytes | memoryview], seq: int, count: int, callers: int) -> int:
        """Take in events, to be written with the next ``write``.

        Args:
            parts: Their lines.
            seq: The number of the last of them.
            count: How many they are.
            callers: How many of them are callers'.

        Returns:
            How many bytes they take.
        """
        before = self.pending_bytes
        for lines in parts:
            self._append(lines)
            self.chain.add(lines, 0)
        self.chain.count += count
        self._seq = seq
        self.events += callers
        return self.pending_bytes - before

    def seal(self, seq: int, at: int) -> None:
        """Take in the seal of all lines since the last one."""
        _, line = self.chain.seal(seq, at)
        self._append(line)
        self._seq = seq

    def _append(self, lines: bytes | memoryview) -> None:
        end = self.pending_bytes + len(lines)
        self._pending[self.pending_bytes : end] = lines
        self.pending_bytes = end

    def write(self) -> None:
        """Hand what was taken in to the operating system."""
        if not self.pending_bytes:
            return
        start, end = 0, self.pending_bytes
        self.pending_bytes = 0
        with memoryview(self._pending) as pending:
            while start < end:
                with pending[start:end] as rest:
                    start += disk.write(self._file.descriptor, rest)
        self.written = Mark(self.written.offset + end, self.chain.copy(), self._seq, self.events)
        self._shorten(2 * end)

    def _shorten(self, needed: int) -> None:
        """Give back the memory of a burst that is over."""
        if len(self._pending) > max(_KEPT, 2 * needed):
            with contextlib.suppress(
                BufferError
            ):  # a write is under way that a handler interrupted
                del self._pending[max(_KEPT, needed) :]

    def sync(self) -> None:
        """Wait until the disk has all that was written."""
        # A failed sync may have dropped what it was to write, so a later one proves nothing of it.
        self.is_sync_failed = True
        disk.sync(self._file.descriptor)
        self.is_sync_failed = False
        self.synced = self.written

    def events_behind(self, mark: Mark) -> int:
        """How many events of callers were taken in behind the mark."""
        return self.events - mark.events

    def fall_back(self, mark: Mark) -> None:
        """Forget all behind the mark.

        Raises:
            OSError: The file could not be cut there, so nothing can be appended to it any more.
        """
        self.pending_bytes = 0
        self.events, self._seq = mark.events, mark.seq
        self.chain = mark.chain.copy()
        self.written = mark
        self.is_sync_failed = False
        size = self._file.size
        if size is not None and size < mark.offset:
            raise OSError(f"{self.path} was cut by somebody else")
        disk.cut(self._file.descriptor, mark.offset)

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to the file.

        Raises:
            OSError: That can't be found out.
        """
        return self._file.is_in_place

    @property
    def size_on_disk(self) -> int | None:
        """How many bytes the file has, whoever wrote or cut them.

        None where another part of the process has closed it, so that it can't be written.
        """
        return self._file.size

    def reopen(self) -> None:
        """Go on with the same file after another part of the process has closed its descriptor.

        Raises:
            OSError: The file can't be opened, or another one is in its place.
        """
        self._file.replace_descriptor(disk.reopen(self.path, self.written.offset))

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        # A forked child closes the parent's segment while it may still be in the middle of writing
        # to it: then the next write fails, and cannot reach another file of the same number.
        self._file.close()

    def remove(self) -> None:
        """Close the file and take it away, where that can be done."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
