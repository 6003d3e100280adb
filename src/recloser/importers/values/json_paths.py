"""Paths of keys in JSON objects, such as ``request.host`` or ``"a.b".c``."""

import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from recloser.errors import ImportTraceError

KeyPath: TypeAlias = Sequence[str]
"""The keys that lead from an object to a value within it."""

_STEP: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"|([^."\[\]]++)')


def path_of(field: str) -> tuple[str, ...]:
    """Split the name of a field into keys; a key with a point in it is quoted.

    Raises:
        ImportTraceError: The name is not a path.
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
    raise ImportTraceError(f'{field!r} is not a path of keys; write request.host or "a.b".c')


def value_at(value: Any, path: KeyPath) -> Any:
    """Return the value at the end of a path; None if there is none."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
