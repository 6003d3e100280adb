"""Records of text lines, read by the format strings that wrote them."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from recloser.importers.import_batches import LineBatch, RecordBatch, Unreadable
from recloser.importers.records.escapes import escaping_of, unescaped_column
from recloser.importers.records.format_string_languages import FormatField, split_format
from recloser.importers.records.format_strings import field_names_in, line_pattern
from recloser.importers.records.record_reader import TOO_LONG

_SHOWN_CHARS: Final = 60

_Compiled: TypeAlias = tuple[re.Pattern[str], list[str]]


class FormatStringReader:
    """Reads lines by format strings.

    A line that the first one does not match is tried with the next.

    Args:
        language: The language of the format strings: nginx, apache, envoy or haproxy.
        formats: The format strings.
        lists: The fields that hold several values.
        is_open: Whether a line may be cut in its last field, or have more text after it.

    Raises:
        ImportTraceError: A format string cannot be used.
    """

    def __init__(
        self,
        language: str,
        formats: Sequence[str],
        *,
        lists: Collection[str] = (),
        is_open: bool = False,
    ) -> None:
        self._parts = [split_format(language, text) for text in formats]
        self._quoted = {
            part.name
            for parts in self._parts
            for part in parts
            if isinstance(part, FormatField) and part.may_be_quoted
        }
        self._lists = lists
        self._is_open = is_open
        self._escape = escaping_of(language, formats)

    @property
    def fields(self) -> Collection[str]:
        """The fields of all format strings, in their order."""
        return list(dict.fromkeys(name for parts in self._parts for name in field_names_in(parts)))

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read lines as records that have the wanted fields."""
        compiled = [
            line_pattern(parts, wanted, lists=self._lists, is_open=self._is_open)
            for parts in self._parts
        ]
        for batch in batches:
            yield self._clean(_all_matched(batch, compiled[0]) or _matched(batch, compiled))

    def _clean(self, records: RecordBatch) -> RecordBatch:
        if self._quoted:
            records.columns = {
                name: list(map(_unquoted, column)) if name in self._quoted else column
                for name, column in records.columns.items()
            }
        if self._escape is not None:
            mark, unescape = self._escape
            records.columns = {
                name: unescaped_column(column, mark, unescape)
                for name, column in records.columns.items()
            }
        return records


def _unquoted(value: str | None) -> str | None:
    return value[1:-1] if value is not None and value[:1] == '"' else value


def _all_matched(batch: LineBatch, compiled: _Compiled) -> RecordBatch | None:
    """Return the records if the first format string matches every line.

    Otherwise None is returned.
    """
    pattern, names = compiled
    try:
        groups = [found.groups() for found in map(pattern.fullmatch, batch.texts)]  # type: ignore[arg-type, union-attr]
    except (TypeError, AttributeError):  # a line is too long, or is not matched
        return None
    lines = range(batch.first, batch.first + len(groups))
    columns = zip(*groups, strict=True) if groups and names else ([] for _ in names)
    return RecordBatch(batch.source, lines, dict(zip(names, columns, strict=True)))


def _matched(batch: LineBatch, compiled: Sequence[_Compiled]) -> RecordBatch:
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
            why = f"the format does not match it: {text[:_SHOWN_CHARS]}"
            unreadable.append(Unreadable(number, why, batch.source))
    return RecordBatch(batch.source, lines, dict(columns), unreadable)
