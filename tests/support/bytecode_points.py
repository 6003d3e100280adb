"""Perform an action at each point of the package's code at which CPython may interrupt it.

These points are after a call, at the start of a function and at a jump backwards. There, CPython
runs signal handlers, raises the exceptions that other threads have sent, and switches threads.
"""

import dis
import sys
from collections.abc import Callable, Iterator
from itertools import count
from types import FrameType, ModuleType, TracebackType
from typing import Self

_BEFORE_A_POINT = {
    *("CALL", "CALL_FUNCTION_EX", "CALL_KW", "RESUME"),
    *(name for name in dis.opname if "JUMP_BACKWARD" in name and "NO_INTERRUPT" not in name),
}


class Interruption:
    """Calls ``action`` once, at the n-th interruptible point within the modules, counted from 0.

    Attributes:
        is_reached: Whether execution reached that point.
    """

    def __init__(self, modules: list[ModuleType], n: int, action: Callable[[], object]) -> None:
        self.is_reached = False
        self._files = {module.__file__ for module in modules}
        self._points_left = n
        self._action = action
        self._last: dict[FrameType, int] = {}

    def __enter__(self) -> Self:
        self._outer = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # without it, Python 3.12 reports no opcodes
        sys.settrace(self._trace)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        sys.settrace(self._outer)
        self._last.clear()

    def _trace(self, frame: FrameType, event: str, _argument: object) -> object:
        if frame.f_code.co_filename not in self._files or self.is_reached:
            return None
        frame.f_trace_opcodes = True
        if event == "call":
            self._last[frame] = frame.f_lasti
        elif event == "exception":  # there is no point after a call that raised
            self._last.pop(frame, None)
        elif event == "opcode":
            last = self._last.get(frame)
            self._last[frame] = frame.f_lasti
            if last is not None and _operation(frame, last) in _BEFORE_A_POINT:
                self._count_point()
        return self._trace

    def _count_point(self) -> None:
        self._points_left -= 1
        if self._points_left < 0:
            self.is_reached = True
            self._last.clear()
            self._action()


def _operation(frame: FrameType, offset: int) -> str:
    return dis.opname[frame.f_code.co_code[offset]]


def at_each_point(
    modules: list[ModuleType], action: Callable[[], object]
) -> Iterator[Interruption]:
    """Yield interruptions at the first point, the second and so on, until one is not reached."""
    for n in count():
        interruption = Interruption(modules, n, action)
        yield interruption
        if not interruption.is_reached:
            return
