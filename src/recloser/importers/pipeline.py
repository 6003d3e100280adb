"""An import from end to end: bytes, lines, records, calls, and their log, a batch at a time.

    inputs -> unwrapping -> records -> roles (with outcomes) -> call_log

Each stage is an iterator over the one before; see ``recloser.importers.stages`` for what they pass.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from recloser.errors import ImportTraceError
from recloser.importers.call_log import CallLog, ImportSummary
from recloser.importers.descriptions import description_of
from recloser.importers.inputs import Inputs, Split, lines_of
from recloser.importers.looking import (
    LOOKED_AT,
    Understood,
    recognised,
    rules_for,
    understood,
    understood_by,
)
from recloser.importers.outcomes import Judge, OutcomeRule, OwnRules
from recloser.importers.records.reader import TOO_LONG
from recloser.importers.roles import CallMaker, CallOptions
from recloser.importers.spans.reader import SpanReader
from recloser.importers.spans.values import is_document, values_of
from recloser.importers.stages import Calls, Lines
from recloser.importers.unwrapping import (
    Unwrapping,
    Wrapping,
    wrappings_in,
    wrappings_named,
)

_PEEKED: Final = 1 << 16

_MOST_BATCHES: Final = 16
"""This many batches are read to look at; most files fill the first one."""

_MOST_CHARS: Final = 1 << 20
"""Lines beyond this many characters are not looked at, as each is tried in every format."""


@frozen(kw_only=True)
class Request:
    """An import as the user asks for it.

    Attributes:
        format: The name of a format; None to look.
        log_format: The format string of what wrote the lines, pasted.
        unwrap: The names of the wrappings to take away; None to look, empty for none.
        outcome: The field that says how a call ended; None for those of the format.
        own: The user's rules.
        options: The fields to use instead of the format's.
        producers: Whether the sending of messages counts as a call too, in traces of spans.
    """

    format: str | None = None
    log_format: str | None = None
    unwrap: Sequence[str] | None = None
    outcome: str | None = None
    own: OwnRules = field(factory=OwnRules)
    options: CallOptions = field(factory=CallOptions)
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
        cuts: By the name of a file that ends before its end, why; filled as files are read.

    Raises:
        ImportTraceError: The lines are in no format that is known, or not all that is needed is said.
    """

    def __init__(self, inputs: Inputs, request: Request) -> None:
        self.cuts = inputs.cuts
        if inputs.split is None:
            inputs.split = _split_for(request.format)
        batches = inputs.lines()
        begun, head = _begun(batches)
        if not head and any(None in batch.texts for batch in begun):
            raise ImportTraceError(f"there is no line that can be read: each {TOO_LONG[3:]}")
        self._batches: Iterator[Lines] = chain(begun, batches)
        self.wrappings = self._wrappings(request, head)
        self._unwrapping = Unwrapping(self.wrappings)
        looked_at = Unwrapping(self.wrappings)([Lines("", 1, list(head))])
        lines = [text for batch in looked_at for text in batch.texts if text]
        self.understood = self._understood(request, lines)
        description, there = self.understood.description, self.understood.there
        if request.producers:
            if not isinstance(self.understood.reader, SpanReader):
                raise ImportTraceError(
                    f"--producers is for spans, and these files are {description.name}"
                )
            self.understood.reader.producers = True
        if request.outcome is not None:
            rules = [of_outcome(rule, request.outcome) for rule in description.outcome]
        else:
            rules = rules_for(self.understood)
        if description.records.get("kind") == "json" and there is not None:
            there = [*there, *self._named(request)]
        self.judge = Judge(rules, request.own)
        self.maker = CallMaker(description, there, request.options, self.judge)

    @staticmethod
    def _wrappings(request: Request, head: Sequence[str]) -> list[Wrapping]:
        if request.unwrap is not None:
            return wrappings_named(request.unwrap)
        return wrappings_in(head)

    @staticmethod
    def _understood(request: Request, lines: Sequence[str]) -> Understood:
        if request.format is not None and request.log_format is not None:
            raise ImportTraceError("give one of --format and --log-format, not both")
        if request.log_format is not None:
            return understood_by(request.log_format, lines)
        if request.format is not None:
            return understood(request.format, lines)
        return recognised(lines)

    @staticmethod
    def _named(request: Request) -> list[str]:
        """The fields that the user names, which the first lines may happen not to have."""
        options = request.options
        roles = (options.start, options.end, options.duration)
        named = [role.field for role in roles if role is not None]
        return [*named, *options.labels, *filter(None, (options.error, request.outcome))]

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
        return self.maker(self.understood.reader.read(lines, self.maker.needed))

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
            self.judge.check_unknown()
            return log.write()


def _split_for(format_name: str | None) -> Split:
    """What makes lines of files: those of spans are cut into values of JSON."""
    is_said = format_name is not None
    kind = description_of(format_name).records.get("kind") if format_name is not None else None
    if is_said and kind not in ("spans", "resilience4j"):
        return lines_of

    def split(name: str, stream: io.BufferedReader) -> Iterator[Lines]:
        head = stream.peek(_PEEKED)
        if is_document(head) or (is_said and head.lstrip()[:1] in (b"{", b"[")):
            return values_of(name, stream)
        return lines_of(name, stream)

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


def of_outcome(rule: OutcomeRule, name: str) -> OutcomeRule:
    """The rule for another field, whose values mean the same."""
    return evolve(rule, field=name, split="")
