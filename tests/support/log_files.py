"""Writes log files for tests, seals edited lines again, and ends a log like a crash."""

import re
from collections.abc import Iterable
from pathlib import Path

from breaker_calls import succeed
from observed_calls import ObservedCall, write_trace

from recloser import CircuitBreaker, EventLog, ManualClock, Outcome
from recloser.core.events import Event
from recloser.log.codec import decode, encode
from recloser.log.reader import segments_of
from recloser.log.seals import SealChain, is_seal


def write_rotated_log(path: Path, clock: ManualClock) -> list[Path]:
    """Write a log of several uncompressed segments, and return their paths."""
    with EventLog(path, clock=clock, tick_seconds=None, segment_bytes=1500, compress=False) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(40):
            succeed(breaker, 2)
            log.flush()
    return segments_of(path)


def write_segment(path: Path, events: Iterable[Event]) -> Path:
    """Write a log folder whose only segment has the given events and one seal."""
    path.mkdir(parents=True, exist_ok=True)
    chain = SealChain()
    lines = []
    for event in events:
        lines.append(encode(event))
        chain.add(lines[-1])
        last = event
    lines.append(chain.seal(last.seq + 1, last.at)[1])
    segment = path / "000000000001.jsonl"
    segment.write_bytes(b"".join(lines))
    return segment


def write_traffic(path: Path, outcomes: str, every_ns: int = 10**9) -> Path:
    """Write imported calls of a breaker ``b``.

    Args:
        path: The log folder.
        outcomes: One letter per call: ``F`` for a failure, any other for a success.
        every_ns: Time between the starts of two calls, in nanoseconds.
    """
    calls = [
        ObservedCall(
            "b", n * every_ns, 10**6, Outcome.FAILED if letter == "F" else Outcome.SUCCEEDED
        )
        for n, letter in enumerate(outcomes)
    ]
    write_trace(path, calls)
    return path


def read_lines(path: Path) -> list[bytes]:
    """Read the lines of a file, each with its line end."""
    return path.read_bytes().splitlines(keepends=True)


def resealed(lines: Iterable[bytes]) -> bytes:
    """Join lines of a log after an edit, with new values of ``seq`` and valid seals."""
    chain = SealChain()
    written = []
    for seq, line in enumerate(lines, start=1):
        renumbered = re.sub(rb'"seq":\d+', b'"seq":%d' % seq, line, count=1)
        if is_seal(renumbered):
            renumbered = chain.seal(seq, decode(renumbered).at)[1]
        else:
            chain.add(renumbered)
        written.append(renumbered)
    return b"".join(written)


def crash(log: EventLog) -> None:
    """End a log as SIGKILL would: what was written stays in its files, and nothing follows."""
    log.flush()
    log._buffer.is_closed = True
    log._end()
