"""Requests that a proxy tried several times: each attempt is a call of its own."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from attrs import frozen

from recloser.importers.durations import duration_reader
from recloser.importers.outcome_rules import MISSING

_BETWEEN: Final = re.compile(r" *+[,:] ++")
NO_RESPONSE: Final = "no response"
"""The status of a request whose attempt was given up without one, and another one made."""

_MOST: Final = 1000


class Attempted(NamedTuple):
    """Columns with a row for each attempt."""

    columns: Mapping[str, Sequence[Any]]
    start: list[int]
    took: list[int]
    lines: list[int]


@frozen(kw_only=True)
class Attempts:
    """Fields with a value for each attempt, as ``502, 200``.

    Attributes:
        status: How each ended.
        duration: How long each took.
        unit: The unit of ``duration``.
        overall: How the request ended. For attempts before the last it has what the attempt ended with.
        also: Other fields with a value for each attempt.
    """

    status: str
    duration: str
    unit: str
    overall: str
    also: Sequence[str] = ()

    def expand(
        self,
        columns: Mapping[str, Sequence[Any]],
        start: list[int],
        took: list[int],
        lines: Sequence[int],
    ) -> Attempted | None:
        """The attempts; None where no request has several.

        Raises:
            ValueError: It is not known how long each attempt took.
        """
        statuses = columns[self.status]
        rows = {
            row: parts
            for row, value in enumerate(statuses)
            if isinstance(value, str)
            and ("," in value or ":" in value)
            and len(parts := _BETWEEN.split(value)) > 1
        }
        if not rows:
            return None
        if max(map(len, rows.values())) > _MOST:
            raise ValueError(f"{self.status} has more than {_MOST:,} values")
        read = duration_reader(self.unit)
        made = Attempted({name: [] for name in columns}, [], [], [])
        split = {self.status, self.duration, *self.also} & set(columns)
        for row in range(len(lines)):
            count = len(rows.get(row, ("",)))
            for name, column in columns.items():
                made.columns[name].extend(  # type: ignore[attr-defined]  # lists, made above
                    _parts(column[row], count if name in split else 1, count)
                )
            made.lines.extend([lines[row]] * count)
            if count == 1:
                made.start.append(start[row])
                made.took.append(took[row])
                continue
            tooks = made.columns[self.duration][-count:] if self.duration in columns else ()
            if not tooks or columns[self.duration][row] in tooks:
                raise ValueError(
                    f"{self.status} has {count} values, and {self.duration} does not say how long "
                    "each attempt took"
                )
            at = start[row]
            for each in tooks:
                ns = 0 if each in MISSING else read(each)
                made.start.append(at)
                made.took.append(ns)
                at += ns
            overall = made.columns.get(self.overall)
            if overall is not None:
                ended = [NO_RESPONSE if each in MISSING else each for each in rows[row][:-1]]
                overall[-count:-1] = ended  # type: ignore[index]  # a list, made above
        return made


def _parts(value: Any, count: int, rows: int) -> list[Any]:
    """A value for each of some rows: its parts where it has as many, or all of it."""
    parts = _BETWEEN.split(value) if count > 1 and isinstance(value, str) else [value]
    return parts if len(parts) == rows else [value] * rows
