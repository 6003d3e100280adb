"""Which format lines are in, found by reading the first of them in every format."""

import csv
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any, Final

import msgspec
from attrs import evolve, frozen

from recloser.errors import ImportTraceError
from recloser.importers.aggregate_lines import why_no_calls
from recloser.importers.derived import Fields
from recloser.importers.descriptions import Description, description_of, descriptions
from recloser.importers.outcome_rules import Judge, OutcomeRule
from recloser.importers.quantities import has_decimal_comma
from recloser.importers.records.delimited import DelimitedReader
from recloser.importers.records.extended import ExtendedReader, names_in
from recloser.importers.records.format_strings import language_of
from recloser.importers.records.json_lines import JsonLinesReader, path_of, value_at
from recloser.importers.records.record_reader import Reader
from recloser.importers.records.regex import RegexReader
from recloser.importers.records.resilience4j import EVENT, Resilience4jReader
from recloser.importers.records.text import TextReader
from recloser.importers.roles import CallMaker, CallOptions
from recloser.importers.spans.shape import shape_in
from recloser.importers.spans.span_reader import SpanReader
from recloser.importers.stages import MAX_LINE_CHARS, Lines

LOOKED_AT: Final = 200
"""How many lines are looked at."""

_ENOUGH: Final = 0.6
"""A format is recognised where it reads this share of the lines."""

_DELIMITERS: Final = ";\t|,"
_SNIFFED: Final = 20
_TITLE: Final = re.compile(r"[^\W\d][\w.:@/()-]*+")
_DEEPEST: Final = 6
_SHOWN: Final = 80
_NOTHING_BUT_OTHERS: Final = 0.9
"""What counts a line that is known to be no call, where none is one."""
_SHAPES_IN: Final = 20
_SHAPE_IN: Final = 5000
_FALLBACKS: Final = ("resilience4j", "json", "w3c", "csv")
"""Formats that are taken where no other one is recognised."""


@frozen
class Understood:
    """A format, with what reads it.

    Attributes:
        description: The format.
        reader: Reads its records.
        there: The fields that records have; None where that is not known.
    """

    description: Description
    reader: Reader
    there: Collection[str] | None


def understood(name: str, lines: Sequence[str]) -> Understood:
    """The format of a name, for a file that begins with these lines.

    Raises:
        ImportTraceError: There is none, or it can't be used, or the lines are plainly of another one.
    """
    description = description_of(name)
    if description.is_abstract:
        raise ImportTraceError(
            f"{name} is no format of its own ({description.title}); see: recloser import formats"
        )
    shape = _shape_of(lines)
    # Any JSON can be read as such, by the names of its fields.
    if shape not in (None, name) and description.records.get("kind") != "json":
        raise ImportTraceError(
            f"this is {shape} and not {name}: {description_of(shape or '').title}; "
            f"leave the format out, or name {shape}"
        )
    return _with_reader(description, lines)


def understood_with(header: Sequence[str], name: str | None, lines: Sequence[str]) -> Understood:
    """Delimited text whose columns the user names.

    Args:
        header: The names.
        name: That of its format; None for delimited text of any kind.
        lines: The first lines.

    Raises:
        ImportTraceError: The format is none of delimited text, or can't be used.
    """
    description = description_of(name or "csv")
    if description.records.get("kind") != "delimited":
        raise ImportTraceError(f"--header names columns of delimited text, and {name} is none")
    records = {**description.records, "header": list(header)}
    return _with_reader(evolve(description, records=records), lines)


def understood_by(log_format: str, lines: Sequence[str]) -> Understood:
    """The format that a producer's format string describes.

    Raises:
        ImportTraceError: It is none of nginx, Apache, Envoy or HAProxy.
    """
    language = language_of(log_format)
    if language is None:
        raise ImportTraceError(
            f"{log_format!r} is no format string of nginx ($status), Apache (%>s), Envoy "
            "(%RESPONSE_CODE%) or HAProxy (%ST)"
        )
    description = description_of(language)
    records = {**description.records, "formats": [log_format]}
    return _with_reader(evolve(description, name=language, records=records), lines)


def understood_by_regex(pattern: str) -> Understood:
    """The lines that a regular expression of the user matches, by the usual names of fields.

    Raises:
        ImportTraceError: The expression can't be used.
    """
    reader = RegexReader(pattern)
    return Understood(description_of("regex"), reader, reader.fields)


def recognised(lines: Sequence[str], among: Collection[str] = ()) -> Understood:
    """The format that reads most of the lines; of several, the one with the most fields.

    Args:
        lines: The first lines of a file.
        among: The names of the formats to look among; empty for all.

    Raises:
        ImportTraceError: There is none.
    """
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise ImportTraceError("there is no call in the input")
    shape = _shape_of(filled)
    if shape is not None and among and shape not in among:
        raise ImportTraceError(
            f"this is {shape}: {description_of(shape).title}; give it to recloser import"
        )
    if shape is not None:
        return understood(shape, filled)
    found = _best(filled, among)
    if found is not None:
        return found
    why = why_no_calls(filled)
    if why is not None:
        raise ImportTraceError(why)
    for name in _FALLBACKS:
        if (not among or name in among) and _is_likely(name, filled):
            return understood(name, filled)
    hint = "give the format string of what wrote them with --log-format"
    delimiter = delimiter_of(filled)
    if filled[0].count(delimiter) > 1 and delimiter != " ":
        hint = "if they are columns, name them with --header, as start_ms,took_ms,target,status"
    raise ImportTraceError(
        f"no known format reads these lines, of which the first is {filled[0][:_SHOWN]!r}; {hint}, "
        "or see: recloser import formats"
    )


def hint_for(lines: Sequence[str], name: str) -> str:
    """What lines are that hold no call in the format of a name; empty if it is not known."""
    filled = [line for line in lines if line.strip()]
    shape = _shape_of(filled)
    if shape is not None:
        # Where the format is not of JSON, this is said already.
        is_said = shape == name or description_of(name).records.get("kind") != "json"
        return "" if is_said else f"it looks like {description_of(shape).title}: --format {shape}"
    why = why_no_calls(filled)
    if why is not None:
        return why
    found = _best(filled, ()) if filled else None
    if found is None or found.description.name == name:
        return ""
    return f"it looks like {found.description.title}: --format {found.description.name}"


def _best(lines: Sequence[str], among: Collection[str]) -> Understood | None:
    best: tuple[float, bool, int] = (_ENOUGH, False, 0)
    found: Understood | None = None
    for description in descriptions():
        is_left_out = description.is_abstract or description.name in _FALLBACKS
        if is_left_out or description.records["kind"] == "spans":
            continue
        if among and description.name not in among:
            continue
        try:
            candidate = _with_reader(description, lines)
        except ImportTraceError:  # what can't be a header, such as that of delimited text
            continue
        share = _share_read(candidate, lines)
        records = candidate.description.records
        size = len(records.get("keys", ())) or len(candidate.there or ())
        # A format that takes lines as they go on takes those of stricter ones too.
        rank = (share, not records.get("open", False), size)
        if rank > best:
            best, found = rank, candidate
    return found


def is_known(lines: Sequence[str], expected: Understood | None) -> bool:
    """Whether the format that is expected reads most of the lines, or else any that is no fallback."""
    if not lines:
        return False
    try:
        if expected is not None:
            return _share_read(expected, lines) >= _ENOUGH
        return recognised(lines).description.name not in _FALLBACKS
    except ImportTraceError:
        return False


def are_objects(lines: Sequence[str]) -> bool:
    """Whether most lines are JSON objects."""
    return len(lines) > 0 and len(_objects_in(lines)) >= _ENOUGH * len(lines)


def _shape_of(lines: Sequence[str]) -> str | None:
    """The format of spans or events whose keys the lines have."""
    return shape_in("\n".join(line[:_SHAPE_IN] for line in lines[:_SHAPES_IN]))


def _is_likely(name: str, lines: Sequence[str]) -> bool:
    if name == "resilience4j":
        return any(map(EVENT.search, lines))
    if name == "json":
        return bool(_objects_in(lines))
    if name == "w3c":
        return any(names_in(line) for line in lines)
    delimiter = delimiter_of(lines)
    try:
        header = DelimitedReader(delimiter).header_in(lines)
    except csv.Error:
        return False
    if len(header) < 3 or not all(map(_TITLE.match, header)):  # noqa: PLR2004
        return False
    # Words of a sentence are no header: there are as many values in each row, and numbers too.
    return delimiter != " " or (
        len(lines) > 1
        and {len(line.split()) for line in lines} == {len(header)}
        and any(part[:1].isdigit() for part in lines[1].split())
    )


def _with_reader(description: Description, lines: Sequence[str]) -> Understood:
    records = description.records
    kind = records.get("kind")
    if kind == "spans":
        spans = SpanReader(records["shape"])
        return Understood(description, spans, spans.fields)
    if kind == "resilience4j":
        events = Resilience4jReader()
        return Understood(description, events, events.fields)
    if kind == "text":
        text = TextReader(
            records["language"],
            records["formats"],
            lists=records.get("lists", ()),
            is_open=records.get("open", False),
        )
        return Understood(description, text, text.fields)
    if kind == "json":
        paths = dict.fromkeys(path for value in _objects_in(lines) for path in _paths_in(value))
        return Understood(description, JsonLinesReader(), list(paths) or None)
    if kind == "w3c":
        extended = ExtendedReader(lines, records.get("header"))
        return Understood(description, extended, extended.fields)
    delimited = DelimitedReader(
        records.get("delimiter") or delimiter_of(lines),
        records.get("header"),
        has_more=records.get("more", False),
    )
    try:
        return Understood(description, delimited, delimited.header_in(lines))
    except csv.Error as error:
        raise ImportTraceError(f"the header can't be read: {error}") from error


def delimiter_of(lines: Sequence[str]) -> str:
    """What stands between values: what is in all of the first lines, and most often in the first."""
    first = lines[0] if lines else ""
    shared = [each for each in _DELIMITERS if all(each in line for line in lines[:_SNIFFED])]
    best = max(shared or _DELIMITERS, key=first.count)
    return best if best in first else " "


def decimal_of(found: Understood, lines: Sequence[str]) -> str:
    """What stands before decimals: a comma only in delimited text with another delimiter.

    Returns:
        ``.``, ``,``, or ``?`` where the first lines do not show which.
    """
    reader = found.reader
    if not isinstance(reader, DelimitedReader) or reader.delimiter == ",":
        return "."
    values = (value for line in lines for value in line.split(reader.delimiter))
    return "," if any(map(has_decimal_comma, values)) else "?"


def _share_read(candidate: Understood, lines: Sequence[str]) -> float:
    """The share of the lines that a format makes calls of."""
    description = candidate.description
    comment = description.records.get("comment")
    rows = [line for line in lines if not comment or not line.startswith(comment)]
    if not rows:
        return 0
    looks = description.records.get("looks")
    if looks is not None:
        looking = [re.match(looks, line) is not None for line in rows]
        if not looking[0] or sum(looking) < _ENOUGH * len(rows):  # the first may be a header
            return 0
    if description.records.get("kind") in ("delimited", "w3c"):
        keys = description.records.get("keys", ())
        says = description.records.get("says")
        is_said = says is not None and any(line.startswith(says) for line in lines)
        if not is_said and not set(keys) <= set(candidate.there or ()):
            return 0
        return _share_made(candidate, lines, len(rows))
    keys = [path_of(key) for key in description.records.get("keys", ())]
    if keys:
        values = _objects_in(lines)
        fit = sum(all(value_at(v, path) is not None for path in keys) for v in values)
        if fit < _ENOUGH * len(lines):
            return 0
    return _share_made(candidate, lines, len(rows))


def _share_made(candidate: Understood, lines: Sequence[str], size: int) -> float:
    """The share of the lines that are calls or are known to be none, whatever the zone of times."""
    description = candidate.description
    judge = Judge(rules_of(candidate))
    decimal = decimal_of(candidate, lines)
    options = CallOptions(breaker=description.breaker or "any", zone=UTC, decimal=decimal)
    try:
        maker = CallMaker(description, candidate.there, options, judge)
        records = candidate.reader.read([Lines("", 1, list(lines))], maker.needed)
        made = [(len(calls), sum(calls.skipped.values())) for calls in maker(records)]
    except ImportTraceError:
        return 0
    count, skipped = map(sum, zip(*made, strict=True)) if made else (0, 0)
    return (count + skipped) / size if count else _NOTHING_BUT_OTHERS * skipped / size


def rules_of(candidate: Understood, outcome: str | None = None) -> list[OutcomeRule]:
    """The rules of a format for the fields that are there.

    Args:
        candidate: The format.
        outcome: The field that a user names for outcomes: its own rules hold, or where it has none
            those of other fields whose values mean the same anywhere.
    """
    description = candidate.description
    fields = Fields(candidate.there, description.fields)
    if outcome is None:
        return [rule for rule in description.outcome if fields.has(rule.field)]
    own = [
        rule
        for rule in description.outcome
        if outcome in (rule.field, *description.fields.get(rule.field, {}).get("first_of", ()))
    ]
    if own:
        return [evolve(rule, field=outcome) for rule in own]
    return [evolve(rule, field=outcome, split="") for rule in description.outcome if rule.elsewhere]


def _objects_in(lines: Sequence[str]) -> list[Mapping[str, Any]]:
    values = []
    for line in lines:
        # The values of a large document of spans may be longer than any line.
        if len(line) <= MAX_LINE_CHARS and line.lstrip().startswith("{"):
            try:
                values.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                continue
    return [value for value in values if isinstance(value, dict)]


def arrays_in(lines: Sequence[str]) -> list[str]:
    """The paths of arrays of objects within a JSON object that is alone, where records may be.

    The one that holds the most of them is the first.
    """
    values = _objects_in(lines)
    sizes = {
        path: sum(isinstance(element, dict) for element in array)
        for value in (values if len(values) == 1 else ())
        for path in _paths_in(value)
        if isinstance(array := value_at(value, path_of(path)), list)
    }
    return sorted(filter(sizes.__getitem__, sizes), key=lambda path: -sizes[path])


def _paths_in(value: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[str]:
    for key, inner in value.items():
        path = before + (
            key if key and not set(key) & set('."[]|(*`') else msgspec.json.encode(key).decode()
        )
        yield path
        if isinstance(inner, dict) and depth < _DEEPEST:
            yield from _paths_in(inner, f"{path}.", depth + 1)
