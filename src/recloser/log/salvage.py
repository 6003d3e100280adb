"""Repairs a log: keeps its intact parts before, between and after the damage."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from recloser.errors import LogError
from recloser.log import disk
from recloser.log.damage import KeptSegment, RepairPlan, contents, plan_repair
from recloser.log.folder_lock import LOCK_NAME, FolderLock
from recloser.log.listing import COMPRESSED_SUFFIX
from recloser.log.reader import segments_of
from recloser.log.segment_reader import open_segment
from recloser.log.set_aside import apply_plan
from recloser.log.verification import refuse_existing

_PIECE = 1 << 16


@frozen
class SegmentResult:
    """How much of a segment is kept.

    Attributes:
        path: The segment.
        kept: Number of bytes kept, decompressed.
        dropped: Number of bytes not kept; compressed if they can't be decompressed.
        lost: The most events that may be lost between this segment and the next one that is kept.
    """

    path: Path
    kept: int
    dropped: int
    lost: int = 0


@frozen
class Repair:
    """The result of examining a log for repair.

    Attributes:
        plan: What to do with each segment.
        segments: How much of each segment is kept, in order.
    """

    plan: RepairPlan
    segments: Sequence[SegmentResult]


def find_intact(path: Path) -> Repair:
    """Find the intact parts of a log, without changing anything.

    Raises:
        LogError: The path is not a log, or no part of it is intact.
    """
    plan = plan_repair(segments_of(path))
    if not plan.kept:
        why = plan.faults[0] if plan.faults else "it begins with fewer states than its header says"
        raise LogError(f"{path}: no part of it is intact, so nothing can be kept: {why}")
    segments = [_result_of(kept) for kept in plan.kept]
    segments += [SegmentResult(each.path, 0, _size(each.path)) for each in plan.dropped]
    return Repair(plan, sorted(segments, key=lambda segment: segment.path.name))


def _result_of(kept: KeptSegment) -> SegmentResult:
    size = _size(kept.segment.path)
    end = size if kept.cut is None else kept.cut.offset
    lost = 0 if kept.gap is None else kept.gap.lost
    return SegmentResult(kept.segment.path, end, max(0, size - end), lost)


def _size(segment: Path) -> int:
    """Return the size of a segment in bytes, decompressed if possible."""
    size = 0
    with suppress(LogError, OSError):
        size = segment.stat().st_size
        with open_segment(segment) as stream:
            size = sum(len(piece) for piece in iter(lambda: stream.read(_PIECE), b""))
    return size


def write_intact(repair: Repair, out: Path) -> None:
    """Write the intact parts of a log to a new folder, and sync it.

    Raises:
        LogError: ``out`` exists already, or can't be written. Nothing is left there then.
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
    """Repair a log in its folder, and keep the old files in another folder.

    A crash in the middle leaves a log that can be opened, and loses nothing.

    Args:
        folder: The log.
        kept_as: The folder for the old files, which is created.

    Raises:
        LogError: ``kept_as`` exists already, another process writes the log, or nothing is intact.
    """
    refuse_existing(kept_as)
    lock = FolderLock(folder)
    try:
        repair = find_intact(folder)
        disk.sync_names(disk.make_folder(kept_as, like=folder, may_exist=False))
        for path in sorted(folder.iterdir()):
            if path.name != LOCK_NAME and path.is_file():
                disk.name_also(path, kept_as / path.name)
        apply_plan(repair.plan, keeps_old=False)
        return repair
    finally:
        lock.release()
