"""Records into calls: which fields say when a call was, what it called, and how it ended."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any, cast

from attrs import define, field, frozen

from recloser.core.events import REFUSED, Outcome
from recloser.errors import ImportTraceError
from recloser.importers.derived import Fields
from recloser.importers.descriptions import Description, Role
from recloser.importers.durations import duration_reader
from recloser.importers.fields import BreakerTemplate
from recloser.importers.grouping import grouped
from recloser.importers.instants import instant_reader
from recloser.importers.memo import Memo
from recloser.importers.outcome_rules import MISSING, Judge, Judged, text_of
from recloser.importers.quantities import UNITS, column_of, with_decimal
from recloser.importers.selection import Selection
from recloser.importers.stages import Calls, Records, Unreadable
from recloser.importers.written_times import DateOrder


@frozen(kw_only=True)
class CallOptions:
    """What a user says of records that their format does not, or says otherwise.

    Attributes:
        breaker: The template of a breaker's name.
        start: What says when a call started.
        end: What says when it ended.
        duration: What says how long it took.
        error: The field that names a failure; by default the values by which it was told.
        labels: The fields to keep with each call.
        slow_ns: A success that took longer has failed; None where none has.
        zone: That of times that name none; None to refuse those.
        is_grouped: Whether paths in a breaker's name are grouped, as ``/users/{id}``.
        decimal: What stands before the decimals of a number, a point or a comma; ``?`` where either
            may, so that ``1,234`` is refused; None as the text shows.
        dates: Which comes first in a date such as ``03/04/2021``; None to refuse those.
    """

    breaker: str | None = None
    start: Role | None = None
    end: Role | None = None
    duration: Role | None = None
    error: str | None = None
    labels: Sequence[str] = ()
    slow_ns: int | None = None
    zone: tzinfo | None = None
    is_grouped: bool = False
    decimal: str | None = None
    dates: DateOrder | None = None


@define
class _Column:
    """The values of a role: of the first of its fields that a record has."""

    fields: list[str] = field(factory=list)
    units: list[str | None] = field(factory=list)
    readers: list[Memo[int]] = field(factory=list)

    def values(self, columns: Mapping[str, Sequence[Any]]) -> list[int | None]:
        """The nanoseconds of each record; None where it has none.

        Raises:
            ValueError: A value can't be read.
        """
        best: list[int | None] | None = None
        for name, unit, memo in zip(self.fields, self.units, self.readers, strict=True):
            read: Callable[[Any], int] = memo.__getitem__
            column = columns[name]
            if best is None:
                unit_ns = UNITS.get(unit or "")
                quick = column_of(column, unit_ns) if unit_ns and column else None
                if quick is not None:
                    return quick  # type: ignore[return-value]  # none of them is None
                try:
                    best = list(map(read, column))
                except TypeError as error:
                    raise ValueError(f"{name} holds no single value") from error
            else:
                best = [
                    read(value) if known is None else known
                    for known, value in zip(best, column, strict=True)
                ]
            if None not in best:
                break
        return best or []


class CallMaker:
    """Makes calls of records.

    Args:
        description: The format of the records.
        there: The fields that they have; None where any may be there.
        options: What the user says.
        judge: Says how calls ended.

    Attributes:
        needed: The fields of the records that are used.
        roles: The fields of ``start``, ``end`` and ``duration``.
        template: That of the breaker's name.
        twice: The first time that came twice, as clocks were set back, without a word of which it is.

    Raises:
        ImportTraceError: A field is not there, or something that is needed is not said.
    """

    def __init__(
        self,
        description: Description,
        there: Collection[str] | None,
        options: CallOptions,
        judge: Judge,
    ) -> None:
        self.twice: str | None = None
        self._fields = Fields(there, description.fields)
        self._judge = judge
        self._slow_ns = options.slow_ns
        template = options.breaker
        if template is None and description.breaker is not None:
            usual = BreakerTemplate(description.breaker)
            template = description.breaker if all(map(self._fields.has, usual.fields)) else None
        if template is None:
            raise ImportTraceError(
                "what a call calls is not known: name it with --breaker, as '{field}'; there are "
                + ", ".join(self._fields.names)
            )
        self.template = template
        self._breaker = BreakerTemplate(template)
        self._groups = Memo(grouped) if options.is_grouped else None
        self._error = options.error or description.error
        self._labels = list(options.labels)
        # An option switches off what the format says, so any two of the three can be named; but where
        # the format has no duration, the other end of a call is still what it says.
        has_ends = bool(description.start and description.end and not description.duration)
        said = (options.start, options.end, options.duration)
        given = [role is not None for role in said]
        start = self._roles(
            options.start, [] if options.end and not has_ends else description.start
        )
        end = self._roles(options.end, [] if options.start and not has_ends else description.end)
        both = options.start is not None and options.end is not None
        duration = self._roles(options.duration, [] if both else description.duration)
        if all(given):
            raise ImportTraceError("give two of --start, --end and --duration, not all three")
        self._start, self._end = (
            self._instants(start, options),
            self._instants(end, options),
        )
        self._duration = self._durations(duration, options)
        if not start and not end:
            raise ImportTraceError(
                "when a call was is not known: name the field with --start or --end; there are "
                + ", ".join(self._fields.names)
            )
        self.roles = {"start": start, "end": end, "duration": duration}
        outcome_fields = judge.fields if description.records.get("mixed") else ()
        where = {name: by for name, by in description.where.items() if self._fields.has(name)}
        self._selection = Selection(where, outcome_fields)
        attempts = description.attempts
        self._attempts = (
            attempts if attempts is not None and self._fields.has(attempts.status) else None
        )
        self._derived = list(
            dict.fromkeys(
                [
                    *self._selection.fields,
                    *self._attempted(),
                    *self._start.fields,
                    *self._end.fields,
                    *self._duration.fields,
                    *self._breaker.fields,
                    *judge.fields,
                    *self._labels,
                    *([self._error] if self._error else ()),
                ]
            )
        )
        self.needed = self._fields.needed(self._derived)

    def _attempted(self) -> list[str]:
        if self._attempts is None:
            return []
        named = (self._attempts.status, self._attempts.duration)
        return [name for name in named if self._fields.has(name)]

    def _roles(self, said: Role | None, usual: Sequence[Role]) -> list[Role]:
        if said is not None:
            return [said]
        return [role for role in usual if self._fields.has(role.field)]

    def _on_twice(self, text: str) -> None:
        self.twice = self.twice or text

    def _instants(self, roles: Iterable[Role], options: CallOptions) -> _Column:
        column = _Column()
        for role in roles:
            column.fields.append(role.field)
            column.units.append(role.unit)
            read = instant_reader(
                role.unit, options.zone, dates=options.dates, on_twice=self._on_twice
            )
            column.readers.append(_or_none(with_decimal(read, options.decimal or ".")))
        return column

    @staticmethod
    def _durations(roles: Iterable[Role], options: CallOptions) -> _Column:
        column = _Column()
        for role in roles:
            column.fields.append(role.field)
            column.units.append(role.unit)
            read = duration_reader(role.unit)
            column.readers.append(_or_none(with_decimal(read, options.decimal or ".")))
        return column

    def __call__(self, batches: Iterable[Records]) -> Iterator[Calls]:
        """The calls of records, in batches."""
        for records in batches:
            names = self._derived
            columns = {name: self._fields.column(name, records.columns) for name in names}
            unreadable = list(records.unreadable)
            kept, skipped = self._selection(columns, len(records))
            if kept is not None:
                columns = {n: [column[row] for row in kept] for n, column in columns.items()}
                lines = [records.lines[row] for row in kept]
                records = Records(records.source, lines, columns, unit=records.unit)  # noqa: PLW2901
            yield from self._calls(records, columns, range(len(records)), unreadable)
            for what, count in records.skipped.items():
                skipped[what] = skipped.get(what, 0) + count
            if unreadable or skipped:
                yield Calls((), (), (), (), (), None, (), unreadable, skipped)

    def _calls(
        self,
        records: Records,
        columns: Mapping[str, Sequence[Any]],
        rows: range,
        unreadable: list[Unreadable],
    ) -> Iterator[Calls]:
        """The calls of some rows; where one can't be read, it is looked for in halves of them."""
        part = columns
        if len(rows) < len(records):
            part = {name: column[rows.start : rows.stop] for name, column in columns.items()}
        lines = records.lines[rows.start : rows.stop]
        try:
            yield self._made(part, lines)
        except ValueError as error:
            if len(rows) == 1:
                bad = Unreadable(lines[0], str(error), records.source, records.unit)
                unreadable.append(bad)
                return
            middle = (rows.start + rows.stop) // 2
            yield from self._calls(records, columns, range(rows.start, middle), unreadable)
            yield from self._calls(records, columns, range(middle, rows.stop), unreadable)

    def _made(self, columns: Mapping[str, Sequence[Any]], lines: Sequence[int]) -> Calls:
        start, took = self._times(columns, len(lines))
        if self._attempts is not None:
            attempted = self._attempts.expand(columns, start, took, lines)
            if attempted is not None:
                columns, start, took, lines = attempted
        size = len(lines)
        breakers = self._breakers(columns, size)
        judged = self._judge.judge(columns, size)
        outcomes = [each.outcome for each in judged]
        errors = [each.error for each in judged]
        if self._error is not None:
            errors = [
                error if error is None else text_of(value)
                for error, value in zip(errors, columns[self._error], strict=True)
            ]
        if self._slow_ns is not None:
            for row, ns in enumerate(took):
                if ns > self._slow_ns and outcomes[row] is Outcome.SUCCEEDED:
                    outcomes[row], errors[row] = Outcome.FAILED, "slow"
        labels = self._labels_of(columns, judged)
        return Calls(breakers, start, took, outcomes, errors, labels, lines)

    def _times(
        self, columns: Mapping[str, Sequence[Any]], size: int
    ) -> tuple[list[int], list[int]]:
        starts = self._start.values(columns) if self._start.fields else None
        took = self._duration.values(columns) if self._duration.fields else None
        ends = self._end.values(columns) if self._end.fields else None
        known = [0 if ns is None else ns for ns in took] if took is not None else [0] * size
        if starts is not None and ends is not None and None not in starts:
            if took is None:
                known = [_difference(*both) for both in zip(starts, ends, strict=True)]
        elif ends is not None and (starts is None or took is not None):
            starts = [
                _before(end, ns) if begun is None else begun
                for begun, end, ns in zip(starts or [None] * size, ends, known, strict=True)
            ]
        assert starts is not None
        if None in starts:
            raise ValueError("it has no time")
        begun = cast("list[int]", starts)
        if begun and min(begun) < 0:
            raise ValueError("it started before 1970")
        return begun, known

    def _breakers(self, columns: Mapping[str, Sequence[Any]], size: int) -> Sequence[str]:
        used = [columns[name] for name in self._breaker.fields]
        for name, column in zip(self._breaker.fields, used, strict=True):
            if None in column or "" in column or "-" in column:
                raise ValueError(f"the field {name} is empty, which names the breaker")
        if self._groups is not None:
            try:
                used = [list(map(self._groups.__getitem__, column)) for column in used]
            except TypeError:  # a value that is a list or an object
                used = [list(map(grouped, column)) for column in used]
        return self._breaker.names(used, size)

    def _labels_of(
        self, columns: Mapping[str, Sequence[Any]], judged: Sequence[Judged]
    ) -> list[dict[str, str]] | None:
        are_known = all(each.is_known for each in judged)
        if are_known and not self._labels:
            return None
        kept: list[dict[str, str]] = [{} for _ in judged]
        for name in self._labels:
            for row, value in zip(kept, columns[name], strict=True):
                if value is not None:
                    row[name] = text_of(value)
        if not are_known:
            for row, each in zip(kept, judged, strict=True):
                if not each.is_known:
                    row[REFUSED] = each.error or each.verdict.value
        return kept


def _or_none(read: Callable[[Any], int]) -> Memo[Any]:
    return Memo(lambda value: None if value in MISSING else read(value))


def _difference(start: int | None, end: int | None) -> int:
    if start is None or end is None:
        raise ValueError("it has no time")
    if end < start:
        raise ValueError("it ends before it starts")
    return end - start


def _before(end: int | None, ns: int) -> int:
    if end is None:
        raise ValueError("it has no time")
    return end - ns
