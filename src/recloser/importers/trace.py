"""Writing a trace: observed calls, put in order of their ends, as a log."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Final

from attrs import define, field, frozen

from recloser.clock import ManualClock
from recloser.errors import ImportTraceError
from recloser.events import CallObserved, Outcome
from recloser.importers.fields import EPOCH
from recloser.log.writer import FLUSH_EVERY, EventLog
from recloser.validation import nanoseconds

_NS_PER_SECOND: Final = nanoseconds(1)


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


@define
class ImportSummary:
    """What came of an import.

    Attributes:
        read: Lines or rows read.
        calls: Those that became calls, of which so many succeeded, failed and were ignored.
        breakers: How many breakers they are for.
        unreadable: Those that could not be read.
    """

    read: int = 0
    calls: int = 0
    succeeded: int = 0
    failed: int = 0
    ignored: int = 0
    breakers: int = 0
    unreadable: list[Unreadable] = field(factory=list)


def write_trace(path: Path, observed: Iterable[ObservedCall | Unreadable]) -> ImportSummary:
    """Write observed calls to a new log, in the order of their ends.

    The log's time begins with the whole second in which the first call started, so that whole
    seconds of ``at`` are whole seconds of UTC.

    Raises:
        ImportTraceError: ``path`` exists already, or there is nothing to write.
    """
    if path.exists():
        raise ImportTraceError(
            f"{path} exists already and is left as it is; choose another path or delete it first"
        )
    summary = ImportSummary()
    calls = list(_readable(observed, summary))
    if not calls:
        raise ImportTraceError(_nothing_read(summary))
    calls.sort(key=lambda call: call.start + call.took)
    summary.calls = len(calls)
    summary.breakers = len({call.breaker for call in calls})
    for outcome in Outcome:
        count = sum(call.outcome is outcome for call in calls)
        setattr(summary, outcome.value, count)
    _write(path, calls)
    return summary


def _readable(
    observed: Iterable[ObservedCall | Unreadable], summary: ImportSummary
) -> Iterable[ObservedCall]:
    for call in observed:
        summary.read += 1
        if isinstance(call, Unreadable):
            summary.unreadable.append(call)
        else:
            yield call


def _nothing_read(summary: ImportSummary) -> str:
    if not summary.unreadable:
        return "there is no call in the input"
    first = summary.unreadable[0]
    return f"none of the {summary.read} lines could be read; the first is line {first.line}: {first.why}"


def _write(path: Path, calls: list[ObservedCall]) -> None:
    origin = min(call.start for call in calls) // _NS_PER_SECOND * _NS_PER_SECOND
    clock = ManualClock(start=EPOCH + timedelta(microseconds=origin // 1000), boot_id="")
    with EventLog(path, clock=clock, tick_seconds=None, seal_seconds=None, host="") as log:
        sequencer = log.attach()
        at = 0
        for written, call in enumerate(calls):
            end = call.start + call.took - origin
            clock.advance(ns=end - at)
            at = end
            with sequencer.held():
                sequencer.append(
                    CallObserved(
                        seq=sequencer.next_seq,
                        at=at,
                        breaker=call.breaker,
                        start=call.start - origin,
                        took=call.took,
                        outcome=call.outcome,
                        error=call.error,
                        labels=call.labels,
                    )
                )
            if written % FLUSH_EVERY == 0:
                log.flush()
