"""The lines of a log gathered by breaker, where the module that reads them is compiled."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from recloser.core import kernel
from recloser.core.events import (
    BreakerEvent,
    ClockTicked,
    Edge,
    LogOpened,
)
from recloser.history.gathering import BreakerRows, Gathered, Other, compared
from recloser.log.checkpoint_line import CheckpointLine
from recloser.log.codec import decode_lines, encode_all, full

try:
    from recloser.log import outcome_rows
except ImportError:
    outcome_rows = None  # type: ignore[assignment]  # pip had no compiler

IS_COMPILED: Final = outcome_rows is not None

_FEW: Final = 64
_OPENED: Final = b'{"event":"log_opened",'


class GatheredLines(Gathered):
    """Events that are gathered from lines."""

    most = 1 << 13

    def __init__(self) -> None:
        self._lines = outcome_rows.OutcomeRows()
        self._columns: tuple[Any, ...] | None = None
        self.begin(-1, 0)

    def begin(self, seq: int, at: int) -> None:
        """Drop all lines, and go on after the one that has this ``seq`` and time."""
        self._lines.clear(seq, at)
        self.seq, self.at, self.size = seq, at, 0
        self.readings = []
        self._others: list[Other | None] = []

    def take(self, text: bytes) -> bool:
        """Take the next lines, all of them or none.

        Returns:
            Whether they were taken: whether they are events in their order without a gap, most of
            them outcomes of the form that we write, where they are many.
        """
        if self.seq < 0 and not text.startswith(_OPENED):
            return False
        lines = self._lines
        mark = lines.mark()
        count = lines.read(text)
        if count < 0:
            return False
        if not self._take_others(lines.others[len(self._others) :], max(count // 2, _FEW)):
            lines.return_to(mark)
            return False
        self.seq, self.at = lines.seq, lines.at
        self.size += count
        return True

    def _take_others(
        self, lines: Sequence[tuple[int, int, int, str | None, bytes]], most: int
    ) -> bool:
        if not lines:
            return True
        texts = [line for *_, breaker, line in lines if breaker is None]
        if len(texts) > most:
            # Of a breaker whose name has an escape, say. As events they are folded quicker.
            return False
        events = decode_lines(b"".join(texts), len(texts))
        if events is None:
            return False
        rest = iter(events)
        readings: list[LogOpened | ClockTicked] = []
        others: list[Other | None] = []
        for row, seq, at, breaker, line in lines:
            if breaker is not None:
                others.append(CheckpointLine(seq, at, breaker, line))
                continue
            event = next(rest)
            if event.kind == "log_gap" or event.seq != seq or event.at != at:
                return False
            other: Other | None = None
            if event.kind in ("clock_ticked", "log_opened"):
                readings.append(full(event))
            elif event.kind != "call_observed":
                about_one = cast("BreakerEvent", full(event))
                self._lines.name(row, about_one.breaker)
                other = about_one
            others.append(other)
        self.readings += readings
        self._others += others
        return True

    def by_breaker(self) -> Iterator[BreakerRows]:
        """The rows of each breaker."""
        names, starts, columns, others = self._lines.by_breaker()
        if self._columns is not columns:
            self._columns = columns
            self._rows = kernel.Rows(*columns)
        _, seqs, ats, *_ = columns
        rest = iter([*others, (len(seqs) + 1, -1)])
        place, index = next(rest)
        for number, name in enumerate(names):
            start, stop = starts[number], starts[number + 1]
            own: dict[int, Other] = {}
            while place < stop:
                own[place] = cast("Other", self._others[index])
                place, index = next(rest)
            if start < stop:
                yield BreakerRows(name, self._rows, seqs, ats, start, stop, own)

    def witnessed(self, edges: Sequence[Edge]) -> int:
        """How many edges the log recorded, which are the first of these; -1 where one differs."""
        lines = self._lines.witnesses
        text, first = b"".join(lines), edges[: len(lines)]
        if b"".join(encode_all(first)) == text:
            return len(lines)
        witnesses = decode_lines(text, len(lines))
        return -1 if witnesses is None else compared(edges, witnesses)
