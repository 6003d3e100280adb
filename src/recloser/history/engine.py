"""Replays a log: folds its events, and compares the edges with the recorded ones."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.events import CallObserved, ClockTicked, Edge, Event, LogOpened, LogSealed
from recloser.errors import ConfigError, FoldError, NotALogError
from recloser.history.batches import fold_log
from recloser.history.history import History
from recloser.history.live_driver import DrivenEvents, OnDriven, drive
from recloser.history.parallel import fold_ranges, split_log
from recloser.history.timeline import Timeline
from recloser.history.warping import WarpedEvents, warped
from recloser.history.warps import Warp, bending
from recloser.history.witnesses import WitnessedFold
from recloser.live.live_log import Log
from recloser.log.reader import LogReader
from recloser.log.tail import Tail

if TYPE_CHECKING:
    from recloser.history.columnar.columnar_fold import ColumnHistory
    from recloser.log.parquet import About


def read_events(path: str | os.PathLike[str]) -> Iterator[Event]:
    """Iterate over the events of a log, in order.

    No event is returned before its seal has been checked.

    Args:
        path: A folder of segments, one segment, or an exported Parquet file.

    Raises:
        LogError: While iterating: the path is not a log, or the log is damaged.
    """
    return iter(LogReader(Path(path)))


def replay(
    source: str | os.PathLike[str] | Iterable[Event],
    *,
    config: Settings | None = None,
    into: Log | None = None,
    warps: Sequence[Warp] = (),
    jobs: int | None = 1,
    on_driven: OnDriven | None = None,
) -> History:
    """Rebuild the history of every breaker in a log.

    A log that breakers wrote is folded, and the edges that it recorded are compared. Imported calls
    drive breakers of the given configuration instead, and the log that these write is folded.

    Args:
        source: A log's folder or file, or any iterable of events.
        config: The configuration for imported calls, or a mapping of settings; by default
            ``CircuitBreakerConfig()``.
        into: An empty log for what imported calls make breakers write. By default that is not kept,
            and each iteration over ``events`` drives the calls again.
        warps: Faults of the clocks to apply first.
        jobs: Number of processes that may fold the segments of a log that breakers wrote. None uses
            one per processor, if the log is long enough. The result is the same.
        on_driven: Called now and then with the number of calls driven and the total.

    Returns:
        The history, with every difference to the recorded edges in ``differences``.

    Raises:
        LogError: The log can't be read or is damaged.
        ConfigError: ``config`` or ``into`` is given for a log that breakers wrote, or ``config`` is
            invalid.
    """
    events = _reiterable(source)
    if is_traffic(events):
        settings = CircuitBreakerConfig() if config is None else as_config(config)
        if into is None:
            return fold_history(DrivenEvents(events, settings, warps, on_driven))
        drive(events, settings, into, warps, on_driven)
        return fold_history(into)
    refuse_settings(events, config or into)
    columns = events.columns() if isinstance(events, LogReader) and not warps else None
    if columns is None:
        return fold_history(events, warps, jobs=jobs)
    from recloser.history.columnar.columnar_fold import NeedsEventsError, fold_columns

    try:
        return _history_of(fold_columns(columns), events, columns.about)
    except NeedsEventsError as error:
        return evolve(fold_history(events), engine_reason=str(error))


def refuse_settings(events: Iterable[Event], settings: object) -> None:
    """Check that settings are given only for a log of imported calls.

    Raises:
        ConfigError: Settings are given, and breakers wrote the log.
    """
    if settings is not None and not is_traffic(events):
        raise ConfigError(
            "this log was written by breakers, whose configuration is in it; "
            "settings can be given only for imported traffic"
        )


def is_traffic(events: Iterable[Event]) -> bool:
    """Whether a log holds imported calls instead of the events of breakers."""
    columns = events.columns() if isinstance(events, LogReader) else None
    if columns is not None:
        return columns.about.traffic
    about_all = (LogOpened, ClockTicked, LogSealed)
    calls = (event for event in events if not isinstance(event, about_all))
    return any(isinstance(event, CallObserved) for event in islice(calls, 1))


def _reiterable(source: str | os.PathLike[str] | Iterable[Event]) -> Iterable[Event]:
    if isinstance(source, str | os.PathLike):
        return LogReader(Path(source))
    return list(source) if isinstance(source, Iterator) else source


def _history_of(found: "ColumnHistory", events: Iterable[Event], about: "About") -> History:
    timeline = Timeline()
    for reading in found.readings:
        timeline.add(reading)
    return History(
        edges=found.edges,
        snapshots=found.snapshots,
        witnesses=found.witnesses,
        differences=(),
        timeline=timeline,
        events=events,
        count=about.events,
        tail=about.tail,
        engine="columns",
    )


def fold_history(
    events: Iterable[Event], warps: Sequence[Warp] = (), *, jobs: int | None = 1
) -> History:
    """Fold the events of a log that breakers wrote, and compare the recorded edges.

    With a warp that changes elapsed times nothing is compared: the recorded edges belong to other
    times.

    Args:
        events: The events of a log.
        warps: Faults of the clocks to apply first.
        jobs: Number of processes that may fold a log on disk; None for as many as pay off.

    Raises:
        LogError: The log can't be read or is damaged.
    """
    if isinstance(events, LogReader | DrivenEvents) and not warps:
        history = None
        if isinstance(events, LogReader) and jobs != 1:
            history = _fold_in_parallel(events, jobs)
        if history is None:
            history = _fold_in_batches(events)
        if history is not None:
            return history
    return _fold_singly(events, warps)


def _fold_in_parallel(log: LogReader, jobs: int | None) -> History | None:
    """Fold a log by several processes; None if that does not pay or may be wrong."""
    ranges = split_log(log.listed(), jobs)
    folded = fold_ranges(ranges, log.on_read) if len(ranges) > 1 else None
    if folded is None:
        return None
    log.tail = folded[-1].tail
    timeline = Timeline()
    for each in folded:
        timeline.join(each.timeline)
    return History(
        edges=[edge for each in folded for edge in each.edges],
        snapshots=folded[-1].snapshots,
        witnesses=sum(each.witnesses for each in folded),
        differences=[],
        timeline=timeline,
        events=log,
        count=sum(each.count for each in folded),
        tail=log.tail,
    )


def _fold_in_batches(log: LogReader | DrivenEvents) -> History | None:
    """Fold a log in batches; None if ``_fold_singly`` must find out what is wrong."""
    fold = fold_log(log)
    if fold is None:
        return None
    return _history(log, fold.witnessed, fold.edges, fold.timeline, fold.count)


def _fold_singly(events: Iterable[Event], warps: Sequence[Warp]) -> History:
    is_witnessed = not bending(warps)
    witnessed = WitnessedFold()
    fold_event = witnessed.fold_event if is_witnessed else witnessed.fold.apply
    edges: list[Edge] = []
    timeline = Timeline()
    count = 0
    for event in warped(events, warps):
        count += 1
        try:
            edges += fold_event(event)
        except FoldError as error:
            witnessed.note_impossible(event, error)
            break
        if event.kind in ("log_opened", "clock_ticked"):
            timeline.add(event)
    folded = WarpedEvents(events, warps) if warps else events
    return _history(folded, witnessed, edges, timeline, count)


def _history(
    events: Iterable[Event],
    witnessed: WitnessedFold,
    edges: Sequence[Edge],
    timeline: Timeline,
    count: int,
) -> History:
    if count == 0:
        raise NotALogError("there are no events in this log")
    inner = events.events if isinstance(events, WarpedEvents) else events
    tail = inner.tail if isinstance(inner, LogReader) else Tail()
    if not tail.unsealed:
        witnessed.note_missing()
    fold = witnessed.fold
    return History(
        edges=edges,
        snapshots={name: fold.snapshot(name) for name in sorted(fold.breakers)},
        witnesses=witnessed.witnesses,
        differences=witnessed.differences,
        timeline=timeline,
        events=events,
        count=count,
        tail=tail,
    )
