"""An import from end to end, one batch at a time.

    input -> unwrapping -> records or spans -> mapping (with outcomes) -> call_log

Each stage is an iterator over the stage before it; ``import_batches`` has what they pass on.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from attrs import evolve

from recloser.errors import ImportTraceError
from recloser.importers.call_log import CallLog, ImportSummary, no_calls_reason
from recloser.importers.detection.file_sample import read_sample
from recloser.importers.detection.format_detection import detect_format, hint_about
from recloser.importers.detection.format_opening import (
    FileFormat,
    decimal_mark_of,
    delimited_format,
    format_of_log_format,
    format_of_regex,
    named_format,
    outcome_rules_of,
    with_fields,
)
from recloser.importers.detection.json_samples import arrays_of_objects
from recloser.importers.detection.wrapper_detection import uncertain_wrappers
from recloser.importers.formats.format_description import format_named, record_paths
from recloser.importers.import_batches import CallBatch, LineBatch
from recloser.importers.import_request import ImportRequest
from recloser.importers.input.inputs import Inputs, SplitFile
from recloser.importers.mapping.breaker_template import BreakerTemplate
from recloser.importers.mapping.call_mapper import CallMapper
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.mapping.derived_fields import RecordFields
from recloser.importers.option_checks import check_options
from recloser.importers.outcomes.outcome_classifier import OutcomeClassifier
from recloser.importers.records.jmespath_queries import WhereFilter, is_jmespath
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.spans.span_documents import holds_spans, span_values
from recloser.importers.spans.span_reader import SpanReader
from recloser.importers.unwrapping.line_unwrapper import (
    LineUnwrapper,
    certain_wrappers,
    unwrapped_lines,
    wrapper_fields_in,
)
from recloser.importers.unwrapping.line_wrappers import Wrapper, wrappers_named
from recloser.importers.values.json_paths import path_of

_PEEKED_BYTES: Final = 1 << 16


class TraceImport:
    """An import that is ready to run, since the format of its files is known.

    Args:
        inputs: The files.
        request: What the user asks for.

    Attributes:
        format: The format of the files, with its reader.
        wrappers: What is removed from around the lines.
        mapper: Makes calls from records.
        classifier: Decides the outcome of each call, and counts them by value.
        decimal: The decimal mark of numbers; ``?`` where it may be a point or a comma.
        cuts: Why a file is cut, by its name; filled as the files are read.

    Raises:
        ImportTraceError: No format reads the lines, an option cannot apply, or an option is missing.
    """

    def __init__(self, inputs: Inputs, request: ImportRequest) -> None:
        self.cuts = inputs.cuts
        if request.records is not None:
            inputs.records = path_of(request.records)
        inputs.known = record_paths()
        inputs.split = _span_splitter(request.format)
        batches = inputs.lines()
        first_batches, sample = read_sample(batches)
        if not sample and any(None in batch.texts for batch in first_batches):
            raise ImportTraceError(_all_too_long(first_batches[0].unit))
        self._batches: Iterator[LineBatch] = chain(first_batches, batches)
        self.wrappers = self._find_wrappers(request, sample)
        lines = unwrapped_lines(self.wrappers, sample)
        self._sample = lines
        wrapper_fields = wrapper_fields_in(self.wrappers, sample)
        try:
            self.format = with_fields(self._find_format(request, lines), request.fields)
            if request.producers:
                self._count_producers()
            self.classifier = OutcomeClassifier(
                outcome_rules_of(self.format, request.outcome), request.user_rules
            )
            options = request.options
            if options.decimal is None:
                options = evolve(options, decimal=decimal_mark_of(self.format, lines))
            self.decimal = options.decimal
            self.mapper = self._make_mapper(request, options, wrapper_fields)
        except ImportTraceError as error:
            hint = hint_about(lines, request.format) if request.format is not None else ""
            raise ImportTraceError(f"{error}; {hint}" if hint else str(error)) from error
        self._where = None
        if request.where is not None:
            is_json = self.format.description.records.get("kind") == "json"
            self._where = WhereFilter(
                request.where, None if is_json else self.format.field_names or ()
            )
        self._wrapper_fields = [name for name in wrapper_fields if name in self.mapper.needed]
        self._unwrapper = LineUnwrapper(self.wrappers, keeps_fields=bool(self._wrapper_fields))

    def _make_mapper(
        self, request: ImportRequest, options: CallOptions, wrapper_fields: Sequence[str]
    ) -> CallMapper:
        description, field_names = self.format.description, self.format.field_names
        is_json = description.records.get("kind") == "json"
        attempts = description.attempts
        if attempts is not None and request.outcome not in (None, attempts.status):
            description = evolve(description, attempts=None)
        if is_json and field_names is not None:
            known = RecordFields(field_names, description.fields)
            named = [name for name in _fields_named_in(request) if not known.has(name)]
            field_names = [*field_names, *named]
        further = [
            name for name in wrapper_fields if field_names is not None and name not in field_names
        ]
        if further:
            field_names = [*(field_names or ()), *further]
        try:
            mapper = CallMapper(description, field_names, options, self.classifier)
        except ImportTraceError as error:
            arrays = arrays_of_objects(self._sample)
            if not is_json or not arrays or hint_about(self._sample, description.name):
                raise
            raise ImportTraceError(
                f"{error}. The records may be in an array: name it with --records {arrays[0]}"
            ) from error
        check_options(options, mapper, self.classifier)
        return mapper

    def _count_producers(self) -> None:
        reader = self.format.reader
        if not isinstance(reader, SpanReader):
            raise ImportTraceError(
                f"--producers is for spans, and these files are {self.format.description.name}; "
                "leave it out"
            )
        reader.producers = True

    @classmethod
    def _find_wrappers(cls, request: ImportRequest, sample: Sequence[str]) -> list[Wrapper]:
        if request.unwrap is not None:
            named = wrappers_named(request.unwrap)
            unwrapper = LineUnwrapper(named)
            for _ in unwrapper([LineBatch("", 1, list(sample))]):
                pass
            for wrapper in named:
                if sample and not unwrapper.counts[wrapper.name]:
                    raise ImportTraceError(
                        f"no line is wrapped in {wrapper.title} ({wrapper.name}); leave --unwrap out "
                        "to detect what is around the lines"
                    )
            return named
        certain = certain_wrappers(sample)
        lines = unwrapped_lines(certain, sample)
        expected: FileFormat | None = None
        if any((request.format, request.log_format, request.regex, request.header)):
            expected = cls._find_format(request, lines)
        return [*certain, *uncertain_wrappers(lines, expected)]

    @staticmethod
    def _find_format(request: ImportRequest, lines: Sequence[str]) -> FileFormat:
        given = {
            "--format": request.format if request.header is None else None,
            "--log-format": request.log_format,
            "--regex": request.regex,
            "--header": request.header,
        }
        named = [name for name, value in given.items() if value is not None]
        if len(named) > 1:
            raise ImportTraceError(f"give one of {' and '.join(named)}, not both")
        if request.header is not None:
            return delimited_format(request.header, request.format, lines)
        if request.regex is not None:
            return format_of_regex(request.regex)
        if request.log_format is not None:
            return format_of_log_format(request.log_format, lines)
        if request.format is not None:
            return named_format(request.format, lines)
        return detect_format(lines, request.among)

    @property
    def unwrapped(self) -> dict[str, int]:
        """How many lines had each wrapper so far, by the wrapper's name."""
        return dict(self._unwrapper.counts)

    @property
    def joined(self) -> int:
        """How many calls so far have their target from the server's span."""
        reader = self.format.reader
        return reader.joined if isinstance(reader, SpanReader) else 0

    def calls(self) -> Iterator[CallBatch]:
        """Yield the calls, in batches. The files are read once, so call this once."""
        lines = self._unwrapper(self._batches)
        needed = [*self.mapper.needed, *(self._where.needed if self._where else ())]
        wanted = [name for name in dict.fromkeys(needed) if name not in self._wrapper_fields]
        records = self.format.reader.read(lines, wanted)
        if self._wrapper_fields:
            records = self._unwrapper.add_wrapper_fields(records)
        return self.mapper(records if self._where is None else self._where(records))

    def write(
        self, path: Path, through: Callable[[Iterator[CallBatch]], Iterator[CallBatch]] = iter
    ) -> ImportSummary:
        """Write the calls as a log.

        Args:
            path: The folder of the log, which must not exist.
            through: A function that passes the calls on and may look at them.

        Raises:
            ImportTraceError: ``path`` exists, there is no call, or too many outcomes are unknown;
                nothing is written then.
            LogError: The log cannot be written.
        """
        with CallLog(path) as log:
            for calls in through(self.calls()):
                log.add(calls)
            if not log.summary.calls:
                raise ImportTraceError(self.no_calls_reason(log.summary))
            self.classifier.check_unknown()
            return log.write()

    def no_calls_reason(self, summary: ImportSummary) -> str:
        """Say why an import has no call, and what its lines are where that is known.

        Args:
            summary: What was read.
        """
        reason = no_calls_reason(summary)
        if "has no zone" in reason:
            return reason
        hint = hint_about(self._sample, self.format.description.name)
        return f"{reason}; {hint}" if hint else reason


def _fields_named_in(request: ImportRequest) -> list[str]:
    """The fields that the user names.

    The first lines of JSON may happen not to have them.
    """
    options = request.options
    times = (options.start, options.end, options.duration)
    return [
        *(each.field for each in times if each is not None),
        *options.labels,
        *filter(None, (options.error, request.outcome)),
        *filter(is_jmespath, BreakerTemplate(options.breaker or "").fields),
    ]


def _all_too_long(unit: str) -> str:
    reason = f"no {unit} can be read: each {TOO_LONG[3:]}"
    if unit == "line":
        return reason
    return f"{reason}; name the array that holds the records with --records, as log.entries"


def _span_splitter(format_name: str | None) -> SplitFile | None:
    """Return a function that cuts files of spans into JSON values, or None."""
    is_said = format_name is not None
    kind = format_named(format_name).records.get("kind") if format_name is not None else None
    if is_said and kind not in ("spans", "resilience4j"):
        return None

    def split(name: str, stream: io.BufferedReader) -> Iterator[LineBatch] | None:
        head = stream.peek(_PEEKED_BYTES)
        if holds_spans(head) or (is_said and head.lstrip()[:1] in (b"{", b"[")):
            return span_values(name, stream)
        return None

    return split
