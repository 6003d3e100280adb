"""Records of delimited text, such as CSV, with the names of their fields in a header."""

import csv
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Final

from recloser.errors import ImportTraceError
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.stages import BATCH_LINES, Lines, Records, Unreadable

if TYPE_CHECKING:
    from _csv import Reader

_FIELD_CHARS: Final = 1 << 20


class DelimitedReader:
    """Reads rows of values.

    Args:
        delimiter: What stands between values; several spaces count as one.
        header: The names of the fields; None where the first row of each file has them.
        has_more: Whether rows may have further values, which have no names.

    Attributes:
        delimiter: What stands between values.
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
        """Those of the header, where it was given."""
        return self._header

    def header_in(self, lines: Sequence[str]) -> list[str]:
        """The names of the fields, given the first lines of a file."""
        if self._header is not None:
            return list(self._header)
        return [name.strip() for name in next(self._rows(line + "\n" for line in lines), [])]

    def _rows(self, lines: Iterable[str]) -> "Reader":
        if self.delimiter == " ":
            lines = map(_with_single_spaces, lines)
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def read(self, batches: Iterable[Lines], wanted: Collection[str]) -> Iterator[Records]:
        """The records, with the fields that are wanted.

        Raises:
            ImportTraceError: A header lacks one of them.
        """
        csv.field_size_limit(_FIELD_CHARS)
        for source, of_file in groupby(batches, lambda batch: batch.source):
            yield from self._read_file(source, of_file, wanted)

    def _read_file(
        self, source: str, batches: Iterable[Lines], wanted: Collection[str]
    ) -> Iterator[Records]:
        lines = chain.from_iterable(map(_ended, batches))
        reader = self._rows(lines)
        header = self._header
        if header is None:
            try:
                header = [name.strip() for name in next(reader, [])]
            except csv.Error as error:
                raise ImportTraceError(f"{source}: the header can't be read: {error}") from error
        missing = [name for name in wanted if name not in header]
        if missing:
            raise ImportTraceError(
                f"{source}: there is no column {', '.join(map(repr, missing))}; there are "
                + ", ".join(header)
            )
        places = {name: header.index(name) for name in wanted}
        while True:
            rows, numbers, unreadable = _next_rows(reader, source)
            if not rows and not unreadable:
                return
            if header in rows:  # of another file that was added to this one
                kept = [n for n, row in enumerate(rows) if row != header]
                rows, numbers = [rows[n] for n in kept], [numbers[n] for n in kept]
            if self._has_more:
                rows = [row[: len(header)] for row in rows]
            if set(map(len, rows)) != {len(header)}:
                rows, numbers = _of_width(len(header), rows, numbers, source, unreadable)
            columns = list(zip(*rows, strict=True)) if rows else [()] * len(header)
            found = {name: columns[place] for name, place in places.items()}
            yield Records(source, numbers, dict(found), unreadable)


def _with_single_spaces(line: str) -> str:
    return line if '"' in line else " ".join(line.split()) + "\n"


def _ended(batch: Lines) -> Iterable[str]:
    # A quote that is not followed by a delimiter is refused, as is what stands for a long line.
    return [f'"it" {TOO_LONG}\n' if text is None else text + "\n" for text in batch.texts]


def _next_rows(
    reader: "Reader", source: str
) -> tuple[list[list[str]], Sequence[int], list[Unreadable]]:
    """The next rows, the lines on which they end, and rows that can't be read."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    unreadable: list[Unreadable] = []
    while len(rows) < BATCH_LINES and len(unreadable) < BATCH_LINES:
        known, line = len(rows), reader.line_num
        error = None
        try:
            rows.extend(islice(reader, BATCH_LINES - known))  # keeps those before an error
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


def _of_width(
    width: int,
    rows: list[list[str]],
    numbers: Sequence[int],
    source: str,
    unreadable: list[Unreadable],
) -> tuple[list[list[str]], list[int]]:
    kept: list[list[str]] = []
    lines: list[int] = []
    for row, number in zip(rows, numbers, strict=True):
        if len(row) == width:
            kept.append(row)
            lines.append(number)
        elif row:
            why = "the row has not as many values as the header"
            unreadable.append(Unreadable(number, why, source))
    return kept, lines
