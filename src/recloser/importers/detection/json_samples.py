"""JSON objects among the first lines of a file, and the paths of their fields."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from recloser.importers.import_batches import MAX_LINE_CHARS
from recloser.importers.values.json_paths import path_of, value_at

_MAX_DEPTH: Final = 6


def objects_in(lines: Sequence[str]) -> list[Mapping[str, Any]]:
    """Decode the lines that are JSON objects; other lines are left out."""
    values = []
    for line in lines:
        # A value of a large document of spans may be longer than any line.
        if len(line) <= MAX_LINE_CHARS and line.lstrip().startswith("{"):
            try:
                values.append(msgspec.json.decode(line))
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                continue
    return [value for value in values if isinstance(value, dict)]


def field_paths(lines: Sequence[str]) -> list[str]:
    """The paths of all fields of the JSON objects among some lines, each once."""
    return list(dict.fromkeys(path for value in objects_in(lines) for path in _paths_in(value)))


def arrays_of_objects(lines: Sequence[str]) -> list[str]:
    """The paths of arrays in a single JSON object that may be its records.

    Returns:
        The paths, that of the longest array first; none where the lines hold several objects.
    """
    values = objects_in(lines)
    sizes = {
        path: sum(isinstance(element, dict) for element in array)
        for value in (values if len(values) == 1 else ())
        for path in _paths_in(value)
        if isinstance(array := value_at(value, path_of(path)), list)
    }
    return sorted(filter(sizes.__getitem__, sizes), key=lambda path: -sizes[path])


def _paths_in(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[str]:
    for key, inner in value.items():
        path = prefix + (
            key if key and not set(key) & set('."[]|(*`') else msgspec.json.encode(key).decode()
        )
        yield path
        if isinstance(inner, dict) and depth < _MAX_DEPTH:
            yield from _paths_in(inner, f"{path}.", depth + 1)
