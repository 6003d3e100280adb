"""What an importer is told about a trace's fields: names, outcomes and times."""

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from recloser.core.events import Outcome
from recloser.core.moments import nanoseconds_between
from recloser.errors import ImportTraceError

UNITS: Final[Mapping[str, int]] = {
    "nano": 1,
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
}
"""Nanoseconds in each unit that a column's name may end in, as in ``duration_ms``."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class BreakerTemplate:
    """Names the breaker of a call from its fields, as ``{caller}->{target}``.

    Raises:
        ImportTraceError: The template is no plain text with ``{field}`` in it.
    """

    def __init__(self, template: str) -> None:
        self._parts: list[tuple[str, str | None]] = []
        try:
            parts = list(string.Formatter().parse(template))
        except ValueError as error:
            raise ImportTraceError(f"--breaker {template!r}: {error}") from error
        for text, name, spec, conversion in parts:
            if spec or conversion or (name is not None and not name.strip()):
                raise ImportTraceError(
                    f"--breaker {template!r}: only plain fields such as {{target}} can be used"
                )
            self._parts.append((text, name))

    @property
    def fields(self) -> list[str]:
        """The fields that it names."""
        return [name for _, name in self._parts if name is not None]

    def names(self, columns: Sequence[Sequence[object]], size: int) -> list[str]:
        """The names of the breakers of many calls, given the columns of its fields in order."""
        if len(self._parts) == 1 and columns and not self._parts[0][0]:
            return list(map(str, columns[0]))
        form = "".join(
            text.replace("%", "%%") + ("" if name is None else "%s") for text, name in self._parts
        )
        if not columns:
            return [form % ()] * size
        return [form % values for values in zip(*columns, strict=True)]

    def name(self, fields: Mapping[str, str]) -> str:
        """The breaker's name for a call with these fields."""
        return "".join(text + ("" if name is None else fields[name]) for text, name in self._parts)


class OutcomeRule:
    """Tells a failure from a success by one value of a call.

    Args:
        failures: What counts as failed: a value, ``5xx`` for three digits that begin with 5, or a
            range such as ``500-599``.
        ignored: What counts as neither, in the same form; it goes before ``failures``.
    """

    def __init__(self, failures: Iterable[str], ignored: Iterable[str] = ()) -> None:
        self._failed = _matcher(failures)
        self._ignored = _matcher(ignored)

    def __call__(self, value: str) -> Outcome:
        """How a call with this value ended."""
        if self._ignored.fullmatch(value):
            return Outcome.IGNORED
        return Outcome.FAILED if self._failed.fullmatch(value) else Outcome.SUCCEEDED


def _matcher(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(_alternative(pattern) for pattern in patterns) or r"(?!)")


def _alternative(pattern: str) -> str:
    if re.fullmatch(r"\dxx", pattern):
        return rf"{pattern[0]}\d\d"
    if bounds := re.fullmatch(r"(\d{3})-(\d{3})", pattern):
        numbers = range(int(bounds[1]), int(bounds[2]) + 1)
        return "|".join(f"{number:03d}" for number in numbers) or r"(?!)"
    return re.escape(pattern)


def parse_ns(text: str, unit_ns: int) -> int:
    """The nanoseconds in a decimal number of units.

    Raises:
        ValueError: It is no number, or a negative one.
    """
    try:
        number = Decimal(text) * unit_ns
        ns = round(number)
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise ValueError(f"{text!r} is no number") from error
    if not 0 <= ns < 2**63:
        raise ValueError(f"{text!r} is out of range")
    return ns


def parse_moment(text: str, unit_ns: int | None) -> int:
    """Nanoseconds since 1970 of a number of units, or of an ISO 8601 time where unit is None.

    Raises:
        ValueError: It is no such time; a time without a zone is refused, not guessed.
    """
    if unit_ns is not None:
        return parse_ns(text, unit_ns)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return nanoseconds_between(EPOCH, moment)
