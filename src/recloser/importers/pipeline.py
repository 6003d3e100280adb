"""An import from end to end: bytes, lines, records, calls, and their log, a batch at a time.

    inputs -> unwrapping -> records -> roles (with outcomes) -> call_log

Each stage is an iterator over the one before; see ``recloser.importers.stages`` for what they pass.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from attrs import evolve, field, frozen

from recloser.errors import ImportTraceError, LogError
from recloser.importers.call_log import CallLog, ImportSummary, nothing_read
from recloser.importers.derived import Fields
from recloser.importers.inputs import Inputs
from recloser.importers.looking import (
    LOOKED_AT,
    Understood,
    hint_for,
    recognised,
    rules_of,
    understood,
    understood_by,
)
from recloser.importers.option_checks import check_options
from recloser.importers.outcomes import Judge, OwnRules
from recloser.importers.records.reader import TOO_LONG
from recloser.importers.roles import CallMaker, CallOptions
from recloser.importers.stages import Calls, Lines
from recloser.importers.unwrapping import (
    Unwrapping,
    Wrapping,
    wrappings_in,
    wrappings_named,
)

_MOST_BATCHES: Final = 16
"""This many batches are read to look at; most files fill the first one."""

_MOST_CHARS: Final = 1 << 20
"""Lines beyond this many characters are not looked at, as each is tried in every format."""


@frozen(kw_only=True)
class Request:
    """An import as the user asks for it.

    Attributes:
        format: The name of a format; None to look.
        among: The names of the formats to look among where none is said; empty for all.
        log_format: The format string of what wrote the lines, pasted.
        unwrap: The names of the wrappings to take away; None to look, empty for none.
        outcome: The field that says how a call ended; None for those of the format.
        own: The user's rules.
        options: The fields to use instead of the format's.
        fields: By the name of a field of the format, the one to take for it.
    """

    format: str | None = None
    among: Sequence[str] = ()
    log_format: str | None = None
    unwrap: Sequence[str] | None = None
    outcome: str | None = None
    own: OwnRules = field(factory=OwnRules)
    options: CallOptions = field(factory=CallOptions)
    fields: Mapping[str, str] = field(factory=dict)


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
        batches = inputs.lines()
        begun, head = _begun(batches)
        if not head and any(None in batch.texts for batch in begun):
            raise ImportTraceError(f"there is no line that can be read: each {TOO_LONG[3:]}")
        self._batches: Iterator[Lines] = chain(begun, batches)
        self.wrappings = self._wrappings(request, head)
        self._unwrapping = Unwrapping(self.wrappings)
        looked_at = Unwrapping(self.wrappings)([Lines("", 1, list(head))])
        lines = [text for batch in looked_at for text in batch.texts if text]
        self._head = lines
        try:
            self.understood = _with_fields(self._understood(request, lines), request.fields)
            self.judge = Judge(rules_of(self.understood, request.outcome), request.own)
            self.maker = self._maker(request)
        except ImportTraceError as error:
            hint = hint_for(lines, request.format) if request.format is not None else ""
            raise ImportTraceError(f"{error}; {hint}" if hint else str(error)) from error

    def _maker(self, request: Request) -> CallMaker:
        description, there = self.understood.description, self.understood.there
        attempts = description.attempts
        if attempts is not None and request.outcome not in (None, attempts.status):
            description = evolve(description, attempts=None)
        if description.records.get("kind") == "json" and there is not None:
            known = Fields(there, description.fields)
            there = [*there, *(name for name in self._named(request) if not known.has(name))]
        maker = CallMaker(description, there, request.options, self.judge)
        check_options(request.options, maker, self.judge)
        return maker

    @staticmethod
    def _wrappings(request: Request, head: Sequence[str]) -> list[Wrapping]:
        if request.unwrap is None:
            return wrappings_in(head)
        named = wrappings_named(request.unwrap)
        for wrapping in named:
            if head and not any(wrapping in wrappings_in([line]) for line in head):
                raise ImportTraceError(
                    f"no line is wrapped in {wrapping.title} ({wrapping.name}): leave --unwrap out "
                    "to have wrappings looked for"
                )
        return named

    @staticmethod
    def _understood(request: Request, lines: Sequence[str]) -> Understood:
        if request.format is not None and request.log_format is not None:
            raise ImportTraceError("give one of --format and --log-format, not both")
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
        return [*named, *options.labels, *filter(None, (options.error, request.outcome))]

    @property
    def unwrapped(self) -> dict[str, int]:
        """How many lines had each wrapping, so far."""
        return dict(self._unwrapping.counts)

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
            if not log.summary.calls:
                raise ImportTraceError(self.why_nothing(log.summary))
            self.judge.check_unknown()
            return log.write()

    def why_nothing(self, summary: ImportSummary) -> str:
        """Why there is no call, with what the lines are where that is known, given what was read."""
        why = nothing_read(summary)
        if "has no zone" in why:
            return f"{why}; name the zone with --zone, as Europe/Berlin"
        hint = hint_for(self._head, self.understood.description.name)
        return f"{why}; {hint}" if hint else why


def head_of(file: str) -> list[str]:
    """The first lines of a file, without what is around them; none where it can't be read."""
    try:
        _, head = _begun(Inputs([file]).lines())
    except (ImportTraceError, LogError):
        return []
    looked_at = Unwrapping(wrappings_in(head))([Lines("", 1, list(head))])
    return [text for batch in looked_at for text in batch.texts if text]


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
