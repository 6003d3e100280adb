"""What is done with segments that are full: compressed, and after a time removed.

Every segment begins with checkpoints of all breakers, so that what is older than the last two is
never needed to go on. Each step leaves a folder that reads as the same log.
"""

import contextlib
import logging
import threading
from itertools import pairwise
from pathlib import Path
from typing import Final

from recloser.host_logging import log
from recloser.log import disk
from recloser.log.reader import (
    COMPRESSED_SUFFIX,
    SEGMENT_SUFFIX,
    header_of,
    segments_in,
    torn_before,
)

PART_SUFFIX: Final = ".part"
_LEVEL: Final = 6
_KEPT_ANYHOW: Final = 2
_LONGEST_WAIT: Final = 10.0
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
        self._thread = threading.Thread()
        if compress_bytes is not None:
            # Not in the thread: a child that is forked meanwhile could never import it.
            import zstandard  # noqa: F401

    def have_due(self) -> None:
        """A segment was begun, so there may be one that is full."""
        self._is_due = True

    def come_by(self, folder: Path, now: int) -> None:
        """Begin if there is something to do, unless it is being done."""
        if self._is_due and not self._thread.is_alive():
            thread = threading.Thread(target=self._keep_in_thread, args=(folder, now), daemon=True)
            try:
                thread.start()
                self._thread = thread
            except RuntimeError as error:
                # Too many threads: the segments stay as they are until the next time.
                self.failure = f"{_UNKEPT}: no thread can be started: {error}"

    def finish(self, folder: Path, now: int) -> None:
        """Do all that there is to do, and return when it is done."""
        if self._thread.is_alive():
            # It is not waited for without end: what it leaves is finished when the log is opened.
            self._thread.join(_LONGEST_WAIT)
        if self._is_due and not self._thread.is_alive():
            self._keep(folder, now)

    def after_fork(self) -> None:
        """In a forked child: the thread, and what it was at, are the parent's."""
        self.failure = None
        self._is_due = False
        self._thread = threading.Thread()

    def _keep_in_thread(self, folder: Path, now: int) -> None:
        with contextlib.suppress(BaseException):  # it is noted, and nobody is there to receive it
            self._keep(folder, now)

    def _keep(self, folder: Path, now: int) -> None:
        self._is_due = False
        try:
            if self._compress_bytes is not None:
                compress_full(folder, self._compress_bytes)
            remove_old(folder, now=now, keep_bytes=self._keep_bytes, keep_ns=self._keep_ns)
            self.failure = None
        except BaseException as error:
            self.failure = f"{_UNKEPT}: {str(error) or type(error).__name__}"
            log(logging.WARNING, "%s: %s", folder, self.failure)
            if not isinstance(error, Exception):
                raise


def compress_full(folder: Path, full_bytes: int) -> None:
    """Compress every segment of that size but the last, unless something is torn at its end.

    Raises:
        OSError: One could not be written; it is as it was.
    """
    for segment, following in pairwise(segments_in(folder)):
        is_plain = segment.suffix != COMPRESSED_SUFFIX
        if is_plain and segment.stat().st_size >= full_bytes and torn_before(following) == 0:
            _compress(segment)


def _compress(segment: Path) -> None:
    import zstandard

    target = segment.with_name(segment.name + COMPRESSED_SUFFIX)
    part = target.with_name(target.name + PART_SUFFIX)
    # Of both forms the plain one is read, and it may come back after a loss of power.
    disk.sync_file(segment)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with segment.open("rb") as source:
        disk.write_new(part, compressor.read_to_iter(source))
    disk.rename(part, target)
    disk.remove(segment)


def tidy(folder: Path) -> None:
    """Finish or undo what a crash left in the middle of compressing, or of setting aside."""
    for suffix in (COMPRESSED_SUFFIX, SEGMENT_SUFFIX):
        for part in folder.glob(f"*{suffix}{PART_SUFFIX}"):
            part.unlink()
    for plain in folder.glob(f"*{SEGMENT_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            plain.with_name(plain.name + COMPRESSED_SUFFIX).unlink()


def remove_old(
    folder: Path, *, now: int, keep_bytes: int | None, keep_ns: int | None
) -> list[Path]:
    """Remove the oldest segments of a log that is too large or whose events are too old.

    Args:
        folder: The log.
        now: Its time, in nanoseconds.
        keep_bytes: So much is kept at the most, or the last two segments if they are more.
        keep_ns: Events younger than this are kept.

    Returns:
        What was removed.
    """
    segments = segments_in(folder)
    left = sum(segment.stat().st_size for segment in segments)
    removed = []
    for segment, following in pairwise(segments[: 1 - _KEPT_ANYHOW]):
        is_too_large = keep_bytes is not None and left > keep_bytes
        # A segment ends where the next one begins.
        header = None if keep_ns is None else header_of(following)
        is_too_old = keep_ns is not None and header is not None and now - header.at >= keep_ns
        if not (is_too_large or is_too_old):
            break
        left -= segment.stat().st_size
        disk.remove(segment)  # one after the other: no later one may be gone before an earlier one
        removed.append(segment)
    return removed
