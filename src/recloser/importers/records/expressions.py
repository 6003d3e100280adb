"""JMESPath expressions of the user: fields within JSON, and which records to take."""

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, Final

from recloser.errors import ImportTraceError
from recloser.importers.stages import Records, Unreadable

WHOLE: Final = "@"
"""The field that is a whole JSON object."""

_MARKS: Final = frozenset("[|(*`")
_SKIPPED: Final = "not selected by --where"


def is_expression(name: str) -> bool:
    """Whether the name of a field is an expression, and not only a path of keys.

    A key with such a character in it has to be quoted.
    """
    bare = "".join(name.split('"')[::2])
    return not _MARKS.isdisjoint(bare) or bare == WHOLE or bare.startswith(("@.", "@["))


def searcher(expression: str, option: str = "the field") -> Callable[[Any], Any]:
    """What gives the value of an expression in a record; it raises a ``ValueError`` if it can't.

    Args:
        expression: The expression, in JMESPath.
        option: What the user gave it as.

    Raises:
        ImportTraceError: It is none, or jmespath is not installed.
    """
    compiled, errors = _compiled(expression, option)

    def search(value: Any) -> Any:
        try:
            return compiled.search(value)
        except errors as error:
            raise ValueError(f"{option} {expression!r}: {error}") from error

    return search


def _compiled(expression: str, option: str) -> tuple[Any, type[Exception]]:
    try:
        jmespath: Any = importlib.import_module("jmespath")
    except ImportError as error:
        raise ImportTraceError(
            f"{option} {expression!r} needs jmespath: pip install 'recloser[traces]'"
        ) from error
    errors: type[Exception] = jmespath.exceptions.JMESPathError
    try:
        return jmespath.compile(expression), errors
    except (errors, RecursionError) as error:
        why = " ".join(str(error).split())
        raise ImportTraceError(f"{option} {expression!r} is no JMESPath: {why}") from error


class Where:
    """Takes the records for which an expression is true: neither null, false nor empty.

    Args:
        expression: The expression. Values of text and of columns are text, so that it says
            ``status == '502'``, or ``to_number(status) >= `500` ``.
        there: The fields of records that are no JSON; None for JSON, of which it sees all.

    Attributes:
        needed: The fields that it needs.

    Raises:
        ImportTraceError: It is none, or has no field that is there.
    """

    def __init__(self, expression: str, there: Collection[str] | None) -> None:
        self._search = searcher(expression, "--where")
        self.needed: Sequence[str] = [WHOLE]
        self._is_whole = there is None
        if there is not None:
            compiled, _ = _compiled(expression, "--where")
            named = dict.fromkeys(_fields_in(compiled.parsed))
            missing = [name for name in named if name not in there]
            if missing or not named:
                which = f"no field {missing[0]!r}" if missing else "no field in it"
                raise ImportTraceError(
                    f"--where {expression!r}: there is {which}; there are {', '.join(there)}"
                )
            self.needed = list(named)

    def __call__(self, batches: Iterable[Records]) -> Iterator[Records]:
        """The records that are selected; the others are counted as skipped."""
        for records in batches:
            is_taken = []
            unreadable = list(records.unreadable)
            left_out = 0
            for line, value in zip(records.lines, self._values(records), strict=True):
                try:
                    found = self._search(value)
                except ValueError as error:
                    unreadable.append(Unreadable(line, str(error), records.source, records.unit))
                    is_taken.append(False)
                    continue
                # As JMESPath has it: 0 is true.
                taken = found is not False and found not in (None, "", [], {})
                is_taken.append(taken)
                left_out += not taken
            records.lines = list(compress(records.lines, is_taken))
            records.columns = {
                name: list(compress(column, is_taken)) for name, column in records.columns.items()
            }
            records.unreadable = unreadable
            if left_out:
                records.skipped = {_SKIPPED: left_out}
            yield records

    def _values(self, records: Records) -> Iterable[Any]:
        if self._is_whole:
            return records.columns[WHOLE]
        columns = [records.columns[name] for name in self.needed]
        return (dict(zip(self.needed, row, strict=True)) for row in zip(*columns, strict=True))


def _fields_in(parsed: Mapping[str, Any]) -> Iterator[str]:
    """The fields of a record that an expression names, but not those within their values."""
    kind, children = parsed["type"], parsed["children"]
    if kind == "field":
        yield parsed["value"]
    for child in children[:1] if kind == "subexpression" else children:
        if isinstance(child, dict):
            yield from _fields_in(child)
