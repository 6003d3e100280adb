"""Setting context variables where a collection of garbage may come in between."""

import sys
import threading
from contextvars import ContextVar, copy_context
from typing import Final, TypeVar

T = TypeVar("T")

_COLLECTS_ANYWHERE: Final = sys.version_info < (3, 12)

_setting: Final[dict[int, threading.Lock]] = {}
"""By thread, a lock that it holds while it sets a variable; no other thread takes it."""


def set_in_context(variable: ContextVar[T], value: T) -> None:
    """Set a context variable, unless this thread is in the middle of setting one.

    CPython 3.11 collects garbage wherever it allocates memory, so in the middle of ``set`` too. A
    ``__del__`` that then sets a variable frees the values that the outer ``set`` still reads, and
    the process crashes. The value of such a ``__del__`` is left out: nobody reads it after its end.
    Against what a library sets there, as ``decimal`` does, a copy of the context keeps the values.
    """
    if not _COLLECTS_ANYWHERE:
        variable.set(value)
        return
    setting = _setting.get(threading.get_ident())
    if setting is None:
        setting = _setting.setdefault(threading.get_ident(), threading.Lock())
    if not setting.locked():
        # An exception from outside can't come up between the ``with`` and its end without the lock
        # being released, where a flag would stay.
        with setting:
            kept = copy_context()
            variable.set(value)
            del kept
