"""The segments of a session, written one behind another; who appends holds the log's ``_io``."""

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
"""So many are handed to the operating system at once: the checkpoints of a log may be a hundred MB."""

_MOST_TAKEN: Final = 1000
"""So many names of segments may be taken by other files."""


class Appender:
    """Appends chunks to the newest segment of a log, and begins the next one with each header.

    Args:
        folder: The log.
        tail: How it ended.
        seq: The number of its last event.
        number: That of its last segment; 0 before the first.
        durability: When the disk is waited for.
        on_begun: Told when a segment was begun.

    Attributes:
        folder: The log.
        number: That of the segment being written, or the last one that was; 0 before the first.
        dropped: How many events of callers were given up, and are not counted as lost yet.
        is_at_disk: Whether the operating system or the disk has something to take right now.
        new_names: Folders that hold names which the disk is to be made sure of: those above the log.
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
        self.is_at_disk = False
        self.dropped = 0
        self.new_names: list[Path] = []
        self._is_abandoned = False
        self._durability = durability
        self._on_begun = on_begun
        self._segment: Segment | None = None
        self._behind = (tail, seq)

    @property
    def segment(self) -> Segment | None:
        """The segment being written; None where a header must come first."""
        return self._segment

    @property
    def has_segment(self) -> bool:
        """Whether there is one to append to: else a header must come first."""
        return self._segment is not None

    @property
    def last_seq(self) -> int:
        """The number of the last event in the segments that were left."""
        return self._behind[1]

    @property
    def is_safe(self) -> bool:
        """Whether all that was handed over is safe from a loss of power, or needn't be."""
        return self._durability == "memory" or self._segment is None or self._segment.is_synced

    def is_full(self, at: int, *, full_bytes: int, full_ns: int | None) -> bool:
        """Whether the segment is to be followed by a new one.

        Args:
            at: The time of the log.
            full_bytes: So large, or larger, it is full.
            full_ns: So old, or older, likewise.
        """
        segment = self._segment
        if segment is None:
            return False
        is_old = full_ns is not None and at - segment.begun_at >= full_ns
        # Checkpoints alone may be as large; were there not as much else, nothing else was written.
        return is_old or segment.size >= max(full_bytes, 2 * segment.checkpoint_bytes)

    def put(self, chunk: Chunk, lines: Lines) -> None:
        """Append a chunk.

        Raises:
            OSError: The disk did not take it, or what was put before it; ``fall_back`` must follow.
        """
        first, last = chunk[0], chunk[-1]
        if isinstance(first, LogOpened):
            self._begin(first)
        assert self._segment is not None
        if self._segment.pending_bytes >= WRITE_BYTES:
            self._hand_over(sync=False)
        if isinstance(first, LogSealed):
            self._segment.seal(first.seq, first.at)
        else:
            count = len(chunk) - isinstance(first, LogOpened)
            size = self._segment.add(lines, last.seq, count, callers_in([chunk]))
            if first.kind == "checkpoint":
                self._segment.checkpoint_bytes += size

    def make_safe(self, *, is_sync_due: bool) -> None:
        """Hand all that was put to the operating system, and if that is promised to the disk.

        Raises:
            OSError: As ``put``.
        """
        is_due = is_sync_due and self._durability == "batch"
        self._hand_over(sync=is_due or self._durability == "sync")

    @property
    def written_seq(self) -> int:
        """The ``seq`` of the last event that the operating system has."""
        segment = self._segment
        if segment is None or segment.written.offset == 0:
            return self._behind[1]
        return segment.written.seq

    def fall_back(self, *, is_failed: bool = True) -> None:
        """Come back to what is known to be safe, after an error or an interruption.

        Args:
            is_failed: Whether the disk refused something; what was put after that is then given up,
                and counted in ``dropped``. Else it is to be put again.
        """
        segment = self._segment
        if segment is None or self._is_abandoned:
            return  # the file is the parent's, who may have written more since
        mark = segment.synced if is_failed and segment.is_sync_failed else segment.written
        dropped = segment.events_behind(mark) if is_failed else 0
        # One step: where this is interrupted and done again, each event is counted once.
        self.dropped += dropped
        segment.events = mark.events
        try:
            if mark.offset == 0:
                # Not even its header is there.
                self._segment = None
                self.number -= 1
                segment.remove()
            else:
                segment.fall_back(mark)
        except OSError:
            try:
                torn = max(0, segment.path.stat().st_size - mark.offset)
            except OSError:
                torn = 0
            self._leave(segment, mark, torn=torn)

    def let_go(self, *, left: int, behind: tuple[Tail, int] | None = None) -> None:
        """Give up the segment, which somebody removed, moved or cut; nothing is written to it.

        Args:
            left: How many of its callers' events are still in the log; the others are counted in
                ``dropped``.
            behind: How what is left of it ends, and the ``seq`` of the last event there. Without it
                the next segment continues the one before.
        """
        segment = self._segment
        if segment is None:
            return
        dropped = segment.events - left
        # One step.
        self.dropped += dropped
        self._segment = None
        if behind is not None:
            self._behind = behind
        segment.close()

    def abandon(self) -> None:
        """In a forked child: close the parent's segment, to which nothing is written any more.

        Nor is it cut or removed. Where this thread is in the middle of writing to it, it goes on to
        find that it can't.
        """
        self._is_abandoned = True
        if self._segment is not None:
            self._segment.close()

    def close(self) -> None:
        """Close the segment, for good."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _begin(self, header: LogOpened) -> None:
        if self._segment is not None:
            self._hand_over(sync=self._durability != "memory")
            self._leave(self._segment, self._segment.written, torn=0)
            segments = segments_in(self.folder)
        else:
            disk.sync_names(self.new_names)
            segments = segments_in(self.folder)
            self._sync_earlier(segments)
        header = evolve(header, **asdict(self._behind[0]))
        segment = self._create(SealChain(header.chain), header.at)
        disk.sync_folder(self.folder)
        self._on_begun()
        segment.add([encode(header)], header.seq, 1, 0)

    def _create(self, chain: SealChain, at: int) -> Segment:
        """Begin a new segment, with a number above all that are in the folder.

        Whatever else has such a name there, also a folder or a link, is passed over.
        """
        number = max(self.number, self._last_number()) + 1
        is_left_over = number - 1 > self.number and self._is_empty(self._path(number - 1))
        if is_left_over and not self._is_abandoned:
            # An exception from outside came up while it was begun, or a child that a signal handler
            # forked just then has made it.
            number -= 1
            self._path(number).unlink()
        for _ in range(_MOST_TAKEN):
            if self._is_abandoned:
                raise OSError(errno.EBADF, "the log is that of the process that forked")
            try:
                segment = Segment(self._path(number), chain, at)
            except FileExistsError:
                number += 1
                continue
            # One step.
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
                raise  # nothing is known of what the folder holds
            return 0

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}{SEGMENT_SUFFIX}"

    @staticmethod
    def _sync_earlier(segments: Sequence[Path]) -> None:
        """Have the disk take what earlier sessions wrote, or this one before it failed.

        The header that comes next vouches for it. It was read from the memory of the operating
        system, and a process that was killed may not have waited for the disk.
        """
        for segment in segments:
            if segment.suffix != COMPRESSED_SUFFIX:  # that was synced before it had its name
                disk.sync_file(segment)

    def _hand_over(self, *, sync: bool) -> None:
        assert self._segment is not None
        self.is_at_disk = True
        try:
            self._segment.write()
            if sync:
                self._segment.sync()
        finally:
            self.is_at_disk = False

    def _leave(self, segment: Segment, mark: Mark, *, torn: int) -> None:
        """Close a segment for good; the next one continues from the mark."""
        self._behind = (Tail(mark.chain.carried(), mark.chain.count, torn), mark.seq)
        self._segment = None
        segment.close()
