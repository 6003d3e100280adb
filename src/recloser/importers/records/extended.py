"""Records of W3C extended log files, whose columns are named in lines that begin with ``#Fields:``."""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Final

from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.stages import Lines, Records, Unreadable

_FIELDS: Final = re.compile(r"#\s*Fields:\s*+(\S.*)", re.IGNORECASE)


class ExtendedReader:
    """Reads rows by the latest line of names before them; a server that starts anew writes another.

    Args:
        lines: The first lines of a file.
        header: The names in a file that does not say them; None where it must.
    """

    def __init__(self, lines: Iterable[str], header: Sequence[str] | None = None) -> None:
        self._header = list(header or ()) or None
        self._fields: dict[str, None] = {}
        for line in lines:
            self._fields.update(dict.fromkeys(names_in(line) or ()))

    @property
    def fields(self) -> Collection[str]:
        """All that are named in the first lines, or else those of the header."""
        return list(self._fields or self._header or ())

    def read(self, batches: Iterable[Lines], wanted: Collection[str]) -> Iterator[Records]:
        """The records, with the fields that are wanted; None where their names have not one."""
        source, names = None, self._header
        for batch in batches:
            if batch.source != source:
                source, names = batch.source, self._header
            records, names = _read(batch, wanted, names)
            yield records


def names_in(line: str) -> list[str] | None:
    """The names that a line gives to the columns after it; None if it gives none."""
    found = _FIELDS.match(line)
    return None if found is None else found[1].split()


def _read(
    batch: Lines, wanted: Collection[str], names: list[str] | None
) -> tuple[Records, list[str] | None]:
    columns: dict[str, list[Any]] = {name: [] for name in wanted}
    places = _places(names, wanted)
    lines: list[int] = []
    unreadable: list[Unreadable] = []
    for number, text in enumerate(batch.texts, batch.first):
        if not text and text is not None:
            continue
        if text is not None and text.startswith("#"):
            if (given := names_in(text)) is not None:
                names, places = given, _places(given, wanted)
            continue
        why = TOO_LONG if text is None else None
        values: Sequence[str] = ()
        if names is None:
            why = why or "no line with #Fields: stands before it"
        elif text is not None:
            values = _values_of(text)
            if len(values) != len(names):
                why = f"it has {len(values)} values for {len(names)} fields"
        if why is not None:
            unreadable.append(Unreadable(number, why, batch.source))
            continue
        lines.append(number)
        for name, place in places:
            columns[name].append(None if place is None else values[place])
    return Records(batch.source, lines, dict(columns), unreadable), names


def _places(names: Sequence[str] | None, wanted: Collection[str]) -> list[tuple[str, int | None]]:
    there = names or ()
    return [(name, there.index(name) if name in there else None) for name in wanted]


def _values_of(text: str) -> Sequence[str]:
    delimiter = "\t" if "\t" in text else " "
    if '"' not in text:
        return text.rstrip(" \t").split(delimiter) if delimiter == " " else text.split(delimiter)
    try:
        return next(csv.reader([text], delimiter=delimiter), ())
    except csv.Error:
        return ()
