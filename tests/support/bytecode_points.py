"""Do something at each point of the package's code at which CPython may interrupt it.

That is after a call, at the start of a function and at a jump backwards: where signal handlers run,
where exceptions of other threads are raised, and where another thread may go on.
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
    """Calls ``action`` once, at the n-th point within the modules.

    Attributes:
        is_reached: Whether there was such a point.
    """

    def __init__(self, modules: list[ModuleType], n: int, action: Callable[[], object]) -> None:
        self.is_reached = False
        self._files = {module.__file__ for module in modules}
        self._left = n
        self._action = action
        self._last: dict[FrameType, int] = {}

    def __enter__(self) -> Self:
        self._outer = sys.gettrace()
        sys._getframe().f_trace_opcodes = True  # else Python 3.12 reports none
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
        elif event == "exception":  # a call that raised is not followed by a point
            self._last.pop(frame, None)
        elif event == "opcode":
            last = self._last.get(frame)
            self._last[frame] = frame.f_lasti
            if last is not None and _operation(frame, last) in _BEFORE_A_POINT:
                self._come_by()
        return self._trace

    def _come_by(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.is_reached = True
            self._last.clear()
            self._action()


def _operation(frame: FrameType, offset: int) -> str:
    return dis.opname[frame.f_code.co_code[offset]]


def at_each_point(
    modules: list[ModuleType], action: Callable[[], object]
) -> Iterator[Interruption]:
    """An interruption at the first point, at the second, and so on while the last was reached."""
    for n in count():
        interruption = Interruption(modules, n, action)
        yield interruption
        if not interruption.is_reached:
            return
