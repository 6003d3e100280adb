"""Marks of predicates: equal where two of one name judge alike, as far as can be told.

Lambdas and closures of one function share their qualified name. A mark is plain data, so that
marks can be compared where no code of a user may run; it is valid while the predicate lives.
"""

from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Final

_DEEPEST: Final = 5
"""A closure may hold itself."""

_PLAIN: Final = frozenset({bool, bytes, float, int, str, type(None)})


def mark_of(value: object, depth: int = 0) -> object:
    """The mark of a predicate, or of something that it is made of.

    That of a function is its code with its defaults and what it encloses, so that one which is
    defined anew for each breaker has the same; that of any other object is its identity.
    """
    kind = type(value)
    if depth < _DEEPEST:
        deeper = depth + 1
        if kind in _PLAIN:
            return kind.__name__, repr(value)
        if kind is tuple and isinstance(value, tuple):
            return tuple(mark_of(each, deeper) for each in value)
        if kind is FunctionType and isinstance(value, FunctionType):
            return value.__code__, *(mark_of(each, deeper) for each in _held_by(value))
        if kind is MethodType and isinstance(value, MethodType):
            return mark_of(value.__func__, deeper), id(value.__self__)
        if kind is partial and isinstance(value, partial):
            named = sorted(value.keywords.items())
            parts = (value.func, value.args, *(part for pair in named for part in pair))
            return tuple(mark_of(part, deeper) for part in parts)
    return id(value)


def _held_by(function: FunctionType) -> tuple[object, ...]:
    named = sorted((function.__kwdefaults__ or {}).items())
    cells = function.__closure__ or ()
    return (
        function.__defaults__,
        *(part for pair in named for part in pair),
        *(_content_of(cell) for cell in cells),
    )


def _content_of(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty as yet
        return None
