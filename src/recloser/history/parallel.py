"""Folds a log in several processes, from the checkpoints that segments begin with.

The log is split into ranges of segments. This process folds the first range, and other processes
the rest. Where two ranges meet, the state at the end of one must equal the state that the other
begins with, and everything is checked that a reader of the whole log checks between two segments.
If anything is wrong there is no result, and a plain fold then finds out what it is.
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
from recloser.history.batches import BatchFold, DivergedError
from recloser.history.timeline import Timeline
from recloser.log.codec import decode
from recloser.log.counting_reader import OnRead
from recloser.log.listing import COMPRESSED_SUFFIX
from recloser.log.reader import segment_readers
from recloser.log.segment_reader import SegmentLines, header_of, size_of
from recloser.log.tail import Tail
from recloser.process import child_python

_WORTH_A_PROCESS: Final = 32 << 20
_HEAD_START: Final = 24 << 20
"""Bytes that this process folds while another one starts."""

_SHRUNK_BY: Final = 5
_REPORT_EVERY: Final = 1 << 20


@frozen
class SegmentRange:
    """Consecutive segments of a log.

    Attributes:
        segments: The segments, in order.
        following: The segment after them; None at the end of the log.
    """

    segments: Sequence[Path]
    following: Path | None


@frozen
class FoldedRange:
    """The result of folding a range of segments.

    Attributes:
        opened: The ``log_opened`` that the range begins with.
        first_states: The state of every breaker after the checkpoints at its start; empty for the
            first range.
        last_states: The state of every breaker at its end.
        session: The session at its end.
        seq: The ``seq`` of its last event.
        at: The time of that event, in nanoseconds of the log.
        tail: How its last segment ended.
        edges: Its edges, in order.
        witnesses: Number of edges that the log recorded.
        timeline: Converts its times to wall time.
        count: Number of events.
        snapshots: A snapshot of every breaker at its end, by name.
    """

    opened: LogOpened
    first_states: Mapping[str, BreakerState]
    last_states: Mapping[str, BreakerState]
    session: int
    seq: int
    at: int
    tail: Tail
    edges: Sequence[Edge]
    witnesses: int
    timeline: Timeline
    count: int
    snapshots: Mapping[str, Snapshot]

    def is_followed_by(self, other: "FoldedRange") -> bool:
        """Whether the other range continues exactly where this one ends."""
        opened = other.opened
        return (
            other.first_states == self.last_states
            and opened.session == self.session
            and opened.seq == self.seq + 1
            and opened.at >= self.at
            and Tail(opened.chain, opened.unsealed, opened.torn) == self.tail
        )


def split_log(segments: Sequence[Path], jobs: int | None) -> Sequence[SegmentRange]:
    """Split a log into ranges of about the same size.

    Args:
        segments: The log's segments.
        jobs: Number of ranges at most. None chooses it by the number of processors and the size of
            the log, so that each range is worth a process.
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
    return [SegmentRange(segments[start:end], following[end]) for start, end in bounds]


def _weight(segment: Path) -> int:
    size = size_of(segment)
    return size * _SHRUNK_BY if segment.suffix == COMPRESSED_SUFFIX else size


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _can_begin_at(segments: Sequence[Path], index: int) -> bool:
    """Whether a segment continues the session before it, and has checkpoints."""
    if index == 0:
        return False
    try:
        before, header = header_of(segments[index - 1]), header_of(segments[index])
    except OSError:
        return False  # reading the whole log reports the error
    return (
        before is not None
        and header is not None
        and header.session == before.session
        and header.checkpoints > 0
    )


def fold_ranges(
    ranges: Sequence[SegmentRange], on_read: OnRead | None = None
) -> Sequence[FoldedRange] | None:
    """Fold all ranges of a log; None if anything is wrong in them or between them.

    Args:
        ranges: All ranges of the log, in order.
        on_read: Called with the number of bytes read from disk, by several threads.
    """
    with ExitStack() as stack, suppress(OSError):  # no process can be started
        others = [stack.enter_context(_OtherProcess(each, on_read)) for each in ranges[1:]]
        first = fold_range(ranges[0], is_first=True, on_read=on_read)
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


def fold_range(
    segments: SegmentRange, *, is_first: bool = False, on_read: OnRead | None = None
) -> FoldedRange | None:
    """Fold a range of segments; None if anything is wrong in it.

    Args:
        segments: The range.
        is_first: Whether it begins the log. If not, it must begin with checkpoints.
        on_read: Called with the number of bytes after each read from disk.
    """
    fold = BatchFold()
    first_states: Mapping[str, BreakerState] = {}
    try:
        reader = _RangeReader(segments, on_read)
        batches = iter(reader)
        first = next(batches, None)
        if first is None:
            return None
        opened = decode(first.text[: first.text.index(b"\n") + 1])
        if not isinstance(opened, LogOpened):
            return None
        batches = chain((first,), batches)
        if not is_first:
            rest = _fold_checkpoints(fold, opened, batches)
            if rest is None:
                return None
            # A copy, since folding changes the states.
            first_states = pickle.loads(pickle.dumps(fold.witnessed.fold.breakers))  # noqa: S301
            if rest:
                fold.add_events(rest)
        for lines in batches:
            fold.add_lines(lines)
        fold.fold_gathered()
    except (DivergedError, FoldError, LogError):
        return None
    witnessed = fold.witnessed
    if witnessed.awaited or witnessed.differences or witnessed.is_gap:
        return None
    ended = witnessed.fold
    assert ended.opened is not None
    return FoldedRange(
        opened=opened,
        first_states=first_states,
        last_states=ended.breakers,
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


class _RangeReader:
    """The checked lines of a range of segments, in batches.

    Attributes:
        tail: How the last segment ended; set when the range has been iterated to its end.
    """

    def __init__(self, segments: SegmentRange, on_read: OnRead | None) -> None:
        self._range = segments
        self._on_read = on_read
        self.tail = Tail()

    def __iter__(self) -> Iterator[SegmentLines]:
        segments, following = self._range.segments, self._range.following
        # The reader of the last segment needs the header of the one after it.
        known = segments if following is None else [*segments, following]
        readers = segment_readers(known, on_read=self._on_read)
        for reader, _ in zip(readers, segments, strict=False):
            yield from reader.line_batches()
            self.tail = reader.tail


def _fold_checkpoints(
    fold: BatchFold, opened: LogOpened, batches: Iterator[SegmentLines]
) -> Sequence[Event] | None:
    """Fold the checkpoints of all breakers, and read to the end of their batch.

    Returns:
        The events after the checkpoints in that batch; None if checkpoints are missing.
    """
    head: list[Event] = []
    rest: list[Event] = []
    missing = opened.checkpoints
    for lines in batches:
        for event in chain.from_iterable(lines.events()):
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
    fold.add_events(head)
    fold.fold_gathered()
    return None if missing else rest


class _OtherProcess:
    """A process that folds a range while this one folds another."""

    def __init__(self, segments: SegmentRange, on_read: OnRead | None) -> None:
        self._on_read = on_read
        self._result: FoldedRange | None = None
        self._process = subprocess.Popen(  # noqa: S603  # this very Python, on a module of ours
            child_python.command(__name__),
            env=child_python.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # The thread reads the pipe all the time, so that the process never waits to report.
        self._thread = threading.Thread(target=self._exchange, args=(segments,), daemon=True)
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

    def result(self) -> FoldedRange | None:
        """Wait for the process, and return its result; None if it has none."""
        self._thread.join()
        return self._result

    def _exchange(self, segments: SegmentRange) -> None:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None
        assert out is not None
        try:
            pickle.dump(segments, into)
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
    """Fold the range given on standard input, and write the result to standard output.

    Lines with the number of bytes read come first, then an empty line, then the pickled result.
    """
    segments = pickle.load(sys.stdin.buffer)  # noqa: S301  # from the process that started this one
    out = sys.stdout.buffer
    unreported = 0

    def on_read(size: int) -> None:
        nonlocal unreported
        unreported += size
        if unreported >= _REPORT_EVERY or not size:
            out.write(b"%d\n" % unreported)
            out.flush()
            unreported = 0

    folded = fold_range(segments, on_read=on_read)
    out.write(_DONE)
    pickle.dump(folded, out, pickle.HIGHEST_PROTOCOL)
    out.flush()
