"""Appends events to the segments of one session.

The caller holds the log's ``_io`` lock, so one thread at a time is in here. A signal handler can
still interrupt it between two calls, and raise an exception, or fork, after which parent and child
both continue from the same place. Comments that start with "Interruption:" explain why the order of
assignments makes that harmless.
"""

import errno
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import asdict, evolve

from recloser.core.events import LogOpened, LogSealed
from recloser.log import disk
from recloser.log.codec import encode
from recloser.log.listing import COMPRESSED_SUFFIX, SEGMENT_SUFFIX, last_number, segments_in
from recloser.log.seals import SealChain
from recloser.log.segment import Mark, Segment
from recloser.log.tail import Tail
from recloser.log.write_batch import Chunk, Lines, callers_in

Durability: TypeAlias = Literal["batch", "sync", "memory"]

WRITE_BYTES: Final = 4 << 20
"""Bytes after which lines are written; the checkpoints of a log may be 100 MB together."""

_MOST_SKIPPED: Final = 1000
"""Names of segments that are skipped at most because other files have them."""


class Appender:
    """Appends chunks to the newest segment; a header begins the next segment.

    Args:
        folder: The log.
        tail: How the log ended.
        seq: The ``seq`` of its last event.
        number: The number of its last segment; 0 before the first.
        durability: When to wait for the disk: ``sync`` at each flush, ``batch`` when a sync is due,
            and ``memory`` never.
        on_begun: Called when a segment was begun.

    Attributes:
        folder: The log.
        number: The number of the segment being written, or of the last one; 0 before the first.
        dropped: Number of callers' events that were given up, and are not yet reported as lost.
        is_waiting_for_disk: Whether a write or sync is in progress.
        unsynced_folders: Folders above the log whose new names must be synced before the first
            segment is begun.
    """

    def __init__(
        self,
        folder: Path,
        tail: Tail,
        seq: int,
        *,
        number: int,
        durability: Durability,
        on_begun: Callable[[], None],
    ) -> None:
        self.folder = folder
        self.number = number
        self.is_waiting_for_disk = False
        self.dropped = 0
        self.unsynced_folders: list[Path] = []
        self._is_abandoned = False
        self._durability = durability
        self._on_begun = on_begun
        self._segment: Segment | None = None
        self._previous_end = (tail, seq)

    @property
    def segment(self) -> Segment | None:
        """The segment being written; None if a header must come first."""
        return self._segment

    @property
    def has_segment(self) -> bool:
        """Whether a segment is being written, so that no header must come first."""
        return self._segment is not None

    @property
    def last_seq(self) -> int:
        """The ``seq`` of the last event in the segments before the one being written."""
        return self._previous_end[1]

    @property
    def is_safe(self) -> bool:
        """Whether what was written survives a power loss, if ``durability`` promises it."""
        return self._durability == "memory" or self._segment is None or self._segment.is_synced

    def is_full(self, at: int, *, full_bytes: int, full_ns: int | None) -> bool:
        """Whether the segment has reached its full size or age.

        Args:
            at: The time of the log, in nanoseconds.
            full_bytes: Size at which a segment is full.
            full_ns: Age at which a segment is full, in nanoseconds; None for no limit.
        """
        segment = self._segment
        if segment is None:
            return False
        is_old = full_ns is not None and at - segment.begun_at >= full_ns
        # Checkpoints alone may exceed `full_bytes`. Then a segment takes as many bytes of other
        # events, or each segment would hold checkpoints only.
        return is_old or segment.size >= max(full_bytes, 2 * segment.checkpoint_bytes)

    def append(self, chunk: Chunk, lines: Lines) -> None:
        """Append a chunk; a header begins a new segment.

        Args:
            chunk: The events.
            lines: Their lines; ignored for headers and seals, which are encoded here.

        Raises:
            OSError: This chunk, or one appended before, could not be written; ``roll_back`` must
                follow.
        """
        first, last = chunk[0], chunk[-1]
        if isinstance(first, LogOpened):
            self._begin(first)
        assert self._segment is not None
        if self._segment.pending_bytes >= WRITE_BYTES:
            self._write(sync=False)
        if isinstance(first, LogSealed):
            self._segment.seal(first.seq, first.at)
        else:
            count = len(chunk) - isinstance(first, LogOpened)
            size = self._segment.add(lines, last.seq, count, callers_in([chunk]))
            if first.kind == "checkpoint":
                self._segment.checkpoint_bytes += size

    def flush(self, *, is_sync_due: bool) -> None:
        """Write everything that was appended, and sync it as ``durability`` promises.

        Args:
            is_sync_due: Whether a sync is due with ``durability="batch"``.

        Raises:
            OSError: Something could not be written or synced; ``roll_back`` must follow.
        """
        is_due = is_sync_due and self._durability == "batch"
        self._write(sync=is_due or self._durability == "sync")

    @property
    def written_seq(self) -> int:
        """The ``seq`` of the last event that the operating system has."""
        segment = self._segment
        if segment is None or segment.written.offset == 0:
            return self._previous_end[1]
        return segment.written.seq

    def roll_back(self, *, is_failed: bool = True) -> None:
        """Return to the last good mark in the file, after an error or interruption.

        Args:
            is_failed: Whether a write or sync failed. Then the events after the mark are given up,
                and counted in ``dropped``. If false, the caller appends them again.
        """
        segment = self._segment
        if segment is None or self._is_abandoned:
            # In a forked child the file belongs to the parent, which may have written more since.
            return
        # After a failed sync, nothing written since the last good one is certain to be on the disk.
        mark = segment.synced if is_failed and segment.is_sync_failed else segment.written
        dropped = segment.events_after(mark) if is_failed else 0
        # Interruption: there is none between the two assignments, since the interpreter handles
        # signals only at calls and backward jumps. So if this method is interrupted and runs again,
        # `events_after` returns 0, and no event is counted twice.
        self.dropped += dropped
        segment.events = mark.events
        try:
            if mark.offset == 0:
                # Not even the header is in the file. Without the file, its number is free again.
                self._segment = None
                self.number -= 1
                segment.remove()
            else:
                segment.roll_back(mark)
        except OSError:
            # The file can't be cut, so it stays with bytes at its end that are not part of the log.
            # The next segment's header says how many.
            try:
                torn = max(0, segment.path.stat().st_size - mark.offset)
            except OSError:
                torn = 0
            self._end_segment(segment, mark, torn=torn)

    def give_up_segment(self, *, left: int, end: tuple[Tail, int] | None = None) -> None:
        """Stop writing to the segment, because another program removed, moved or cut it.

        Args:
            left: Number of its callers' events that are still in the log; the others are counted
                in ``dropped``.
            end: How the rest of the segment ends, and the ``seq`` of its last event. Without it the
                next segment continues the segment before.
        """
        segment = self._segment
        if segment is None:
            return
        dropped = segment.events - left
        # Interruption: there is none between these assignments, so the events are counted once.
        self.dropped += dropped
        self._segment = None
        if end is not None:
            self._previous_end = end
        segment.close()

    def abandon(self) -> None:
        """Close the parent's segment in a forked child, and leave its file alone.

        The fork may have happened while this thread was inside another method of this class. When
        that method continues in the child, its next use of the file fails with ``OSError``.
        """
        # The flag is set first: a method that continues in the child checks it before it creates,
        # cuts or removes a file.
        self._is_abandoned = True
        if self._segment is not None:
            self._segment.close()

    def close(self) -> None:
        """Close the segment; nothing is appended afterwards."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _begin(self, header: LogOpened) -> None:
        if self._segment is not None:
            self._write(sync=self._durability != "memory")
            self._end_segment(self._segment, self._segment.written, torn=0)
            segments = segments_in(self.folder)
        else:
            disk.sync_names(self.unsynced_folders)
            segments = segments_in(self.folder)
            self._sync_earlier(segments)
        header = evolve(header, **asdict(self._previous_end[0]))
        segment = self._create(SealChain(header.chain), header.at)
        disk.sync_folder(self.folder)
        self._on_begun()
        segment.add([encode(header)], header.seq, 1, 0)

    def _create(self, chain: SealChain, at: int) -> Segment:
        """Create the next segment, with a number above all others in the folder.

        Names that another file, folder or link already has are skipped.
        """
        number = max(self.number, self._last_number()) + 1
        is_left_over = number - 1 > self.number and self._is_empty(self._path(number - 1))
        if is_left_over and not self._is_abandoned:
            # Interruption: an earlier call created this empty file, but was interrupted before it
            # could assign it; or a child that a signal handler forked inside that call created it.
            # An empty segment would be read as damage, so its number is used again.
            number -= 1
            self._path(number).unlink()
        for _ in range(_MOST_SKIPPED):
            if self._is_abandoned:
                raise OSError(errno.EBADF, "the log belongs to the process that forked this one")
            try:
                segment = Segment(self._path(number), chain, at)
            except FileExistsError:
                number += 1
                continue
            # Interruption: there is none between these assignments, so number and segment agree.
            self._segment = segment
            self.number = number
            return segment
        raise FileExistsError(errno.EEXIST, "too many files have the names of the next segments")

    @staticmethod
    def _is_empty(path: Path) -> bool:
        try:
            found = path.lstat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == 0

    def _last_number(self) -> int:
        try:
            return last_number(self.folder)
        except OSError:
            if self.number == 0:
                raise  # the folder may hold a log that has not been read
            return 0

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}{SEGMENT_SUFFIX}"

    @staticmethod
    def _sync_earlier(segments: Sequence[Path]) -> None:
        """Sync what earlier sessions wrote, or what this one wrote before it failed.

        The header of the next segment vouches for these events. They were read from the operating
        system's memory, and a process that was killed may not have waited for the disk.
        """
        for segment in segments:
            if segment.suffix != COMPRESSED_SUFFIX:  # a compressed one was synced before its rename
                disk.sync_file(segment)

    def _write(self, *, sync: bool) -> None:
        assert self._segment is not None
        self.is_waiting_for_disk = True
        try:
            self._segment.write()
            if sync:
                self._segment.sync()
        finally:
            self.is_waiting_for_disk = False

    def _end_segment(self, segment: Segment, mark: Mark, *, torn: int) -> None:
        """Close a segment; the next one continues from the mark."""
        self._previous_end = (Tail(mark.chain.carried(), mark.chain.count, torn), mark.seq)
        self._segment = None
        segment.close()
