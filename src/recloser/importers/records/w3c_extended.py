"""Records of W3C extended log files.

Such files name their columns in lines such as ``#Fields: date time``.
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from recloser.importers.import_batches import LineBatch, RecordBatch, Unreadable
from recloser.importers.records.record_reader import TOO_LONG

_FIELDS: Final = re.compile(r"#\s*Fields:\s*+(\S.*)", re.IGNORECASE)


class W3cReader:
    """Reads rows by the latest ``#Fields:`` line before them.

    A restarted server writes another such line.

    Args:
        lines: The first lines of a file.
        header: The names of the columns in a file without a ``#Fields:`` line; None if it must have one.
    """

    def __init__(self, lines: Iterable[str], header: Sequence[str] | None = None) -> None:
        self._header = list(header or ()) or None
        self._fields: dict[str, None] = {}
        for line in lines:
            self._fields.update(dict.fromkeys(header_in_line(line) or ()))

    @property
    def fields(self) -> Collection[str]:
        """All fields that the first lines name; without such a line, those of the header."""
        return list(self._fields or self._header or ())

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read lines as records that have the wanted fields.

        A field that the latest ``#Fields:`` line does not name is None.
        """
        source, names = None, self._header
        for batch in batches:
            if batch.source != source:
                source, names = batch.source, self._header
            records, names = _read(batch, wanted, names)
            yield records


def header_in_line(line: str) -> list[str] | None:
    """Return the names of columns in a ``#Fields:`` line; None for any other line."""
    found = _FIELDS.match(line)
    return None if found is None else found[1].split()


def _read(
    batch: LineBatch, wanted: Collection[str], names: list[str] | None
) -> tuple[RecordBatch, list[str] | None]:
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    indexes = _indexes(names, wanted)
    lines: list[int] = []
    unreadable: list[Unreadable] = []
    for number, text in enumerate(batch.texts, batch.first):
        if not text and text is not None:
            continue
        if text is not None and text.startswith("#"):
            if (given := header_in_line(text)) is not None:
                names, indexes = given, _indexes(given, wanted)
            continue
        why = TOO_LONG if text is None else None
        values: Sequence[str] = ()
        if names is None:
            why = why or "there is no #Fields: line before it"
        elif text is not None:
            values = _values_of(text)
            if len(values) != len(names):
                why = f"it has {len(values)} values for {len(names)} fields"
        if why is not None:
            unreadable.append(Unreadable(number, why, batch.source))
            continue
        lines.append(number)
        for name, index in indexes:
            columns[name].append(None if index is None else values[index])
    return RecordBatch(batch.source, lines, dict(columns), unreadable), names


def _indexes(names: Sequence[str] | None, wanted: Collection[str]) -> list[tuple[str, int | None]]:
    known = names or ()
    return [(name, known.index(name) if name in known else None) for name in wanted]


def _values_of(text: str) -> Sequence[str]:
    delimiter = "\t" if "\t" in text else " "
    if '"' not in text:
        return text.rstrip(" \t").split(delimiter) if delimiter == " " else text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter), ())
    except csv.Error:
        return ()
