"""Conversions that remember what they gave, as most values of a trace come again and again."""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

_MOST: Final = 1 << 15

V = TypeVar("V")


class Memo(dict[Any, V], Generic[V]):
    """A table that asks a conversion for what it lacks, and is emptied when it is full.

    ``map(memo.__getitem__, column)`` converts a column at the speed of a dictionary.

    Args:
        convert: The conversion; what it raises is raised.
    """

    def __init__(self, convert: Callable[[Any], V]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, value: Any) -> V:
        converted = self._convert(value)
        if len(self) >= _MOST:
            self.clear()
        self[value] = converted
        return converted
