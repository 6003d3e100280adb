"""Detection of a file's format.

Every format tries to read the first lines. The one that reads most of them is detected.
"""

import csv
import re
from collections.abc import Collection, Sequence
from datetime import UTC
from typing import Final

from recloser.errors import ImportTraceError
from recloser.importers.detection.format_opening import (
    FileFormat,
    decimal_mark_of,
    guess_delimiter,
    named_format,
    open_format,
    outcome_rules_of,
    span_shape,
)
from recloser.importers.detection.json_samples import objects_in
from recloser.importers.detection.unsupported_files import no_calls_in
from recloser.importers.formats.format_description import all_formats, format_named
from recloser.importers.import_batches import LineBatch
from recloser.importers.mapping.call_mapper import CallMapper
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_classifier import OutcomeClassifier
from recloser.importers.records.delimited import DelimitedReader
from recloser.importers.records.resilience4j_events import EVENT
from recloser.importers.records.w3c_extended import header_in_line
from recloser.importers.values.json_paths import path_of, value_at

MIN_SHARE: Final = 0.6
"""A format is detected if it reads at least this share of the lines."""

_FALLBACKS: Final = ("resilience4j", "json", "w3c", "csv")
"""Formats for records of any kind, tried in this order if no other format is detected."""

_NO_CALL_WEIGHT: Final = 0.9
"""Weight of a line that a format reads as no call, if none of the lines is a call."""

_MIN_COLUMNS: Final = 3
_COLUMN_NAME: Final = re.compile(r"[^\W\d][\w.:@/()-]*+")
_SHOWN_CHARS: Final = 80


def detect_format(lines: Sequence[str], among: Collection[str] = ()) -> FileFormat:
    """Find the format that reads most of the lines.

    Of several formats that read equally many, the one with the most fields is returned.

    Args:
        lines: The first lines of a file.
        among: The names of the formats to consider; empty for all.

    Raises:
        ImportTraceError: No format reads the lines.
    """
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise ImportTraceError("there is no call in the input: it has no lines with text")
    shape = span_shape(filled)
    if shape is not None and among and shape not in among:
        raise ImportTraceError(
            f"this is {shape}: {format_named(shape).title}; import it with recloser import FILE"
        )
    if shape is not None:
        return named_format(shape, filled)
    found = _best_format(filled, among)
    if found is not None:
        return found
    reason = no_calls_in(filled)
    if reason is not None:
        raise ImportTraceError(reason)
    for name in _FALLBACKS:
        if (not among or name in among) and _is_likely(name, filled):
            return named_format(name, filled)
    hint = "give the format string of the program that wrote them with --log-format"
    delimiter = guess_delimiter(filled)
    if filled[0].count(delimiter) > 1 and delimiter != " ":
        hint = "if they are columns, name them with --header, as start_ms,took_ms,target,status"
    raise ImportTraceError(
        f"no known format reads these lines, of which the first is {filled[0][:_SHOWN_CHARS]!r}; "
        f"{hint}, or see: recloser import formats"
    )


def hint_about(lines: Sequence[str], name: str) -> str:
    """Describe lines in which a format found no call; empty if they are not known.

    Args:
        lines: The first lines of the file.
        name: The name of the format that was tried.
    """
    filled = [line for line in lines if line.strip()]
    shape = span_shape(filled)
    if shape is not None:
        # The error about a format other than JSON names the shape already.
        is_said = shape == name or format_named(name).records.get("kind") != "json"
        return "" if is_said else f"it looks like {format_named(shape).title}: --format {shape}"
    reason = no_calls_in(filled)
    if reason is not None:
        return reason
    found = _best_format(filled, ()) if filled else None
    if found is None or found.description.name == name:
        return ""
    return f"it looks like {found.description.title}: --format {found.description.name}"


def can_read(lines: Sequence[str], expected: FileFormat | None) -> bool:
    """Return whether a format reads most of the lines.

    Args:
        lines: The lines.
        expected: The format; None for any format that is not a fallback.
    """
    if not lines:
        return False
    try:
        if expected is not None:
            return _share_read(expected, lines) >= MIN_SHARE
        return detect_format(lines).description.name not in _FALLBACKS
    except ImportTraceError:
        return False


def are_objects(lines: Sequence[str]) -> bool:
    """Return whether most lines are JSON objects."""
    return len(lines) > 0 and len(objects_in(lines)) >= MIN_SHARE * len(lines)


def _best_format(lines: Sequence[str], among: Collection[str]) -> FileFormat | None:
    best: tuple[float, bool, int] = (MIN_SHARE, False, 0)
    found: FileFormat | None = None
    for description in all_formats():
        is_left_out = description.is_abstract or description.name in _FALLBACKS
        if is_left_out or description.records["kind"] == "spans":
            continue
        if among and description.name not in among:
            continue
        try:
            candidate = open_format(description, lines)
        except ImportTraceError:  # the first line cannot be a header, such as that of a table
            continue
        share = _share_read(candidate, lines)
        records = candidate.description.records
        size = len(records.get("keys", ())) or len(candidate.field_names or ())
        # An open format, which accepts lines of any length, also reads lines of stricter formats.
        rank = (share, not records.get("open", False), size)
        if rank > best:
            best, found = rank, candidate
    return found


def _is_likely(name: str, lines: Sequence[str]) -> bool:
    if name == "resilience4j":
        return any(map(EVENT.search, lines))
    if name == "json":
        return bool(objects_in(lines))
    if name == "w3c":
        return any(header_in_line(line) for line in lines)
    delimiter = guess_delimiter(lines)
    try:
        header = DelimitedReader(delimiter).header_in(lines)
    except csv.Error:
        return False
    if len(header) < _MIN_COLUMNS or not all(map(_COLUMN_NAME.match, header)):
        return False
    # The words of a sentence are no header: a table has as many values in each row, and numbers.
    return delimiter != " " or (
        len(lines) > 1
        and {len(line.split()) for line in lines} == {len(header)}
        and any(word[:1].isdigit() for word in lines[1].split())
    )


def _share_read(candidate: FileFormat, lines: Sequence[str]) -> float:
    """The share of the lines that a format reads.

    It is 0 if the lines lack what the format demands.
    """
    records = candidate.description.records
    comment = records.get("comment")
    rows = [line for line in lines if not comment or not line.startswith(comment)]
    if not rows:
        return 0
    looks = records.get("looks")
    if looks is not None:
        has_looks = [re.match(looks, line) is not None for line in rows]
        # The first row counts by itself: it may be a header, by which formats of tables differ.
        if not has_looks[0] or sum(has_looks) < MIN_SHARE * len(rows):
            return 0
    if records.get("kind") in ("delimited", "w3c"):
        says = records.get("says")
        is_said = says is not None and any(line.startswith(says) for line in lines)
        if not is_said and not set(records.get("keys", ())) <= set(candidate.field_names or ()):
            return 0
        return _share_mapped(candidate, lines, len(rows))
    keys = [path_of(key) for key in records.get("keys", ())]
    if keys:
        with_keys = sum(
            all(value_at(value, key) is not None for key in keys) for value in objects_in(lines)
        )
        if with_keys < MIN_SHARE * len(lines):
            return 0
    return _share_mapped(candidate, lines, len(rows))


def _share_mapped(candidate: FileFormat, lines: Sequence[str], size: int) -> float:
    """The share of the lines that are calls, or that the format knows to be none."""
    description = candidate.description
    classifier = OutcomeClassifier(outcome_rules_of(candidate))
    # The zone and the breaker do not matter here; the user may have to name both.
    options = CallOptions(
        breaker=description.breaker or "any",
        zone=UTC,
        decimal=decimal_mark_of(candidate, lines),
    )
    try:
        mapper = CallMapper(description, candidate.field_names, options, classifier)
        records = candidate.reader.read([LineBatch("", 1, list(lines))], mapper.needed)
        made = [(len(calls), sum(calls.skipped.values())) for calls in mapper(records)]
    except ImportTraceError:
        return 0
    count, skipped = map(sum, zip(*made, strict=True)) if made else (0, 0)
    return (count + skipped) / size if count else _NO_CALL_WEIGHT * skipped / size
