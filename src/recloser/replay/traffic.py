"""Traffic: the calls of a log, whoever recorded it, as columns for each breaker.

Imported traffic tells every outcome. A log that breakers wrote tells those of the calls that were
let through; of a refused call nothing is known but its time. Its outcome is then ``UNKNOWN``, and
it is taken to last as long as the median of its breaker's other calls. A call that was recorded
started at ``at - took``.
"""

import bisect
import heapq
from array import array
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final

from attrs import define, evolve, field

from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError, NotALogError
from recloser.events import (
    CallFailed,
    CallIgnored,
    CallObserved,
    CallSucceeded,
    Edge,
    Event,
    Outcome,
    ProbeAdmitted,
)
from recloser.logfold import LogFold
from recloser.replay.timeline import Timeline
from recloser.validation import NS_PER_SECOND

SUCCEEDED: Final = 0
FAILED: Final = 1
IGNORED: Final = 2
UNKNOWN: Final = 3

REFUSED: Final = "refused"
"""The label of an imported call that another breaker refused, so that its outcome is unknown."""

_CODES: Final = {
    Outcome.SUCCEEDED: SUCCEEDED,
    Outcome.FAILED: FAILED,
    Outcome.IGNORED: IGNORED,
}
_NOTE_EVERY: Final = 256
_NAMES_TOLD: Final = 10


@define(eq=False)
class Calls:
    """The calls of one breaker.

    A call is known by its number in the order of the starts, from 0, or by its place in the order
    of the ends. That is the order in which they are driven: by time, and at one instant the ends
    before the starts; a call without duration ends behind its own start.

    Attributes:
        breaker: Its name.
        starts: When each call started, in nanoseconds of the log; shape (n,), as all are.
        ends: When it ended, by its number.
        tooks: How long it took, by its number.
        outcomes: How it ended, by its number: one of the four codes of this module.
        by_end: The number of each call, by its place.
        place: The place of each call, by its number.
        ended_before: How many calls have ended before each starts, by its number.
    """

    breaker: str
    starts: "array[int]"
    ends: "array[int]"
    tooks: "array[int]"
    outcomes: bytes
    by_end: "array[int]" = field(init=False)
    place: "array[int]" = field(init=False)
    ended_before: "array[int]" = field(init=False)
    _notes: list[tuple[int, Sequence[int]]] = field(init=False, factory=list)
    __dict__: dict[str, object] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        self.by_end, self.ended_before = array("q"), array("q")
        under_way: list[tuple[int, int]] = []
        noted = -_NOTE_EVERY
        for number, start in enumerate(self.starts):
            while under_way and under_way[0][0] <= start:
                self.by_end.append(heapq.heappop(under_way)[1])
            if number - noted >= max(_NOTE_EVERY, 4 * len(under_way)):
                self._notes.append((number, array("q", (call for _, call in under_way))))
                noted = number
            self.ended_before.append(len(self.by_end))
            heapq.heappush(under_way, (self.ends[number], number))
        while under_way:
            self.by_end.append(heapq.heappop(under_way)[1])
        self.place = array("q", bytes(8 * len(self.starts)))
        for place, number in enumerate(self.by_end):
            self.place[number] = place

    def __len__(self) -> int:
        return len(self.starts)

    def end_of(self, place: int) -> int:
        """When the call at this place ended."""
        return self.ends[self.by_end[place]]

    def started_before(self, place: int) -> int:
        """How many calls have started before the one at this place ends."""
        return bisect.bisect_right(self.ended_before, place)

    def under_way(self, number: int, place: int) -> list[int]:
        """The places of the calls before ``number`` that end behind ``place``."""
        noted, calls = self._notes[bisect.bisect_right(self._notes, number, key=_noted_at) - 1]
        places = (self.place[call] for call in (*calls, *range(noted, number)))
        return sorted(later for later in places if later > place)

    @cached_property
    def outcome_at(self) -> bytes:
        """How the call at each place ended."""
        return bytes(self.outcomes[number] for number in self.by_end)

    @cached_property
    def last_place(self) -> Sequence[int]:
        """The last place of all calls up to each number."""
        return array("q", accumulate(self.place, max))

    def before(self, code: int) -> Sequence[int]:
        """How many calls of this outcome stand before each number; shape (n + 1,)."""
        return self._before[code]

    @cached_property
    def _before(self) -> Sequence[Sequence[int]]:
        return [
            array("q", accumulate((outcome == code for outcome in self.outcomes), initial=0))
            for code in (SUCCEEDED, FAILED, IGNORED, UNKNOWN)
        ]

    def count(self, code: int) -> int:
        """How many calls ended so."""
        return self.outcomes.count(code)

    @cached_property
    def counted_before(self) -> Sequence[int]:
        """How many outcomes that count, all but the ignored, stand before each place; (n + 1,)."""
        return array("q", accumulate((code != IGNORED for code in self.outcome_at), initial=0))

    @cached_property
    def counted(self) -> Sequence[int]:
        """The places of the outcomes that count."""
        return array("q", (p for p, code in enumerate(self.outcome_at) if code != IGNORED))

    @cached_property
    def seconds(self) -> Sequence[int]:
        """The whole second of each outcome that counts."""
        return array("q", (self.end_of(place) // NS_PER_SECOND for place in self.counted))

    @cached_property
    def unknown(self) -> Sequence[int]:
        """The places of the unknown outcomes."""
        return array("q", (p for p, code in enumerate(self.outcome_at) if code == UNKNOWN))

    def until(self, number: int) -> "Calls":
        """The first calls alone, up to ``number``."""
        return Calls(
            self.breaker,
            self.starts[:number],
            self.ends[:number],
            self.tooks[:number],
            self.outcomes[:number],
        )

    def since(self, number: int) -> "Calls":
        """The calls from ``number`` on alone."""
        return Calls(
            self.breaker,
            self.starts[number:],
            self.ends[number:],
            self.tooks[number:],
            self.outcomes[number:],
        )

    def known(self) -> "Calls":
        """The calls alone whose outcome is known."""
        if not self.count(UNKNOWN):
            return self
        kept = [n for n, code in enumerate(self.outcomes) if code != UNKNOWN]
        return Calls(
            self.breaker,
            array("q", (self.starts[n] for n in kept)),
            array("q", (self.ends[n] for n in kept)),
            array("q", (self.tooks[n] for n in kept)),
            bytes(self.outcomes[n] for n in kept),
        )


def _noted_at(note: tuple[int, Sequence[int]]) -> int:
    return note[0]


@define
class Traffic:
    """All calls of a log.

    Attributes:
        calls: Those of each breaker, by name.
        recorded: Whether breakers wrote the log; their history is then in ``edges``.
        configs: The configuration of each of those breakers, as it was at the end.
        edges: The edges that they took, in the order of the log.
        lost: How many events the log could not hold.
        horizon: When the last event or call ended, in nanoseconds of the log.
        timeline: Dates the moments of the log.
    """

    calls: dict[str, Calls]
    recorded: bool
    configs: Mapping[str, CircuitBreakerConfig]
    edges: Sequence[Edge]
    lost: int
    horizon: int
    timeline: Timeline

    @property
    def total(self) -> int:
        """How many calls there are."""
        return sum(len(calls) for calls in self.calls.values())

    @property
    def unknown(self) -> int:
        """How many of them have an unknown outcome."""
        return sum(calls.count(UNKNOWN) for calls in self.calls.values())

    def only(self, breaker: str) -> "Traffic":
        """The calls of one breaker alone.

        Raises:
            ConfigError: It has none.
        """
        if breaker not in self.calls:
            some = ", ".join(list(self.calls)[:_NAMES_TOLD])
            raise ConfigError(f"there is no breaker {breaker!r} with calls; there are {some}")
        return evolve(self, calls={breaker: self.calls[breaker]})


def read_traffic(events: Iterable[Event]) -> Traffic:
    """The calls of a log that breakers wrote, or of imported traffic.

    Raises:
        LogError: The log can't be read, is damaged, or holds no call.
        FoldError: An event can't have happened in the state that it is applied to.
    """
    reading = _Reading()
    for event in events:
        reading.take(event)
    return reading.traffic()


class _Gathered:
    """The calls of one breaker in the order in which the log tells of them."""

    def __init__(self) -> None:
        self.starts, self.tooks, self.outcomes = array("q"), array("q"), bytearray()
        self.unreported: dict[tuple[int, int], int] = {}

    def add(self, start: int, took: int, code: int, count: int = 1) -> None:
        for _ in range(count):
            self.starts.append(max(0, start))
            self.tooks.append(took)
            self.outcomes.append(code)

    def calls(self, breaker: str) -> Calls:
        for at in self.unreported.values():
            self.add(at, 0, UNKNOWN)
        known = sorted(
            took for took, code in zip(self.tooks, self.outcomes, strict=True) if code != UNKNOWN
        )
        median = known[len(known) // 2] if known else 0
        order = sorted(range(len(self.starts)), key=self.starts.__getitem__)
        tooks = array(
            "q", (median if self.outcomes[n] == UNKNOWN else self.tooks[n] for n in order)
        )
        starts = array("q", (self.starts[n] for n in order))
        ends = array("q", (start + took for start, took in zip(starts, tooks, strict=True)))
        return Calls(breaker, starts, ends, tooks, bytes(self.outcomes[n] for n in order))


class _Reading:
    def __init__(self) -> None:
        self._fold = LogFold()
        self._gathered: dict[str, _Gathered] = {}
        self._edges: list[Edge] = []
        self._timeline = Timeline()
        self._recorded = False
        self._lost = 0

    def take(self, event: Event) -> None:
        self._edges += self._fold.apply(event)
        if event.kind == "call_observed":
            self._observe(event)
        elif isinstance(event, CallSucceeded | CallFailed | CallIgnored):
            self._report(event)
        elif event.kind == "call_rejected":
            self._recorded = True
            if self._fold.breakers[event.breaker].mode != "shadow":  # in shadow it is reported too
                self._of(event.breaker).add(event.at, 0, UNKNOWN, event.count)
        elif event.kind == "probe_admitted":
            self._recorded = True
            self._of(event.breaker).unreported[_permit(event)] = event.at
        elif event.kind == "log_gap":
            self._lost += event.lost
        elif event.kind in ("log_opened", "clock_ticked"):
            self._timeline.add(event)
        elif event.kind == "breaker_configured":
            self._recorded = True

    def _observe(self, event: CallObserved) -> None:
        refused = event.outcome is Outcome.IGNORED and REFUSED in event.labels
        code = UNKNOWN if refused else _CODES[event.outcome]
        self._of(event.breaker).add(event.start, event.took, code)

    def _report(self, event: CallSucceeded | CallFailed | CallIgnored) -> None:
        self._recorded = True
        gathered = self._of(event.breaker)
        if event.probe:
            gathered.unreported.pop(_permit(event), None)
        code = _CODES[Outcome(event.kind.removeprefix("call_"))]
        count = event.count if event.kind == "call_succeeded" else 1
        gathered.add(event.at - event.took, event.took, code, count)

    def _of(self, breaker: str) -> _Gathered:
        gathered = self._gathered.get(breaker)
        if gathered is None:
            gathered = self._gathered[breaker] = _Gathered()
        return gathered

    def traffic(self) -> Traffic:
        calls = {name: gathered.calls(name) for name, gathered in sorted(self._gathered.items())}
        calls = {name: found for name, found in calls.items() if len(found)}
        if not calls:
            raise NotALogError("there is no call in this log")
        return Traffic(
            calls=calls,
            recorded=self._recorded,
            configs={name: state.config for name, state in self._fold.breakers.items()},
            edges=self._edges,
            lost=self._lost,
            horizon=max(self._fold.at, *(_last_end(found) for found in calls.values())),
            timeline=self._timeline,
        )


def _permit(event: CallSucceeded | CallFailed | CallIgnored | ProbeAdmitted) -> tuple[int, int]:
    return event.epoch, event.probe


def _last_end(calls: Calls) -> int:
    return max(calls.ends)
