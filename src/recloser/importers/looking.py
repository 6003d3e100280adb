"""Which format lines are in, found by reading the first of them in every format."""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from attrs import evolve, frozen

from recloser.errors import ImportTraceError
from recloser.importers.derived import Fields
from recloser.importers.descriptions import Description, description_of, descriptions
from recloser.importers.outcomes import Judge
from recloser.importers.records.delimited import DelimitedReader
from recloser.importers.records.format_strings import language_of
from recloser.importers.records.json_lines import JsonLinesReader, path_of, value_at
from recloser.importers.records.reader import Reader
from recloser.importers.records.resilience4j import EVENT, Resilience4jReader
from recloser.importers.records.text import TextReader
from recloser.importers.roles import CallMaker, CallOptions
from recloser.importers.spans.reader import SpanReader
from recloser.importers.spans.shape import shape_in
from recloser.importers.stages import Lines

LOOKED_AT: Final = 200
"""How many lines are looked at."""

_ENOUGH: Final = 0.6
"""A format is recognised where it reads this share of the lines."""

_DELIMITERS: Final = ",;\t|"
_DEEPEST: Final = 6
_SHOWN: Final = 80
_SHAPES_IN: Final = 20
_SHAPE_IN: Final = 5000
_FALLBACKS: Final = ("resilience4j", "json", "csv")
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
    shape = _shape_of(lines)
    # Any JSON can be read as such, by the names of its fields.
    if shape not in (None, name) and description.records.get("kind") != "json":
        raise ImportTraceError(
            f"this is {shape} and not {name}: {description_of(shape or '').title}; "
            f"leave the format out, or name {shape}"
        )
    return _with_reader(description, lines)


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


def recognised(lines: Sequence[str]) -> Understood:
    """The format that reads most of the lines; of several, the one with the most fields.

    Raises:
        ImportTraceError: There is none.
    """
    filled = [line for line in lines if line.strip()]
    if not filled:
        raise ImportTraceError("there is no call in the input")
    if shape := _shape_of(filled):
        return understood(shape, filled)
    best: tuple[float, bool, int] = (_ENOUGH, False, 0)
    found: Understood | None = None
    for description in descriptions():
        is_left_out = description.is_abstract or description.name in _FALLBACKS
        if is_left_out or description.records["kind"] == "spans":
            continue
        candidate = _with_reader(description, filled)
        share = _share_read(candidate, filled)
        records = candidate.description.records
        size = len(records.get("keys", ())) or len(candidate.there or ())
        # A format that takes lines as they go on takes those of stricter ones too.
        rank = (share, not records.get("open", False), size)
        if rank > best:
            best, found = rank, candidate
    if found is not None:
        return found
    for name in _FALLBACKS:
        if _is_likely(name, filled):
            return understood(name, filled)
    raise ImportTraceError(
        f"no known format reads these lines, of which the first is {filled[0][:_SHOWN]!r}; give the "
        "format string of what wrote them with --log-format, or see: recloser import formats"
    )


def _shape_of(lines: Sequence[str]) -> str | None:
    """The format of spans or events whose keys the lines have."""
    return shape_in("\n".join(line[:_SHAPE_IN] for line in lines[:_SHAPES_IN]))


def _is_likely(name: str, lines: Sequence[str]) -> bool:
    if name == "resilience4j":
        return any(map(EVENT.search, lines))
    if name == "json":
        return bool(_objects_in(lines))
    try:
        header = DelimitedReader(delimiter_of(lines)).header_in(lines)
    except csv.Error:
        return False
    return len(header) > 2 and all(title and not title[0].isdigit() for title in header)  # noqa: PLR2004


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
    delimited = DelimitedReader(
        records.get("delimiter") or delimiter_of(lines), records.get("header")
    )
    try:
        return Understood(description, delimited, delimited.header_in(lines))
    except csv.Error as error:
        raise ImportTraceError(f"the header can't be read: {error}") from error


def delimiter_of(lines: Sequence[str]) -> str:
    """What stands between the values of a header."""
    first = lines[0] if lines else ""
    return max(_DELIMITERS, key=first.count)


def _share_read(candidate: Understood, lines: Sequence[str]) -> float:
    """The share of the lines that a format makes calls of."""
    description = candidate.description
    keys = [path_of(key) for key in description.records.get("keys", ())]
    if keys:
        values = _objects_in(lines)
        fit = sum(all(value_at(v, path) is not None for path in keys) for v in values)
        if fit < _ENOUGH * len(lines):
            return 0
    judge = Judge(rules_for(candidate))
    options = CallOptions(breaker=description.breaker or "any")
    try:
        maker = CallMaker(description, candidate.there, options, judge)
        records = candidate.reader.read([Lines("", 1, list(lines))], maker.needed)
        return sum(map(len, maker(records))) / len(lines)
    except ImportTraceError:
        return 0


def rules_for(candidate: Understood) -> list[Any]:
    """The rules of a format whose fields are there."""
    fields = Fields(candidate.there, candidate.description.fields)
    return [rule for rule in candidate.description.outcome if fields.has(rule.field)]


def _objects_in(lines: Sequence[str]) -> list[Mapping[str, Any]]:
    values = []
    for line in lines:
        if line.lstrip().startswith("{"):
            try:
                values.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                continue
    return [value for value in values if isinstance(value, dict)]


def _paths_in(value: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[str]:
    for key, inner in value.items():
        path = before + (
            key if key and not set(key) & set('."[]') else msgspec.json.encode(key).decode()
        )
        yield path
        if isinstance(inner, dict) and depth < _DEEPEST:
            yield from _paths_in(inner, f"{path}.", depth + 1)
