"""Recognition of files that cannot be imported: reports with sums, and logs without times."""

import csv
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

from recloser.importers.values.json_paths import path_of, value_at

_DELIMITERS: Final = ",;\t"
_MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)


def no_calls_in(lines: Sequence[str]) -> str | None:
    """Say why a file holds no calls that can be imported; None if that is not known.

    Args:
        lines: The first lines of the file, without empty ones.
    """
    aggregate = aggregates_in(lines)
    if aggregate is not None:
        return (
            f"it is {aggregate}, which has sums and not single calls; import a log with one line or "
            "record per call"
        )
    for table in _tables("timeless").values():
        if any(_are_all_in(texts, lines) for texts in table["texts"]):
            return f"it is {table['title']}, which does not say when a call was; {table['remedy']}"
    return None


def aggregates_in(lines: Sequence[str]) -> str | None:
    """Return the title of a file that is a report with sums; None for any other file.

    Args:
        lines: The first lines of the file, without empty ones.
    """
    headers = _headers(lines)
    values = _values(lines)
    for table in _tables("aggregates").values():
        if (
            any(
                set(columns) <= header for columns in table.get("columns", ()) for header in headers
            )
            or any(_has_all(value, keys) for keys in table.get("keys", ()) for value in values)
            or any(_are_all_in(texts, lines) for texts in table.get("texts", ()))
        ):
            return str(table["title"])
    return None


@cache
def _tables(name: str) -> Mapping[str, Mapping[str, Any]]:
    file = resources.files("recloser.importers.detection").joinpath(f"{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _headers(lines: Sequence[str]) -> list[set[str]]:
    headers = []
    for delimiter in _DELIMITERS:
        try:
            header = next(csv.reader(lines[:1], delimiter=delimiter), [])
        except csv.Error:
            continue
        headers.append({title.strip() for title in header})
    return headers


def _values(lines: Sequence[str]) -> list[Any]:
    """Return JSON values by which a report is recognised.

    These are the values in the first line and in all lines joined, and the objects directly inside.
    """
    values = []
    for text in (lines[0] if lines else "", "\n".join(lines)):
        if text.lstrip()[:1] in ("{", "["):
            try:
                value = msgspec.json.decode(text)
            except _MALFORMED:
                continue
            values += value[:1] if isinstance(value, list) else [value]
            if isinstance(value, dict):
                values += [inner for inner in value.values() if isinstance(inner, dict)][
                    :_MAX_INNER
                ]
    return values


_MAX_INNER: Final = 8


def _has_all(value: Any, keys: Sequence[str]) -> bool:
    if not isinstance(value, dict):
        return False
    return all(key in value or value_at(value, path_of(key)) is not None for key in keys)


def _are_all_in(texts: Sequence[str], lines: Sequence[str]) -> bool:
    return all(any(text in line for line in lines) for text in texts)
