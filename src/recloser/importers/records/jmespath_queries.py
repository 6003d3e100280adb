"""JMESPath expressions of the user: fields of JSON, and the filter ``--where``."""

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any, Final

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import RecordBatch, Unreadable

WHOLE: Final = "@"
"""The field that is a whole JSON object."""

_MARKS: Final = frozenset("[|(*`")
_SKIPPED: Final = "not selected by --where"


def is_jmespath(name: str) -> bool:
    """Return whether the name of a field is a JMESPath expression.

    A key with a character such as ``[`` in it must be quoted to be taken as a key.
    """
    bare = "".join(name.split('"')[::2])
    return not _MARKS.isdisjoint(bare) or bare == WHOLE or bare.startswith(("@.", "@["))


def compile_query(expression: str, option: str = "the field") -> Callable[[Any], Any]:
    """Return a function that evaluates a JMESPath expression.

    The function raises ``ValueError`` where it cannot evaluate it.

    Args:
        expression: The expression, in JMESPath.
        option: The option or place that the user gave it in, for error messages.

    Raises:
        ImportTraceError: It is not JMESPath, or jmespath is not installed.
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
        raise ImportTraceError(f"{option} {expression!r} is not JMESPath: {why}") from error


class WhereFilter:
    """Selects the records for which an expression is true: not null, false or empty.

    Args:
        expression: The expression, in JMESPath. Values of text and of tables are strings, so it is
            written as ``status == '502'`` or ``to_number(status) >= `500` ``.
        field_names: The fields of records that are not JSON; None for JSON, which it sees whole.

    Attributes:
        needed: The fields of the records that it needs.

    Raises:
        ImportTraceError: It is not JMESPath, or names a field that does not exist.
    """

    def __init__(self, expression: str, field_names: Collection[str] | None) -> None:
        self._search = compile_query(expression, "--where")
        self.needed: Sequence[str] = [WHOLE]
        self._is_whole = field_names is None
        if field_names is not None:
            compiled, _ = _compiled(expression, "--where")
            named = dict.fromkeys(_fields_named_in(compiled.parsed))
            missing = [name for name in named if name not in field_names]
            if missing or not named:
                which = f"no field {missing[0]!r}" if missing else "no field in it"
                raise ImportTraceError(
                    f"--where {expression!r}: there is {which}; the fields are {', '.join(field_names)}"
                )
            self.needed = list(named)

    def __call__(self, batches: Iterable[RecordBatch]) -> Iterator[RecordBatch]:
        """Yield the selected records; the others are counted as skipped."""
        for records in batches:
            is_selected = []
            unreadable = list(records.unreadable)
            left_out = 0
            for line, value in zip(records.lines, self._values(records), strict=True):
                try:
                    found = self._search(value)
                except ValueError as error:
                    unreadable.append(Unreadable(line, str(error), records.source, records.unit))
                    is_selected.append(False)
                    continue
                # JMESPath's own rule; 0 is true.
                is_true = found is not False and found not in (None, "", [], {})
                is_selected.append(is_true)
                left_out += not is_true
            records.lines = list(compress(records.lines, is_selected))
            records.columns = {
                name: list(compress(column, is_selected))
                for name, column in records.columns.items()
            }
            records.unreadable = unreadable
            if left_out:
                records.skipped = {_SKIPPED: left_out}
            yield records

    def _values(self, records: RecordBatch) -> Iterable[Any]:
        if self._is_whole:
            return records.columns[WHOLE]
        columns = [records.columns[name] for name in self.needed]
        return (dict(zip(self.needed, row, strict=True)) for row in zip(*columns, strict=True))


def _fields_named_in(parsed: Mapping[str, Any]) -> Iterator[str]:
    """Yield the fields of a record that a JMESPath expression names.

    The keys within their values are left out.
    """
    kind, children = parsed["type"], parsed["children"]
    if kind == "field":
        yield parsed["value"]
    for child in children[:1] if kind == "subexpression" else children:
        if isinstance(child, dict):
            yield from _fields_named_in(child)
