"""Compares two histories: the edges that differ, and the first event that does."""

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
from recloser.history.summary import HistorySummary

_Transition: TypeAlias = tuple[int, str, str, str]

# Events about the log itself, those compared elsewhere, and those that follow from others.
_NOT_COMPARED: Final = (LogOpened, LogSealed, ClockTicked, Checkpoint, BreakerConfigured, Edge)


class Change(Enum):
    """The kind of difference between an edge in the old and in the new history."""

    MOVED = "moved"
    GONE = "gone"
    ADDED = "added"
    REPLACED = "replaced"
    OTHER_CAUSE = "other_cause"
    RENUMBERED = "renumbered"


@frozen
class EdgeDifference:
    """The first edge of a breaker that differs between two histories.

    Attributes:
        breaker: The breaker's name.
        number: The position among the breaker's edges, from 1.
        change: The kind of difference.
        old: The edge in the old history; None if the new one has an additional edge.
        new: The edge in the new history; None if it is gone.
        further: Number of later edges that only one of the histories has.
    """

    breaker: str
    number: int
    change: Change
    old: Edge | None
    new: Edge | None
    further: int

    @property
    def moved_ns(self) -> int:
        """Nanoseconds by which the edge is later in the new history; negative if earlier."""
        return self.new.at - self.old.at if self.old and self.new else 0

    @property
    def sides(self) -> Sequence[Edge]:
        """The edge in each history that has it, the earlier first."""
        edges = [edge for edge in (self.old, self.new) if edge is not None]
        return sorted(edges, key=lambda edge: (edge.at, edge.seq))


@frozen
class SettingDifference:
    """A setting that differs between two histories.

    Attributes:
        breaker: The breaker's name; empty if all breakers differ in this way.
        name: The setting.
        old: Its value in the old history.
        new: Its value in the new history.
    """

    breaker: str
    name: str
    old: object
    new: object


@frozen
class TotalsDifference:
    """The numbers of a breaker's calls that differ between two histories.

    Attributes:
        breaker: The breaker's name.
        old: The numbers in the old history; None if the breaker is not in it.
        new: The numbers in the new history; None if the breaker is not in it.
    """

    breaker: str
    old: Totals | None
    new: Totals | None


@frozen
class DivergingEvent:
    """The first event at which two histories differ.

    Attributes:
        old: The event in the old log; None if it is unknown or missing there.
        new: The event in the new log; None if it is unknown or missing there. If both are the same
            event, it fired an edge in only one of the histories.
    """

    old: Event | None
    new: Event | None

    @property
    def event(self) -> Event:
        """The event in the new log, or in the old one if it is missing there."""
        event = self.new or self.old
        assert event is not None
        return event


@frozen
class Comparison:
    """The differences between two histories; false if there are none.

    Attributes:
        settings: The settings that differ.
        edges: The first edge of each breaker that differs, in the order of time.
        totals: The numbers of calls that differ, by breaker.
        digests: The digests of the old and the new history.
        event: The first event at which they differ; None if there is none or it is unknown.
    """

    settings: Sequence[SettingDifference]
    edges: Sequence[EdgeDifference]
    totals: Sequence[TotalsDifference]
    digests: tuple[str, str]
    event: DivergingEvent | None = None

    def __bool__(self) -> bool:
        old, new = self.digests
        return bool(self.settings or self.edges or self.totals) or old != new


def compare(
    old: HistorySummary,
    new: HistorySummary,
    *,
    same_log: bool,
    old_events: Iterable[Event] | None = None,
    new_events: Iterable[Event] | None = None,
) -> Comparison:
    """Compare two histories.

    Args:
        old: The old history.
        new: The new history.
        same_log: Whether both come from one log, so that the ``seq`` numbers of the edges and of
            the calls that caused them must be equal too.
        old_events: The events of the old history, if available.
        new_events: The events of the new history, if available.
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
    return evolve(comparison, event=_diverging_event(edges, old_events, new_events))


def _edge_differences(
    old: HistorySummary, new: HistorySummary, *, same_log: bool
) -> Iterator[EdgeDifference]:
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
    """Whether an edge is among the others, but not the first of them."""
    wanted = _transition(edge)
    return wanted != _transition(others[0]) and any(
        _transition(other) == wanted for other in others[1:]
    )


def _further(old: Sequence[Edge], new: Sequence[Edge]) -> int:
    in_old, in_new = Counter(map(_transition, old)), Counter(map(_transition, new))
    return max((in_old - in_new).total(), (in_new - in_old).total())


def _transition(edge: Edge) -> _Transition:
    return (edge.at, edge.from_state.value, edge.to_state.value, edge.trigger.value)


def _unnumbered(edge: Edge) -> Edge:
    """Return an edge without the ``seq`` numbers, which differ between logs."""
    cause = evolve(edge.cause, seqs=(0,) * len(edge.cause.seqs), span=())
    return evolve(edge, seq=0, cause=cause)


def _setting_differences(old: HistorySummary, new: HistorySummary) -> Sequence[SettingDifference]:
    old_settings, new_settings = old.settings_of(), new.settings_of()
    differing = [
        (breaker, list(_settings_that_differ(old_settings[breaker], new_settings[breaker])))
        for breaker in sorted(old_settings.keys() & new_settings.keys())
    ]
    if differing and all(settings == differing[0][1] for _, settings in differing):
        differing = [("", differing[0][1])]  # a difference that all breakers share is listed once
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


def _totals_differences(old: HistorySummary, new: HistorySummary) -> Iterator[TotalsDifference]:
    for breaker in sorted({**old.totals, **new.totals}):
        was, now = old.totals.get(breaker), new.totals.get(breaker)
        if was != now:
            yield TotalsDifference(breaker, was, now)


def _diverging_event(
    edges: Sequence[EdgeDifference],
    old_events: Iterable[Event] | None,
    new_events: Iterable[Event] | None,
) -> DivergingEvent | None:
    unlike: DivergingEvent | None = None
    if old_events is not None and new_events is not None:
        unlike = _first_unlike(old_events, new_events)
    for edge in edges[0].sides if edges else ():
        # Up to here the histories are equal, so both logs have the event, with the same `seq`.
        is_new = edge is edges[0].new
        for events in (new_events, old_events) if is_new else (old_events, new_events):
            fired = None if events is None else _last_before(edge, events)
            if fired is None:
                continue
            there = None if unlike is None else unlike.new if is_new else unlike.old
            # If only one log has the event, the logs differ from there on, even if it fired the
            # edge.
            return unlike if there and there.seq <= fired.seq else DivergingEvent(fired, fired)
    return unlike


def _last_before(edge: Edge, events: Iterable[Event]) -> Event | None:
    """Return the event that fired an edge: the last one before it that is not an edge."""
    last: Event | None = None
    for event in events:
        if event.seq >= edge.seq:
            break
        if event.kind != "state_changed":
            last = event
    return last if last is not None and last.at == edge.at else None


def _first_unlike(old: Iterable[Event], new: Iterable[Event]) -> DivergingEvent | None:
    for was, now in zip_longest(_compared(old), _compared(new)):
        if was is None or now is None or (was != now and evolve(was, seq=now.seq) != now):
            return DivergingEvent(was, now)
    return None


def _compared(events: Iterable[Event]) -> Iterator[Event]:
    return (event for event in events if not isinstance(event, _NOT_COMPARED))
