"""The segment being written, with marks to return to when a write fails."""

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from attrs import frozen

from recloser.log import disk
from recloser.log.own_file import OwnFile
from recloser.log.seals import SealChain

_KEPT_BYTES: Final = 1 << 18
"""Size that the buffer for unwritten lines keeps, however few lines there are."""


@frozen
class Mark:
    """A position in a segment; everything before it is known to be in the file.

    Attributes:
        offset: The byte.
        chain: The seal chain up to it.
        seq: The ``seq`` of the last event before it.
        events: Number of callers' events before it.
    """

    offset: int
    chain: SealChain
    seq: int
    events: int


class Segment:
    """The last segment of a log, to which lines are appended.

    One thread at a time uses it: the caller of ``Appender`` holds the log's ``_io`` lock. Only
    ``close`` may also run in a forked child, while the parent's thread is inside ``write``.

    Attributes:
        path: Its file.
        chain: The seal chain of its lines.
        begun_at: Time of its first event, in nanoseconds of the log.
        checkpoint_bytes: Number of its bytes that are checkpoints.
        events: Number of callers' events added.
        pending_bytes: Number of bytes added and not yet written.
        written: Mark up to which the operating system has the bytes.
        synced: Mark up to which the disk has the bytes.
        is_sync_failed: Whether the last attempt to sync failed.
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
        # Reused from write to write: allocating it anew would cost as much as encoding the lines.
        self._pending = bytearray()
        self.pending_bytes = 0

    @property
    def size(self) -> int:
        """Number of bytes that the operating system has."""
        return self.written.offset

    @property
    def is_synced(self) -> bool:
        """Whether the disk has everything that the operating system has."""
        return self.synced is self.written

    def add(self, parts: Iterable[bytes | memoryview], seq: int, count: int, callers: int) -> int:
        """Add events, to be written by the next ``write``.

        Args:
            parts: Their lines, in pieces of any length.
            seq: The ``seq`` of the last event.
            count: Number of events.
            callers: Number of them that are callers' events.

        Returns:
            Number of bytes added.
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
        """Add the seal of all lines since the last seal."""
        _, line = self.chain.seal(seq, at)
        self._append(line)
        self._seq = seq

    def _append(self, lines: bytes | memoryview) -> None:
        end = self.pending_bytes + len(lines)
        self._pending[self.pending_bytes : end] = lines
        self.pending_bytes = end

    def write(self) -> None:
        """Write the added lines to the file.

        Raises:
            OSError: The operating system refused them; ``roll_back`` must follow.
        """
        if not self.pending_bytes:
            return
        start, end = 0, self.pending_bytes
        self.pending_bytes = 0
        with memoryview(self._pending) as pending:
            while start < end:
                with pending[start:end] as rest:
                    start += disk.write(self._file.descriptor, rest)
        self.written = Mark(self.written.offset + end, self.chain.copy(), self._seq, self.events)
        self._shrink(2 * end)

    def _shrink(self, needed: int) -> None:
        """Free memory that only a burst of events needed."""
        if len(self._pending) > max(_KEPT_BYTES, 2 * needed):
            # A signal handler may log while the interrupted `write` still exports the buffer. Then
            # the buffer keeps its size, and a later write shrinks it.
            with contextlib.suppress(BufferError):
                del self._pending[max(_KEPT_BYTES, needed) :]

    def sync(self) -> None:
        """Wait until the disk has everything that was written.

        Raises:
            OSError: The disk refused it.
        """
        # After a failed sync the kernel may drop the pages it could not write, and then a later
        # sync succeeds without them. So a success after a failure proves nothing about them.
        self.is_sync_failed = True
        disk.sync(self._file.descriptor)
        self.is_sync_failed = False
        self.synced = self.written

    def events_after(self, mark: Mark) -> int:
        """Count the callers' events that were added after the mark."""
        return self.events - mark.events

    def roll_back(self, mark: Mark) -> None:
        """Cut the file at the mark, and forget everything after it.

        Raises:
            OSError: The file could not be cut, so nothing may be appended to it any more.
        """
        self.pending_bytes = 0
        self.events, self._seq = mark.events, mark.seq
        self.chain = mark.chain.copy()
        self.written = mark
        self.is_sync_failed = False
        size = self._file.size
        if size is not None and size < mark.offset:
            raise OSError(f"{self.path} was cut by another program")
        disk.cut(self._file.descriptor, mark.offset)

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to the file.

        Raises:
            OSError: The operating system can't say.
        """
        return self._file.is_in_place

    @property
    def size_on_disk(self) -> int | None:
        """Number of bytes in the file, including what other programs wrote or cut.

        None if another part of this process has closed the file, so that it can't be written.
        """
        return self._file.size

    def reopen(self) -> None:
        """Open the file again after another part of this process closed it.

        Raises:
            OSError: The file can't be opened, or another file has its name.
        """
        self._file.replace_descriptor(disk.reopen(self.path, self.written.offset))

    def close(self) -> None:
        """Close the file; closing twice does nothing."""
        # A forked child closes the parent's segment, perhaps while the forking thread is inside
        # `write`. `OwnFile` checks the descriptor before each write, so the child's next write
        # fails instead of reaching another file that got the same descriptor number.
        self._file.close()

    def remove(self) -> None:
        """Close the file and remove it if possible."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()
