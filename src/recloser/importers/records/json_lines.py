"""Records of JSON, one object per line; fields are paths of keys, as ``request.host``, or JMESPath."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from recloser.errors import ImportTraceError
from recloser.importers.records.expressions import WHOLE, is_expression, searcher
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.stages import Lines, Records, Unreadable

_STEP: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"|([^."\[\]]++)')
_MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)

_Path: TypeAlias = tuple[str, ...]
_Tree: TypeAlias = dict[str, "_Tree | None"]


class JsonLinesReader:
    """Reads JSON objects, one a line; only what is wanted of them is kept."""

    @property
    def fields(self) -> None:
        """Any path may be asked for."""
        return

    def read(self, batches: Iterable[Lines], wanted: Collection[str]) -> Iterator[Records]:
        """The records, with the fields that are wanted.

        Raises:
            ImportTraceError: A field is no path of keys.
        """
        paths = {name: path_of(name) for name in wanted if not is_expression(name)}
        if len(paths) < len(wanted):
            found = {name: _getter(name) for name in wanted}
            for batch in batches:
                yield _read_each(batch, found)
            return
        quick = _QuickReader(paths)
        getters = {name: partial(value_at, path=path) for name, path in paths.items()}
        for batch in batches:
            yield quick.read(batch) or _read_each(batch, getters)


def _getter(name: str) -> Callable[[Any], Any]:
    if name == WHOLE:
        return lambda value: value
    return searcher(name) if is_expression(name) else partial(value_at, path=path_of(name))


def path_of(field: str) -> _Path:
    """The keys of a path; one with a point in it is quoted, as in ``"a.b".c``.

    Raises:
        ImportTraceError: It is no path.
    """
    keys: list[str] = []
    at = 0
    while found := _STEP.match(field, at):
        keys.append(found[2] or found[1])
        at = found.end() + 1
        if found.end() == len(field):
            return tuple(keys)
        if field[found.end()] != ".":
            break
    raise ImportTraceError(f'{field!r} is no path of keys, such as request.host or "a.b".c')


class _QuickReader:
    """Decodes just the keys of some paths, in a fifth of the time that whole objects take.

    Args:
        paths: The paths by their fields.
    """

    def __init__(self, paths: dict[str, _Path]) -> None:
        tree: _Tree = {}
        self._columns: dict[str, attrgetter[Any]] | None = {}
        for path in paths.values():
            at = tree
            for key in path[:-1]:
                inner = at.setdefault(key, {})
                if inner is None:
                    self._columns = None  # one path is the beginning of another
                    return
                at = inner
            if at.setdefault(path[-1], None) is not None:
                self._columns = None
                return
        names: dict[_Path, str] = {}
        self._decode = msgspec.json.Decoder(_struct(tree, (), names)).decode
        for field, path in paths.items():
            steps = [names[path[: depth + 1]] for depth in range(len(path))]
            self._columns[field] = attrgetter(".".join(steps))

    def read(self, batch: Lines) -> Records | None:
        """The records; None if a line is none or has another shape than the paths."""
        if self._columns is None:
            return None
        try:
            values = list(map(self._decode, batch.texts))  # type: ignore[arg-type]
            columns = {name: list(map(get, values)) for name, get in self._columns.items()}
        except (*_MALFORMED, TypeError, AttributeError):
            return None
        lines = range(batch.first, batch.first + len(values))
        return Records(batch.source, lines, columns, unit=batch.unit)


def _struct(tree: _Tree, at: _Path, names: dict[_Path, str]) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any, Any]] = []
    keys: dict[str, str] = {}
    for number, (key, inner) in enumerate(tree.items()):
        name = f"f{number}"
        keys[name], names[(*at, key)] = key, name
        if inner is None:
            fields.append((name, Any, None))
        else:
            made = _struct(inner, (*at, key), names)
            fields.append((name, made, msgspec.field(default_factory=made)))
    return msgspec.defstruct("Record", fields, rename=keys, gc=False)


def _read_each(batch: Lines, getters: Mapping[str, Callable[[Any], Any]]) -> Records:
    lines: list[int] = []
    unreadable: list[Unreadable] = []
    columns: dict[str, list[Any]] = {name: [] for name in getters}
    for number, text in enumerate(batch.texts, batch.first):
        if text is not None and not text.strip():
            continue
        value, why = _decoded(text)
        row: list[Any] = []
        if why is None:
            try:
                row = [get(value) for get in getters.values()]
            except ValueError as error:
                why = str(error)
        if why is not None:
            unreadable.append(Unreadable(number, why, batch.source, batch.unit))
            continue
        lines.append(number)
        for column, found in zip(columns.values(), row, strict=True):
            column.append(found)
    return Records(batch.source, lines, dict(columns), unreadable, batch.unit)


def _decoded(text: str | None) -> tuple[Any, str | None]:
    if text is None:
        return None, TOO_LONG
    try:
        value = msgspec.json.decode(text)
    except _MALFORMED as error:
        return None, f"it is no JSON: {error}"
    return value, None if isinstance(value, dict) else "it is no JSON object"


def value_at(value: Any, path: Sequence[str]) -> Any:
    """What stands in a value at the end of a path of keys; None if nothing does."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
