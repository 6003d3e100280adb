"""Verifying a log, and keeping what is whole of a damaged one.

A log that is cut exactly behind a seal is a valid shorter log: only its head, kept elsewhere, can
tell. So verifying prints the head, and can be given one to look for.
"""

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from attrs import define, field, frozen

from recloser.errors import DamagedLogError, LogError
from recloser.events import Event
from recloser.log import disk
from recloser.log.housekeeping import copy_beginning, copy_whole
from recloser.log.listing import COMPRESSED_SUFFIX, errors_of, is_anything_at
from recloser.log.reader import open_segment, segment_readers, segments_of
from recloser.log.tail import Tail

_LOOKS = 3
"""How often a log is read that is damaged, and was written meanwhile."""


@frozen
class Head:
    """A seal that a log must have: its ``seq`` and its digest."""

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


@define
class Verification:
    """What was found in a log.

    Attributes:
        segments: How many segments it has.
        events: How many whole events.
        seals: How many seals that match.
        head: The last of them; None if there is none.
        tail: How it ends.
        damages: What is not as it was written, each with its place.
        found: Whether the head that was looked for is there; None if none was.
    """

    segments: int = 0
    events: int = 0
    seals: int = 0
    head: Head | None = None
    tail: Tail = field(factory=Tail)
    damages: list[str] = field(factory=list)
    found: bool | None = None


@frozen
class KeptSegment:
    """As much of a segment as is whole.

    Attributes:
        path: The segment.
        kept: How many of its first bytes are kept.
        dropped: How many bytes behind them are not.
    """

    path: Path
    kept: int
    dropped: int


def verify(path: Path, expected: Head | None = None) -> Verification:
    """Check every seal, every line and the order of a log.

    Raises:
        LogError: There is no log there, or one from the future.
    """
    for _ in range(_LOOKS):
        segments = segments_of(path)
        before = _stamps(segments)
        result = _verified(segments, expected)
        if not (result.damages or result.tail.torn) or _stamps(segments_of(path)) == before:
            break
        # It is being written: half a line at its end, or what a failed write left, is no damage.
    return result


def _stamps(segments: Sequence[Path]) -> Sequence[object]:
    """What changes where segments are written, cut, compressed or removed."""
    stamps: list[object] = []
    for segment in segments:
        with suppress(OSError):
            found = segment.stat()
            stamps.append((segment, found.st_ino, found.st_size, found.st_mtime_ns))
    return stamps


def _verified(segments: Sequence[Path], expected: Head | None) -> Verification:
    result = Verification(found=None if expected is None else False)
    order = _Order(result.damages)

    def note(error: DamagedLogError) -> None:
        order.note(str(error))

    for reader in segment_readers(segments, note, may_be_gone=True):
        result.segments += 1
        for event in chain.from_iterable(reader.batches()):
            result.events += 1
            order.check(reader.path, event)
            if event.kind == "log_sealed":
                result.seals += 1
                result.head = Head(event.seq, event.digest)
                if result.head == expected:
                    result.found = True
        if reader.is_gone:
            result.segments -= 1
            order.restart()
        result.tail = reader.tail
    return result


class _Order:
    """Checks that ``seq`` has no hole and ``at`` never falls, but where damage has made a gap."""

    def __init__(self, damages: list[str]) -> None:
        self._damages = damages
        self._seq: int | None = None
        self._at = 0

    def note(self, damage: str) -> None:
        self._damages.append(damage)
        self._seq = None

    def restart(self) -> None:
        """Go on behind a segment that was removed."""
        self._seq = None

    def check(self, segment: Path, event: Event) -> None:
        gap = event.kind == "log_gap"
        if self._seq is not None and event.seq != self._seq + 1 and not gap:
            self._damages.append(
                f"{segment}, seq {event.seq}: it follows seq {self._seq}, which is no neighbour"
            )
        if event.at < self._at:
            self._damages.append(f"{segment}, seq {event.seq}: its time is before that of the last")
        self._seq, self._at = event.seq, event.at


def whole_part(path: Path) -> Sequence[KeptSegment]:
    """How much of each segment comes before the first damage of a log.

    Raises:
        LogError: There is no log there, or none of it is whole.
    """
    kept: list[KeptSegment] = []
    errors: list[DamagedLogError] = []
    for reader in segment_readers(segments_of(path), errors.append):
        if not errors:
            for _ in reader.batches():
                pass
        size = _size(reader.path)
        kept.append(KeptSegment(reader.path, reader.whole_until, size - reader.whole_until))
        if not errors and len(kept) > 1:
            # What is torn at the end of a segment is counted by the one behind it.
            kept[-2] = KeptSegment(kept[-2].path, _size(kept[-2].path), 0)
    if not any(segment.kept for segment in kept):
        raise LogError(f"{path}: nothing at its beginning is whole, so nothing can be kept")
    return kept


def _size(segment: Path) -> int:
    """How many bytes a segment has, decompressed."""
    with open_segment(segment) as stream:
        return sum(len(piece) for piece in iter(lambda: stream.read(1 << 16), b""))


def refuse_existing(out: Path) -> None:
    """Check that nothing is where a log is to be written.

    Raises:
        LogError: Something is.
    """
    with errors_of(out):
        is_taken = is_anything_at(out)
    if is_taken:
        raise LogError(f"{out} exists already and is left as it is; choose another path")


def write_whole_part(kept: Sequence[KeptSegment], out: Path) -> None:
    """Write the whole part of a log to a new folder.

    Raises:
        LogError: ``out`` exists already.
    """
    refuse_existing(out)
    disk.make_folder(out, like=kept[0].path.parent)
    for segment in kept:
        if segment.kept:
            if segment.dropped:
                name = segment.path.name.removesuffix(COMPRESSED_SUFFIX)
                copy_beginning(segment.path, out / name, segment.kept)
            else:
                copy_whole(segment.path, out / segment.path.name)
