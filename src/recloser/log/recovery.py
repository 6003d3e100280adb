"""Opens an existing log: folds its end, starting at the last complete checkpoints."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal, TypeAlias

from attrs import frozen

from recloser.core.limits import LAST_OPENED_SEQ, LAST_SESSION, MAX_LINE_BYTES
from recloser.core.log_fold import LogFold
from recloser.errors import DamagedLogError, LogError, RecloserError
from recloser.log import disk
from recloser.log.damage import SegmentStart, is_damage, plan_repair
from recloser.log.listing import COMPRESSED_SUFFIX, last_number, number_of, segments_in
from recloser.log.reader import segment_readers
from recloser.log.segment_reader import open_segment
from recloser.log.set_aside import Damage, set_aside
from recloser.log.tail import Tail

OnDamage: TypeAlias = Literal["set_aside", "raise"]

CHECKED_BYTES: Final = 1 << 20
"""Size in bytes up to which a log is checked as a whole when opened; otherwise only its end is."""

_COMPRESSION: Final = 16
_HEADER_START: Final = b'{"event":"log_opened",'
_REMEDY: Final = (
    "keep its intact parts with `recloser repair`, or open it with on_damage='set_aside'"
)


@frozen
class Recovered:
    """The state of a log that an earlier session left.

    Attributes:
        fold: The fold of the log, with the state of every breaker.
        tail: How the log ends.
        damage: The damage that was set aside; None if there was none.
    """

    fold: LogFold
    tail: Tail
    damage: Damage | None = None


def recover(folder: Path, on_damage: OnDamage = "raise") -> Recovered:
    """Fold the log in a folder, and find how it ends.

    Every segment begins with the checkpoints of all breakers, so the last one is enough. An older
    one is read only if a crash came before those were written, or if the log is small.

    Args:
        folder: The log, which is locked.
        on_damage: ``set_aside`` keeps the intact parts; ``raise`` leaves everything as it is.

    Raises:
        LogError: The log can't be read, or is damaged and ``on_damage`` is ``raise``.
        OSError: The folder can't be read or written.
    """
    damage: Damage | None = None
    try:
        fold, tail = _recovered(folder)
    except RecloserError as error:
        if not is_damage(error):
            raise
        if on_damage == "raise":
            raise type(error)(f"{error}; {_REMEDY}") from error
        segments = segments_in(folder)
        damage = set_aside(segments, _first_to_examine(segments))
        fold, tail = _recovered(folder)
    fault = _fault_after_end(folder)
    if fault is not None:
        if on_damage == "raise":
            raise DamagedLogError(f"{fault}; move it away, if nothing is lost with it")
        damage = damage or Damage([fault], [], 0)
    return Recovered(fold, tail, damage)


def _fault_after_end(folder: Path) -> str | None:
    """Describe an entry that is named like a later segment but is not a file, if any."""
    last = max(map(number_of, segments_in(folder)), default=0)
    number = last_number(folder)
    if number <= last:
        return None
    return f"{folder}: something that is not a file has the name of segment {number}"


def _recovered(folder: Path) -> tuple[LogFold, Tail]:
    _remove_empty_segment(folder)
    segments = segments_in(folder)
    _check(segments)
    for first in range(len(segments) - 1, -1, -1):
        recovered = _fold(segments[first:], is_whole_log=first == 0)
        if recovered is not None:
            _check_room(folder, recovered[0])
            return recovered
    return LogFold(), Tail()


def _check(segments: Sequence[Path]) -> None:
    """Check that no segment is missing, and that a small log is intact.

    Raises:
        DamagedLogError: A segment is missing or damaged.
    """
    for index in _holes(segments):
        raise DamagedLogError(f"{segments[index]}: the segment before it is missing")
    if _is_small(segments):
        faults = plan_repair(segments).faults
        if faults:
            raise DamagedLogError(faults[0])


def _first_to_examine(segments: Sequence[Path]) -> int:
    if _is_small(segments):
        return 0
    return min(_holes(segments), default=len(segments)) - 1


def _holes(segments: Sequence[Path]) -> Iterator[int]:
    """Yield the index of each segment before which others are missing without a gap.

    A number may be skipped because something else had the name. Then the next segment's header
    continues the segment before, and nothing is missing.
    """
    for index, neighbours in enumerate(pairwise(segments), 1):
        before, segment = map(number_of, neighbours)
        if segment != before + 1 and plan_repair(neighbours).faults:
            yield index


def _is_small(segments: Sequence[Path]) -> bool:
    return sum(map(_size, segments)) <= CHECKED_BYTES


def _size(segment: Path) -> int:
    try:
        size = segment.stat().st_size
    except OSError:
        return 0  # reading the file reports the error
    return size * _COMPRESSION if segment.suffix == COMPRESSED_SUFFIX else size


def _check_room(folder: Path, fold: LogFold) -> None:
    """Check that another session can't reach numbers that a line can't hold.

    Raises:
        LogError: It could.
    """
    session = 0 if fold.opened is None else fold.opened.session
    for what, number, most in (
        ("seq", fold.seq, LAST_OPENED_SEQ),
        ("session", session, LAST_SESSION),
    ):
        if number > most:
            raise LogError(
                f"{folder}: nothing can be added to this log, because its {what} has reached "
                f"{number:,}; move it away to begin a new one"
            )


def _fold(segments: Sequence[Path], *, is_whole_log: bool) -> tuple[LogFold, Tail] | None:
    """Fold segments; None if they do not begin with the state of all breakers."""
    fold = LogFold()
    tail = Tail()
    start = SegmentStart()
    for reader in segment_readers(segments):
        for event in reader:
            start.follow(event)
            if start.is_over and not is_whole_log:
                return None
            fold.apply(event)
        tail = reader.tail
    return (fold, tail) if start.is_complete or is_whole_log else None


def _remove_empty_segment(folder: Path) -> None:
    """Remove a last segment whose process died before its first line was whole."""
    for segment in segments_in(folder)[-1:]:
        first_bytes = b"\n"
        with suppress(OSError), open_segment(segment) as stream:  # reported when it is read later
            first_bytes = stream.read(MAX_LINE_BYTES)
        if b"\n" in first_bytes or len(first_bytes) == MAX_LINE_BYTES:
            return
        first_bytes = first_bytes.rstrip(b"\0")  # a power loss may leave zeros
        if first_bytes[: len(_HEADER_START)] == _HEADER_START[: len(first_bytes)]:
            disk.remove(segment)
