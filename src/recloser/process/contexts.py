"""Setting of context variables that survives a garbage collection in the middle."""

import sys
import threading
from contextvars import ContextVar, copy_context
from typing import Final, TypeVar

T = TypeVar("T")

_COLLECTS_ANYWHERE: Final = sys.version_info < (3, 12)

_setting: Final[dict[int, threading.Lock]] = {}
"""By thread identifier, a lock that the thread holds while it sets a variable; no other takes it."""


def set_in_context(variable: ContextVar[T], value: T) -> None:
    """Set a context variable, unless this thread is in the middle of setting one.

    CPython 3.11 collects garbage wherever it allocates memory, so in the middle of ``set`` too. A
    ``__del__`` that then sets a variable frees the values that the outer ``set`` still reads, and
    the process crashes. The value that such a ``__del__`` sets is left out: nobody reads it after the
    ``__del__`` has returned. A library such as ``decimal`` may set a variable there too; a copy of the
    context keeps the values alive meanwhile.

    Args:
        variable: The variable.
        value: The new value.
    """
    if not _COLLECTS_ANYWHERE:
        variable.set(value)
        return
    setting = _setting.get(threading.get_ident())
    if setting is None:
        setting = _setting.setdefault(threading.get_ident(), threading.Lock())
    if not setting.locked():
        # A lock and not a flag: whatever exception comes up in the block releases the lock, while a
        # flag could stay set.
        with setting:
            kept = copy_context()
            variable.set(value)
            del kept
