"""Repairing a log: what is whole of it, before, between and after what is damaged."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from recloser.errors import LogError
from recloser.log import disk
from recloser.log.damage import Kept, Plan, contents, plan
from recloser.log.folder_lock import LOCK_NAME, FolderLock
from recloser.log.listing import COMPRESSED_SUFFIX
from recloser.log.reader import open_segment, segments_of
from recloser.log.set_aside import carry_out
from recloser.log.verification import refuse_existing

_PIECE = 1 << 16


@frozen
class KeptSegment:
    """As much of a segment as is whole.

    Attributes:
        path: The segment.
        kept: How many of its bytes are kept, decompressed.
        dropped: How many are not; of what can't be decompressed, as they are on disk.
        lost: How many events there may have been between it and the next segment that is kept; 0
            where none is missing.
    """

    path: Path
    kept: int
    dropped: int
    lost: int = 0


@frozen
class Repair:
    """What is kept of a log.

    Attributes:
        plan: What becomes of its segments.
        segments: How much of each is kept, in their order.
    """

    plan: Plan
    segments: Sequence[KeptSegment]


def whole_part(path: Path) -> Repair:
    """What is whole of a log.

    Raises:
        LogError: There is no log there, or none of it is whole.
    """
    made = plan(segments_of(path))
    if not made.kept:
        why = made.faults[0] if made.faults else "it begins with fewer states than its header says"
        raise LogError(f"{path}: nothing of it is whole, so nothing can be kept: {why}")
    segments = [_counted(kept) for kept in made.kept]
    segments += [KeptSegment(each.path, 0, _size(each.path)) for each in made.dropped]
    return Repair(made, sorted(segments, key=lambda segment: segment.path.name))


def _counted(kept: Kept) -> KeptSegment:
    size = _size(kept.segment.path)
    end = size if kept.end is None else kept.end.offset
    lost = 0 if kept.gap is None else kept.gap.lost
    return KeptSegment(kept.segment.path, end, max(0, size - end), lost)


def _size(segment: Path) -> int:
    """How many bytes a segment has, decompressed where that can be done."""
    size = 0
    with suppress(LogError, OSError):
        size = segment.stat().st_size
        with open_segment(segment) as stream:
            size = sum(len(piece) for piece in iter(lambda: stream.read(_PIECE), b""))
    return size


def write_whole_part(repair: Repair, out: Path) -> None:
    """Write what is whole of a log to a new folder, and have the disk take it.

    Raises:
        LogError: ``out`` exists already, or can't be written; nothing is left there then.
    """
    refuse_existing(out)
    like = repair.plan.kept[0].segment.path.parent
    new_names = disk.make_folder(out, like=like, may_exist=False)
    try:
        for kept in repair.plan.kept:
            path = kept.segment.path
            name = path.name.removesuffix(COMPRESSED_SUFFIX) if kept.is_changed else path.name
            parts = contents(kept) if kept.is_changed else _bytes_of(path)
            disk.write_new(out / name, parts, like=path)
        disk.sync_folder(out)
        disk.sync_names(new_names)
    except BaseException as error:
        shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError):
            what = error.strerror or error
            raise LogError(f"{out}: the log can't be written here: {what}") from error
        raise


def _bytes_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def repair_in_place(folder: Path, kept_as: Path) -> Repair:
    """Repair a log where it is, and keep all its files, as they were, in another folder.

    A crash in between leaves a log that opens, and of which nothing is lost.

    Args:
        folder: The log.
        kept_as: The other folder, which is made beside it.

    Raises:
        LogError: ``kept_as`` exists already, another process writes the log, or nothing is whole.
    """
    refuse_existing(kept_as)
    lock = FolderLock(folder)
    try:
        repair = whole_part(folder)
        disk.sync_names(disk.make_folder(kept_as, like=folder, may_exist=False))
        for path in sorted(folder.iterdir()):
            if path.name != LOCK_NAME and path.is_file():
                disk.name_also(path, kept_as / path.name)
        carry_out(repair.plan, keeps_old=False)
        return repair
    finally:
        lock.release()
