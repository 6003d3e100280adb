"""Applies warps, which are faults of clocks, to events and clocks.

Under a warp of elapsed time, everything derived from the right time is invalid. So recorded edges
are removed from the stream, and so are checkpoints of states that the fold knows already; the fold
computes them anew. A checkpoint that the fold needs, for example after a gap, is kept with its
times moved.
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
from recloser.core.state import dump, event_label, restore
from recloser.errors import FoldError
from recloser.history.warps import MonotonicWarp, OriginWarp, WallWarp, Warp

Mapper: TypeAlias = Callable[[Event], Event]
"""Applies a warp to the next event of a stream; it remembers the events before."""


def warped(events: Iterable[Event], warps: Iterable[Warp]) -> Iterator[Event]:
    """Yield the events as clocks with these faults would have recorded them.

    The warps are applied in order. Observed calls may be out of order in time if a warp changes it.
    """
    mappers = [mapper(warp) for warp in warps]
    for event in events:
        for change in mappers:
            event = change(event)  # noqa: PLW2901  # composition
        yield event


@frozen
class WarpedEvents:
    """Events under warps; each iteration applies them anew.

    Attributes:
        events: The events.
        warps: The warps, in the order in which they are applied.
    """

    events: Iterable[Event]
    warps: Sequence[Warp]

    def __iter__(self) -> Iterator[Event]:
        return warped(self.events, self.warps)


def mapper(warp: Warp) -> Mapper:
    """Return a function that applies a warp to one stream of events."""
    if isinstance(warp, WallWarp):
        return _wall_mapper(warp)
    return _origin_mapper(warp) if isinstance(warp, OriginWarp) else _Retiming(warp)


class WarpedClock:
    """A clock with a wrong wall time, and a monotonic time with another origin.

    Args:
        clock: The right clock.
        warps: The warps; those that change elapsed time are ignored.
    """

    def __init__(self, clock: Clock, warps: Iterable[Warp]) -> None:
        warps = list(warps)
        self._clock = clock
        self._began = clock.monotonic_ns()
        self._origin = sum(warp.ns for warp in warps if isinstance(warp, OriginWarp))
        self._walls = [warp.begin() for warp in warps if isinstance(warp, WallWarp)]

    @property
    def boot_id(self) -> str:
        """The boot id of the right clock."""
        return boot_id_of(self._clock)

    def monotonic_ns(self) -> int:
        """Return the right clock's monotonic time from the other origin, in nanoseconds."""
        return self._clock.monotonic_ns() + self._origin

    def now(self) -> datetime:
        """Return the wrong wall time."""
        wall = self._clock.now()
        at = self._clock.monotonic_ns() - self._began
        for wrong_time in self._walls:
            wall = wrong_time(at, wall)
        return wall


def host_of(event: Event, session_host: str) -> str:
    """Return the host whose clock timed an event.

    Args:
        event: The event.
        session_host: The host of the current session.
    """
    if isinstance(event, LogOpened):
        return event.host
    if isinstance(event, CallObserved):
        return event.labels.get("host", session_host)
    return session_host


def _wall_mapper(warp: WallWarp) -> Mapper:
    wrong_time = warp.begin()

    def change(event: Event) -> Event:
        if isinstance(event, LogOpened | ClockTicked):
            return evolve(event, wall=wrong_time(event.at, event.wall))
        return event

    return change


def _origin_mapper(warp: OriginWarp) -> Mapper:
    def change(event: Event) -> Event:
        if isinstance(event, LogOpened | ClockTicked):
            return evolve(event, monotonic=max(0, event.monotonic + warp.ns))
        return event

    return change


class PastAllTimeError(FoldError):
    """A warp moves an event past the last time of any log; the message names it."""


class _Retiming:
    """Gives the events of one stream the times of a wrong monotonic clock."""

    def __init__(self, warp: MonotonicWarp) -> None:
        self._wrong_time = warp.begin()
        self._host = ""
        self._at = 0
        self._known: set[str] = set()
        self._gap = GapWatch()
        self._parts = CheckpointParts()

    def __call__(self, event: Event) -> Event:
        host = host_of(event, self._host)
        if isinstance(event, CallObserved):
            start = max(0, self._wrong_time(event.start, host))
            at = max(start, self._wrong_time(event.at, host))
            return evolve(event, at=at, start=start, took=at - start)
        self._host = host
        self._at = at = max(self._at, self._wrong_time(event.at, host))
        if at > MAX_AT:
            raise PastAllTimeError(
                f"{event_label(event)}: warped, its time is past the last one of any log"
            )
        self._gap.update(event)
        if event.kind == "state_changed":
            return _placeholder(event, at)
        if event.kind == "checkpoint":
            return self._checkpoint(event, at)
        if event.kind == "breaker_configured":
            self._known.add(event.breaker)
        if isinstance(event, CallSucceeded | CallFailed | CallIgnored) and event.took:
            took = self._wrong_time(event.at, host) - self._wrong_time(event.at - event.took, host)
            took = min(MAX_WHOLE, max(0, took))
            if took != event.took:
                event = evolve(event, took=took)
        return _timed(event, at)

    def _checkpoint(self, event: Checkpoint, at: int) -> Event:
        """Replace a checkpoint of a known state; keep others with their times moved."""
        whole = self._parts.joined(event)
        if whole is None or (event.breaker in self._known and not self._gap.is_gap):
            return _placeholder(event, at)
        self._known.add(event.breaker)
        state = restore(whole)
        kernel.retime(state, lambda moment: max(0, min(at, self._wrong_time(moment, self._host))))
        return Checkpoint(event.seq, at, event.breaker, dump(state))


_REST: Final[dict[type, Callable[[object], tuple[object, ...]]]] = {}
"""A getter per class of event for the fields after ``seq`` and ``at``; faster than ``evolve``."""


def _timed(event: Event, at: int) -> Event:
    """Return the event at another time; its ``monotonic`` moves by the same amount."""
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


def _placeholder(event: Event, at: int) -> LogSealed:
    """Return a seal to replace a derived event, so that ``seq`` has no gap."""
    return LogSealed(event.seq, at, 0, "")
