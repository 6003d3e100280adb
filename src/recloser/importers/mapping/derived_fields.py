"""Fields that are made from other fields, as the path of a request is.

The file of a format may define further ones; ``importers/README.md`` lists the definitions, under
"Add a format". A field that is named ``date+time`` joins the two and needs no definition.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from recloser.errors import ImportTraceError
from recloser.importers.values.conversion_cache import ConversionCache
from recloser.importers.values.field_text import MISSING, text_of

_USUAL_FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "method": {"method_in": "request"},
    "path": {"path_in": "request"},
    "route": {"route_of": ["method", "path"]},
}


class RecordFields:
    """Finds the fields of records: their own, and those made from others.

    Args:
        field_names: The fields that the records have; None where any field is possible.
        defined: Definitions by the names of their fields.
    """

    def __init__(
        self, field_names: Collection[str] | None, defined: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._field_names = field_names
        self._defined: dict[str, Mapping[str, Any]] = {}
        # A format's definition replaces a usual one if its fields exist. Since a definition may need
        # fields that another one defines, this is repeated until nothing is added.
        definable = self._definable(defined)
        while definable != self._defined:
            self._defined = definable
            definable = self._definable(defined)
        self._methods: ConversionCache[str] = ConversionCache(_method)
        self._paths: ConversionCache[str] = ConversionCache(_path)
        self._routes: ConversionCache[str] = ConversionCache(_route)
        self._hosts: ConversionCache[str] = ConversionCache(_host)

    def has(self, name: str) -> bool:
        """Return whether records have a field, or it can be made."""
        return (
            self._field_names is None
            or name in self._field_names
            or self._definition(name) is not None
        )

    def _definition(self, name: str) -> Mapping[str, Any] | None:
        """Return how a field is made; None for one that records have, or may have."""
        parts = name.split("+")
        if name in self._defined or len(parts) == 1 or name in (self._field_names or ()):
            return self._defined.get(name)
        have_all = all(part and self.has(part) for part in parts)
        return {"joined": parts, "zone": ""} if have_all else None

    def _definable(self, defined: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        return {
            name: definition
            for definitions in (_USUAL_FIELDS, defined)
            for name, definition in definitions.items()
            if self._field_names is None
            or (name not in self._field_names and self._can_make(definition))
        }

    def _can_make(self, definition: Mapping[str, Any]) -> bool:
        found = map(self.has, _sources(definition))
        return any(found) if "first_of" in definition else all(found)

    def needed(self, names: Collection[str]) -> list[str]:
        """Return the fields of the records that some fields are made from.

        Raises:
            ImportTraceError: There is no field of a name.
        """
        needed: dict[str, None] = {}
        for name in names:
            if not self.has(name):
                raise ImportTraceError(
                    f"there is no field {name!r}; the fields are {', '.join(self.names)}"
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
        """The names of all known fields."""
        known = dict.fromkeys(self._field_names or ())
        return [*known, *(n for n in self._defined if n not in known and self.has(n))]

    def column(self, name: str, columns: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
        """Return the values of a field, given the columns that it is made from."""
        definition = self._definition(name)
        if definition is None:
            return columns[name]
        sources = [self.column(n, columns) for n in _sources(definition) if self.has(n)]
        values = self._make(definition, sources)
        if "only" in definition:
            return [value if text_of(value) in definition["only"] else None for value in values]
        if "empty" in definition:
            return [None if text_of(value) in definition["empty"] else value for value in values]
        return values

    def _make(
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
        cache = self._hosts if "host_of" in definition else self._paths
        if "method_in" in definition:
            cache = self._methods
        try:
            return list(map(cache.__getitem__, sources[0]))
        except TypeError:  # a list or an object is no key of a dictionary
            return list(map(cache.__getitem__, map(text_of, sources[0])))


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
    def first_value(row: Sequence[Any]) -> Any:
        for value in row:
            if after and isinstance(value, str):
                value = value.rpartition(after)[2]  # noqa: PLW2901  # empty in inbound|80||
            if value not in MISSING:
                return value
        return None

    cache: ConversionCache[Any] = ConversionCache(first_value)
    make: Callable[[Any], Any] = cache.__getitem__
    try:
        return list(map(make, zip(*columns, strict=True)))
    except TypeError:  # a list or an object is no key of a dictionary
        return [first_value(values) for values in zip(*columns, strict=True)]


def _method(request: Any) -> str:
    return text_of(request).partition(" ")[0]


def _path(request: Any) -> str:
    # A request that is not HTTP, such as a TLS handshake, has no method and path.
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
