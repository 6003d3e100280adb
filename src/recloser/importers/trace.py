"""Writing a trace: observed calls, put in order of their ends, as a log."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from attrs import define, field, frozen

from recloser.clock import ManualClock
from recloser.errors import ImportTraceError
from recloser.events import CallObserved, Outcome
from recloser.importers.fields import EPOCH
from recloser.importers.ordering import SortedRuns
from recloser.limits import LABELS, MAX_AT, NAME_BYTES, label, wire_bytes
from recloser.log.listing import errors_of, is_anything_at
from recloser.log.writer import FLUSH_EVERY, EventLog
from recloser.validation import nanoseconds

_NS_PER_SECOND: Final = nanoseconds(1)
_KEPT: Final = 1000


@frozen
class ObservedCall:
    """A call as a trace tells it; ``start`` is in nanoseconds since 1970, ``took`` in nanoseconds."""

    breaker: str
    start: int
    took: int
    outcome: Outcome
    error: str | None = None
    labels: dict[str, str] = field(factory=dict)


@frozen
class Unreadable:
    """A line or row that could not be read, and why."""

    line: int
    why: str


@frozen
class Skipped:
    """Something that was read and is no call of a client, such as a span of a server."""

    what: str


@define
class ImportSummary:
    """What came of an import.

    Attributes:
        read: Lines, rows or spans read.
        calls: Those that became calls, of which so many succeeded, failed and were ignored.
        breakers: How many breakers they are for.
        skipped: Those that are no calls, by what they are.
        unread: How many could not be read.
        unreadable: The first of these, at most a thousand.
    """

    read: int = 0
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    breakers: int = 0
    skipped: dict[str, int] = field(factory=Counter)
    unread: int = 0
    unreadable: list[Unreadable] = field(factory=list)


class _Row(msgspec.Struct, array_like=True):
    """A call on its way to its place; ``end`` is ``start + took``."""

    end: int
    start: int
    took: int
    breaker: str
    outcome: Outcome
    error: str | None
    labels: dict[str, str]


def write_trace(
    path: Path, observed: Iterable[ObservedCall | Unreadable | Skipped]
) -> ImportSummary:
    """Write observed calls to a new log, in the order of their ends, in bounded memory.

    The log's time begins with the whole second in which the first call started, so that whole
    seconds of ``at`` are whole seconds of UTC. Nothing is written before all has been read.

    Raises:
        ImportTraceError: ``path`` exists already, or there is nothing to write.
    """
    with errors_of(path):
        is_taken = is_anything_at(path)
    if is_taken:
        raise ImportTraceError(
            f"{path} exists already and is left as it is; choose another path or delete it first"
        )
    summary = ImportSummary()
    breakers = set()
    first = None
    with SortedRuns(_Row, "end") as rows:
        for item in observed:
            summary.read += 1
            if not isinstance(item, ObservedCall):
                _leave_out(item, summary)
                continue
            if why := _impossible(item):
                _leave_out(Unreadable(summary.read, why), summary)
                continue
            summary.calls += 1
            name = item.outcome.value
            setattr(summary, name, getattr(summary, name) + 1)
            breakers.add(item.breaker)
            first = item.start if first is None else min(first, item.start)
            rows.add(_row(item))
        if first is None:
            raise ImportTraceError(_nothing_read(summary))
        summary.breakers = len(breakers)
        _write(path, rows, first // _NS_PER_SECOND * _NS_PER_SECOND)
    return summary


def _impossible(call: ObservedCall) -> str | None:
    """What a log could not hold of a call."""
    if not call.breaker:
        return "its breaker has no name"
    if wire_bytes(call.breaker) > NAME_BYTES:
        return f"the name of its breaker is longer than {NAME_BYTES:,} bytes"
    if not (call.start >= 0 and call.took >= 0 and call.start + call.took <= MAX_AT):
        return "its time is out of range"
    return None


def _leave_out(item: Unreadable | Skipped, summary: ImportSummary) -> None:
    if isinstance(item, Skipped):
        summary.skipped[item.what] += 1
        return
    summary.unread += 1
    if len(summary.unreadable) < _KEPT:
        summary.unreadable.append(item)


def _row(call: ObservedCall) -> _Row:
    end = call.start + call.took
    error = None if call.error is None else label(call.error)
    labels = {label(name): label(value) for name, value in islice(call.labels.items(), LABELS)}
    return _Row(end, call.start, call.took, call.breaker, call.outcome, error, labels)


def _nothing_read(summary: ImportSummary) -> str:
    if not summary.unreadable:
        others = ", ".join(f"{count:,} {what}" for what, count in summary.skipped.items())
        return "there is no call in the input" + (f", only {others}" if others else "")
    first = summary.unreadable[0]
    if summary.skipped:
        return f"there is no call in the input; line {first.line} could not be read: {first.why}"
    return f"none of the {summary.read} lines could be read; the first is line {first.line}: {first.why}"


def _observed(row: _Row, seq: int, at: int, origin: int) -> CallObserved:
    return CallObserved(
        seq=seq,
        at=at,
        breaker=row.breaker,
        start=row.start - origin,
        took=row.took,
        outcome=row.outcome,
        error=row.error,
        labels=row.labels,
    )


def _write(path: Path, rows: Iterable[_Row], origin: int) -> None:
    clock = ManualClock(start=EPOCH + timedelta(microseconds=origin // 1000), boot_id="")
    with EventLog(path, clock=clock, tick_seconds=None, seal_seconds=None, host="") as log:
        sequencer = log.attach()

        def observe(row: _Row, at: int) -> None:
            sequencer.hold(
                lambda: sequencer.append(_observed(row, sequencer.next_seq, at, origin)), list
            )

        at = 0
        for written, row in enumerate(rows):
            end = row.end - origin
            clock.advance(ns=end - at)
            at = end
            observe(row, at)
            if written % FLUSH_EVERY == 0:
                log.flush()
