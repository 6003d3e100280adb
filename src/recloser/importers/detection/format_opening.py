"""Formats with their readers, opened by name, header, format string or regex."""

import csv
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from attrs import evolve, frozen

from recloser.errors import ImportTraceError
from recloser.importers.detection.json_samples import field_paths
from recloser.importers.formats.format_description import FormatDescription, format_named
from recloser.importers.mapping.derived_fields import RecordFields
from recloser.importers.outcomes.outcome_rules import OutcomeRule
from recloser.importers.records.delimited import DelimitedReader
from recloser.importers.records.format_string_languages import language_of
from recloser.importers.records.json_lines import JsonLinesReader
from recloser.importers.records.record_reader import RecordReader
from recloser.importers.records.regex_lines import RegexReader
from recloser.importers.records.resilience4j_events import Resilience4jReader
from recloser.importers.records.text_lines import FormatStringReader
from recloser.importers.records.w3c_extended import W3cReader
from recloser.importers.spans.span_reader import SpanReader
from recloser.importers.spans.span_shapes import shape_of_text
from recloser.importers.values.quantities import has_decimal_comma

_DELIMITERS: Final = ";\t|,"
_DELIMITER_LINES: Final = 20
_SHAPE_LINES: Final = 20
_SHAPE_CHARS: Final = 5000


@frozen
class FileFormat:
    """A format and the reader for the files at hand.

    Attributes:
        description: The description of the format.
        reader: The reader of its records.
        field_names: The fields that the records have; None where that is not known.
    """

    description: FormatDescription
    reader: RecordReader
    field_names: Collection[str] | None


def named_format(name: str, lines: Sequence[str]) -> FileFormat:
    """Open the format of a name.

    Args:
        name: The name.
        lines: The first lines of the file.

    Raises:
        ImportTraceError: There is no such format, or the lines are clearly of another one.
    """
    description = format_named(name)
    if description.is_abstract:
        raise ImportTraceError(
            f"{name} is a part of other formats ({description.title}); choose one from: "
            "recloser import formats"
        )
    shape = span_shape(lines)
    # Any JSON can be read as plain JSON, by the names of its fields.
    if shape not in (None, name) and description.records.get("kind") != "json":
        raise ImportTraceError(
            f"this is {shape} and not {name}: {format_named(shape or '').title}; "
            f"leave --format out, or give --format {shape}"
        )
    return open_format(description, lines)


def delimited_format(header: Sequence[str], name: str | None, lines: Sequence[str]) -> FileFormat:
    """Open delimited text whose columns the user names.

    Args:
        header: The names of the columns.
        name: The name of the format; None for delimited text of any kind.
        lines: The first lines of the file.

    Raises:
        ImportTraceError: The format is not delimited text.
    """
    description = format_named(name or "csv")
    if description.records.get("kind") != "delimited":
        raise ImportTraceError(
            f"--header names the columns of delimited text, and {name} is another kind of format; "
            "leave one of the two out"
        )
    records = {**description.records, "header": list(header)}
    return open_format(evolve(description, records=records), lines)


def format_of_log_format(log_format: str, lines: Sequence[str]) -> FileFormat:
    """Open the format that a server's format string describes.

    Args:
        log_format: The format string.
        lines: The first lines of the file.

    Raises:
        ImportTraceError: The format string is in none of these languages.
    """
    language = language_of(log_format)
    if language is None:
        raise ImportTraceError(
            f"--log-format {log_format!r} is not a format string of nginx ($status), Apache (%>s), "
            "Envoy (%RESPONSE_CODE%) or HAProxy (%ST); use --regex for other text"
        )
    description = format_named(language)
    records = {**description.records, "formats": [log_format]}
    return open_format(evolve(description, name=language, records=records), lines)


def format_of_regex(pattern: str) -> FileFormat:
    """Open text that a regular expression reads, whose named groups are the fields.

    Raises:
        ImportTraceError: The expression cannot be used.
    """
    reader = RegexReader(pattern)
    return FileFormat(format_named("regex"), reader, reader.fields)


def open_format(description: FormatDescription, lines: Sequence[str]) -> FileFormat:
    """Make the reader of a format for a file that begins with some lines.

    Raises:
        ImportTraceError: The lines cannot begin a file of the format.
    """
    records = description.records
    kind = records.get("kind")
    if kind == "spans":
        spans = SpanReader(records["shape"])
        return FileFormat(description, spans, spans.fields)
    if kind == "resilience4j":
        events = Resilience4jReader()
        return FileFormat(description, events, events.fields)
    if kind == "text":
        text = FormatStringReader(
            records["language"],
            records["formats"],
            lists=records.get("lists", ()),
            is_open=records.get("open", False),
        )
        return FileFormat(description, text, text.fields)
    if kind == "json":
        return FileFormat(description, JsonLinesReader(), field_paths(lines) or None)
    if kind == "w3c":
        extended = W3cReader(lines, records.get("header"))
        return FileFormat(description, extended, extended.fields)
    delimited = DelimitedReader(
        records.get("delimiter") or guess_delimiter(lines),
        records.get("header"),
        has_more=records.get("more", False),
    )
    try:
        return FileFormat(description, delimited, delimited.header_in(lines))
    except csv.Error as error:
        raise ImportTraceError(
            f"the header cannot be read: {error}; name the columns with --header"
        ) from error


def span_shape(lines: Sequence[str]) -> str | None:
    """The format of spans or events whose keys the first lines have, or None."""
    return shape_of_text("\n".join(line[:_SHAPE_CHARS] for line in lines[:_SHAPE_LINES]))


def guess_delimiter(lines: Sequence[str]) -> str:
    """Guess the delimiter of a table.

    It is a character that all first lines have, and the first one most often.
    """
    first = lines[0] if lines else ""
    shared = [
        mark for mark in _DELIMITERS if all(mark in line for line in lines[:_DELIMITER_LINES])
    ]
    best = max(shared or _DELIMITERS, key=first.count)
    return best if best in first else " "


def decimal_mark_of(detected: FileFormat, lines: Sequence[str]) -> str:
    """The decimal mark of the numbers in a file.

    Args:
        detected: The format of the file.
        lines: The first lines of the file.

    Returns:
        ``.`` or ``,``; ``?`` where the first lines do not show which. A comma is possible only in
        delimited text with another delimiter.
    """
    reader = detected.reader
    if not isinstance(reader, DelimitedReader) or reader.delimiter == ",":
        return "."
    values = (value for line in lines for value in line.split(reader.delimiter))
    return "," if any(map(has_decimal_comma, values)) else "?"


def outcome_rules_of(detected: FileFormat, outcome: str | None = None) -> list[OutcomeRule]:
    """The outcome rules of a format whose fields the records have.

    Args:
        detected: The format.
        outcome: The field that the user names with ``--outcome``; None for the fields of the format.
            The format's rules for that field apply. If it has none, the rules for its other fields
            apply whose values mean the same in any field.
    """
    description = detected.description
    if outcome is None:
        fields = RecordFields(detected.field_names, description.fields)
        return [rule for rule in description.outcome if fields.has(rule.field)]
    named = [
        rule
        for rule in description.outcome
        if outcome in (rule.field, *description.fields.get(rule.field, {}).get("first_of", ()))
    ]
    if named:
        return [evolve(rule, field=outcome) for rule in named]
    return [evolve(rule, field=outcome, split="") for rule in description.outcome if rule.elsewhere]


def with_fields(found: FileFormat, fields: Mapping[str, str]) -> FileFormat:
    """Replace fields of a format by other fields of the records.

    Args:
        found: The format.
        fields: By the name of a field of the format, the field to use instead.
    """
    other = {name: source for name, source in fields.items() if name != source}
    if not other:
        return found
    defined = {name: {"first_of": [source]} for name, source in other.items()}
    field_names = found.field_names
    if field_names is not None:
        field_names = [name for name in field_names if name not in other]
        field_names += [name for name in other.values() if name not in field_names]
    description = evolve(found.description, fields={**found.description.fields, **defined})
    return FileFormat(description, found.reader, field_names)
