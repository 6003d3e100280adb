"""Writes a trace of single calls, as an import of spans would."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from attrs import field, frozen

from recloser.core.events import Outcome
from recloser.importers.call_log import CallLog, ImportSummary
from recloser.importers.import_batches import CallBatch, Unreadable

__all__ = ["ImportSummary", "ObservedCall", "Skipped", "Unreadable", "batches_of", "write_trace"]

_BATCH: Final = 1024


@frozen
class ObservedCall:
    """A call in a trace; ``start`` is in nanoseconds since 1970, ``took`` in nanoseconds."""

    breaker: str
    start: int
    took: int
    outcome: Outcome
    error: str | None = None
    labels: dict[str, str] = field(factory=dict)


@frozen
class Skipped:
    """An entry of a trace that is not a client's call, such as a span of a server."""

    what: str


def write_trace(
    path: Path, observed: Iterable[ObservedCall | Unreadable | Skipped]
) -> ImportSummary:
    """Write observed calls to a new log, in the order of their ends, in bounded memory.

    Raises:
        ImportTraceError: ``path`` exists already, or there is nothing to write.
    """
    with CallLog(path) as log:
        for calls in batches_of(observed):
            log.add(calls)
        return log.write()


def batches_of(observed: Iterable[ObservedCall | Unreadable | Skipped]) -> Iterator[CallBatch]:
    """Group observed calls into batches of columns, as importers yield them."""
    rest = iter(observed)
    number = 0
    while items := list(islice(rest, _BATCH)):
        calls = [item for item in items if isinstance(item, ObservedCall)]
        lines = [
            line for line, item in enumerate(items, number + 1) if isinstance(item, ObservedCall)
        ]
        number += len(items)
        skipped: dict[str, int] = {}
        for item in items:
            if isinstance(item, Skipped):
                skipped[item.what] = skipped.get(item.what, 0) + 1
        yield CallBatch(
            breaker=[call.breaker for call in calls],
            start=[call.start for call in calls],
            took=[call.took for call in calls],
            outcome=[call.outcome for call in calls],
            error=[call.error for call in calls],
            labels=[call.labels for call in calls] if any(c.labels for c in calls) else None,
            lines=lines,
            unreadable=[item for item in items if isinstance(item, Unreadable)],
            skipped=skipped,
        )
