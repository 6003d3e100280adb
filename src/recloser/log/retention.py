"""Compresses segments that are full, and removes old ones.

Every segment begins with checkpoints of all breakers, so only the last two segments are needed to
continue a log. Each step leaves a folder that reads as the same log.
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
from recloser.log.segment_reader import header_of, torn_before
from recloser.process import forks
from recloser.process.host_logging import log

PART_SUFFIX: Final = ".part"
_UNFINISHED: Final = tuple(s + PART_SUFFIX for s in (COMPRESSED_SUFFIX, SEGMENT_SUFFIX))
_LEVEL: Final = 6
_ALWAYS_KEPT: Final = 2
_LONGEST_WAIT: Final = 10.0
_PIECE: Final = 1 << 18
_SECOND_NS: Final = 1_000_000_000
_NOT_DONE: Final = "full segments stay as they are"


class Retention:
    """Compresses and removes full segments of one log, in a thread of its own.

    Compressing takes longer than writing, so no caller waits for it. One thread at a time runs;
    ``start_if_due`` and ``run_to_end`` are called by the thread that writes the log. The retention
    thread only touches segments below the one being written, which nothing else changes.

    Args:
        compress_bytes: Size from which a full segment is compressed, in bytes; None for never.
        keep_bytes: Size above which old segments are removed, in bytes; None for no limit.
        keep_ns: Age above which events are removed, in nanoseconds; None for no limit.

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
            # Imported here and not in the thread: a child forked during that import would inherit
            # the module's import lock, held by a thread that does not exist in the child.
            import zstandard  # noqa: F401

    def set_due(self) -> None:
        """Note that a segment was begun, so that another one may be full."""
        self._is_due = True

    def start_if_due(self, folder: Path, now: int, live: int) -> None:
        """Start the thread if a segment was begun and the last thread has ended.

        Args:
            folder: The log.
            now: The time of the log, in nanoseconds.
            live: The number of the segment being written, which is left alone with all after it.
        """
        if self._is_due and not self._thread.is_alive():
            thread = threading.Thread(
                target=self._run_in_thread, args=(folder, now, live), daemon=True
            )
            # Cleared before the thread starts: a segment begun after the thread has listed the
            # folder sets it again, and so is not missed. One begun earlier costs one more run.
            self._is_due = False
            try:
                thread.start()
                self._thread = thread
            except RuntimeError as error:
                self._is_due = True
                # There are too many threads. Compression waits for the next call, but old segments
                # are removed now, or the disk would fill up. The writer may do that here, as the
                # last thread has ended.
                self._fail(folder, f"no thread can be started: {error}")
                with contextlib.suppress(OSError):
                    self._remove_old(folder, now, live)

    def make_room(self, folder: Path, now: int, live: int) -> None:
        """Remove old segments when nothing can be written, for example on a full disk.

        This needs no space, and runs at most once per second.

        Args:
            folder: The log.
            now: The time of the log, in nanoseconds.
            live: The number of the segment being written.
        """
        if (
            self._made_room_at + _SECOND_NS > read_monotonic(SYSTEM_CLOCK)
            or self._thread.is_alive()
        ):
            return
        self._made_room_at = read_monotonic(SYSTEM_CLOCK)
        with contextlib.suppress(OSError):
            self._remove_old(folder, now, live)

    def run_to_end(self, folder: Path, now: int, live: int) -> None:
        """Do everything that is due, and return when it is done.

        Args:
            folder: The log.
            now: The time of the log, in nanoseconds.
            live: The number of the segment being written.
        """
        if self._thread.is_alive():
            # The wait is limited, so that closing a log always ends. `tidy` finishes what the
            # thread leaves undone when the log is opened again.
            self._thread.join(_LONGEST_WAIT)
        # A failed run is repeated, since no later segment will set it due again.
        if (self._is_due or self.failure) and not self._thread.is_alive():
            self._is_due = False
            self._run(folder, now, live)

    def after_fork(self) -> None:
        """Forget the thread in a forked child: it runs in the parent only."""
        self.failure = None
        self._is_due = False
        self._thread = threading.Thread()

    def _run_in_thread(self, folder: Path, now: int, live: int) -> None:
        with contextlib.suppress(BaseException):  # `_run` has noted it in `failure`
            self._run(folder, now, live)

    def _run(self, folder: Path, now: int, live: int) -> None:
        try:
            try:
                if self._compress_bytes is not None:
                    compress_full(folder, self._compress_bytes, live)
            finally:
                # Also if there is no space left to compress in.
                self._remove_old(folder, now, live)
            self.failure = None
        except BaseException as error:
            self._fail(folder, str(error) or type(error).__name__)
            if not isinstance(error, Exception):
                raise

    def _remove_old(self, folder: Path, now: int, live: int) -> None:
        remove_old(folder, now=now, keep_bytes=self._keep_bytes, keep_ns=self._keep_ns, live=live)

    def _fail(self, folder: Path, why: str) -> None:
        known, self.failure = self.failure, f"{_NOT_DONE}: {why}"
        if known != self.failure:
            log(logging.WARNING, "%s: %s", folder, self.failure)


def compress_full(folder: Path, full_bytes: int, live: int = sys.maxsize) -> None:
    """Compress every segment of at least a given size, except the last.

    A segment that has torn bytes at its end is left plain. If one can't be compressed, the others
    still are.

    Args:
        folder: The log.
        full_bytes: Size from which a segment is full, in bytes.
        live: The number of the segment being written, which is left alone with all after it.

    Raises:
        OSError: A segment could not be read or written; it is unchanged.
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
        # While both files exist, readers use the plain one, and a power loss may bring it back
        # after it was removed. So it must be on the disk as a whole before the compressed one is.
        disk.sync_file(segment)
        disk.write_new(part, _compressed(source, forked, sizes), like=segment)
        found = [source.size, part.stat().st_size]
    finally:
        source.close()
    # A signal handler may fork in the middle of this. The child shares the file offsets with its
    # parent, so what the child reads or writes before it notices is missing in the parent. The
    # child stops at its next check; the parent sees that the sizes differ, and starts over later.
    _check_process(forked)
    if sizes != found:
        part.unlink(missing_ok=True)
        raise OSError(errno.EAGAIN, "a forked child has used the same file")
    disk.rename(part, target)
    _check_process(forked)
    disk.remove(segment)


def _compressed(source: OwnFile, forked: int, sizes: list[int]) -> Iterator[bytes]:
    """Yield the pieces of the compressed file.

    ``sizes`` is set to the number of bytes read and the number of bytes yielded.
    """
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
    """Stop in a child that a signal handler forked in the middle of compressing.

    Raises:
        OSError: This is such a child.
    """
    if forked != forks.passed:
        raise OSError(errno.EBADF, "the log belongs to the process that forked this one")


def tidy(folder: Path) -> None:
    """Finish or undo what a crash left in the middle of compressing or setting aside.

    Raises:
        OSError: The folder can't be listed, or a file can't be removed.
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
    """Remove the oldest segments of a log that is too large or too old.

    Args:
        folder: The log.
        now: The time of the log, in nanoseconds.
        keep_bytes: Size that the log may have, in bytes; the last two segments are always kept.
        keep_ns: Age that events may have, in nanoseconds.
        live: The number of the segment being written; higher numbers do not belong to the log.

    Returns:
        The segments that were removed.

    Raises:
        OSError: The folder can't be listed, or a segment can't be removed. Younger ones are kept
            then, so that those that are left are consecutive.
    """
    if keep_bytes is None and keep_ns is None:
        return []
    segments = [segment for segment in segments_in(folder) if number_of(segment) <= live]
    left = sum(segment.stat().st_size for segment in segments)
    removed: list[Path] = []
    for index, segment in enumerate(segments[:-_ALWAYS_KEPT]):
        is_too_large = keep_bytes is not None and left > keep_bytes
        ended_at = None if keep_ns is None else _ended_at(segments[index + 1 :])
        is_too_old = keep_ns is not None and ended_at is not None and now - ended_at >= keep_ns
        if not (is_too_large or is_too_old):
            break
        left -= segment.stat().st_size
        # Each removal is synced before the next. So after a power loss the segments that are left
        # are still consecutive, and a reader that follows them sees the oldest one go first.
        disk.remove(segment)
        removed.append(segment)
    return removed


def _ended_at(following: Sequence[Path]) -> int | None:
    """Return the latest time at which a segment can have ended, in nanoseconds.

    It is the time of the next segment's header that can be read.
    """
    for segment in following:
        with contextlib.suppress(OSError):
            header = header_of(segment)
            if header is not None:
                return header.at
    return None
