"""Setting context variables where a collection of garbage may come in between."""

import sys
from contextvars import ContextVar
from threading import Lock, get_ident
from typing import Final, TypeVar

T = TypeVar("T")

_COLLECTS_ANYWHERE: Final = sys.version_info < (3, 12)

_setting: Final[dict[int, Lock]] = {}
"""By thread, a lock that it holds while it sets a variable; no other thread takes it."""


def set_in_context(variable: ContextVar[T], value: T) -> None:
    """Set a context variable, unless this thread is in the middle of setting one.

    CPython 3.11 collects garbage wherever it allocates memory, so in the middle of ``set`` too. A
    ``__del__`` that then sets a variable frees the values that the outer ``set`` still reads, and
    the process crashes. The value of such a ``__del__`` is left out: nobody reads it after its end.
    """
    if not _COLLECTS_ANYWHERE:
        variable.set(value)
        return
    setting = _setting.get(get_ident())
    if setting is None:
        setting = _setting.setdefault(get_ident(), Lock())
    if not setting.locked():
        # An exception from outside can't come up between the ``with`` and its end without the lock
        # being released, where a flag would stay.
        with setting:
            variable.set(value)
