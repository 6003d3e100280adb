"""Verifies a log.

A log that is cut just after a seal is a valid shorter log; only its head, kept elsewhere, can
reveal that. So verifying prints the head, and can check for an expected one.
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
from recloser.log.reader import segment_readers, segments_of
from recloser.log.segment_reader import SegmentReader
from recloser.log.tail import Tail

_LOOKS = 3
"""How often a log is read at most if it looks damaged and was written in the meantime."""


@frozen
class Head:
    """A seal that a log is expected to have.

    Attributes:
        seq: The seal's ``seq``.
        digest: The seal's digest, in lower-case hex.
    """

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


@define
class Verification:
    """The result of verifying a log.

    Attributes:
        segments: Number of segments.
        events: Number of whole events.
        seals: Number of matching seals.
        head: The last matching seal; None if there is none.
        tail: How the log ends.
        damages: What is not as it was written, one line each, with its place.
        found: Whether the expected head is in the log; None if none was expected.
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

    Args:
        path: The log.
        expected: A seal that the log must have; None for none.

    Raises:
        LogError: The path is not a log, or a later version of the library wrote it.
    """
    for _ in range(_LOOKS):
        segments = segments_of(path)
        before = _stamps(segments)
        result = _verified(segments, expected)
        if not (result.damages or result.tail.torn) or _stamps(segments_of(path)) == before:
            break
        # It is being written. A partial last line, or the rest of a failed write, is not damage.
    return result


def _stamps(segments: Sequence[Path]) -> Sequence[object]:
    """Return values that change when segments are written, cut, compressed or removed."""
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

    for reader in segment_readers(segments, note, may_be_removed=True):
        result.segments += 1
        for event in chain.from_iterable(_batches(reader, order, is_only=len(segments) == 1)):
            result.events += 1
            order.check(reader.path, event)
            if event.kind == "log_sealed":
                result.seals += 1
                result.head = Head(event.seq, event.digest)
                if result.head == expected:
                    result.found = True
        if reader.was_removed:
            result.segments -= 1
            order.restart()
        result.tail = reader.tail
    return result


def _batches(reader: SegmentReader, order: "_Order", *, is_only: bool) -> Iterator[Sequence[Event]]:
    """Yield a segment's events; an unreadable one is damage unless it is the only one."""
    try:
        yield from reader.batches()
    except DamagedLogError as error:
        order.note(str(error))
    except NotALogError as error:
        if is_only or not is_damage(error):
            raise
        order.note(str(error))


class _Order:
    """Checks that ``seq`` has no gap and ``at`` never falls, except after damage."""

    def __init__(self, damages: list[str]) -> None:
        self._damages = damages
        self._seq: int | None = None
        self._at = 0

    def note(self, damage: str) -> None:
        self._damages.append(damage)
        self._seq = None

    def restart(self) -> None:
        """Continue after a segment that was removed."""
        self._seq = None

    def check(self, segment: Path, event: Event) -> None:
        is_gap = event.kind == "log_gap"
        if self._seq is not None and event.seq != self._seq + 1 and not is_gap:
            self._damages.append(
                f"{segment}, seq {event.seq}: it follows seq {self._seq}, so events are missing"
            )
        if event.at < self._at:
            self._damages.append(
                f"{segment}, seq {event.seq}: its time is before that of the event before it"
            )
        self._seq, self._at = event.seq, event.at


def refuse_existing(out: Path) -> None:
    """Check that nothing exists at the path where a log is to be written.

    Raises:
        LogError: Something exists there.
    """
    with errors_of(out):
        is_taken = is_anything_at(out)
    if is_taken:
        raise LogError(f"{out} exists already and is left as it is; choose another path")
