"""An import from end to end: bytes, lines, records, calls, and their log, a batch at a time.

    inputs -> unwrapping -> records -> roles (with outcomes) -> call_log

Each stage is an iterator over the one before; see ``recloser.importers.stages`` for what they pass.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from recloser.errors import ImportTraceError
from recloser.importers.call_log import CallLog, ImportSummary, nothing_read
from recloser.importers.derived import Fields
from recloser.importers.descriptions import description_of, known_paths
from recloser.importers.fields import BreakerTemplate
from recloser.importers.inputs import Inputs, Split
from recloser.importers.looking import (
    LOOKED_AT,
    Understood,
    are_objects,
    arrays_in,
    decimal_of,
    hint_for,
    is_known,
    recognised,
    rules_of,
    understood,
    understood_by,
    understood_by_regex,
    understood_with,
)
from recloser.importers.option_checks import check_options
from recloser.importers.outcome_rules import Judge, OwnRules
from recloser.importers.records.expressions import Where, is_expression
from recloser.importers.records.json_lines import path_of
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.roles import CallMaker, CallOptions
from recloser.importers.spans.span_reader import SpanReader
from recloser.importers.spans.values import is_document, values_of
from recloser.importers.stages import Calls, Lines
from recloser.importers.unwrapping import (
    Unwrapping,
    fields_around,
    is_around,
    taken_away,
    wrappings_in,
)
from recloser.importers.wrappings import FIELDS, WRAPPINGS, Wrapping, wrappings_named

_PEEKED: Final = 1 << 16

_MOST_BATCHES: Final = 16
"""This many batches are read to look at; most files fill the first one."""

_MOST_CHARS: Final = 1 << 20
"""Lines beyond this many characters are not looked at, as each is tried in every format."""

_IN_FRONT: Final = ("compose", "timestamps")
"""The wrappings that could be part of a line, but hardly are."""

_MOST_UNSURE: Final = 1
"""How many wrappings are looked for within one that could be part of the line as well."""


@frozen(kw_only=True)
class Request:
    """An import as the user asks for it.

    Attributes:
        format: The name of a format; None to look.
        among: The names of the formats to look among where none is said; empty for all.
        log_format: The format string of what wrote the lines, pasted.
        regex: A regular expression whose named groups are the fields of lines.
        unwrap: The names of the wrappings to take away; None to look, empty for none.
        records: The path to the array that holds the records of a JSON document; None to look.
        header: The names of the columns of delimited text that has no header.
        where: An expression in JMESPath; only records for which it is true are calls.
        outcome: The field that says how a call ended; None for those of the format.
        own: The user's rules.
        options: The fields to use instead of the format's.
        fields: By the name of a field of the format, the one to take for it.
        producers: Whether the sending of messages counts as a call too, in traces of spans.
    """

    format: str | None = None
    among: Sequence[str] = ()
    log_format: str | None = None
    regex: str | None = None
    unwrap: Sequence[str] | None = None
    records: str | None = None
    header: Sequence[str] | None = None
    where: str | None = None
    outcome: str | None = None
    own: OwnRules = field(factory=OwnRules)
    options: CallOptions = field(factory=CallOptions)
    fields: Mapping[str, str] = field(factory=dict)
    producers: bool = False


class Import:
    """An import that is ready to run: the first lines are read, and understood.

    Args:
        inputs: The files.
        request: What the user asks for.

    Attributes:
        understood: The format.
        wrappings: What is taken away from around lines.
        maker: Makes calls of records.
        judge: Says how calls ended, and counts it.
        decimal: What stands before the decimals of numbers; ``?`` where either may.
        cuts: By the name of a file that ends before its end, why; filled as files are read.

    Raises:
        ImportTraceError: The lines are in no format that is known, or not all that is needed is said.
    """

    def __init__(self, inputs: Inputs, request: Request) -> None:
        self.cuts = inputs.cuts
        if request.records is not None:
            inputs.records = path_of(request.records)
        inputs.known = known_paths()
        inputs.split = _split_for(request.format)
        batches = inputs.lines()
        begun, head = _begun(batches)
        if not head and any(None in batch.texts for batch in begun):
            raise ImportTraceError(_nothing_read(begun[0].unit))
        self._batches: Iterator[Lines] = chain(begun, batches)
        self.wrappings = self._wrappings(request, head)
        lines = taken_away(self.wrappings, head)
        self._head = lines
        around = fields_around(self.wrappings, head)
        try:
            self.understood = _with_fields(self._understood(request, lines), request.fields)
            if request.producers:
                self._count_producers()
            self.judge = Judge(rules_of(self.understood, request.outcome), request.own)
            options = request.options
            if options.decimal is None:
                options = evolve(options, decimal=decimal_of(self.understood, lines))
            self.decimal = options.decimal
            self.maker = self._maker(request, options, around)
        except ImportTraceError as error:
            hint = hint_for(lines, request.format) if request.format is not None else ""
            raise ImportTraceError(f"{error}; {hint}" if hint else str(error)) from error
        is_json = self.understood.description.records.get("kind") == "json"
        self._where = None
        if request.where is not None:
            self._where = Where(request.where, None if is_json else self.understood.there or ())
        self._around = [name for name in around if name in self.maker.needed]
        self._unwrapping = Unwrapping(self.wrappings, keeps=bool(self._around))

    def _maker(self, request: Request, options: CallOptions, around: Sequence[str]) -> CallMaker:
        description, there = self.understood.description, self.understood.there
        attempts = description.attempts
        if attempts is not None and request.outcome not in (None, attempts.status):
            description = evolve(description, attempts=None)
        if description.records.get("kind") == "json" and there is not None:
            known = Fields(there, description.fields)
            there = [*there, *(name for name in self._named(request) if not known.has(name))]
        further = [name for name in around if there is not None and name not in there]
        if further:
            there = [*(there or ()), *further]
        try:
            maker = CallMaker(description, there, options, self.judge)
        except ImportTraceError as error:
            arrays = arrays_in(self._head)
            is_json = description.records.get("kind") == "json"
            if not is_json or not arrays or hint_for(self._head, description.name):
                raise
            raise ImportTraceError(
                f"{error}. Records may stand in an array: name it as --records {arrays[0]}"
            ) from error
        check_options(options, maker, self.judge)
        return maker

    def _count_producers(self) -> None:
        reader = self.understood.reader
        if not isinstance(reader, SpanReader):
            raise ImportTraceError(
                f"--producers is for spans, and these files are {self.understood.description.name}"
            )
        reader.producers = True

    @classmethod
    def _wrappings(cls, request: Request, head: Sequence[str]) -> list[Wrapping]:
        if request.unwrap is not None:
            named = wrappings_named(request.unwrap)
            unwrapping = Unwrapping(named)
            for _ in unwrapping([Lines("", 1, list(head))]):
                pass
            for wrapping in named:
                if head and not unwrapping.counts[wrapping.name]:
                    raise ImportTraceError(
                        f"no line is wrapped in {wrapping.title} ({wrapping.name}): leave --unwrap out "
                        "to have wrappings looked for"
                    )
            return named
        sure = wrappings_in(head)
        lines = taken_away(sure, head)
        expected: Understood | None = None
        if any((request.format, request.log_format, request.regex, request.header)):
            expected = cls._understood(request, lines)
        return [*sure, *(_unsure_in(lines, expected) or ())]

    @staticmethod
    def _understood(request: Request, lines: Sequence[str]) -> Understood:
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
            return understood_with(request.header, request.format, lines)
        if request.regex is not None:
            return understood_by_regex(request.regex)
        if request.log_format is not None:
            return understood_by(request.log_format, lines)
        if request.format is not None:
            return understood(request.format, lines)
        return recognised(lines, request.among)

    @staticmethod
    def _named(request: Request) -> list[str]:
        """The fields that the user names, which the first lines may happen not to have."""
        options = request.options
        roles = (options.start, options.end, options.duration)
        named = [role.field for role in roles if role is not None]
        breaker = BreakerTemplate(options.breaker or "").fields
        return [
            *named,
            *options.labels,
            *filter(None, (options.error, request.outcome)),
            *filter(is_expression, breaker),
        ]

    @property
    def unwrapped(self) -> dict[str, int]:
        """How many lines had each wrapping, so far."""
        return dict(self._unwrapping.counts)

    @property
    def joined(self) -> int:
        """How many calls have their target from the span of the server, so far."""
        reader = self.understood.reader
        return reader.joined if isinstance(reader, SpanReader) else 0

    def calls(self) -> Iterator[Calls]:
        """The calls, in batches; they can be asked for once."""
        lines = self._unwrapping(self._batches)
        needed = [*self.maker.needed, *(self._where.needed if self._where else ())]
        wanted = [name for name in dict.fromkeys(needed) if name not in self._around]
        records = self.understood.reader.read(lines, wanted)
        if self._around:
            records = self._unwrapping.with_around(records)
        return self.maker(records if self._where is None else self._where(records))

    def write(
        self, path: Path, through: Callable[[Iterator[Calls]], Iterator[Calls]] = iter
    ) -> ImportSummary:
        """Write the calls as a log.

        Args:
            path: The folder of the log, which must not exist.
            through: What the calls pass through on their way.

        Raises:
            ImportTraceError: ``path`` exists already, there is no call, or too many outcomes are
                unknown; nothing is written then.
            LogError: The log can't be written.
        """
        with CallLog(path) as log:
            for calls in through(self.calls()):
                log.add(calls)
            if not log.summary.calls:
                raise ImportTraceError(self.why_nothing(log.summary))
            self.judge.check_unknown()
            return log.write()

    def why_nothing(self, summary: ImportSummary) -> str:
        """Why there is no call, with what the lines are where that is known, given what was read."""
        why = nothing_read(summary)
        if "has no zone" in why:
            return why
        hint = hint_for(self._head, self.understood.description.name)
        return f"{why}; {hint}" if hint else why


def _unsure_in(
    lines: Sequence[str], expected: Understood | None, depth: int = 0
) -> list[Wrapping] | None:
    """The wrappings that could be part of the lines, but leave lines that a format reads.

    Returns:
        None where no format reads the lines, whatever is taken away.
    """
    as_it_is = is_known(lines, expected)
    if as_it_is and expected is not None:
        return []
    unsure = [wrapping for wrapping in WRAPPINGS.values() if wrapping.is_unsure]
    # What stands in front may look like a field of the line, as a host does; a line within a line
    # is looked for only if the outer one is none.
    candidates = [WRAPPINGS[name] for name in _IN_FRONT] if as_it_is else [*unsure, *FIELDS]
    for wrapping in candidates:
        if is_around(wrapping, lines):
            inner = taken_away([wrapping], lines)
            if depth < _MOST_UNSURE and (further := _unsure_in(inner, expected, depth + 1)):
                return [wrapping, *further]
            if is_known(inner, expected) or are_objects(inner):
                return [wrapping]
    return [] if as_it_is else None


def _nothing_read(unit: str) -> str:
    why = f"there is no {unit} that can be read: each {TOO_LONG[3:]}"
    if unit == "line":
        return why
    return f"{why}; name the array that holds the records with --records, as log.entries"


def _split_for(format_name: str | None) -> Split | None:
    """What makes lines of files of spans, which are cut into values of JSON."""
    is_said = format_name is not None
    kind = description_of(format_name).records.get("kind") if format_name is not None else None
    if is_said and kind not in ("spans", "resilience4j"):
        return None

    def split(name: str, stream: io.BufferedReader) -> Iterator[Lines] | None:
        head = stream.peek(_PEEKED)
        if is_document(head) or (is_said and head.lstrip()[:1] in (b"{", b"[")):
            return values_of(name, stream)
        return None

    return split


def _begun(batches: Iterator[Lines]) -> tuple[list[Lines], list[str]]:
    """The first batches, and the lines of them that are looked at."""
    begun: list[Lines] = []
    head: list[str] = []
    chars = 0
    for batch in batches:
        begun.append(batch)
        for text in filter(None, batch.texts[: LOOKED_AT - len(head)]):
            chars += len(text)
            if chars < _MOST_CHARS or not head:
                head.append(text)
        if len(head) >= LOOKED_AT or chars >= _MOST_CHARS or len(begun) == _MOST_BATCHES:
            break
    return begun, head


def _with_fields(understood: Understood, fields: Mapping[str, str]) -> Understood:
    """The same format with other fields in the place of some of its own."""
    other = {name: taken for name, taken in fields.items() if name != taken}
    if not other:
        return understood
    defined = {name: {"first_of": [taken]} for name, taken in other.items()}
    description = understood.description
    there = understood.there
    if there is not None:
        there = [name for name in there if name not in other]
        there += [name for name in other.values() if name not in there]
    return Understood(
        evolve(description, fields={**description.fields, **defined}), understood.reader, there
    )
