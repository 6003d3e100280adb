"""Cache of converted values, since most values of a trace occur many times."""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

_MAX_ENTRIES: Final = 1 << 15

V = TypeVar("V")


class ConversionCache(dict[Any, V], Generic[V]):
    """Dictionary that converts a missing key.

    It is emptied when it holds 32,768 entries. ``map(cache.__getitem__, column)`` converts a column
    at the speed of a dictionary.

    Args:
        convert: The conversion; its errors are passed on.
    """

    def __init__(self, convert: Callable[[Any], V]) -> None:
        super().__init__()
        self._convert = convert

    def __missing__(self, value: Any) -> V:
        converted = self._convert(value)
        if len(self) >= _MAX_ENTRIES:
            self.clear()
        self[value] = converted
        return converted
