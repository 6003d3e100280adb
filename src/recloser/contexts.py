"""Setting context variables where a collection of garbage may come in between."""

import sys
from contextvars import ContextVar
from threading import get_ident
from types import FrameType
from typing import Final, TypeVar

T = TypeVar("T")

_COLLECTS_ANYWHERE: Final = sys.version_info < (3, 12)

_setting: Final[dict[int, int]] = {}
"""By thread, the id of the frame that is setting a variable, or was interrupted while it did."""


def set_in_context(variable: ContextVar[T], value: T) -> None:
    """Set a context variable, unless this thread is in the middle of setting one.

    CPython 3.11 collects garbage wherever it allocates memory, so in the middle of ``set`` too. A
    ``__del__`` that then sets a variable frees the values that the outer ``set`` still reads, and
    the process crashes. The value of such a ``__del__`` is left out: nobody reads it after its end.
    """
    if not _COLLECTS_ANYWHERE:
        variable.set(value)
        return
    thread, frame = get_ident(), sys._getframe()  # noqa: SLF001  # the only way to the callers
    outer = _setting.get(thread)
    if outer is not None and _is_called_by(outer, frame):
        return
    try:
        _setting[thread] = id(frame)
        variable.set(value)
    finally:
        _setting.pop(thread, None)


def _is_called_by(outer: int, frame: FrameType) -> bool:
    """Whether a frame is among the callers of another one, and in this module."""
    caller = frame.f_back
    while caller is not None:
        if id(caller) == outer and caller.f_code is frame.f_code:
            return True
        caller = caller.f_back
    return False
