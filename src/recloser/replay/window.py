"""The window of a passage: what it holds, of which some may be unknown."""

from collections import deque
from collections.abc import Sequence

from recloser.config import CountWindow, TimeWindow
from recloser.replay.limits import Limits
from recloser.validation import NS_PER_SECOND


class Window:
    """The outcomes that a window holds; of the unknown ones it is not said how they ended.

    A part is ``[second, calls, failures, slow, unknown]``: one outcome of a ``CountWindow``, one
    whole second of a ``TimeWindow``.
    """

    __slots__ = ("_config", "_limits", "_parts", "_totals")

    def __init__(self, config: CountWindow | TimeWindow) -> None:
        self._config, self._limits = config, Limits.of(config)
        self._parts: deque[tuple[int, int, int, int, int]] = deque()
        self._totals = [0, 0, 0, 0]

    def copy(self) -> "Window":
        """The same window, to go on with another course."""
        other = Window(self._config)
        other._parts = self._parts.copy()
        other._totals = self._totals.copy()
        return other

    @property
    def key(self) -> tuple[object, ...]:
        """What two windows must agree in, to go on alike."""
        if isinstance(self._config, CountWindow):
            return tuple(part[1:] for part in self._parts)
        return tuple(self._parts)

    @property
    def calls(self) -> int:
        """How many outcomes there are in it."""
        return self._totals[0]

    def add(self, at: int, *, failed: bool, slow: bool, unknown: bool = False) -> bool | None:
        """Take in an outcome; whether a threshold is reached, None where that is unknown."""
        config, parts = self._config, self._parts
        second = at // NS_PER_SECOND
        new = (second, 1, int(failed and not unknown), int(slow and not unknown), int(unknown))
        if isinstance(config, CountWindow):
            if len(parts) == config.size:
                self._count(parts.popleft(), -1)
            parts.append(new)
        else:
            while parts and parts[0][0] <= second - config.seconds:
                self._count(parts.popleft(), -1)
            if parts and parts[-1][0] == second:
                last = parts.pop()
                parts.append((second, *map(sum, zip(last[1:], new[1:], strict=True))))  # type: ignore[arg-type]  # four numbers
            else:
                parts.append(new)
        self._count(new, 1)
        calls, failures, slowed, unsure = self._totals
        reached = self._limits.reached
        if reached(calls, failures, slowed):
            return True
        possible = unsure and reached(calls, failures + unsure, slowed + unsure)
        return None if possible else False

    def add_successes(self, at: int, count: int) -> None:
        """Take in quick successes, of the second of the outcome before where seconds count."""
        config, parts = self._config, self._parts
        if isinstance(config, CountWindow):
            part = (at // NS_PER_SECOND, 1, 0, 0, 0)
            for _ in range(min(count, config.size)):
                if len(parts) == config.size:
                    self._count(parts.popleft(), -1)
                parts.append(part)
                self._count(part, 1)
            return
        second, calls, *rest = parts.pop()
        parts.append((second, calls + count, rest[0], rest[1], rest[2]))
        self._totals[0] += count

    @property
    def second(self) -> int | None:
        """That of the last outcome."""
        return self._parts[-1][0] if self._parts else None

    def _count(self, part: Sequence[int], sign: int) -> None:
        totals = self._totals
        for index in range(4):
            totals[index] += sign * part[index + 1]
