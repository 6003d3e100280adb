"""Checks that the folder being written is still the one opened, and mends it.

A cleanup job may remove the folder, its lock or its newest segment, ``logrotate`` may move or cut
the segment, and a daemonizer may close every descriptor of the process. The writer calls
``disturbance_of`` once per second and before it writes, holding the log's ``_io`` lock. That takes
a few system calls, and ensures that nothing is written to a file that is not part of the log. A
change between the check and the write is found by the next check.
"""

import contextlib
from pathlib import Path
from typing import Final

from attrs import frozen

from recloser.errors import LogError
from recloser.log import disk
from recloser.log.appender import Appender
from recloser.log.folder_lock import FolderLock
from recloser.log.listing import is_there, last_number
from recloser.log.segment import Segment
from recloser.log.segment_reader import SegmentReader
from recloser.log.tail import Tail
from recloser.log.write_batch import callers_in

_CLOSED: Final = "another part of the process has closed the files of the log"
_CUT: Final = "the newest segment was cut while it was written"
_GROWN: Final = "another program has written to the newest segment"
_SEGMENT_GONE: Final = "the newest segment was removed or moved while it was written"
_FOLDER_GONE: Final = "the folder was removed or moved while the log was written"
_LOCK_GONE: Final = "the lock file was removed or replaced while the log was written"
_TAKEN: Final = "another writer has the folder"


class DisturbedError(OSError):
    """The segment can no longer be written; the log continues in another segment."""


@frozen
class Disturbance:
    """A change that was made to the folder of a log from outside.

    Attributes:
        what: A description of the change.
        lock: The lock that keeps other writers out from now on; None if another writer has the
            folder, so that nothing may be written there.
        has_lost: Whether the appender had to give up the segment. If false, everything was mended.
    """

    what: str
    lock: FolderLock | None
    has_lost: bool


def disturbance_of(folder: Path, lock: FolderLock, appender: Appender) -> Disturbance | None:
    """Check a folder, and mend what was changed; None if nothing was.

    Raises:
        OSError: The folder can't be checked, or can't be created again.
    """
    segment = appender.segment
    is_held = lock.is_held
    trouble = None if segment is None else _trouble_with(segment)
    if is_held and trouble is None:
        return None
    what = _description(folder, lock, trouble, is_held=is_held)
    new: FolderLock | None = lock
    if not is_held:
        appender.unsynced_folders += disk.make_folder(folder)
        is_gone = trouble == _SEGMENT_GONE
        new = _lock_again(folder, lock, appender.number - 1 if is_gone else appender.number)
    if new is None:
        written = None if segment is None else segment.written
        if written is not None:
            appender.give_up_segment(left=written.events, end=(Tail(), written.seq))
        return Disturbance(f"{what}, and {_TAKEN}", None, has_lost=True)
    if segment is None or trouble is None:
        return Disturbance(what, new, has_lost=False)
    if trouble == _CLOSED:
        segment.reopen()
        return Disturbance(what, new, has_lost=False)
    _give_up(segment, appender, trouble)
    return Disturbance(what, new, has_lost=True)


def _trouble_with(segment: Segment) -> str | None:
    if not segment.is_in_place:
        return _SEGMENT_GONE
    size = segment.size_on_disk
    if size is None:
        return _CLOSED
    if size == segment.size:
        return None
    return _CUT if size < segment.size else _GROWN


def _description(folder: Path, lock: FolderLock, trouble: str | None, *, is_held: bool) -> str:
    if not is_there(folder):
        return _FOLDER_GONE
    changes = [] if trouble is None else [trouble]
    if not is_held:
        changes.append(_CLOSED if lock.is_closed else _LOCK_GONE)
    return " and ".join(dict.fromkeys(changes))


def _lock_again(folder: Path, lock: FolderLock, number: int) -> FolderLock | None:
    """Lock the folder anew; None if another writer holds it or has written since.

    Args:
        folder: The log.
        lock: The lock that was lost.
        number: The highest number of a segment that this writer has there.
    """
    if lock.is_closed:
        # The new descriptor may get the closed one's number, and it belongs to the same file. The
        # old lock would then take it for its own, and close it when it is released.
        lock.release()
    try:
        new = FolderLock(folder)
    except LogError:
        lock.release()
        return None
    try:
        is_ours = last_number(folder) <= number
    except BaseException:
        new.release()
        raise
    lock.release()
    if not is_ours:
        new.release()
        return None
    return new


def _give_up(segment: Segment, appender: Appender, trouble: str) -> None:
    """Stop writing to a segment; the next one continues what is left of it."""
    if trouble == _GROWN:
        mark = segment.written
        torn = (segment.size_on_disk or mark.offset) - mark.offset
        end = (Tail(mark.chain.carried(), mark.chain.count, torn), mark.seq)
        appender.give_up_segment(left=mark.events, end=end)
        return
    if trouble == _CUT:
        with contextlib.suppress(LogError):
            left, seq, tail = _rest_of(segment.path)
            appender.give_up_segment(left=left, end=(tail, seq))
            return
        # Not even its first line is whole, and readers refuse a segment without a header.
        with contextlib.suppress(OSError):
            segment.path.unlink()
    appender.give_up_segment(left=0)


def _rest_of(path: Path) -> tuple[int, int, Tail]:
    """Read what is left of a segment.

    Returns:
        The number of callers' events, the ``seq`` of the last event, and how the segment ends.

    Raises:
        LogError: Nothing of it can be read.
    """
    reader = SegmentReader(path)
    callers = seq = 0
    for event in reader:
        callers += callers_in([(event,)])
        seq = event.seq
    return callers, seq, reader.tail
