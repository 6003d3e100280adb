"""Mapping of records to calls: breaker, times, outcome, error and labels."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from recloser.core.events import REFUSED, Outcome
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import FormatDescription, TimeField
from recloser.importers.import_batches import CallBatch, RecordBatch, Unreadable
from recloser.importers.mapping.attempts import expand_attempts
from recloser.importers.mapping.breaker_template import BreakerTemplate
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.mapping.call_times import (
    duration_columns,
    instant_columns,
    starts_and_durations,
)
from recloser.importers.mapping.derived_fields import RecordFields
from recloser.importers.mapping.path_grouping import group_ids
from recloser.importers.mapping.record_selection import RecordSelection
from recloser.importers.outcomes.outcome_classifier import Classified, OutcomeClassifier
from recloser.importers.values.conversion_cache import ConversionCache
from recloser.importers.values.field_text import text_of


class CallMapper:
    """Makes calls from records.

    Args:
        description: The format of the records.
        field_names: The fields that the records have; None where any field is possible.
        options: What the user says.
        classifier: Decides the outcome of each call.

    Attributes:
        needed: The fields of the records that are used.
        roles: The fields that are used as ``start``, ``end`` and ``duration``.
        template: The template of the breaker's name.
        ambiguous_time: The first time that occurred twice, when clocks were set back, and whose text
            does not say which of the two is meant; None if there was none.

    Raises:
        ImportTraceError: A field does not exist, or the breaker or the time of a call is not known.
    """

    def __init__(
        self,
        description: FormatDescription,
        field_names: Collection[str] | None,
        options: CallOptions,
        classifier: OutcomeClassifier,
    ) -> None:
        self.ambiguous_time: str | None = None
        self._fields = RecordFields(field_names, description.fields)
        self._classifier = classifier
        self._slow_ns = options.slow_ns
        self.template = self._template(description, options)
        self._breaker = BreakerTemplate(self.template)
        self._groups = ConversionCache(group_ids) if options.is_grouped else None
        self._error = options.error or description.error
        self._labels = list(options.labels)
        self.roles = self._time_fields(description, options)
        self._start = instant_columns(self.roles["start"], options, self._on_ambiguous)
        self._end = instant_columns(self.roles["end"], options, self._on_ambiguous)
        self._duration = duration_columns(self.roles["duration"], options)
        outcome_fields = classifier.fields if description.records.get("mixed") else ()
        where = {
            name: values for name, values in description.where.items() if self._fields.has(name)
        }
        self._selection = RecordSelection(where, outcome_fields)
        attempts = description.attempts
        has_attempts = attempts is not None and self._fields.has(attempts.status)
        self._attempts = attempts if has_attempts else None
        self._used = self._used_fields()
        self.needed = self._fields.needed(self._used)

    def _template(self, description: FormatDescription, options: CallOptions) -> str:
        if options.breaker is not None:
            return options.breaker
        if description.breaker is not None:
            fields = BreakerTemplate(description.breaker).fields
            if all(map(self._fields.has, fields)):
                return description.breaker
        raise ImportTraceError(
            "the format does not say which service a call goes to: name its breaker with --breaker '{field}'; "
            f"the fields are {', '.join(self._fields.names)}"
        )

    def _time_fields(
        self, description: FormatDescription, options: CallOptions
    ) -> dict[str, list[TimeField]]:
        if None not in (options.start, options.end, options.duration):
            raise ImportTraceError("give two of --start, --end and --duration, not all three")
        # An option switches off what the format says, so that any two of the three can be given. But
        # a format without a duration keeps its other end: that is the only source of the duration.
        has_ends = bool(description.start and description.end and not description.duration)
        start = [] if options.end and not has_ends else description.start
        end = [] if options.start and not has_ends else description.end
        duration = [] if options.start and options.end else description.duration
        fields = {
            "start": self._existing(options.start, start),
            "end": self._existing(options.end, end),
            "duration": self._existing(options.duration, duration),
        }
        if not fields["start"] and not fields["end"]:
            raise ImportTraceError(
                "the format does not say when a call was: name the field with --start or --end; the "
                f"fields are {', '.join(self._fields.names)}"
            )
        return fields

    def _existing(self, given: TimeField | None, usual: Sequence[TimeField]) -> list[TimeField]:
        if given is not None:
            return [given]
        return [each for each in usual if self._fields.has(each.field)]

    def _used_fields(self) -> list[str]:
        attempted = (
            ()
            if self._attempts is None
            else filter(self._fields.has, (self._attempts.status, self._attempts.duration))
        )
        return list(
            dict.fromkeys(
                [
                    *self._selection.fields,
                    *attempted,
                    *self._start.fields,
                    *self._end.fields,
                    *self._duration.fields,
                    *self._breaker.fields,
                    *self._classifier.fields,
                    *self._labels,
                    *([self._error] if self._error else ()),
                ]
            )
        )

    def _on_ambiguous(self, text: str) -> None:
        self.ambiguous_time = self.ambiguous_time or text

    def __call__(self, batches: Iterable[RecordBatch]) -> Iterator[CallBatch]:
        """Yield the calls of the records, in batches."""
        for batch in batches:
            columns = {name: self._fields.column(name, batch.columns) for name in self._used}
            unreadable = list(batch.unreadable)
            rows, skipped = self._selection(columns, len(batch))
            selected = batch
            if rows is not None:
                columns = {name: [column[row] for row in rows] for name, column in columns.items()}
                lines = [batch.lines[row] for row in rows]
                selected = RecordBatch(batch.source, lines, columns, unit=batch.unit)
            yield from self._calls(selected, columns, range(len(selected)), unreadable)
            for reason, count in batch.skipped.items():
                skipped[reason] = skipped.get(reason, 0) + count
            if unreadable or skipped:
                yield CallBatch((), (), (), (), (), None, (), unreadable, skipped)

    def _calls(
        self,
        batch: RecordBatch,
        columns: Mapping[str, Sequence[Any]],
        rows: range,
        unreadable: list[Unreadable],
    ) -> Iterator[CallBatch]:
        # Columns are converted as a whole, which is fast. If a value in them cannot be read, halving
        # the rows finds the record that has it, and the others are still converted together.
        part = columns
        if len(rows) < len(batch):
            part = {name: column[rows.start : rows.stop] for name, column in columns.items()}
        lines = batch.lines[rows.start : rows.stop]
        try:
            yield self._call_batch(part, lines)
        except ValueError as error:
            if len(rows) == 1:
                unreadable.append(Unreadable(lines[0], str(error), batch.source, batch.unit))
                return
            middle = (rows.start + rows.stop) // 2
            yield from self._calls(batch, columns, range(rows.start, middle), unreadable)
            yield from self._calls(batch, columns, range(middle, rows.stop), unreadable)

    def _call_batch(self, columns: Mapping[str, Sequence[Any]], lines: Sequence[int]) -> CallBatch:
        start, took = starts_and_durations(
            self._start.values(columns) if self._start.fields else None,
            self._end.values(columns) if self._end.fields else None,
            self._duration.values(columns) if self._duration.fields else None,
            len(lines),
        )
        if self._attempts is not None:
            expanded = expand_attempts(self._attempts, columns, start, took, lines)
            if expanded is not None:
                columns, start, took, lines = expanded
        size = len(lines)
        breakers = self._breakers(columns, size)
        classified = self._classifier.classify(columns, size)
        outcomes = [each.outcome for each in classified]
        errors = [each.error for each in classified]
        if self._error is not None:
            errors = [
                error if error is None else text_of(value)
                for error, value in zip(errors, columns[self._error], strict=True)
            ]
        if self._slow_ns is not None:
            for row, ns in enumerate(took):
                if ns > self._slow_ns and outcomes[row] is Outcome.SUCCEEDED:
                    outcomes[row], errors[row] = Outcome.FAILED, "slow"
        labels = self._labels_of(columns, classified)
        return CallBatch(breakers, start, took, outcomes, errors, labels, lines)

    def _breakers(self, columns: Mapping[str, Sequence[Any]], size: int) -> Sequence[str]:
        used = [columns[name] for name in self._breaker.fields]
        for name, column in zip(self._breaker.fields, used, strict=True):
            if None in column or "" in column or "-" in column:
                raise ValueError(f"the field {name} is empty, and the breaker's name needs it")
        if self._groups is not None:
            try:
                used = [list(map(self._groups.__getitem__, column)) for column in used]
            except TypeError:  # a list or an object is no key of a dictionary
                used = [list(map(group_ids, column)) for column in used]
        return self._breaker.names(used, size)

    def _labels_of(
        self, columns: Mapping[str, Sequence[Any]], classified: Sequence[Classified]
    ) -> list[dict[str, str]] | None:
        are_known = all(each.is_known for each in classified)
        if are_known and not self._labels:
            return None
        labels: list[dict[str, str]] = [{} for _ in classified]
        for name in self._labels:
            for row, value in zip(labels, columns[name], strict=True):
                if value is not None:
                    row[name] = text_of(value)
        if not are_known:
            for row, each in zip(labels, classified, strict=True):
                if not each.is_known:
                    row[REFUSED] = each.error or each.verdict.value
        return labels
