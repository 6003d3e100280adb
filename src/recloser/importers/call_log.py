"""Last stage of an import: sorts calls by their ends and writes them as a log."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from itertools import islice, repeat
from pathlib import Path
from typing import Any, Final, Self

import msgspec
from attrs import define, field

from recloser.core.events import CallObserved, Outcome
from recloser.core.limits import LABELS, MAX_AT, NAME_BYTES, label, wire_bytes
from recloser.core.validation import nanoseconds
from recloser.errors import ImportTraceError
from recloser.importers.import_batches import CallBatch, Unreadable
from recloser.importers.sorted_runs import SortedRuns
from recloser.importers.values.instants import EPOCH
from recloser.log.codec import lean
from recloser.log.listing import errors_of, is_anything_at
from recloser.log.recording import Recording

_NS_PER_SECOND: Final = nanoseconds(1)
_MAX_UNREADABLE: Final = 1000
_NO_LABELS: Final[dict[str, str]] = {}


@define
class ImportSummary:
    """The counts of an import.

    Attributes:
        read: How many lines, rows or spans were read.
        calls: How many of them became calls.
        succeeded: How many calls succeeded.
        failed: How many calls failed.
        ignored: How many calls were ignored.
        breakers: How many breakers the calls are for.
        skipped: How many lines, rows or spans are no calls, by reason.
        unread: How many could not be read.
        unreadable: The first 1000 that could not be read.
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


class _Row(msgspec.Struct, array_like=True, gc=False):
    """A call that waits to be written.

    ``start`` and ``end`` are in nanoseconds since 1970, and ``took`` is their difference.
    """

    end: int
    start: int
    took: int
    breaker: str
    outcome: Outcome
    error: str | None
    labels: dict[str, str]


class CallLog(AbstractContextManager["CallLog"]):
    """Takes calls in any order and writes them as a log, sorted by their ends.

    Temporary files hold the calls, so that memory stays bounded and nothing is written before all
    calls are read. The log begins with the whole second in which the first call started, so that
    whole seconds of ``at`` are whole seconds of UTC.

    Args:
        path: The folder of the log.

    Attributes:
        summary: The counts so far.

    Raises:
        ImportTraceError: ``path`` exists already.
    """

    def __init__(self, path: Path) -> None:
        with errors_of(path):
            exists = is_anything_at(path)
        if exists:
            raise ImportTraceError(
                f"{path} exists already and is left as it is; choose another path or delete it first"
            )
        self._path = path
        self._rows = SortedRuns(_Row, "end")
        self._first: int | None = None
        self._names: dict[str, str | None] = {}
        self.summary = ImportSummary()

    def __enter__(self) -> Self:
        self._rows.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._rows.__exit__(*exception)

    def add(self, calls: CallBatch) -> None:
        """Add a batch of calls, and count what of it was skipped or unreadable."""
        summary = self.summary
        for item in calls.unreadable:
            self._note_unreadable(item)
        for reason, count in calls.skipped.items():
            summary.skipped[reason] += count
        summary.read += len(calls) + len(calls.unreadable) + sum(calls.skipped.values())
        if not len(calls):
            return
        rows = self._rows_of(calls)
        if not self._fit_a_log(rows):
            rows = self._rows_that_fit(rows, calls)
            if not rows:
                return
        summary.calls += len(rows)
        outcomes = [row.outcome for row in rows]
        summary.succeeded += outcomes.count(Outcome.SUCCEEDED)
        summary.failed += outcomes.count(Outcome.FAILED)
        summary.ignored += outcomes.count(Outcome.IGNORED)
        first = min([row.start for row in rows])
        self._first = first if self._first is None else min(self._first, first)
        self._rows.extend(rows)

    def write(self) -> ImportSummary:
        """Write the added calls as a log, sorted by their ends.

        Raises:
            ImportTraceError: There is no call.
            LogError: The log cannot be written.
        """
        if self._first is None:
            raise ImportTraceError(no_calls_reason(self.summary))
        self.summary.breakers = sum(why is None for why in self._names.values())
        origin = self._first // _NS_PER_SECOND * _NS_PER_SECOND
        with Recording(self._path, EPOCH + timedelta(microseconds=origin // 1000)) as recording:
            for batch in self._rows.batches():
                _record(batch, recording, origin)
        return self.summary

    def _rows_of(self, calls: CallBatch) -> list[_Row]:
        ends = map(int.__add__, calls.start, calls.took)
        errors: Iterable[str | None] = calls.error
        if any(map(_is_long, errors)):
            errors = [None if error is None else label(error) for error in errors]
        labels: Iterable[dict[str, str]] = repeat(_NO_LABELS)
        if calls.labels is not None:
            labels = [
                {label(name): label(value) for name, value in islice(given.items(), LABELS)}
                for given in calls.labels
            ]
        make: Callable[..., _Row] = _Row
        return list(
            map(make, ends, calls.start, calls.took, calls.breaker, calls.outcome, errors, labels)
        )

    def _fit_a_log(self, rows: Sequence[_Row]) -> bool:
        names = {row.breaker for row in rows}
        for name in names - self._names.keys():
            self._names[name] = _unusable(name)
        return (
            not any(map(self._names.__getitem__, names))
            and min([row.start for row in rows]) >= 0
            and min([row.took for row in rows]) >= 0
            and max([row.end for row in rows]) <= MAX_AT
        )

    def _rows_that_fit(self, rows: Sequence[_Row], calls: CallBatch) -> list[_Row]:
        """Return the calls that a log can hold; note the others as unreadable."""
        fitting = []
        for row, line in zip(rows, calls.lines, strict=True):
            why = self._names[row.breaker]
            if why is None and not (row.start >= 0 and row.took >= 0 and row.end <= MAX_AT):
                why = "its time is out of range: before 1970 or after 2188"
            if why is None:
                fitting.append(row)
            else:
                self._note_unreadable(Unreadable(line, why))
        return fitting

    def _note_unreadable(self, item: Unreadable) -> None:
        self.summary.unread += 1
        if len(self.summary.unreadable) < _MAX_UNREADABLE:
            self.summary.unreadable.append(item)


def _is_long(error: str | None) -> bool:
    return error is not None and len(error) > 100  # noqa: PLR2004  # far below any limit


def _unusable(name: str) -> str | None:
    """Say why a breaker cannot have a name; None if the name is fine."""
    if not name:
        return "its breaker has no name"
    if wire_bytes(name) > NAME_BYTES:
        return f"the name of its breaker is longer than {NAME_BYTES:,} bytes"
    return None


def no_calls_reason(summary: ImportSummary) -> str:
    """Say why an import has no call, given what was read."""
    if not summary.unreadable:
        others = ", ".join(f"{count:,} {reason}" for reason, count in summary.skipped.items())
        return "there is no call in the input" + (f", only {others}" if others else "")
    first = summary.unreadable[0]
    if summary.skipped:
        return f"there is no call in the input; {first.unit} {first.line} could not be read: {first.why}"
    return (
        f"none of the {summary.read} {first.unit}s could be read; the first is {first.unit} "
        f"{first.line}: {first.why}"
    )


_make_event: Final[Callable[..., Any]] = lean(CallObserved)


def _record(rows: Sequence[_Row], recording: Recording, origin: int) -> None:
    for part in _parts(rows, recording):
        events = [
            _make_event(
                seq,
                row.end - origin,
                row.breaker,
                row.start - origin,
                row.took,
                row.outcome,
                row.error,
                row.labels,
            )
            for seq, row in enumerate(part, recording.next_seq)
        ]
        recording.put(events)


def _parts(rows: Sequence[_Row], recording: Recording) -> Iterator[Sequence[_Row]]:
    """Split rows into parts, each with room before the next seal.

    A part must be recorded before the next one is asked for: recording changes ``recording.room``.
    """
    start = 0
    while start < len(rows):
        part = rows[start : start + recording.room]
        start += len(part)
        yield part
