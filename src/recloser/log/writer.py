"""The log on disk: one writer, which appends to a segment of its own."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Literal, TypeAlias, get_args

from recloser.clock import Clock
from recloser.errors import ConfigError, LogError
from recloser.events import Event, LogSealed
from recloser.log.codec import MAX_LINE_BYTES, encode
from recloser.log.lock import FolderLock
from recloser.log.reader import SEGMENT_SUFFIX, LogReader, Tail
from recloser.log.seals import SEAL_EVERY, SealChain
from recloser.log.sequencer import Log
from recloser.logfold import LogFold
from recloser.validation import Seconds, nanoseconds

Durability: TypeAlias = Literal["batch", "sync", "memory"]


class EventLog(Log):
    """A log in a folder of segments.

    Opening it folds what earlier sessions left, so that every breaker goes on where it stood.
    Every event is handed to the operating system before the call that caused it returns, and so
    outlives the death of the process.

    Args:
        path: The folder; it is made if absent.
        durability: When events are forced to disk, and so outlive the machine: ``batch`` with each
            seal, at least once a second while events flow and at once with an edge; ``sync`` with
            every event; ``memory`` when the operating system sees fit.
        clock: What times the log; by default that of the first breaker on it.
        tick_seconds: While events flow, both hands of the clock are recorded as often as this;
            None records them only where a deadline has passed.
        host: What the log names as its machine; by default the machine's own name.
        seal_seconds: How often a seal is written while events flow; None for the sake of size.

    Attributes:
        tail: How the log ended when it was opened: what was kept unsealed, and what was dropped.

    Raises:
        LogError: Another writer has the folder, or what is in it can't be read or is not whole.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        durability: Durability = "batch",
        clock: Clock | None = None,
        tick_seconds: Seconds | None = 1,
        host: str | None = None,
        seal_seconds: Seconds | None = 1,
    ) -> None:
        super().__init__(clock=clock, tick_seconds=tick_seconds, host=host)
        if durability not in get_args(Durability):
            raise ConfigError(f"durability must be batch, sync or memory, not {durability!r}")
        self.path = Path(path)
        self._durability = durability
        self._seal_ns = None if seal_seconds is None else nanoseconds(seal_seconds)
        self._sealed_at = 0
        self._segment: IO[bytes] | None = None
        self._closed = False
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = FolderLock(self.path)
        try:
            self._fold, self.tail = _recover(self.path)
        except BaseException:
            self._lock.release()
            raise
        self._chain = SealChain(self.tail.chain)

    def recovered(self) -> tuple[LogFold, Tail]:
        """The fold of the earlier sessions, and how the last of them ended."""
        return self._fold, self.tail

    def write(self, events: Sequence[Event]) -> LogSealed | None:
        """Append an event and its witnesses, and a seal if one is due."""
        if self._closed:
            raise LogError(f"{self.path}: the log is closed; nothing more can be recorded in it")
        if self._segment is None:
            self._segment = _new_segment(self.path)
            self._sealed_at = events[0].at
        for event in events:
            line = encode(event)
            self._segment.write(line)
            self._chain.add(line)
        sealed = None
        if self._is_seal_due(events):
            sealed = self._seal(self._segment, events[-1].seq, events[-1].at)
        self._segment.flush()
        if self._durability == "sync" or (sealed and self._durability == "batch"):
            _force_to_disk(self._segment)
        return sealed

    def __iter__(self) -> Iterator[Event]:
        return iter(LogReader(self.path))

    def close(self) -> None:
        """Seal what is not yet sealed and end the session; closing twice does nothing."""
        if self._sequencer is None:
            self._closed = True
            self._lock.release()
            return
        with self._sequencer.reading():
            if self._closed or self._segment is None:
                return
            self._closed = True
            if self._chain.count:
                self._fold.apply(self._seal(self._segment, self._fold.seq, self._fold.at))
            self._segment.flush()
            if self._durability != "memory":
                _force_to_disk(self._segment)
            self._segment.close()
            self._lock.release()

    def _is_seal_due(self, events: Sequence[Event]) -> bool:
        at = events[-1].at
        took_an_edge = len(events) > 1
        return (
            took_an_edge
            or self._chain.count >= SEAL_EVERY
            or (self._seal_ns is not None and at - self._sealed_at >= self._seal_ns)
        )

    def _seal(self, segment: IO[bytes], seq: int, at: int) -> LogSealed:
        sealed, line = self._chain.seal(seq + 1, at)
        segment.write(line)
        self._sealed_at = at
        return sealed


def _recover(path: Path) -> tuple[LogFold, Tail]:
    fold = LogFold()
    _drop_headless(path)
    if not any(path.glob(f"*{SEGMENT_SUFFIX}")):
        return fold, Tail()
    reader = LogReader(path)
    for event in reader:
        fold.apply(event)
    return fold, reader.tail


def _drop_headless(path: Path) -> None:
    """Remove a last segment that holds no whole line: its process died before its first event."""
    for segment in sorted(path.glob(f"*{SEGMENT_SUFFIX}"))[-1:]:
        with segment.open("rb") as stream:
            if not stream.readline(MAX_LINE_BYTES).endswith(b"\n"):
                segment.unlink()


def _new_segment(path: Path) -> IO[bytes]:
    numbers = [int(segment.stem) for segment in path.glob(f"*{SEGMENT_SUFFIX}")]
    segment = path / f"{max(numbers, default=0) + 1:012d}{SEGMENT_SUFFIX}"
    stream = segment.open("xb")
    _force_entry_to_disk(path)
    return stream


def _force_to_disk(stream: IO[bytes]) -> None:
    # macOS has no fdatasync.
    getattr(os, "fdatasync", os.fsync)(stream.fileno())


def _force_entry_to_disk(folder: Path) -> None:
    """Make the folder's new entry survive a loss of power, where folders can be opened at all."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
