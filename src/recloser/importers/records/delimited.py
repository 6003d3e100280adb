"""Records of delimited text such as CSV, with a header of field names."""

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Final

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import BATCH_LINES, LineBatch, RecordBatch, Unreadable
from recloser.importers.records.record_reader import TOO_LONG

if TYPE_CHECKING:
    from _csv import Reader

_FIELD_CHARS: Final = 1 << 20


class DelimitedReader:
    """Reads rows of values.

    Args:
        delimiter: The character between values; a run of spaces counts as one delimiter.
        header: The names of the fields; None where the first row of each file has them.
        has_more: Whether rows may have further values, which have no names and are left out.

    Attributes:
        delimiter: The character between values.
    """

    def __init__(
        self,
        delimiter: str = ",",
        header: Sequence[str] | None = None,
        *,
        has_more: bool = False,
    ) -> None:
        self.delimiter = delimiter
        self._header = header
        self._has_more = has_more

    @property
    def fields(self) -> Collection[str] | None:
        """The names of the header; None where each file has its own."""
        return self._header

    def header_in(self, lines: Sequence[str]) -> list[str]:
        """Return the names of the fields, given the first lines of a file."""
        if self._header is not None:
            return list(self._header)
        return [name.strip() for name in next(self._rows(line + "\n" for line in lines), [])]

    def _rows(self, lines: Iterable[str]) -> "Reader":
        if self.delimiter == " ":
            lines = map(_with_single_spaces, lines)
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read lines as records that have the wanted fields.

        Raises:
            ImportTraceError: A header lacks a wanted field, or cannot be read.
        """
        csv.field_size_limit(_FIELD_CHARS)
        for source, of_file in groupby(batches, lambda batch: batch.source):
            yield from self._read_file(source, of_file, wanted)

    def _read_file(
        self, source: str, batches: Iterable[LineBatch], wanted: Collection[str]
    ) -> Iterator[RecordBatch]:
        lines = chain.from_iterable(map(_terminated, batches))
        reader = self._rows(lines)
        header = self._header
        if header is None:
            try:
                header = [name.strip() for name in next(reader, [])]
            except csv.Error as error:
                raise ImportTraceError(
                    f"{source}: the header cannot be read: {error}; name the columns with --header"
                ) from error
        missing = [name for name in wanted if name not in header]
        if missing:
            raise ImportTraceError(
                f"{source}: there is no column {', '.join(map(repr, missing))}; the columns are "
                + ", ".join(header)
            )
        indexes = {name: header.index(name) for name in wanted}
        while True:
            rows, numbers, unreadable = _next_rows(reader, source)
            if not rows and not unreadable:
                return
            if header in rows:  # the header of a second file that was appended to this one
                data = [n for n, row in enumerate(rows) if row != header]
                rows, numbers = [rows[n] for n in data], [numbers[n] for n in data]
            if self._has_more:
                rows = [row[: len(header)] for row in rows]
            if set(map(len, rows)) != {len(header)}:
                rows, numbers = _rows_of_width(len(header), rows, numbers, source, unreadable)
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
            found = {name: columns[index] for name, index in indexes.items()}
            yield RecordBatch(source, numbers, dict(found), unreadable)


def _with_single_spaces(line: str) -> str:
    return line if '"' in line else " ".join(line.split()) + "\n"


def _terminated(batch: LineBatch) -> Iterable[str]:
    # A long line is replaced by text that csv refuses: a closing quote without a delimiter after it.
    # So it is reported as unreadable with its own number.
    return [f'"it" {TOO_LONG}\n' if text is None else text + "\n" for text in batch.texts]


def _next_rows(
    reader: "Reader", source: str
) -> tuple[list[list[str]], Sequence[int], list[Unreadable]]:
    """Return the next rows of a table.

    The second result is the number of the line that each row ends on, the third has the unreadable
    rows.
    """
    rows: list[list[str]] = []
    numbers: list[int] = []
    unreadable: list[Unreadable] = []
    while len(rows) < BATCH_LINES and len(unreadable) < BATCH_LINES:
        known, line = len(rows), reader.line_num
        error = None
        try:
            rows.extend(islice(reader, BATCH_LINES - known))  # keeps the rows before an error
        except csv.Error as raised:
            error = raised
        for row in rows[known:]:
            line += 1 + "".join(row).count("\n")
            numbers.append(line)
        if error is not None:
            unreadable.append(Unreadable(reader.line_num, str(error), source))
        elif len(rows) < BATCH_LINES:
            break
    return rows, numbers, unreadable


def _rows_of_width(
    width: int,
    rows: list[list[str]],
    numbers: Sequence[int],
    source: str,
    unreadable: list[Unreadable],
) -> tuple[list[list[str]], list[int]]:
    """Return the rows that have as many values as the header.

    The others are noted as unreadable.
    """
    complete: list[list[str]] = []
    lines: list[int] = []
    for row, number in zip(rows, numbers, strict=True):
        if len(row) == width:
            complete.append(row)
            lines.append(number)
        elif row:
            why = f"the row has {len(row)} values, and the header {width}"
            unreadable.append(Unreadable(number, why, source))
    return complete, lines
