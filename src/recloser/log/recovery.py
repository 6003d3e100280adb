"""Opening a log that is there: the fold of its end, from the last checkpoints on."""

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
from recloser.log.damage import Starting, is_damage, plan
from recloser.log.listing import COMPRESSED_SUFFIX, last_number, number_of, segments_in
from recloser.log.reader import open_segment, segment_readers
from recloser.log.set_aside import Damage, set_aside
from recloser.log.tail import Tail

OnDamage: TypeAlias = Literal["set_aside", "raise"]

CHECKED_BYTES: Final = 1 << 20
"""A log that is no larger is checked whole when it is opened; of a larger one, its end is."""

_SHRUNK_BY: Final = 16
_HEADER_START: Final = b'{"event":"log_opened",'
_REMEDY: Final = (
    "keep what is whole of it with `recloser repair`, or open it with on_damage='set_aside'"
)


@frozen
class Recovered:
    """What an earlier session left.

    Attributes:
        fold: The state that its log folds to.
        tail: How that ends.
        damage: What was damaged, and is set aside; None if nothing was.
    """

    fold: LogFold
    tail: Tail
    damage: Damage | None = None


def recover(folder: Path, on_damage: OnDamage = "raise") -> Recovered:
    """The state that the log in a folder folds to, and how the log ends.

    Every segment begins with the checkpoints of all breakers, so its last one is enough; an older
    one is read only where a crash came before those were written, or where the log is small.

    Args:
        folder: The log, which is locked.
        on_damage: ``set_aside`` keeps what is whole; ``raise`` leaves all as it is.

    Raises:
        LogError: What is in the folder can't be read, or is not whole and ``on_damage`` is ``raise``.
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
    strange = _strange_end(folder)
    if strange is not None:
        if on_damage == "raise":
            raise DamagedLogError(f"{strange}; move it away, if nothing is lost with it")
        damage = damage or Damage([strange], [], 0)
    return Recovered(fold, tail, damage)


def _strange_end(folder: Path) -> str | None:
    """What has the name of a segment behind the last one, and is no file; None if nothing has."""
    last = max(map(number_of, segments_in(folder)), default=0)
    number = last_number(folder)
    if number <= last:
        return None
    return f"{folder}: something that is no file has the name of segment {number}"


def _recovered(folder: Path) -> tuple[LogFold, Tail]:
    _drop_headless(folder)
    segments = segments_in(folder)
    _check(segments)
    for first in range(len(segments) - 1, -1, -1):
        recovered = _fold(segments[first:], is_whole_log=first == 0)
        if recovered is not None:
            _check_room(folder, recovered[0])
            return recovered
    return LogFold(), Tail()


def _check(segments: Sequence[Path]) -> None:
    """Check that no segment is missing, and that all are whole where they are small.

    Raises:
        DamagedLogError: They are not.
    """
    for place in _holes(segments):
        raise DamagedLogError(f"{segments[place]}: the segment before it is missing")
    if _is_small(segments):
        faults = plan(segments).faults
        if faults:
            raise DamagedLogError(faults[0])


def _first_to_examine(segments: Sequence[Path]) -> int:
    if _is_small(segments):
        return 0
    return min(_holes(segments), default=len(segments)) - 1


def _holes(segments: Sequence[Path]) -> Iterator[int]:
    """The places of segments before which some are missing, and no gap says so.

    A number may be left out where something else had the name: the next segment tells.
    """
    for place, neighbours in enumerate(pairwise(segments), 1):
        before, segment = map(number_of, neighbours)
        if segment != before + 1 and plan(neighbours).faults:
            yield place


def _is_small(segments: Sequence[Path]) -> bool:
    return sum(map(_size, segments)) <= CHECKED_BYTES


def _size(segment: Path) -> int:
    try:
        size = segment.stat().st_size
    except OSError:
        return 0  # reading it says why
    return size * _SHRUNK_BY if segment.suffix == COMPRESSED_SUFFIX else size


def _check_room(folder: Path, fold: LogFold) -> None:
    """Check that a further session can't reach numbers that no line holds.

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
                f"{folder}: nothing can be written behind this log, whose {what} stands at "
                f"{number:,}; move it away, and a new one begins"
            )


def _fold(segments: Sequence[Path], *, is_whole_log: bool) -> tuple[LogFold, Tail] | None:
    """The fold of these segments; None if they do not begin with the state of all breakers."""
    fold = LogFold()
    tail = Tail()
    starting = Starting()
    for reader in segment_readers(segments):
        for event in reader:
            starting.take(event)
            if starting.is_over and not is_whole_log:
                return None
            fold.apply(event)
        tail = reader.tail
    return (fold, tail) if starting.is_whole or is_whole_log else None


def _drop_headless(folder: Path) -> None:
    """Remove a last segment that holds no whole line: its process died before its first event."""
    for segment in segments_in(folder)[-1:]:
        begun = b"\n"
        with suppress(OSError), open_segment(segment) as stream:  # reading it says why
            begun = stream.read(MAX_LINE_BYTES)
        if b"\n" in begun or len(begun) == MAX_LINE_BYTES:
            return
        begun = begun.rstrip(b"\0")  # what a loss of power leaves of what was not synced
        if begun[: len(_HEADER_START)] == _HEADER_START[: len(begun)]:
            disk.remove(segment)
