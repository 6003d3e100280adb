"""A look at the folder of a log that is being written: is it still the one that was opened?

A cleaner may remove the folder, its lock or its newest segment, ``logrotate`` may move or cut the
segment, and a daemoniser may close every descriptor of the process. What can be mended is mended
here. The writer looks once a second and before it writes, which is a few questions to the operating
system, so that nothing is written into a file that is not the log's.
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
from recloser.log.reader import SegmentReader
from recloser.log.segment import Segment
from recloser.log.tail import Tail
from recloser.log.write_batch import callers_in

_CLOSED: Final = "another part of the process has closed the files of the log"
_CUT: Final = "the newest segment was cut while it was written"
_GROWN: Final = "somebody else has written to the newest segment"
_SEGMENT_GONE: Final = "the newest segment was removed or moved while it was written"
_FOLDER_GONE: Final = "the folder was removed or moved while the log was written"
_LOCK_GONE: Final = "the lock file was removed or replaced while the log was written"
_TAKEN: Final = "another writer has the folder"


class DisturbedError(OSError):
    """What waits can't be written where it was to be; the log goes on in another segment."""


@frozen
class Disturbance:
    """What was done to the folder of a log.

    Attributes:
        what: It, in words.
        lock: The lock that keeps others out of the folder from now on; None if another writer has
            the folder, so that nothing may be written there any more.
        has_lost: Whether the appender had to give up the segment. Otherwise all is mended.
    """

    what: str
    lock: FolderLock | None
    has_lost: bool


def disturbance_of(folder: Path, lock: FolderLock, appender: Appender) -> Disturbance | None:
    """Look at a folder, and mend what was done to it; None if nothing was.

    Raises:
        OSError: The folder can't be looked at, or not be made again.
    """
    segment = appender.segment
    is_held = lock.is_held
    trouble = None if segment is None else _trouble_with(segment)
    if is_held and trouble is None:
        return None
    what = _told(folder, lock, trouble, is_held=is_held)
    new: FolderLock | None = lock
    if not is_held:
        appender.new_names += disk.make_folder(folder)
        is_gone = trouble == _SEGMENT_GONE
        new = _taken_again(folder, lock, appender.number - 1 if is_gone else appender.number)
    if new is None:
        written = None if segment is None else segment.written
        if written is not None:
            appender.let_go(left=written.events, behind=(Tail(), written.seq))
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


def _told(folder: Path, lock: FolderLock, trouble: str | None, *, is_held: bool) -> str:
    if not is_there(folder):
        return _FOLDER_GONE
    done = [] if trouble is None else [trouble]
    if not is_held:
        done.append(_CLOSED if lock.is_closed else _LOCK_GONE)
    return " and ".join(dict.fromkeys(done))


def _taken_again(folder: Path, lock: FolderLock, number: int) -> FolderLock | None:
    """A new lock of the folder; None if another writer has it, or has written there meanwhile.

    Args:
        folder: The log's.
        lock: The lock that was lost.
        number: The highest that a segment of this writer has there.
    """
    if lock.is_closed:
        lock.release()  # or its number, given to the new lock of the same file, would seem its own
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
    """Have the next segment continue what is left of this one, which nobody may write to."""
    if trouble == _GROWN:
        mark = segment.written
        torn = (segment.size_on_disk or mark.offset) - mark.offset
        behind = (Tail(mark.chain.carried(), mark.chain.count, torn), mark.seq)
        appender.let_go(left=mark.events, behind=behind)
        return
    if trouble == _CUT:
        with contextlib.suppress(LogError):
            left, seq, tail = _left_of(segment.path)
            appender.let_go(left=left, behind=(tail, seq))
            return
        # Not even its first line is whole: an empty segment would be read as no log.
        with contextlib.suppress(OSError):
            segment.path.unlink()
    appender.let_go(left=0)


def _left_of(path: Path) -> tuple[int, int, Tail]:
    """How many events of callers a segment still has, the ``seq`` of the last event, and its end.

    Raises:
        LogError: Nothing of it can be read.
    """
    reader = SegmentReader(path)
    callers = seq = 0
    for event in reader:
        callers += callers_in([(event,)])
        seq = event.seq
    return callers, seq, reader.tail
