"""What is done with segments that are full: compressed, and after a time removed.

Every segment begins with checkpoints of all breakers, so that what is older than the last two is
never needed to go on. Each step leaves a folder that reads as the same log.
"""

import contextlib
import errno
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from recloser.clock import SYSTEM_CLOCK, read_monotonic
from recloser.log import disk
from recloser.log.listing import (
    COMPRESSED_SUFFIX,
    SEGMENT_SUFFIX,
    entries,
    number_in,
    number_of,
    segments_in,
)
from recloser.log.own_file import OwnFile
from recloser.log.reader import header_of, torn_before
from recloser.process import forks
from recloser.process.host_logging import log

PART_SUFFIX: Final = ".part"
_UNFINISHED: Final = tuple(s + PART_SUFFIX for s in (COMPRESSED_SUFFIX, SEGMENT_SUFFIX))
_LEVEL: Final = 6
_KEPT_ANYHOW: Final = 2
_LONGEST_WAIT: Final = 10.0
_PIECE: Final = 1 << 18
_SECOND_NS: Final = 1_000_000_000
_UNKEPT: Final = "full segments stay as they are"


class Housekeeper:
    """Sees to the segments that are full, and nobody waits for it.

    To compress takes longer than to write, so it has a thread of its own.

    Args:
        compress_bytes: Segments of this size are compressed; None for none.
        keep_bytes: How much of a log is kept.
        keep_ns: How old its events may become.

    Attributes:
        failure: Why full segments stay as they are; None while nothing failed.
    """

    def __init__(
        self, *, compress_bytes: int | None, keep_bytes: int | None, keep_ns: int | None
    ) -> None:
        self._compress_bytes = compress_bytes
        self._keep_bytes = keep_bytes
        self._keep_ns = keep_ns
        self.failure: str | None = None
        self._is_due = False
        self._made_room_at = 0
        self._thread = threading.Thread()
        if compress_bytes is not None:
            # Not in the thread: a child that is forked meanwhile could never import it.
            import zstandard  # noqa: F401

    def have_due(self) -> None:
        """A segment was begun, so there may be one that is full."""
        self._is_due = True

    def come_by(self, folder: Path, now: int, live: int) -> None:
        """Begin if there is something to do, unless it is being done.

        Args:
            folder: The log's.
            now: Its time, in nanoseconds.
            live: The number of the segment being written, which is left alone as all above it.
        """
        if self._is_due and not self._thread.is_alive():
            thread = threading.Thread(
                target=self._keep_in_thread, args=(folder, now, live), daemon=True
            )
            # Before it starts: of a segment that is begun meanwhile it does not know.
            self._is_due = False
            try:
                thread.start()
                self._thread = thread
            except RuntimeError as error:
                self._is_due = True
                # Too many threads: segments are not compressed until the next time, and what is too
                # old is removed all the same, or the disk would fill.
                self._fail(folder, f"no thread can be started: {error}")
                with contextlib.suppress(OSError):
                    self._remove_old(folder, now, live)

    def make_room(self, folder: Path, now: int, live: int) -> None:
        """Remove what is too old, where nothing can be written, as on a full disk.

        This takes no space and is done at most once a second. The arguments are those of
        ``come_by``.
        """
        if (
            self._made_room_at + _SECOND_NS > read_monotonic(SYSTEM_CLOCK)
            or self._thread.is_alive()
        ):
            return
        self._made_room_at = read_monotonic(SYSTEM_CLOCK)
        with contextlib.suppress(OSError):
            self._remove_old(folder, now, live)

    def finish(self, folder: Path, now: int, live: int) -> None:
        """Do all that there is to do, and return when it is done; as ``come_by``."""
        if self._thread.is_alive():
            # It is not waited for without end: what it leaves is finished when the log is opened.
            self._thread.join(_LONGEST_WAIT)
        # What failed is tried once more: no further segment will have it due again.
        if (self._is_due or self.failure) and not self._thread.is_alive():
            self._is_due = False
            self._keep(folder, now, live)

    def after_fork(self) -> None:
        """In a forked child: the thread, and what it was at, are the parent's."""
        self.failure = None
        self._is_due = False
        self._thread = threading.Thread()

    def _keep_in_thread(self, folder: Path, now: int, live: int) -> None:
        with contextlib.suppress(BaseException):  # it is noted, and nobody is there to receive it
            self._keep(folder, now, live)

    def _keep(self, folder: Path, now: int, live: int) -> None:
        try:
            try:
                if self._compress_bytes is not None:
                    compress_full(folder, self._compress_bytes, live)
            finally:
                # Also where there is no space left to compress in.
                self._remove_old(folder, now, live)
            self.failure = None
        except BaseException as error:
            self._fail(folder, str(error) or type(error).__name__)
            if not isinstance(error, Exception):
                raise

    def _remove_old(self, folder: Path, now: int, live: int) -> None:
        remove_old(folder, now=now, keep_bytes=self._keep_bytes, keep_ns=self._keep_ns, live=live)

    def _fail(self, folder: Path, why: str) -> None:
        told, self.failure = self.failure, f"{_UNKEPT}: {why}"
        if told != self.failure:
            log(logging.WARNING, "%s: %s", folder, self.failure)


def compress_full(folder: Path, full_bytes: int, live: int = sys.maxsize) -> None:
    """Compress every segment of that size but the last, unless something is torn at its end.

    One that can't be compressed keeps no other from it.

    Args:
        folder: The log.
        full_bytes: So large, or larger, a segment is full.
        live: The number of the segment being written, which is left alone as all above it.

    Raises:
        OSError: One could not be read or written; it is as it was.
    """
    failed: OSError | None = None
    for segment, following in pairwise(segments_in(folder)):
        if number_of(segment) >= live:
            break
        is_plain = segment.suffix != COMPRESSED_SUFFIX and not segment.is_symlink()
        try:
            if is_plain and segment.stat().st_size >= full_bytes and torn_before(following) == 0:
                _compress(segment)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _compress(segment: Path) -> None:
    forked, sizes = forks.passed, [0, 0]
    target = segment.with_name(segment.name + COMPRESSED_SUFFIX)
    part = target.with_name(target.name + PART_SUFFIX)
    source = OwnFile(segment, disk.open_to_read(segment))
    try:
        # Of both forms the plain one is read, and it may come back after a loss of power.
        disk.sync_file(segment)
        disk.write_new(part, _compressed(source, forked, sizes), like=segment)
        found = [source.size, part.stat().st_size]
    finally:
        source.close()
    # A child that a signal handler has forked in the middle has the same place in the same files: it
    # leaves them to the parent, who misses what the child has read, or written, before it saw that.
    _check_process(forked)
    if sizes != found:
        part.unlink(missing_ok=True)
        raise OSError(errno.EAGAIN, "a child that was forked meanwhile has used the same file")
    disk.rename(part, target)
    _check_process(forked)
    disk.remove(segment)


def _compressed(source: OwnFile, forked: int, sizes: list[int]) -> Iterator[bytes]:
    """The pieces of the compressed file; ``sizes`` becomes what was read and what was given."""
    import zstandard

    frame = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
    while True:
        descriptor = source.descriptor
        _check_process(forked)
        piece = os.read(descriptor, _PIECE)
        compressed = frame.compress(piece) if piece else frame.flush()
        sizes[0] += len(piece)
        sizes[1] += len(compressed)
        _check_process(forked)
        yield compressed
        if not piece:
            return


def _check_process(forked: int) -> None:
    """Leave the files to the parent, in a child that a signal handler has forked in the middle.

    Raises:
        OSError: This is such a child.
    """
    if forked != forks.passed:
        raise OSError(errno.EBADF, "the log is that of the process that forked")


def tidy(folder: Path) -> None:
    """Finish or undo what a crash left in the middle of compressing, or of setting aside.

    Raises:
        OSError: The folder can't be listed, or a file in it not be removed.
    """
    for entry in entries(folder):
        is_file = entry.is_file(follow_symlinks=False)
        if is_file and entry.name.endswith(_UNFINISHED):
            (folder / entry.name).unlink()
        if is_file and number_in(entry.name) is not None and entry.name.endswith(SEGMENT_SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                (folder / (entry.name + COMPRESSED_SUFFIX)).unlink()


def remove_old(
    folder: Path, *, now: int, keep_bytes: int | None, keep_ns: int | None, live: int
) -> list[Path]:
    """Remove the oldest segments of a log that is too large or whose events are too old.

    Args:
        folder: The log.
        now: Its time, in nanoseconds.
        keep_bytes: So much is kept at the most, or the last two segments if they are more.
        keep_ns: Events younger than this are kept.
        live: The number of the segment being written; what stands above it is not of the log.

    Returns:
        What was removed.

    Raises:
        OSError: The folder can't be listed, or a segment not be removed; younger ones are kept then,
            so that there is no hole between those that are left.
    """
    if keep_bytes is None and keep_ns is None:
        return []
    segments = [segment for segment in segments_in(folder) if number_of(segment) <= live]
    left = sum(segment.stat().st_size for segment in segments)
    removed: list[Path] = []
    for place, segment in enumerate(segments[:-_KEPT_ANYHOW]):
        is_too_large = keep_bytes is not None and left > keep_bytes
        ended_at = None if keep_ns is None else _ended_at(segments[place + 1 :])
        is_too_old = keep_ns is not None and ended_at is not None and now - ended_at >= keep_ns
        if not (is_too_large or is_too_old):
            break
        left -= segment.stat().st_size
        disk.remove(segment)  # one after the other: no later one may be gone before an earlier one
        removed.append(segment)
    return removed


def _ended_at(following: Sequence[Path]) -> int | None:
    """When a segment had ended at the latest: where the next one begins that can be read."""
    for segment in following:
        with contextlib.suppress(OSError):
            header = header_of(segment)
            if header is not None:
                return header.at
    return None
