"""Records of text, a line each, by the format strings that their producer was given."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from recloser.importers.records.escapes import escape_of, plain
from recloser.importers.records.format_strings import FieldOf, fields_in, parts_of, pattern_of
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.stages import Lines, Records, Unreadable

_SHOWN: Final = 60

_Compiled: TypeAlias = tuple[re.Pattern[str], list[str]]


class TextReader:
    """Reads lines by format strings; a line that the first does not match is tried with the next.

    Args:
        language: Whose format strings they are.
        formats: The format strings.
        lists: The fields that hold several values.
        is_open: Whether a line may be cut in its last field, or have more after it.

    Raises:
        ImportTraceError: A format string can't be used.
    """

    def __init__(
        self,
        language: str,
        formats: Sequence[str],
        *,
        lists: Collection[str] = (),
        is_open: bool = False,
    ) -> None:
        self._parts = [parts_of(language, text) for text in formats]
        self._quoted = {
            part.name
            for parts in self._parts
            for part in parts
            if isinstance(part, FieldOf) and part.may_be_quoted
        }
        self._lists = lists
        self._is_open = is_open
        self._escape = escape_of(language, formats)

    @property
    def fields(self) -> Collection[str]:
        """Those of all format strings, in their order."""
        return list(dict.fromkeys(name for parts in self._parts for name in fields_in(parts)))

    def read(self, batches: Iterable[Lines], wanted: Collection[str]) -> Iterator[Records]:
        """The records, with the fields that are wanted."""
        compiled = [
            pattern_of(parts, wanted, lists=self._lists, is_open=self._is_open)
            for parts in self._parts
        ]
        for batch in batches:
            yield self._plain(_all_matched(batch, compiled[0]) or _matched(batch, compiled))

    def _plain(self, records: Records) -> Records:
        if self._quoted:
            records.columns = {
                name: list(map(_unquoted, column)) if name in self._quoted else column
                for name, column in records.columns.items()
            }
        if self._escape is not None:
            mark, unescape = self._escape
            records.columns = {
                name: plain(column, mark, unescape) for name, column in records.columns.items()
            }
        return records


def _unquoted(value: str | None) -> str | None:
    return value[1:-1] if value is not None and value[:1] == '"' else value


def _all_matched(batch: Lines, compiled: _Compiled) -> Records | None:
    """The records of lines that all have the first format; None if one has not."""
    pattern, names = compiled
    try:
        groups = [found.groups() for found in map(pattern.fullmatch, batch.texts)]  # type: ignore[arg-type, union-attr]
    except (TypeError, AttributeError):  # a line that is too long, or is not matched
        return None
    lines = range(batch.first, batch.first + len(groups))
    columns = zip(*groups, strict=True) if groups and names else ([] for _ in names)
    return Records(batch.source, lines, dict(zip(names, columns, strict=True)))


def _matched(batch: Lines, compiled: Sequence[_Compiled]) -> Records:
    fields = list(dict.fromkeys(name for _, names in compiled for name in names))
    columns: dict[str, list[str | None]] = {name: [] for name in fields}
    lines: list[int] = []
    unreadable: list[Unreadable] = []
    for number, text in enumerate(batch.texts, batch.first):
        if text is None:
            unreadable.append(Unreadable(number, TOO_LONG, batch.source))
            continue
        if not text:
            continue
        for pattern, names in compiled:
            if found := pattern.fullmatch(text):
                lines.append(number)
                values = dict(zip(names, found.groups(), strict=True))
                for name, column in columns.items():
                    column.append(values.get(name))
                break
        else:
            why = f"it is not in the format: {text[:_SHOWN]}"
            unreadable.append(Unreadable(number, why, batch.source))
    return Records(batch.source, lines, dict(columns), unreadable)
