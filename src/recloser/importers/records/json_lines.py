"""Records of JSON, one object per line.

Fields are named by paths of keys such as ``request.host``, or by JMESPath.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeAlias

import msgspec

from recloser.importers.import_batches import LineBatch, RecordBatch, Unreadable
from recloser.importers.records.jmespath_queries import WHOLE, compile_query, is_jmespath
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.values.json_paths import path_of, value_at

_MALFORMED: Final = (msgspec.DecodeError, RecursionError, UnicodeEncodeError)

_Keys: TypeAlias = tuple[str, ...]
_Tree: TypeAlias = dict[str, "_Tree | None"]


class JsonLinesReader:
    """Reads JSON objects, one per line, and keeps only the wanted fields."""

    @property
    def fields(self) -> None:
        """None: any path of keys may be asked for."""
        return

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read lines as records that have the wanted fields.

        Raises:
            ImportTraceError: The name of a field is not a path of keys.
        """
        paths = {name: path_of(name) for name in wanted if not is_jmespath(name)}
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
    return compile_query(name) if is_jmespath(name) else partial(value_at, path=path_of(name))


class _QuickReader:
    """Decodes only some fields of JSON objects.

    This takes a fifth of the time that whole objects take.

    Args:
        paths: The paths by the names of their fields.
    """

    def __init__(self, paths: dict[str, _Keys]) -> None:
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
        names: dict[_Keys, str] = {}
        self._decode = msgspec.json.Decoder(_struct(tree, (), names)).decode
        for field, path in paths.items():
            steps = [names[path[: depth + 1]] for depth in range(len(path))]
            self._columns[field] = attrgetter(".".join(steps))

    def read(self, batch: LineBatch) -> RecordBatch | None:
        """Read lines as records.

        If a line is not an object, or does not have the shape of the paths, None is returned.
        """
        if self._columns is None:
            return None
        try:
            values = list(map(self._decode, batch.texts))  # type: ignore[arg-type]
            columns = {name: list(map(get, values)) for name, get in self._columns.items()}
        except (*_MALFORMED, TypeError, AttributeError):
            return None
        lines = range(batch.first, batch.first + len(values))
        return RecordBatch(batch.source, lines, columns, unit=batch.unit)


def _struct(tree: _Tree, at: _Keys, names: dict[_Keys, str]) -> type[msgspec.Struct]:
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


def _read_each(batch: LineBatch, getters: Mapping[str, Callable[[Any], Any]]) -> RecordBatch:
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
    return RecordBatch(batch.source, lines, dict(columns), unreadable, batch.unit)


def _decoded(text: str | None) -> tuple[Any, str | None]:
    if text is None:
        return None, TOO_LONG
    try:
        value = msgspec.json.decode(text)
    except _MALFORMED as error:
        return None, f"it is not JSON: {error}"
    return value, None if isinstance(value, dict) else "it is JSON, but not an object"
