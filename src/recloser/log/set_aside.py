"""Setting aside what is damaged in the folder of a log, so that a service can start on the rest.

Nothing is deleted: a file of which something can't be read gets a name that says so, and what is
whole of it is written anew under the old name. Each step leaves a folder on which this can be done
again.
"""

import contextlib
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

from recloser.core.limits import label
from recloser.log import disk
from recloser.log.damage import Kept, Plan, contents, plan
from recloser.log.listing import COMPRESSED_SUFFIX, is_anything_at
from recloser.log.reader import open_segment
from recloser.log.retention import PART_SUFFIX

DAMAGED_SUFFIX: Final = ".damaged"
_MOST_NAMES: Final = 10_000


@frozen
class Damage:
    """What was damaged when a log was opened.

    Attributes:
        faults: What was wrong, each with its place.
        files: Where it was put.
        lost: How many events there may have been in it.
    """

    faults: Sequence[str]
    files: Sequence[Path]
    lost: int

    def short(self) -> str:
        """What was wrong, as text that fits into an event."""
        return label(f"damaged: {self}")

    def __str__(self) -> str:
        more = f" and {len(self.faults) - 1} more" if len(self.faults) > 1 else ""
        names = ", ".join(file.name for file in self.files)
        put = f"; set aside as {names}" if names else ""
        return f"{self.faults[0]}{more}{put}; up to {self.lost} events are lost"


def set_aside(segments: Sequence[Path], since: int) -> Damage:
    """Keep what is whole of a log, and set the rest aside.

    Args:
        segments: Those of the log, in their order.
        since: From which of them on something may be damaged; earlier ones are looked at only as far
            as there is nothing to go on from.

    Raises:
        FutureVersionError: A segment was written by a later version.
        LogError, OSError: They can't be read or written for a reason that is not theirs.
    """
    made = _planned(segments, since)
    lost = made.lost + _lines_behind(made)
    return Damage(made.faults, carry_out(made, keeps_old=True), lost)


def carry_out(made: Plan, *, keeps_old: bool) -> Sequence[Path]:
    """Bring the segments of a log to what a plan says.

    Args:
        made: The plan.
        keeps_old: Whether a segment of which something is lost keeps a name; else it must have one
            elsewhere.

    Returns:
        The names that such segments have then.

    Raises:
        OSError: They can't be read or written; doing it again goes on from there.
    """
    files = []
    for kept in made.kept:
        if kept.is_changed:
            files += _replace(kept, keeps_old=keeps_old and not kept.is_all_there)
    for dropped in made.dropped:
        if keeps_old:
            files.append(_with_free_name(dropped.path, disk.rename))
        else:
            disk.remove(dropped.path)
    return files


def _planned(segments: Sequence[Path], since: int) -> Plan:
    """The plan for the newest segments, so many that the first of them is kept."""
    for first in range(since, 0, -1):
        made = plan(segments[first:])
        if made.kept and made.kept[0].segment.path == segments[first]:
            return made
    return plan(segments)


def _lines_behind(made: Plan) -> int:
    """How many lines stand at the end of the log in what is not kept."""
    lines = 0
    last = made.kept[-1].segment.path.name if made.kept else ""
    for segment in made.dropped:
        if segment.path.name > last:
            lines += _lines_in(segment.path, 0)
    if made.kept and made.kept[-1].end is not None:
        lines += _lines_in(made.kept[-1].segment.path, made.kept[-1].end.offset)
    return lines


def _lines_in(segment: Path, offset: int) -> int:
    lines = 0
    with contextlib.suppress(Exception), open_segment(segment) as stream:  # it is damaged
        stream.read(offset)
        while piece := stream.read(1 << 16):
            lines += piece.count(b"\n")
    return lines


def _replace(kept: Kept, *, keeps_old: bool) -> list[Path]:
    """Write what is kept of a segment under its name; the name that the segment has then, if any."""
    path = kept.segment.path
    target = path.with_name(path.name.removesuffix(COMPRESSED_SUFFIX))
    part = target.with_name(target.name + PART_SUFFIX)
    disk.write_new(part, contents(kept), like=path)
    files = [_with_free_name(path, disk.name_also)] if keeps_old else []
    disk.rename(part, target)
    if target != path:
        disk.remove(path)
    return files


def _with_free_name(path: Path, name: Callable[[Path, Path], None]) -> Path:
    """Give a file a name that says that it is damaged, and that nothing has."""
    for number in range(1, _MOST_NAMES):
        suffix = DAMAGED_SUFFIX if number == 1 else f"{DAMAGED_SUFFIX}-{number}"
        target = path.with_name(path.name + suffix)
        if not is_anything_at(target):
            name(path, target)
            return target
    raise FileExistsError(errno.EEXIST, "too many files were set aside", path)
