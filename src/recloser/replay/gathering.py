"""The events of a log gathered by breaker, as rows that the kernel runs over.

Rows come from lines where the module that reads them could be compiled, and from events otherwise;
both come to the same. What the kernel has no row for is kept as an event: among the rows of its
breaker, or, where it is about the whole log, beside them.
"""

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeAlias, cast

from attrs import define

from recloser.checkpoint_line import CheckpointLine
from recloser.core import kernel
from recloser.errors import FoldError
from recloser.events import (
    BreakerEvent,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    ProbeAdmitted,
    StateChanged,
)
from recloser.log.codec import decode_lines, encode_all, full, lean
from recloser.replay.witnesses import is_witnessed_by

try:
    from recloser.log import outcome_rows
except ImportError:
    outcome_rows = None  # type: ignore[assignment]  # pip had no compiler

IS_COMPILED: Final = outcome_rows is not None

_OTHER: Final = kernel.ADMITTED + 1
_FEW: Final = 64
_OPENED: Final = b'{"event":"log_opened",'
_Other: TypeAlias = BreakerEvent | CheckpointLine
_NO_OTHERS: Final[Mapping[int, _Other]] = {}


@define(eq=False)
class BreakerRows:
    """The rows of one breaker, for ``columns.breaker_fold``.

    Attributes:
        breaker: Its name.
        columns: The columns, in which rows of other breakers may stand before and after them.
        seqs, ats: Two of them, as sequences of numbers.
        start, stop: The first row, and one past the last.
        others: The events that the kernel has no row for, by their row, in their order.
    """

    breaker: str
    columns: kernel.Rows
    seqs: Sequence[int]
    ats: Sequence[int]
    start: int
    stop: int
    others: Mapping[int, _Other]

    def seq(self, row: int) -> int:
        """The ``seq`` of a row."""
        return self.seqs[row]

    def at(self, row: int) -> int:
        """The time of a row, in nanoseconds."""
        return self.ats[row]

    def place_of(self, seq: int) -> int:
        """The first row that has this ``seq`` or a later one."""
        return bisect_left(self.seqs, seq, self.start, self.stop)

    def event(self, row: int) -> BreakerEvent:
        """The event of a row that is asked for as it can't have happened, unless it begins a state.

        Raises:
            FoldError: It is an outcome. What is wrong is told when the log is folded singly.
        """
        event = self.others.get(row)
        if event is None:
            raise FoldError(f"event {self.seq(row)} can't have happened")
        return event.read() if isinstance(event, CheckpointLine) else event


class Gathered(ABC):
    """Neighbouring events of a log, gathered by breaker.

    Attributes:
        seq, at: Those of the last event; -1 and 0 before a first event that may have any.
        size: How many events there are, seals and all.
        readings: The events about the whole log that can move a breaker or tell the time.
        most: How many events fit into the cache of a processor.
    """

    most: ClassVar[int]

    seq: int
    at: int
    size: int
    readings: list[LogOpened | ClockTicked]

    @abstractmethod
    def begin(self, seq: int, at: int) -> None:
        """Drop all events, and go on behind the one that has this ``seq`` and time."""

    @abstractmethod
    def by_breaker(self) -> Iterator[BreakerRows]:
        """The rows of each breaker."""

    @abstractmethod
    def witnessed(self, edges: Sequence[Edge]) -> int:
        """How many edges the log recorded, which are the first of these; -1 where one differs.

        Args:
            edges: The edges that its events lead to, in their lean forms.
        """


def _compared(edges: Sequence[Edge], witnesses: Sequence[Event]) -> int:
    """How many witnesses there are, of the first of the edges; -1 where one differs."""
    count = len(witnesses)
    if count > len(edges):
        return -1
    for edge, witness in zip(edges, witnesses, strict=False):
        if not is_witnessed_by(full(edge), cast("StateChanged", full(witness))):
            return -1
    return count


# From lines.


class GatheredLines(Gathered):
    """Events that are gathered from lines."""

    most = 1 << 13

    def __init__(self) -> None:
        self._lines = outcome_rows.OutcomeRows()
        self._columns: tuple[Any, ...] | None = None
        self.begin(-1, 0)

    def begin(self, seq: int, at: int) -> None:
        """Drop all lines, and go on behind the one that has this ``seq`` and time."""
        self._lines.clear(seq, at)
        self.seq, self.at, self.size = seq, at, 0
        self.readings = []
        self._others: list[_Other | None] = []

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
        others: list[_Other | None] = []
        for row, seq, at, breaker, line in lines:
            if breaker is not None:
                others.append(CheckpointLine(seq, at, breaker, line))
                continue
            event = next(rest)
            if event.kind == "log_gap" or event.seq != seq or event.at != at:
                return False
            other: _Other | None = None
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
            own: dict[int, _Other] = {}
            while place < stop:
                own[place] = cast("_Other", self._others[index])
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
        return -1 if witnesses is None else _compared(edges, witnesses)


# From events.

_Succeeded: Final = lean(CallSucceeded)
_Row = tuple[int, int, int, int, int, int, int]
_succeeded: Final = attrgetter("seq", "at", "took", "epoch", "probe", "count")
_ended: Final = attrgetter("seq", "at", "took", "epoch", "probe")
_rejected: Final = attrgetter("seq", "at", "count")
_admitted: Final = attrgetter("seq", "at", "epoch", "probe")


def _rejected_row(event: object) -> tuple[int, ...]:
    seq, at, count = _rejected(event)
    return kernel.REJECTED, seq, at, 0, 0, 0, count


def _admitted_row(event: object) -> tuple[int, ...]:
    seq, at, epoch, probe = _admitted(event)
    return kernel.ADMITTED, seq, at, 0, epoch, probe, 1


_ROWS: Final[Mapping[type, Callable[[object], tuple[int, ...]]]] = {
    lean(CallSucceeded): lambda event: (kernel.SUCCEEDED, *_succeeded(event)),
    lean(CallFailed): lambda event: (kernel.FAILED, *_ended(event), 1),
    lean(CallIgnored): lambda event: (kernel.IGNORED, *_ended(event), 1),
    lean(CallRejected): _rejected_row,
    lean(ProbeAdmitted): _admitted_row,
}


def _other_row(event: Event) -> tuple[int, ...]:
    return _OTHER, event.seq, event.at, 0, 0, 0, 0


class GatheredEvents(Gathered):
    """Events that are gathered in their lean forms; others may be lean or not."""

    most = 1 << 12

    def __init__(self) -> None:
        self.begin(-1, 0)

    def begin(self, seq: int, at: int) -> None:
        """Drop all events, and go on behind the one that has this ``seq`` and time."""
        self.seq, self.at, self.size = seq, at, 0
        self.readings = []
        self._waiting: defaultdict[str, list[Any]] = defaultdict(list)
        self._witnesses: list[Event] = []

    def take(self, events: Sequence[Event]) -> bool:
        """Take the next events, all of them or none.

        Returns:
            Whether they were taken: whether they are in their order, without a gap.
        """
        if not events:
            return True
        first = self.seq + 1 if self.seq >= 0 else events[0].seq
        if self.seq < 0 and events[0].kind != "log_opened":
            return False
        count = len(events)
        if [event.seq for event in events] != [*range(first, first + count)]:
            return False
        ats = [event.at for event in events]
        if ats[0] < self.at or sorted(ats) != ats:
            return False
        types = [*map(type, events)]
        rare: list[int] = []
        for of in {*types} - _ROWS.keys():
            rare += [index for index, other in enumerate(types) if other is of]
        rare.sort()
        if any(events[index].kind == "log_gap" for index in rare):
            return False
        start = 0
        for index in rare:
            self._wait(events[start:index])
            self._take_other(events[index])
            start = index + 1
        self._wait(events[start:] if start else events)
        self.seq, self.at = first + count - 1, ats[-1]
        self.size += count
        return True

    def _wait(self, events: Sequence[Any]) -> None:
        waiting = self._waiting
        for event in events:
            waiting[event.breaker].append(event)

    def _take_other(self, event: Event) -> None:
        if event.kind == "state_changed":
            self._witnesses.append(event)
        elif event.kind in ("clock_ticked", "log_opened"):
            self.readings.append(full(event))
        elif event.kind not in ("log_sealed", "call_observed"):
            self._wait((event,))

    def by_breaker(self) -> Iterator[BreakerRows]:
        """The rows of each breaker."""
        for breaker, events in self._waiting.items():
            others: Mapping[int, _Other] = _NO_OTHERS
            kinds: Sequence[int]
            numbers: Sequence[Sequence[int]]
            if {*map(type, events)} == {_Succeeded}:
                kinds = bytes(len(events))
                numbers = (
                    [event.seq for event in events],
                    [event.at for event in events],
                    [event.took for event in events],
                    [event.epoch for event in events],
                    [event.probe for event in events],
                    [event.count for event in events],
                )
            else:
                rows = [_ROWS.get(type(event), _other_row)(event) for event in events]
                kinds, *numbers = zip(*rows, strict=True)
                others = {
                    row: cast("BreakerEvent", full(events[row]))
                    for row, kind in enumerate(kinds)
                    if kind == _OTHER
                }
            columns = _columns(kinds, numbers)
            seqs, ats, *_ = numbers
            yield BreakerRows(breaker, columns, seqs, ats, 0, len(events), others)

    def witnessed(self, edges: Sequence[Edge]) -> int:
        """How many edges the log recorded, which are the first of these; -1 where one differs."""
        return _compared(edges, self._witnesses)


def _columns(kinds: Sequence[int], numbers: Sequence[Sequence[int]]) -> kernel.Rows:
    if not kernel.IS_COMPILED:
        return kernel.Rows(kinds, *numbers)
    return kernel.Rows(bytes(kinds), *[array("q", column) for column in numbers])
