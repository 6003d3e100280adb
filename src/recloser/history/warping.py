"""Warping: events and clocks as wrong as warps make them.

What was derived from the right time says nothing under a monotonic warp: witnesses are taken out of
the stream, and so are checkpoints of what the fold knows already, so that it computes the states
anew. A checkpoint that it can't do without, as behind a gap, is kept with its times moved.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final, TypeAlias, cast

import attrs
from attrs import evolve, frozen

from recloser.clock import Clock, boot_id_of
from recloser.core import kernel
from recloser.core.checkpoint_parts import CheckpointParts
from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallObserved,
    CallSucceeded,
    Checkpoint,
    ClockTicked,
    Event,
    LogOpened,
    LogSealed,
)
from recloser.core.gaps import GapWatch
from recloser.core.limits import MAX_AT, MAX_WHOLE
from recloser.core.state import dump, place, restore
from recloser.errors import FoldError
from recloser.history.warps import MonotonicWarp, OriginWarp, WallWarp, Warp

Mapper: TypeAlias = Callable[[Event], Event]
"""Makes the next event of a stream wrong; it remembers what came before."""


def warped(events: Iterable[Event], warps: Iterable[Warp]) -> Iterator[Event]:
    """The events as they would have been recorded by clocks that wrong; the first warp comes first.

    Observed calls may come out of their order in time where a warp changes it.
    """
    mappers = [mapper(warp) for warp in warps]
    for event in events:
        for change in mappers:
            event = change(event)  # noqa: PLW2901  # composition
        yield event


@frozen
class WarpedEvents:
    """Events under warps, as often as they are iterated."""

    events: Iterable[Event]
    warps: Sequence[Warp]

    def __iter__(self) -> Iterator[Event]:
        return warped(self.events, self.warps)


def mapper(warp: Warp) -> Mapper:
    """What makes one stream of events wrong."""
    if isinstance(warp, WallWarp):
        return _wall_mapper(warp)
    return _origin_mapper(warp) if isinstance(warp, OriginWarp) else _Retiming(warp)


class WarpedClock:
    """A clock whose wall hand is wrong, and whose monotonic hand has another origin.

    Args:
        clock: The clock that is right.
        warps: Of these, those that do not bend time.
    """

    def __init__(self, clock: Clock, warps: Iterable[Warp]) -> None:
        warps = list(warps)
        self._clock = clock
        self._began = clock.monotonic_ns()
        self._origin = sum(warp.ns for warp in warps if isinstance(warp, OriginWarp))
        self._walls = [warp.begin() for warp in warps if isinstance(warp, WallWarp)]

    @property
    def boot_id(self) -> str:
        """That of the clock inside."""
        return boot_id_of(self._clock)

    def monotonic_ns(self) -> int:
        """That of the clock inside, from the other origin."""
        return self._clock.monotonic_ns() + self._origin

    def now(self) -> datetime:
        """What the wrong hand shows."""
        wall = self._clock.now()
        at = self._clock.monotonic_ns() - self._began
        for hand in self._walls:
            wall = hand(at, wall)
        return wall


def host_of(event: Event, session_host: str) -> str:
    """The host whose clock timed the event."""
    if isinstance(event, LogOpened):
        return event.host
    if isinstance(event, CallObserved):
        return event.labels.get("host", session_host)
    return session_host


def _wall_mapper(warp: WallWarp) -> Mapper:
    hand = warp.begin()

    def change(event: Event) -> Event:
        if isinstance(event, LogOpened | ClockTicked):
            return evolve(event, wall=hand(event.at, event.wall))
        return event

    return change


def _origin_mapper(warp: OriginWarp) -> Mapper:
    def change(event: Event) -> Event:
        if isinstance(event, LogOpened | ClockTicked):
            return evolve(event, monotonic=max(0, event.monotonic + warp.ns))
        return event

    return change


class PastAllTimeError(FoldError):
    """A warp moves an event past the last time that a log can have; the message names the event."""


class _Retiming:
    """Times the events of one stream by a wrong monotonic hand."""

    def __init__(self, warp: MonotonicWarp) -> None:
        self._hand = warp.begin()
        self._host = ""
        self._at = 0
        self._known: set[str] = set()
        self._gap = GapWatch()
        self._parts = CheckpointParts()

    def __call__(self, event: Event) -> Event:
        host = host_of(event, self._host)
        if isinstance(event, CallObserved):
            start = max(0, self._hand(event.start, host))
            at = max(start, self._hand(event.at, host))
            return evolve(event, at=at, start=start, took=at - start)
        self._host = host
        self._at = at = max(self._at, self._hand(event.at, host))
        if at > MAX_AT:
            raise PastAllTimeError(
                f"{place(event)}: warped, its time is past the last one of any log"
            )
        self._gap.take(event)
        if event.kind == "state_changed":
            return _nothing(event, at)
        if event.kind == "checkpoint":
            return self._checkpoint(event, at)
        if event.kind == "breaker_configured":
            self._known.add(event.breaker)
        if isinstance(event, CallSucceeded | CallFailed | CallIgnored) and event.took:
            took = self._hand(event.at, host) - self._hand(event.at - event.took, host)
            took = min(MAX_WHOLE, max(0, took))
            if took != event.took:
                event = evolve(event, took=took)
        return _timed(event, at)

    def _checkpoint(self, event: Checkpoint, at: int) -> Event:
        """What the fold knows better is left out; what it could not know is kept, timed anew."""
        whole = self._parts.joined(event)
        if whole is None or (event.breaker in self._known and not self._gap.is_gap):
            return _nothing(event, at)
        self._known.add(event.breaker)
        state = restore(whole)
        kernel.retime(state, lambda moment: max(0, min(at, self._hand(moment, self._host))))
        return Checkpoint(event.seq, at, event.breaker, dump(state))


_REST: Final[dict[type, Callable[[object], tuple[object, ...]]]] = {}
"""What each kind of event carries behind ``seq`` and ``at``; many times as quick as ``evolve``."""


def _timed(event: Event, at: int) -> Event:
    """The event at another time; ``monotonic`` moves along with it."""
    if isinstance(event, LogOpened | ClockTicked):
        return evolve(event, at=at, monotonic=max(0, event.monotonic + at - event.at))
    if at == event.at:
        return event
    kind = type(event)
    rest = _REST.get(kind)
    if rest is None:
        rest = _REST[kind] = _getter([field.name for field in attrs.fields(kind)[2:]])
    return cast("Callable[..., Event]", kind)(event.seq, at, *rest(event))


def _getter(names: Sequence[str]) -> Callable[[object], tuple[object, ...]]:
    get = attrgetter(*names)
    return (lambda event: (get(event),)) if len(names) == 1 else get


def _nothing(event: Event, at: int) -> LogSealed:
    """What stands in the place of an event that was derived, so that ``seq`` has no hole."""
    return LogSealed(event.seq, at, 0, "")
