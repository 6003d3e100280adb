"""What is done with segments that are full: compressed, and after a time removed.

Every segment begins with checkpoints of all breakers, so that what is older than the last two is
never needed to go on. Each step leaves a folder that reads as the same log.
"""

import contextlib
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Final

from recloser.log import disk
from recloser.log.reader import (
    COMPRESSED_SUFFIX,
    SEGMENT_SUFFIX,
    header_of,
    open_segment,
    segments_in,
    torn_before,
)

PART_SUFFIX: Final = ".part"
_LEVEL: Final = 6
_KEPT_ANYHOW: Final = 2


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
    with segment.open("rb") as source, part.open("wb") as sink:
        zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).copy_stream(source, sink)
        sink.flush()
        disk.sync(sink.fileno())
    part.replace(target)
    disk.sync_folder(segment.parent)
    segment.unlink()


def tidy(folder: Path) -> None:
    """Finish or undo what a crash left in the middle of compressing."""
    for part in folder.glob(f"*{COMPRESSED_SUFFIX}{PART_SUFFIX}"):
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
        segment.unlink()
        removed.append(segment)
    return removed


def copy_beginning(segment: Path, target: Path, length: int) -> None:
    """Write the first bytes of a segment, decompressed, to a new file."""
    with open_segment(segment) as source, target.open("xb") as sink:
        shutil.copyfileobj(source, sink)
        sink.truncate(length)
