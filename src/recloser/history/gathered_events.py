"""The events of a log gathered by breaker, from their lean forms."""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, cast

from recloser.core import kernel
from recloser.core.events import (
    BreakerEvent,
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Edge,
    Event,
    ProbeAdmitted,
)
from recloser.history.gathering import BreakerRows, Gathered, Other, compared
from recloser.log.codec import full, lean

_OTHER: Final = kernel.ADMITTED + 1
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


class GatheredEvents(Gathered):
    """Events that are gathered in their lean forms; others may be lean or not."""

    most = 1 << 12

    def __init__(self) -> None:
        self.begin(-1, 0)

    def begin(self, seq: int, at: int) -> None:
        """Drop all events, and go on after the one that has this ``seq`` and time."""
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

    def witnessed(self, edges: Sequence[Edge]) -> int:
        """How many edges the log recorded, which are the first of these; -1 where one differs."""
        return compared(edges, self._witnesses)


def _columns(kinds: Sequence[int], numbers: Sequence[Sequence[int]]) -> kernel.Rows:
    if not kernel.IS_COMPILED:
        return kernel.Rows(kinds, *numbers)
    return kernel.Rows(bytes(kinds), *[array("q", column) for column in numbers])
