"""Sets aside damaged files of a log, so that a service can start on the rest.

Nothing is deleted: a damaged file is renamed, and its intact part is written under the old name. A
crash after any step leaves a folder on which the same procedure can run again.
"""

import contextlib
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from recloser.core.limits import label
from recloser.log import disk
from recloser.log.damage import KeptSegment, RepairPlan, contents, plan_repair
from recloser.log.listing import COMPRESSED_SUFFIX, is_anything_at
from recloser.log.retention import PART_SUFFIX
from recloser.log.segment_reader import open_segment

DAMAGED_SUFFIX: Final = ".damaged"
_MOST_NAMES: Final = 10_000


@frozen
class Damage:
    """Damage that was found when a log was opened.

    Attributes:
        faults: What was wrong, one line per fault, each with its place.
        files: The files into which the damaged segments were set aside.
        lost: The most events that may be lost.
    """

    faults: Sequence[str]
    files: Sequence[Path]
    lost: int

    def short(self) -> str:
        """Describe the damage in text that fits into an event."""
        return label(f"damaged: {self}")

    def __str__(self) -> str:
        more = f" and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
        names = ", ".join(file.name for file in self.files)
        moved = f"; set aside as {names}" if names else ""
        return f"{self.faults[0]}{more}{moved}; up to {self.lost} events are lost"


def set_aside(segments: Sequence[Path], since: int) -> Damage:
    """Keep the intact parts of a log, and set the damaged segments aside.

    Args:
        segments: The segments of the log, in order.
        since: Index of the first segment that may be damaged. Earlier ones are examined only if the
            intact parts of the later ones can't be the start of a log.

    Raises:
        FutureVersionError: A later version of the library wrote a segment.
        LogError, OSError: A segment can't be read or written for a reason that is not its own.
    """
    plan = _plan(segments, since)
    lost = plan.lost + _lines_dropped_at_end(plan)
    return Damage(plan.faults, apply_plan(plan, keeps_old=True), lost)


def apply_plan(plan: RepairPlan, *, keeps_old: bool) -> Sequence[Path]:
    """Change the segments of a log as a plan says.

    Args:
        plan: The plan.
        keeps_old: Whether to keep a damaged segment under another name. If false, the caller has
            saved it elsewhere.

    Returns:
        The new names of the damaged segments.

    Raises:
        OSError: A segment can't be read or written. Planning and applying again continues.
    """
    files = []
    for kept in plan.kept:
        if kept.is_changed:
            files += _replace(kept, keeps_old=keeps_old and not kept.is_complete)
    for dropped in plan.dropped:
        if keeps_old:
            files.append(_with_free_name(dropped.path, disk.rename))
        else:
            disk.remove(dropped.path)
    return files


def _plan(segments: Sequence[Path], since: int) -> RepairPlan:
    """Plan for the newest segments only, as long as the first of them can be kept."""
    for first in range(since, 0, -1):
        plan = plan_repair(segments[first:])
        if plan.kept and plan.kept[0].segment.path == segments[first]:
            return plan
    return plan_repair(segments)


def _lines_dropped_at_end(plan: RepairPlan) -> int:
    """Count the lines that are dropped at the end of the log; no gap counts them."""
    lines = 0
    last = plan.kept[-1].segment.path.name if plan.kept else ""
    for segment in plan.dropped:
        if segment.path.name > last:
            lines += _lines_in(segment.path, 0)
    if plan.kept and (cut := plan.kept[-1].cut) is not None:
        lines += _lines_in(plan.kept[-1].segment.path, cut.offset)
    return lines


def _lines_in(segment: Path, offset: int) -> int:
    lines = 0
    # A damaged file may fail in any way.
    with contextlib.suppress(Exception), open_segment(segment) as stream:
        stream.read(offset)
        while piece := stream.read(1 << 16):
            lines += piece.count(b"\n")
    return lines


def _replace(kept: KeptSegment, *, keeps_old: bool) -> list[Path]:
    """Replace a segment by its kept part, and return the old file's new name, if any."""
    path = kept.segment.path
    target = path.with_name(path.name.removesuffix(COMPRESSED_SUFFIX))
    part = target.with_name(target.name + PART_SUFFIX)
    # The new file is complete under a temporary name before the old one loses its name. If this is
    # interrupted, the next opening finds the damage again; `tidy` has removed the temporary file.
    disk.write_new(part, contents(kept), like=path)
    files = [_with_free_name(path, disk.name_also)] if keeps_old else []
    disk.rename(part, target)
    if target != path:
        disk.remove(path)
    return files


def _with_free_name(path: Path, name: Callable[[Path, Path], None]) -> Path:
    """Rename or link a file under a name that says it is damaged and that is free."""
    for number in range(1, _MOST_NAMES):
        suffix = DAMAGED_SUFFIX if number == 1 else f"{DAMAGED_SUFFIX}-{number}"
        target = path.with_name(path.name + suffix)
        if not is_anything_at(target):
            name(path, target)
            return target
    raise FileExistsError(errno.EEXIST, "too many files were set aside", path)
