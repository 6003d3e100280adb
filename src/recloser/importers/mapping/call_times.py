"""Starts and durations of calls, from columns of starts, ends and durations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from attrs import define, field

from recloser.importers.formats.format_description import TimeField
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.values.conversion_cache import ConversionCache
from recloser.importers.values.durations import duration_parser
from recloser.importers.values.field_text import MISSING
from recloser.importers.values.instants import instant_parser
from recloser.importers.values.quantities import UNITS, nanosecond_column, with_decimal_mark
from recloser.importers.values.written_times import OnAmbiguousTime

_NO_TIME = "it has no time"


@define
class TimeColumns:
    """The fields that may hold one of start, end and duration, in order of preference.

    Attributes:
        fields: The names of the fields.
        units: The unit of each field; None where the values name their own.
        parsers: The conversion of each field's values to nanoseconds.
    """

    fields: list[str] = field(factory=list)
    units: list[str | None] = field(factory=list)
    parsers: list[ConversionCache[int]] = field(factory=list)

    def values(self, columns: Mapping[str, Sequence[Any]]) -> list[int | None]:
        """Convert columns to nanoseconds; each record uses the first field that it has.

        Args:
            columns: The values of the records by the names of their fields.

        Returns:
            One number per record; None for a record that has none of the fields.

        Raises:
            ValueError: A value cannot be read.
        """
        best: list[int | None] | None = None
        for name, unit, cache in zip(self.fields, self.units, self.parsers, strict=True):
            parse: Callable[[Any], int] = cache.__getitem__
            column = columns[name]
            if best is None:
                unit_ns = UNITS.get(unit or "")
                quick = nanosecond_column(column, unit_ns) if unit_ns and column else None
                if quick is not None:
                    return quick  # type: ignore[return-value]  # none of them is None
                try:
                    best = list(map(parse, column))
                except TypeError as error:
                    raise ValueError(f"{name} holds a list or an object, not a value") from error
            else:
                best = [
                    parse(value) if known is None else known
                    for known, value in zip(best, column, strict=True)
                ]
            if None not in best:
                break
        return best or []


def instant_columns(
    fields: Iterable[TimeField], options: CallOptions, on_ambiguous: OnAmbiguousTime
) -> TimeColumns:
    """Prepare fields that hold points in time.

    Args:
        fields: The fields, in order of preference.
        options: The zone, the order of dates and the decimal mark.
        on_ambiguous: Called with a time that occurred twice, when clocks were set back.
    """
    columns = TimeColumns()
    for each in fields:
        parse = instant_parser(
            each.unit, options.zone, dates=options.dates, on_ambiguous=on_ambiguous
        )
        _add(columns, each, parse, options)
    return columns


def duration_columns(fields: Iterable[TimeField], options: CallOptions) -> TimeColumns:
    """Prepare fields that hold durations.

    Args:
        fields: The fields, in order of preference.
        options: The decimal mark.
    """
    columns = TimeColumns()
    for each in fields:
        _add(columns, each, duration_parser(each.unit), options)
    return columns


def starts_and_durations(
    starts: list[int | None] | None,
    ends: list[int | None] | None,
    durations: list[int | None] | None,
    size: int,
) -> tuple[list[int], list[int]]:
    """Combine what is known of some calls; a call of unknown duration took 0 ns.

    Args:
        starts: Nanoseconds since 1970; None where no field holds starts. One of ``starts`` and
            ``ends`` must be given.
        ends: Nanoseconds since 1970; None where no field holds ends.
        durations: Nanoseconds; None where no field holds durations.
        size: How many calls there are.

    Raises:
        ValueError: A call has no time, started before 1970, or ends before it starts.
    """
    took = [0] * size if durations is None else [0 if ns is None else ns for ns in durations]
    if starts is not None and ends is not None and None not in starts:
        if durations is None:
            took = [_difference(*both) for both in zip(starts, ends, strict=True)]
    elif ends is not None and (starts is None or durations is not None):
        starts = [
            _before(end, ns) if start is None else start
            for start, end, ns in zip(starts or [None] * size, ends, took, strict=True)
        ]
    assert starts is not None
    if None in starts:
        raise ValueError(_NO_TIME)
    known = cast("list[int]", starts)
    if known and min(known) < 0:
        raise ValueError("it started before 1970")
    return known, took


def _add(
    columns: TimeColumns, each: TimeField, parse: Callable[[Any], int], options: CallOptions
) -> None:
    parse = with_decimal_mark(parse, options.decimal or ".")
    columns.fields.append(each.field)
    columns.units.append(each.unit)
    columns.parsers.append(
        ConversionCache[Any](lambda value: None if value in MISSING else parse(value))
    )


def _difference(start: int | None, end: int | None) -> int:
    if start is None or end is None:
        raise ValueError(_NO_TIME)
    if end < start:
        raise ValueError("it ends before it starts")
    return end - start


def _before(end: int | None, ns: int) -> int:
    if end is None:
        raise ValueError(_NO_TIME)
    return end - ns
