"""The engine: folds a log's events and compares the edges with those that it witnessed."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve

from recloser.core.config import CircuitBreakerConfig, Settings, as_config
from recloser.core.events import CallObserved, ClockTicked, Edge, Event, LogOpened, LogSealed
from recloser.errors import ConfigError, FoldError, NotALogError
from recloser.history.batches import BatchFold, OutOfStepError
from recloser.history.history import History
from recloser.history.live_driver import DrivenEvents, OnDriven, drive
from recloser.history.parallel import fold_parts, split
from recloser.history.timeline import Timeline
from recloser.history.warping import WarpedEvents, warped
from recloser.history.warps import Warp, bending
from recloser.history.witnesses import WitnessedFold
from recloser.live.live_log import Log
from recloser.log.reader import PARQUET_SUFFIX, LogReader
from recloser.log.tail import Tail

if TYPE_CHECKING:
    from recloser.history.columnar.columnar_fold import ColumnHistory
    from recloser.log.parquet import About


def read_events(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The typed events of a log, a folder or one segment, in their order.

    Raises:
        LogError: It is no log, or not whole; no event is handed out before its seal is checked.
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

    A log that breakers wrote is folded and its witnesses are compared. Imported traffic drives
    breakers of the given configuration instead, and the log that they write is folded.

    Args:
        source: A log's folder or file, or any iterable of events.
        config: What to drive imported traffic with, as a configuration or a mapping of settings; by
            default ``CircuitBreakerConfig()``.
        into: The log to drive imported traffic into, timed by nothing yet; by default what the
            breakers write is not kept, and driven anew for who iterates ``events``.
        warps: What to take as wrong with the clocks.
        jobs: How many processes may fold the segments of a log that breakers wrote; None: as many
            as there are processors, where the log is long enough for it to pay. What is returned is
            the same.
        on_driven: Told how many calls have been driven, of how many.

    Raises:
        LogError: The log can't be read or is damaged.
        ConfigError: ``config`` or ``into`` is given for a log that breakers wrote, or ``config`` is
            no configuration.
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
    except NeedsEventsError as reason:
        return evolve(fold_history(events), because=str(reason))


def refuse_settings(events: Iterable[Event], settings: object) -> None:
    """Refuse what is given for a log that is not driven.

    Raises:
        ConfigError: Settings are given, and the log was written by breakers.
    """
    if settings is not None and not is_traffic(events):
        raise ConfigError(
            "this log was written by breakers, whose configuration is in it; "
            "settings can be given only for imported traffic"
        )


def is_traffic(events: Iterable[Event]) -> bool:
    """Whether a log holds imported traffic, and not the events of breakers."""
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
    """Fold the events of a log that breakers wrote and compare its witnesses.

    Under a warp that bends time there are no witnesses: what was recorded happened in another time.

    Args:
        events: Those of a log.
        warps: What to take as wrong with the clocks.
        jobs: How many processes may fold the parts of a log on disk; None: as many as it pays to.

    Raises:
        LogError: The log can't be read or is damaged.
    """
    if isinstance(events, LogReader | DrivenEvents) and not warps:
        history = None
        if isinstance(events, LogReader) and jobs != 1:
            history = _fold_in_parts(events, jobs)
        if history is None:
            history = _fold_in_batches(events)
        if history is not None:
            return history
    return _fold_singly(events, warps)


def _fold_in_parts(log: LogReader, jobs: int | None) -> History | None:
    """As ``_fold_in_batches``, by several processes; None where one does as well."""
    parts = split(log.listed(), jobs)
    folded = fold_parts(parts, log.on_read) if len(parts) > 1 else None
    if folded is None:
        return None
    log.tail = folded[-1].tail
    timeline = Timeline()
    for part in folded:
        timeline.join(part.timeline)
    return History(
        edges=[edge for part in folded for edge in part.edges],
        snapshots=folded[-1].snapshots,
        witnesses=sum(part.witnesses for part in folded),
        differences=[],
        timeline=timeline,
        events=log,
        count=sum(part.count for part in folded),
        tail=log.tail,
    )


def _fold_in_batches(log: LogReader | DrivenEvents) -> History | None:
    """The history of a log in which nothing is amiss; None where something may be."""
    fold = BatchFold()
    try:
        try:
            if isinstance(log, LogReader) and log.path.suffix != PARQUET_SUFFIX:
                for lines in log.stretches():
                    fold.take_lines(lines)
            else:
                for batch in log.batches():
                    fold.take(batch)
        finally:
            fold.settle()
    except (OutOfStepError, FoldError):
        return None
    return _history(log, fold.witnessed, fold.edges, fold.timeline, fold.count)


def _fold_singly(events: Iterable[Event], warps: Sequence[Warp]) -> History:
    is_witnessed = not bending(warps)
    witnessed = WitnessedFold()
    take = witnessed.take if is_witnessed else witnessed.fold.apply
    edges: list[Edge] = []
    timeline = Timeline()
    count = 0
    for event in warped(events, warps):
        count += 1
        try:
            edges += take(event)
        except FoldError as error:
            witnessed.refuse(event, error)
            break
        if event.kind in ("log_opened", "clock_ticked"):
            timeline.add(event)
    told = WarpedEvents(events, warps) if warps else events
    return _history(told, witnessed, edges, timeline, count)


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
        witnessed.finish()
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
