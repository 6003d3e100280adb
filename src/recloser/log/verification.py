"""Verifying a log.

A log that is cut exactly behind a seal is a valid shorter log: only its head, kept elsewhere, can
tell. So verifying prints the head, and can be given one to look for.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from attrs import define, field, frozen

from recloser.core.events import Event
from recloser.errors import DamagedLogError, LogError, NotALogError
from recloser.log.damage import is_damage
from recloser.log.listing import errors_of, is_anything_at
from recloser.log.reader import SegmentReader, segment_readers, segments_of
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
        for event in chain.from_iterable(_batches(reader, order, is_only=len(segments) == 1)):
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


def _batches(reader: SegmentReader, order: "_Order", *, is_only: bool) -> Iterator[Sequence[Event]]:
    """The events of a segment; one that can't be read is damage, unless it is all there is."""
    try:
        yield from reader.batches()
    except DamagedLogError as error:
        order.note(str(error))
    except NotALogError as error:
        if is_only or not is_damage(error):
            raise
        order.note(str(error))


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


def refuse_existing(out: Path) -> None:
    """Check that nothing is where a log is to be written.

    Raises:
        LogError: Something is.
    """
    with errors_of(out):
        is_taken = is_anything_at(out)
    if is_taken:
        raise LogError(f"{out} exists already and is left as it is; choose another path")
