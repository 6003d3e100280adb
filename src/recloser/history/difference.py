"""Where two histories part: the edges that differ, by how much, and the first event."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import zip_longest
from typing import Final, TypeAlias

from attrs import evolve, frozen

from recloser.core.events import (
    BreakerConfigured,
    Checkpoint,
    ClockTicked,
    Edge,
    Event,
    LogOpened,
    LogSealed,
)
from recloser.core.snapshot import Totals
from recloser.history.summary import Outline

_Transition: TypeAlias = tuple[int, str, str, str]

# What a log says of itself, what is told apart from this, and what follows from the rest.
_NOT_COMPARED: Final = (LogOpened, LogSealed, ClockTicked, Checkpoint, BreakerConfigured, Edge)


class Change(Enum):
    """What became of an edge."""

    MOVED = "moved"
    GONE = "gone"
    ADDED = "added"
    REPLACED = "replaced"
    OTHER_CAUSE = "other_cause"
    RENUMBERED = "renumbered"


@frozen
class EdgeDifference:
    """The first edge of a breaker that is not the same in both histories.

    Attributes:
        breaker: The breaker.
        number: Which of its edges, from 1.
        change: What became of it.
        old: The edge in the one history; None where the other has one more.
        new: The edge in the other; None where it is gone.
        further: How many edges behind it are in one of the two histories only.
    """

    breaker: str
    number: int
    change: Change
    old: Edge | None
    new: Edge | None
    further: int

    @property
    def moved_ns(self) -> int:
        """By how many nanoseconds it moved; negative where it is earlier now."""
        return self.new.at - self.old.at if self.old and self.new else 0

    @property
    def sides(self) -> Sequence[Edge]:
        """The edge in both histories, or the one, whichever was taken first."""
        edges = [edge for edge in (self.old, self.new) if edge is not None]
        return sorted(edges, key=lambda edge: (edge.at, edge.seq))


@frozen
class SettingDifference:
    """A setting that is not the same; ``breaker`` is empty where that is so for every breaker."""

    breaker: str
    name: str
    old: object
    new: object


@frozen
class TotalsDifference:
    """The calls of a breaker, where they are not the same; None where there is no such breaker."""

    breaker: str
    old: Totals | None
    new: Totals | None


@frozen
class PartingEvent:
    """The first event at which two histories part.

    Attributes:
        old: What stands there in the one log; None where that is not known, or nothing does.
        new: What stands there in the other. Where both are the same event, it fired an edge in one
            history and not in the other.
    """

    old: Event | None
    new: Event | None

    @property
    def event(self) -> Event:
        """One of the two."""
        event = self.new or self.old
        assert event is not None
        return event


@frozen
class Comparison:
    """How two histories differ; false if they do not.

    Attributes:
        settings: What was decided beforehand.
        edges: The first edge of each breaker that differs, in the order of time.
        totals: The calls of each breaker that differ.
        digests: Those of both.
        event: The first event at which they part; None where there is none, or it is not known.
    """

    settings: Sequence[SettingDifference]
    edges: Sequence[EdgeDifference]
    totals: Sequence[TotalsDifference]
    digests: tuple[str, str]
    event: PartingEvent | None = None

    def __bool__(self) -> bool:
        old, new = self.digests
        return bool(self.settings or self.edges or self.totals) or old != new


def compare(
    old: Outline,
    new: Outline,
    *,
    same_log: bool,
    old_events: Iterable[Event] | None = None,
    new_events: Iterable[Event] | None = None,
) -> Comparison:
    """Compare two histories.

    Args:
        old: The one.
        new: The other.
        same_log: Whether both are of one log, so that the ``seq`` of an edge and those of its
            evidence must be the same too.
        old_events: The events that ``old`` was folded from, where they are at hand.
        new_events: Those of ``new``.
    """
    edges = sorted(
        _edge_differences(old, new, same_log=same_log),
        key=lambda difference: (difference.sides[0].at, difference.sides[0].seq),
    )
    comparison = Comparison(
        settings=_setting_differences(old, new),
        edges=edges,
        totals=list(_totals_differences(old, new)),
        digests=(old.digest, new.digest),
    )
    if not comparison:
        return comparison
    return evolve(comparison, event=_parting_event(edges, old_events, new_events))


def _edge_differences(old: Outline, new: Outline, *, same_log: bool) -> Iterator[EdgeDifference]:
    old_edges, new_edges = old.edges_of(), new.edges_of()
    for breaker in sorted(old_edges | new_edges):
        difference = _first_difference(
            breaker, old_edges.get(breaker, []), new_edges.get(breaker, []), same_log=same_log
        )
        if difference is not None:
            yield difference


def _first_difference(
    breaker: str, old: Sequence[Edge], new: Sequence[Edge], *, same_log: bool
) -> EdgeDifference | None:
    for index, (was, now) in enumerate(zip_longest(old, new)):
        if was == now or (not same_log and was and now and _unnumbered(was) == _unnumbered(now)):
            continue
        change = _change(was, now, old[index:], new[index:])
        return EdgeDifference(
            breaker=breaker,
            number=index + 1,
            change=change,
            old=None if change is Change.ADDED else was,
            new=None if change is Change.GONE else now,
            further=_further(
                old[index + (change is not Change.ADDED) :],
                new[index + (change is not Change.GONE) :],
            ),
        )
    return None


def _change(was: Edge | None, now: Edge | None, old: Sequence[Edge], new: Sequence[Edge]) -> Change:
    if was is None or (now is not None and _is_later(was, new)):
        return Change.ADDED
    if now is None or _is_later(now, old):
        return Change.GONE
    if _transition(was)[1:] != _transition(now)[1:] or was.epoch != now.epoch:
        return Change.REPLACED
    if was.at != now.at:
        return Change.MOVED
    return Change.RENUMBERED if _unnumbered(was) == _unnumbered(now) else Change.OTHER_CAUSE


def _is_later(edge: Edge, others: Sequence[Edge]) -> bool:
    """Whether an edge is among the others, but not where it should be."""
    wanted = _transition(edge)
    return wanted != _transition(others[0]) and any(
        _transition(other) == wanted for other in others[1:]
    )


def _further(old: Sequence[Edge], new: Sequence[Edge]) -> int:
    counted, found = Counter(map(_transition, old)), Counter(map(_transition, new))
    return max((counted - found).total(), (found - counted).total())


def _transition(edge: Edge) -> _Transition:
    return (edge.at, edge.from_state.value, edge.to_state.value, edge.trigger.value)


def _unnumbered(edge: Edge) -> Edge:
    """The edge without the numbers that the events of its log happen to have."""
    cause = evolve(edge.cause, seqs=(0,) * len(edge.cause.seqs), span=())
    return evolve(edge, seq=0, cause=cause)


def _setting_differences(old: Outline, new: Outline) -> Sequence[SettingDifference]:
    old_settings, new_settings = old.settings_of(), new.settings_of()
    differing = [
        (breaker, list(_settings_that_differ(old_settings[breaker], new_settings[breaker])))
        for breaker in sorted(old_settings.keys() & new_settings.keys())
    ]
    if differing and all(settings == differing[0][1] for _, settings in differing):
        differing = [("", differing[0][1])]  # what all of them have in common is told once
    return [
        SettingDifference(breaker, *setting)
        for breaker, settings in differing
        for setting in settings
    ]


def _settings_that_differ(
    old: Sequence[Mapping[str, object]], new: Sequence[Mapping[str, object]]
) -> Iterator[tuple[str, object, object]]:
    if len(old) != len(new):
        yield "configurations", len(old), len(new)
    for was, now in zip(old, new, strict=False):
        for name in {**was, **now}:
            if was.get(name) != now.get(name):
                yield name, was.get(name), now.get(name)


def _totals_differences(old: Outline, new: Outline) -> Iterator[TotalsDifference]:
    for breaker in sorted({**old.totals, **new.totals}):
        was, now = old.totals.get(breaker), new.totals.get(breaker)
        if was != now:
            yield TotalsDifference(breaker, was, now)


def _parting_event(
    edges: Sequence[EdgeDifference],
    old_events: Iterable[Event] | None,
    new_events: Iterable[Event] | None,
) -> PartingEvent | None:
    unlike: PartingEvent | None = None
    if old_events is not None and new_events is not None:
        unlike = _first_unlike(old_events, new_events)
    for edge in edges[0].sides if edges else ():
        # Up to here the histories are one, so either log has the event, under the same number.
        is_new = edge is edges[0].new
        for events in (new_events, old_events) if is_new else (old_events, new_events):
            fired = None if events is None else _last_before(edge, events)
            if fired is None:
                continue
            there = None if unlike is None else unlike.new if is_new else unlike.old
            # An event that only one log has is where they part, even if it fired the edge.
            return unlike if there and there.seq <= fired.seq else PartingEvent(fired, fired)
    return unlike


def _last_before(edge: Edge, events: Iterable[Event]) -> Event | None:
    """The event that fired an edge, whose witnesses follow it."""
    last: Event | None = None
    for event in events:
        if event.seq >= edge.seq:
            break
        if event.kind != "state_changed":
            last = event
    return last if last is not None and last.at == edge.at else None


def _first_unlike(old: Iterable[Event], new: Iterable[Event]) -> PartingEvent | None:
    for was, now in zip_longest(_compared(old), _compared(new)):
        if was is None or now is None or (was != now and evolve(was, seq=now.seq) != now):
            return PartingEvent(was, now)
    return None


def _compared(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if not isinstance(event, _NOT_COMPARED))
