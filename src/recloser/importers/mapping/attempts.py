"""Requests that a proxy tried several times: each attempt becomes a call."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from recloser.importers.formats.format_description import AttemptFields
from recloser.importers.values.durations import duration_parser
from recloser.importers.values.field_text import MISSING

NO_RESPONSE: Final = "no response"
"""The status of a request while an attempt had no response and was followed by another one."""

_SEPARATOR: Final = re.compile(r" *+[,:] ++")
_MAX_ATTEMPTS: Final = 1000


class ExpandedAttempts(NamedTuple):
    """Columns with one row per attempt.

    Attributes:
        columns: The values by the names of their fields.
        start: When each attempt started, in nanoseconds since 1970.
        took: How long each attempt took, in nanoseconds.
        lines: The number of the line that each attempt is from.
    """

    columns: Mapping[str, Sequence[Any]]
    start: list[int]
    took: list[int]
    lines: list[int]


def expand_attempts(
    fields: AttemptFields,
    columns: Mapping[str, Sequence[Any]],
    start: list[int],
    took: list[int],
    lines: Sequence[int],
) -> ExpandedAttempts | None:
    """Make one row per attempt, where a request has several such as ``502, 200``.

    Args:
        fields: The fields that hold one value per attempt.
        columns: The values of the requests by the names of their fields.
        start: When each request started, in nanoseconds since 1970.
        took: How long each request took, in nanoseconds.
        lines: The number of the line of each request.

    Returns:
        The attempts; None where every request has one.

    Raises:
        ValueError: The durations of the attempts are not known, or there are more than 1000.
    """
    rows = {
        row: parts
        for row, value in enumerate(columns[fields.status])
        if isinstance(value, str)
        and ("," in value or ":" in value)
        and len(parts := _SEPARATOR.split(value)) > 1
    }
    if not rows:
        return None
    if max(map(len, rows.values())) > _MAX_ATTEMPTS:
        raise ValueError(f"{fields.status} has more than {_MAX_ATTEMPTS:,} values")
    parse = duration_parser(fields.unit)
    expanded = ExpandedAttempts({name: [] for name in columns}, [], [], [])
    split = {fields.status, fields.duration, *fields.also} & set(columns)
    for row in range(len(lines)):
        count = len(rows.get(row, ("",)))
        for name, column in columns.items():
            expanded.columns[name].extend(  # type: ignore[attr-defined]  # lists, made above
                _parts(column[row], count if name in split else 1, count)
            )
        expanded.lines.extend([lines[row]] * count)
        if count == 1:
            expanded.start.append(start[row])
            expanded.took.append(took[row])
            continue
        durations = expanded.columns[fields.duration][-count:] if fields.duration in columns else ()
        if not durations or columns[fields.duration][row] in durations:
            raise ValueError(
                f"{fields.status} has {count} values, but {fields.duration} does not have the "
                "duration of each attempt"
            )
        at = start[row]
        for duration in durations:
            ns = 0 if duration in MISSING else parse(duration)
            expanded.start.append(at)
            expanded.took.append(ns)
            at += ns
        overall = expanded.columns.get(fields.overall)
        if overall is not None:
            # The request's own status is that of the last attempt; those before get their own.
            ended = [NO_RESPONSE if each in MISSING else each for each in rows[row][:-1]]
            overall[-count:-1] = ended  # type: ignore[index]  # a list, made above
    return expanded


def _parts(value: Any, count: int, rows: int) -> list[Any]:
    """Split a value into one part per row.

    A value that has another number of parts is repeated.
    """
    parts = _SEPARATOR.split(value) if count > 1 and isinstance(value, str) else [value]
    return parts if len(parts) == rows else [value] * rows
