"""Fields made of other fields, as the path of a request; a format's file may define more.

A definition is a table with one of these keys:

* ``first_of``: a list of fields, of which the first that a record has is taken; with ``after``, what
  stands after the last place of that text in it, as the host in ``outbound|80||host``.
* ``method_in``: the first word of a request line; ``path_in``: what stands between its first and last.
* ``joined``: fields whose values are put together, with a space between; with ``zone``, that text
  after them, as ``Z`` where a date and a time are in UTC. One that is named ``date+time`` needs no
  definition.
* ``route_of``: a method and a path, whose query is left out.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from recloser.errors import ImportTraceError
from recloser.importers.memo import Memo
from recloser.importers.outcomes import MISSING, text_of

_USUAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "method": {"method_in": "request"},
    "path": {"path_in": "request"},
    "route": {"route_of": ["method", "path"]},
}


class Fields:
    """Finds fields in records: those that are there, and those that are made of them.

    Args:
        there: The fields of the records; None where any may be there.
        defined: Definitions by their fields' names.
    """

    def __init__(
        self, there: Collection[str] | None, defined: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._there = there
        self._defined: dict[str, Mapping[str, Any]] = {}
        # A usual field may be made of those that the format defines.
        for definitions in (_USUAL, defined, _USUAL):
            for name, definition in definitions.items():
                if definitions is _USUAL and name in self._defined:
                    continue
                is_there = there is not None and name in there
                if not is_there and (there is None or self._can_make(definition)):
                    self._defined[name] = definition
        self._methods: Memo[str] = Memo(_method)
        self._paths: Memo[str] = Memo(_path)
        self._routes: Memo[str] = Memo(_route)

    def has(self, name: str) -> bool:
        """Whether records have a field."""
        if name in self._defined or (self._there is not None and name in self._there):
            return True
        parts = name.split("+")
        if len(parts) > 1 and all(part and self.has(part) for part in parts):
            self._defined[name] = {"joined": parts}
            return True
        return self._there is None

    def _can_make(self, definition: Mapping[str, Any]) -> bool:
        found = map(self.has, _sources(definition))
        return any(found) if "first_of" in definition else all(found)

    def needed(self, names: Collection[str]) -> list[str]:
        """The fields of the records that some fields are made of.

        Raises:
            ImportTraceError: There is no field of a name.
        """
        needed: dict[str, None] = {}
        for name in names:
            if not self.has(name):
                raise ImportTraceError(
                    f"there is no field {name!r}; there are {', '.join(self.names)}"
                )
            if name in self._defined:
                sources = [each for each in _sources(self._defined[name]) if self.has(each)]
                needed.update(dict.fromkeys(self.needed(sources)))
            else:
                needed[name] = None
        return list(needed)

    @property
    def names(self) -> list[str]:
        """All that are known."""
        known = dict.fromkeys(self._there or ())
        return [*known, *(n for n in self._defined if n not in known and self.has(n))]

    def column(self, name: str, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """The values of a field, given those that are needed for it."""
        definition = self._defined.get(name)
        if definition is None:
            return columns[name]
        sources = [self.column(n, columns) for n in _sources(definition) if self.has(n)]
        if "first_of" in definition:
            return _first(sources, definition.get("after"))
        if "joined" in definition:
            zone = definition.get("zone", "")
            return [_joined(values, zone) for values in zip(*sources, strict=True)]
        if "route_of" in definition:
            return list(map(self._routes.__getitem__, zip(*sources, strict=True)))
        memo = self._methods if "method_in" in definition else self._paths
        return list(map(memo.__getitem__, sources[0]))


def _sources(definition: Mapping[str, Any]) -> Sequence[str]:
    for key in ("first_of", "joined", "route_of"):
        if key in definition:
            return list(definition[key])
    return [definition.get("method_in") or definition["path_in"]]


def _first(columns: Sequence[Sequence[Any]], after: str | None) -> Sequence[Any]:
    def of(values: Sequence[Any]) -> Any:
        for value in values:
            if value not in MISSING:
                return value.rpartition(after)[2] if after and isinstance(value, str) else value
        return None

    memo: Memo[Any] = Memo(of)
    make: Callable[[Any], Any] = memo.__getitem__
    try:
        return list(map(make, zip(*columns, strict=True)))
    except TypeError:  # a value that is a list or an object
        return [of(values) for values in zip(*columns, strict=True)]


def _joined(values: Sequence[Any], zone: str) -> str | None:
    if any(value in MISSING for value in values):
        return None
    return " ".join(map(text_of, values)) + zone


def _method(request: Any) -> str:
    return text_of(request).partition(" ")[0]


def _path(request: Any) -> str:
    # A request that is no HTTP, such as a TLS handshake, has no method and path.
    rest = text_of(request).partition(" ")[2]
    return rest.rpartition(" ")[0] or rest


def _route(method_and_path: tuple[Any, Any]) -> str:
    method, path = map(text_of, method_and_path)
    return f"{method} {path.partition('?')[0]}"
