"""Call outcomes out of a CSV file, by the names of its columns."""

import csv
from collections.abc import Iterator, Sequence
from typing import IO

from attrs import frozen

from recloser.errors import ImportTraceError
from recloser.events import Outcome
from recloser.importers.fields import BreakerTemplate, OutcomeRule, parse_moment, parse_ns, unit_of
from recloser.importers.source import lines_of, too_long
from recloser.importers.trace import ObservedCall, Unreadable


@frozen(kw_only=True)
class CsvMapping:
    """Which column means what.

    Attributes:
        breaker: Names the breaker of a row.
        start: When the call started: a number with a unit, or ISO 8601 with a zone.
        duration: How long it took; None where no column tells, which is taken as 0, as is an empty
            value.
        outcome: The column by which a failure is told.
        rule: Tells it.
        error: The column that names a failure; by default the one of ``outcome``.
        labels: Columns to keep with each call.
        start_unit: The unit of ``start``; by default that of the column's suffix.
        duration_unit: The unit of ``duration``, likewise.
    """

    breaker: BreakerTemplate
    start: str
    duration: str | None
    outcome: str
    rule: OutcomeRule
    error: str | None = None
    labels: Sequence[str] = ()
    start_unit: str | None = None
    duration_unit: str | None = None

    @property
    def columns(self) -> list[str]:
        """All columns that are named."""
        optional = [column for column in (self.duration, self.error) if column is not None]
        return [*self.breaker.fields, self.start, self.outcome, *optional, *self.labels]


def read_csv(text: IO[str], mapping: CsvMapping) -> Iterator[ObservedCall | Unreadable]:
    """The calls in a CSV file with a header row, and the rows that can't be read.

    Raises:
        ImportTraceError: The header lacks a column that the mapping names, or a unit is missing.
    """
    rows = csv.DictReader(_lines(text), strict=True)
    try:
        header = rows.fieldnames or ()
    except csv.Error as error:
        raise ImportTraceError(f"the header can't be read: {error}") from error
    missing = [column for column in mapping.columns if column not in header]
    if missing:
        raise ImportTraceError(
            f"there is no column {', '.join(map(repr, missing))}; there are {', '.join(header)}"
        )
    start_ns = unit_of(mapping.start, mapping.start_unit)
    duration_ns = _duration_unit(mapping)
    while True:
        try:
            row = next(rows, None)
            if row is None:
                return
            yield _call(row, mapping, start_ns, duration_ns)
        except (ValueError, csv.Error) as error:
            yield Unreadable(rows.reader.line_num, str(error))


def _lines(text: IO[str]) -> Iterator[str]:
    for _, line in lines_of(text):
        # A quote that is not followed by a comma is refused, as is what stands for a long line.
        yield f'"it" {too_long()}\n' if line is None else f"{line}\n"


def _duration_unit(mapping: CsvMapping) -> int:
    if mapping.duration is None:
        return 1
    unit_ns = unit_of(mapping.duration, mapping.duration_unit)
    if unit_ns is None:
        raise ImportTraceError(
            f"the unit of column {mapping.duration!r} is not in its name; say it with "
            "--duration-unit"
        )
    return unit_ns


def _call(
    row: dict[str, str], mapping: CsvMapping, start_ns: int | None, duration_ns: int
) -> ObservedCall:
    if None in row.values() or None in row:
        raise ValueError("the row has not as many values as the header")
    duration = row[mapping.duration] if mapping.duration else ""
    value = row[mapping.outcome]
    if not value:
        raise ValueError(f"column {mapping.outcome!r} is empty, so the outcome is not known")
    outcome = mapping.rule(value)
    return ObservedCall(
        breaker=mapping.breaker.name(row),
        start=parse_moment(row[mapping.start], start_ns),
        took=parse_ns(duration, duration_ns) if duration else 0,
        outcome=outcome,
        error=None if outcome is Outcome.SUCCEEDED else row[mapping.error or mapping.outcome],
        labels={column: row[column] for column in mapping.labels},
    )
