"""Marks of predicates: equal for two predicates of one name that surely judge alike.

Lambdas and closures of one function share their qualified name, so names alone do not say whether two
configurations are the same. A mark is plain data: comparing marks runs no code of a user. A mark is
valid while its predicate lives.
"""

from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Final

_DEEPEST: Final = 5
"""How deep to look into closures, one of which may hold itself."""

_PLAIN: Final = frozenset({bool, bytes, float, int, str, type(None)})


def mark_of(value: object, depth: int = 0) -> object:
    """The mark of a predicate, or of an object that it is made of.

    The mark of a function is its code, its defaults and what it encloses, so a function that is
    defined anew for each breaker keeps its mark. The mark of any other object is its identity.

    Args:
        value: The predicate or object.
        depth: How many objects of the predicate lead to this one.
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
    except ValueError:  # the cell is still empty
        return None
