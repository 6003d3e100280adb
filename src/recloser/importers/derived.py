"""Fields made of other fields, as the path of a request; a format's file may define more.

A definition is a table with one of these keys:

* ``first_of``: a list of fields, of which the first that a record has is taken; with ``after``, what
  stands after the last place of that text in it, as the host in ``outbound|80||host``.
* ``joined``: a list of fields, with a space between their values and ``-`` for those that are missing;
  for a date and a time, ``zone`` is theirs, and if one is missing there is none. One that is named
  ``date+time`` needs no definition.
* ``host_of``: a field that may hold a URL, whose host and port are taken; other text is taken whole.
* ``between``: a field; with ``texts``, what stands in it between the first place of the one and the
  next of the other, as the number in ``duration: 7 ms``.
* ``method_in``: the first word of a request line; ``path_in``: what stands between its first and last.
* ``route_of``: a method and a path, whose query is left out.

Any of them may have ``only``, the values that count, and ``empty``, values that mean there is none.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from recloser.errors import ImportTraceError
from recloser.importers.memo import Memo
from recloser.importers.outcome_rules import MISSING, text_of

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
        # A format's definition takes the place of a usual one where its fields are there. Either may
        # be of fields that another one defines.
        makeable = self._makeable(defined)
        while makeable != self._defined:
            self._defined = makeable
            makeable = self._makeable(defined)
        self._methods: Memo[str] = Memo(_method)
        self._paths: Memo[str] = Memo(_path)
        self._routes: Memo[str] = Memo(_route)
        self._hosts: Memo[str] = Memo(_host)

    def has(self, name: str) -> bool:
        """Whether records have a field."""
        return self._there is None or name in self._there or self._definition(name) is not None

    def _definition(self, name: str) -> Mapping[str, Any] | None:
        """How a field is made of others; None for one that records have, or may have."""
        parts = name.split("+")
        if name in self._defined or len(parts) == 1 or name in (self._there or ()):
            return self._defined.get(name)
        are_there = all(part and self.has(part) for part in parts)
        return {"joined": parts, "zone": ""} if are_there else None

    def _makeable(self, defined: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        return {
            name: definition
            for definitions in (_USUAL, defined)
            for name, definition in definitions.items()
            if self._there is None or (name not in self._there and self._can_make(definition))
        }

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
            definition = self._definition(name)
            if definition is not None:
                sources = [each for each in _sources(definition) if self.has(each)]
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
        definition = self._definition(name)
        if definition is None:
            return columns[name]
        sources = [self.column(n, columns) for n in _sources(definition) if self.has(n)]
        made = self._made(definition, sources)
        if "only" in definition:
            return [value if text_of(value) in definition["only"] else None for value in made]
        if "empty" in definition:
            return [None if text_of(value) in definition["empty"] else value for value in made]
        return made

    def _made(
        self, definition: Mapping[str, Any], sources: Sequence[Sequence[Any]]
    ) -> Sequence[Any]:
        if "first_of" in definition:
            return _first(sources, definition.get("after"))
        if "between" in definition:
            before, after = definition["texts"]
            return [_between(text_of(value), before, after) for value in sources[0]]
        if "joined" in definition:
            zone = definition.get("zone")
            return [_joined(values, zone) for values in zip(*sources, strict=True)]
        if "route_of" in definition:
            return list(map(self._routes.__getitem__, zip(*sources, strict=True)))
        memo = self._hosts if "host_of" in definition else self._paths
        if "method_in" in definition:
            memo = self._methods
        try:
            return list(map(memo.__getitem__, sources[0]))
        except TypeError:  # a value that is a list or an object
            return list(map(memo.__getitem__, map(text_of, sources[0])))


def _sources(definition: Mapping[str, Any]) -> Sequence[str]:
    for key in ("first_of", "route_of", "joined"):
        if key in definition:
            return list(definition[key])
    return [
        next(
            definition[key]
            for key in ("method_in", "path_in", "host_of", "between")
            if key in definition
        )
    ]


def _first(columns: Sequence[Sequence[Any]], after: str | None) -> Sequence[Any]:
    def of(values: Sequence[Any]) -> Any:
        for value in values:
            if after and isinstance(value, str):
                value = value.rpartition(after)[2]  # noqa: PLW2901  # empty in inbound|80||
            if value not in MISSING:
                return value
        return None

    memo: Memo[Any] = Memo(of)
    make: Callable[[Any], Any] = memo.__getitem__
    try:
        return list(map(make, zip(*columns, strict=True)))
    except TypeError:  # a value that is a list or an object
        return [of(values) for values in zip(*columns, strict=True)]


def _method(request: Any) -> str:
    return text_of(request).partition(" ")[0]


def _path(request: Any) -> str:
    # A request that is no HTTP, such as a TLS handshake, has no method and path.
    rest = text_of(request).partition(" ")[2]
    return rest.rpartition(" ")[0] or rest


def _route(method_and_path: tuple[Any, Any]) -> str:
    method, path = map(text_of, method_and_path)
    return f"{method} {path.partition('?')[0]}"


def _joined(values: Sequence[Any], zone: str | None) -> str | None:
    texts = list(map(text_of, values))
    if zone is None:
        return " ".join(text or "-" for text in texts)
    if any(text in MISSING for text in texts):
        return None  # no time
    return " ".join([*texts, zone] if zone else texts)


def _host(value: Any) -> str:
    text = text_of(value)
    if "://" not in text:
        return text
    try:
        return urlsplit(text).netloc.rpartition("@")[2] or text
    except ValueError:
        return text


def _between(text: str, before: str, after: str) -> str | None:
    _, found, rest = text.partition(before)
    value, ended, _ = rest.partition(after)
    return value if found and ended else None
