"""Groups the events of a log by breaker, as rows that the kernel runs over.

``LineGatherer`` reads lines without making events; it needs a compiled module. ``EventGatherer``
uses events in their lean forms. Both give the same rows. An event that the kernel has no row for
stays an event: among the rows of its breaker, or beside them if it is about the whole log.
"""

from abc import ABC, abstractmethod
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, Final, TypeAlias, cast

from attrs import define

from recloser.core import kernel
from recloser.core.events import (
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
from recloser.errors import FoldError
from recloser.history.witnesses import is_witnessed_by
from recloser.log.checkpoint_line import CheckpointLine
from recloser.log.codec import decode_lines, encode_all, full, lean

try:
    from recloser.log import outcome_rows
except ImportError:
    outcome_rows = None  # type: ignore[assignment]  # pip had no compiler

IS_COMPILED: Final = outcome_rows is not None
"""Whether ``LineGatherer`` can be used."""

Other: TypeAlias = BreakerEvent | CheckpointLine
"""An event about a breaker that the kernel has no row for."""


@define(eq=False)
class BreakerRows:
    """Consecutive rows of one breaker, for ``recloser.history.columnar.breaker_fold``.

    Attributes:
        breaker: The breaker's name.
        columns: The columns; rows of other breakers may be before and after.
        seqs, ats: The columns ``seq`` and ``at``, as sequences of numbers.
        start, stop: The first row, and the row after the last.
        others: The events that the kernel has no row for, by row, in order.
    """

    breaker: str
    columns: kernel.Rows
    seqs: Sequence[int]
    ats: Sequence[int]
    start: int
    stop: int
    others: Mapping[int, Other]

    def seq(self, row: int) -> int:
        """Return the ``seq`` of a row."""
        return self.seqs[row]

    def at(self, row: int) -> int:
        """Return the time of a row, in nanoseconds of the log."""
        return self.ats[row]

    def first_row_from(self, seq: int) -> int:
        """Return the first row that has this ``seq`` or a later one."""
        return bisect_left(self.seqs, seq, self.start, self.stop)

    def event(self, row: int) -> BreakerEvent:
        """Return the event of a row that is not an outcome.

        The fold asks for the first event of a breaker, and for one that can't have happened.

        Raises:
            FoldError: The row is an outcome. Folding single events finds what is wrong with it.
        """
        event = self.others.get(row)
        if event is None:
            raise FoldError(f"event {self.seq(row)} can't have happened")
        return event.read() if isinstance(event, CheckpointLine) else event


class Gatherer(ABC):
    """Consecutive events of a log, grouped by breaker.

    Attributes:
        seq, at: The ``seq`` and time of the last event; -1 and 0 if the first may have any.
        size: Number of events, seals included.
        readings: The events that hold a reading of the clock; they are about the whole log.
        capacity: Number of events that fit into the processor's cache.
    """

    capacity: ClassVar[int]

    seq: int
    at: int
    size: int
    readings: list[LogOpened | ClockTicked]

    @abstractmethod
    def restart(self, seq: int, at: int) -> None:
        """Drop all events, and continue after the one with this ``seq`` and time."""

    @abstractmethod
    def by_breaker(self) -> Iterator[BreakerRows]:
        """Yield the rows of each breaker."""

    @abstractmethod
    def count_witnessed(self, edges: Sequence[Edge]) -> int:
        """Count the edges that the log recorded; -1 if one of them differs.

        The recorded edges must be the first of ``edges``.

        Args:
            edges: The edges that the events lead to, in their lean forms.
        """


def count_matching(edges: Sequence[Edge], witnesses: Sequence[Event]) -> int:
    """Count the witnesses if they match the first of the edges; -1 if one differs."""
    count = len(witnesses)
    if count > len(edges):
        return -1
    for edge, witness in zip(edges, witnesses, strict=False):
        if not is_witnessed_by(full(edge), cast("StateChanged", full(witness))):
            return -1
    return count


_FEW: Final = 64
_OPENED: Final = b'{"event":"log_opened",'


class LineGatherer(Gatherer):
    """Gathers events from their lines; usable only if ``IS_COMPILED``."""

    capacity = 1 << 13

    def __init__(self) -> None:
        self._lines = outcome_rows.OutcomeRows()
        self._columns: tuple[Any, ...] | None = None
        self.restart(-1, 0)

    def restart(self, seq: int, at: int) -> None:
        """Drop all lines, and continue after the one with this ``seq`` and time."""
        self._lines.clear(seq, at)
        self.seq, self.at, self.size = seq, at, 0
        self.readings = []
        self._others: list[Other | None] = []

    def gather(self, text: bytes) -> bool:
        """Add the next lines, all of them or none.

        Returns:
            Whether they were added. They are not if they are out of order, hold a ``log_gap`` or a
            line that is not an event, or if many of them are in another form than this library
            writes.
        """
        if self.seq < 0 and not text.startswith(_OPENED):
            return False
        lines = self._lines
        mark = lines.mark()
        count = lines.read(text)
        if count < 0:
            return False
        if not self._add_others(lines.others[len(self._others) :], max(count // 2, _FEW)):
            lines.return_to(mark)
            return False
        self.seq, self.at = lines.seq, lines.at
        self.size += count
        return True

    def _add_others(
        self, lines: Sequence[tuple[int, int, int, str | None, bytes]], most: int
    ) -> bool:
        if not lines:
            return True
        texts = [line for *_, breaker, line in lines if breaker is None]
        if len(texts) > most:
            # For example the name of their breaker has an escape. Folding events is faster then.
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
        """Yield the rows of each breaker."""
        names, starts, columns, others = self._lines.by_breaker()
        if self._columns is not columns:
            self._columns = columns
            self._rows = kernel.Rows(*columns)
        _, seqs, ats, *_ = columns
        rest = iter([*others, (len(seqs) + 1, -1)])
        row, index = next(rest)
        for breaker, name in enumerate(names):
            start, stop = starts[breaker], starts[breaker + 1]
            own: dict[int, Other] = {}
            while row < stop:
                own[row] = cast("Other", self._others[index])
                row, index = next(rest)
            if start < stop:
                yield BreakerRows(name, self._rows, seqs, ats, start, stop, own)

    def count_witnessed(self, edges: Sequence[Edge]) -> int:
        """Count the edges that the log recorded; -1 if one of them differs."""
        lines = self._lines.witnesses
        text, first = b"".join(lines), edges[: len(lines)]
        # Encoding the edges and comparing bytes is faster than decoding the witnesses.
        if b"".join(encode_all(first)) == text:
            return len(lines)
        witnesses = decode_lines(text, len(lines))
        return -1 if witnesses is None else count_matching(edges, witnesses)


_OTHER: Final = kernel.OTHER
_NO_OTHERS: Final[Mapping[int, Other]] = {}
_Succeeded: Final = lean(CallSucceeded)
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


class EventGatherer(Gatherer):
    """Gathers events; outcomes must be in their lean forms."""

    capacity = 1 << 12

    def __init__(self) -> None:
        self.restart(-1, 0)

    def restart(self, seq: int, at: int) -> None:
        """Drop all events, and continue after the one with this ``seq`` and time."""
        self.seq, self.at, self.size = seq, at, 0
        self.readings = []
        self._events: defaultdict[str, list[Any]] = defaultdict(list)
        self._witnesses: list[Event] = []

    def gather(self, events: Sequence[Event]) -> bool:
        """Add the next events, all of them or none.

        Returns:
            Whether they were added. They are not if they are out of order or hold a ``log_gap``.
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
        for kind in {*types} - _ROWS.keys():
            rare += [index for index, other in enumerate(types) if other is kind]
        rare.sort()
        if any(events[index].kind == "log_gap" for index in rare):
            return False
        start = 0
        for index in rare:
            self._add(events[start:index])
            self._add_rare(events[index])
            start = index + 1
        self._add(events[start:] if start else events)
        self.seq, self.at = first + count - 1, ats[-1]
        self.size += count
        return True

    def _add(self, events: Sequence[Any]) -> None:
        by_breaker = self._events
        for event in events:
            by_breaker[event.breaker].append(event)

    def _add_rare(self, event: Event) -> None:
        if event.kind == "state_changed":
            self._witnesses.append(event)
        elif event.kind in ("clock_ticked", "log_opened"):
            self.readings.append(full(event))
        elif event.kind not in ("log_sealed", "call_observed"):
            self._add((event,))

    def by_breaker(self) -> Iterator[BreakerRows]:
        """Yield the rows of each breaker."""
        for breaker, events in self._events.items():
            others: Mapping[int, Other] = _NO_OTHERS
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

    def count_witnessed(self, edges: Sequence[Edge]) -> int:
        """Count the edges that the log recorded; -1 if one of them differs."""
        return count_matching(edges, self._witnesses)


def _columns(kinds: Sequence[int], numbers: Sequence[Sequence[int]]) -> kernel.Rows:
    if not kernel.IS_COMPILED:
        return kernel.Rows(kinds, *numbers)
    return kernel.Rows(bytes(kinds), *[array("q", column) for column in numbers])
