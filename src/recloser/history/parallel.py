"""A log folded in parts, each by a process of its own, from the checkpoints that begin segments.

The first part is folded here, each other one by another Python. Where two parts meet, the state that
the one ends in must be the one that the other begins with, and all that a reading of the whole log
checks between two segments is checked. If anything at all is amiss there is no result: a plain fold
then tells what it is, as it would have.
"""

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import chain, pairwise
from pathlib import Path
from typing import Final, Self

from attrs import frozen

from recloser.core.events import Edge, Event, LogOpened
from recloser.core.snapshot import Snapshot
from recloser.core.state import BreakerState
from recloser.errors import FoldError, LogError
from recloser.history.batches import BatchFold, OutOfStepError
from recloser.history.timeline import Timeline
from recloser.log.codec import decode
from recloser.log.counting_reader import OnRead
from recloser.log.listing import COMPRESSED_SUFFIX
from recloser.log.reader import Stretch, header_of, segment_readers, size_of
from recloser.log.tail import Tail
from recloser.process import child_python

_WORTH_A_PROCESS: Final = 32 << 20
_HEAD_START: Final = 24 << 20
"""What is folded here while another Python starts."""

_SHRUNK_BY: Final = 5
_TOLD_EVERY: Final = 1 << 20


@frozen
class Part:
    """Neighbouring segments of a log.

    Attributes:
        segments: They, in their order.
        following: The segment behind them; None at the end of the log.
    """

    segments: Sequence[Path]
    following: Path | None


@frozen
class FoldedPart:
    """What a part of a log comes to.

    Attributes:
        opened: The ``log_opened`` that it begins with.
        begun: Every breaker behind the checkpoints that follow that; empty for the first part.
        ended: Every breaker at its end.
        session: The session that was under way at its end.
        seq: That of its last event.
        at: The time of it, in nanoseconds.
        tail: How its last segment ended.
        edges: Its edges, in their order.
        witnesses: How many of their witnesses it holds.
        timeline: Dates its moments.
        count: How many events it has.
        snapshots: Every breaker as read at its end.
    """

    opened: LogOpened
    begun: Mapping[str, BreakerState]
    ended: Mapping[str, BreakerState]
    session: int
    seq: int
    at: int
    tail: Tail
    edges: Sequence[Edge]
    witnesses: int
    timeline: Timeline
    count: int
    snapshots: Mapping[str, Snapshot]

    def is_followed_by(self, other: "FoldedPart") -> bool:
        """Whether the other part goes on just where this one ends."""
        opened = other.opened
        return (
            other.begun == self.ended
            and opened.session == self.session
            and opened.seq == self.seq + 1
            and opened.at >= self.at
            and Tail(opened.chain, opened.unsealed, opened.torn) == self.tail
        )


def split(segments: Sequence[Path], jobs: int | None) -> Sequence[Part]:
    """Parts of a log that are about as long as one another.

    Args:
        segments: The log's.
        jobs: How many parts there are at most; None leaves it to the processors and to the length of
            the log, so that each part is worth a process.
    """
    weights = [_weight(segment) for segment in segments]
    if jobs is None:
        jobs = min(_processors(), max(1, sum(weights) // _WORTH_A_PROCESS))
    total = sum(weights)
    head_start = _HEAD_START if total > 2 * jobs * _HEAD_START else 0
    starts = [0]
    weight = 0
    for index, own in enumerate(weights):
        due = head_start + (total - head_start) * len(starts) // jobs
        if len(starts) < jobs and weight >= due and _can_begin_at(segments, index):
            starts.append(index)
        weight += own
    bounds = pairwise([*starts, len(segments)])
    following = [*segments, None]
    return [Part(segments[start:end], following[end]) for start, end in bounds]


def _weight(segment: Path) -> int:
    size = size_of(segment)
    return size * _SHRUNK_BY if segment.suffix == COMPRESSED_SUFFIX else size


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _can_begin_at(segments: Sequence[Path], index: int) -> bool:
    """Whether a segment goes on with the session before it, and begins with checkpoints."""
    if index == 0:
        return False
    try:
        before, header = header_of(segments[index - 1]), header_of(segments[index])
    except OSError:
        return False  # the fold of the whole log says what it is
    return (
        before is not None
        and header is not None
        and header.session == before.session
        and header.checkpoints > 0
    )


def fold_parts(parts: Sequence[Part], on_read: OnRead | None = None) -> Sequence[FoldedPart] | None:
    """What the parts of one log come to; None if anything is amiss in them or between them.

    Args:
        parts: All parts of the log.
        on_read: Told of the bytes on disk as they are read, by several threads.
    """
    with ExitStack() as stack, suppress(OSError):  # where no process can be begun
        others = [stack.enter_context(_OtherProcess(part, on_read)) for part in parts[1:]]
        first = fold_part(parts[0], is_first=True, on_read=on_read)
        if first is None:
            return None
        folded = [first]
        for other in others:
            result = other.result()
            if result is None or not folded[-1].is_followed_by(result):
                return None
            folded.append(result)
        return folded
    return None


def fold_part(
    part: Part, *, is_first: bool = False, on_read: OnRead | None = None
) -> FoldedPart | None:
    """What a part comes to; None if anything is amiss in it."""
    fold = BatchFold()
    begun: Mapping[str, BreakerState] = {}
    try:
        reader = _Reader(part, on_read)
        stretches = iter(reader)
        first = next(stretches, None)
        if first is None:
            return None
        opened = decode(first.text[: first.text.index(b"\n") + 1])
        if not isinstance(opened, LogOpened):
            return None
        stretches = chain((first,), stretches)
        if not is_first:
            rest = _checkpointed(fold, opened, stretches)
            if rest is None:
                return None
            begun = pickle.loads(pickle.dumps(fold.witnessed.fold.breakers))  # noqa: S301  # a copy
            if rest:
                fold.take(rest)
        for lines in stretches:
            fold.take_lines(lines)
        fold.settle()
    except (OutOfStepError, FoldError, LogError):
        return None
    witnessed = fold.witnessed
    if witnessed.awaited or witnessed.differences or witnessed.is_gap:
        return None
    ended = witnessed.fold
    assert ended.opened is not None
    return FoldedPart(
        opened=opened,
        begun=begun,
        ended=ended.breakers,
        session=ended.opened.session,
        seq=ended.seq,
        at=ended.at,
        tail=reader.tail,
        edges=fold.edges,
        witnesses=witnessed.witnesses,
        timeline=fold.timeline,
        count=fold.count,
        snapshots={name: ended.snapshot(name) for name in sorted(ended.breakers)},
    )


class _Reader:
    """The lines of a part in stretches.

    Attributes:
        tail: How its last segment ended, once it has been iterated to its end.
    """

    def __init__(self, part: Part, on_read: OnRead | None) -> None:
        self._part = part
        self._on_read = on_read
        self.tail = Tail()

    def __iter__(self) -> Iterator[Stretch]:
        segments, following = self._part.segments, self._part.following
        known = segments if following is None else [*segments, following]
        readers = segment_readers(known, on_read=self._on_read)
        for reader, _ in zip(readers, segments, strict=False):
            yield from reader.stretches()
            self.tail = reader.tail


def _checkpointed(
    fold: BatchFold, opened: LogOpened, stretches: Iterator[Stretch]
) -> Sequence[Event] | None:
    """Fold the checkpoints of all breakers, and read on to the end of a stretch.

    Returns:
        The events after them in that stretch; None if the checkpoints are not there.
    """
    head: list[Event] = []
    rest: list[Event] = []
    missing = opened.checkpoints
    for lines in stretches:
        for event in chain.from_iterable(lines.batches()):
            if not missing:
                rest.append(event)
                continue
            if event.kind == "checkpoint":
                missing -= event.part == event.parts
            elif event.kind not in ("log_opened", "log_sealed"):
                return None
            head.append(event)
        if not missing:
            break
    fold.take(head)
    fold.settle()
    return None if missing else rest


class _OtherProcess:
    """A process that folds a part, while this one goes on."""

    def __init__(self, part: Part, on_read: OnRead | None) -> None:
        self._on_read = on_read
        self._result: FoldedPart | None = None
        self._process = subprocess.Popen(  # noqa: S603  # this very Python, on a module of ours
            child_python.command(__name__),
            env=child_python.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._thread = threading.Thread(target=self._talk, args=(part,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._thread.join()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def result(self) -> FoldedPart | None:
        """What it came to; returns when it has."""
        self._thread.join()
        return self._result

    def _talk(self, part: Part) -> None:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        try:
            pickle.dump(part, into)
            into.close()
            for line in out:
                if line == _DONE:
                    self._result = pickle.loads(out.read())  # noqa: S301  # our own process
                elif self._on_read is not None:
                    self._on_read(int(line))
        except (OSError, EOFError, pickle.UnpicklingError):
            self._result = None


_DONE: Final = b"\n"


def main() -> None:
    """Fold the part that standard input tells of; what it comes to goes to standard output."""
    part = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that began this one
    out = sys.stdout.buffer
    untold = 0

    def on_read(size: int) -> None:
        nonlocal untold
        untold += size
        if untold >= _TOLD_EVERY or not size:
            out.write(b"%d\n" % untold)
            out.flush()
            untold = 0

    folded = fold_part(part, on_read=on_read)
    out.write(_DONE)
    pickle.dump(folded, out, pickle.HIGHEST_PROTOCOL)
    out.flush()
