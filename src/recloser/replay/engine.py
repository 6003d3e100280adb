"""The engine: folds a log's events and compares the edges with those that it witnessed."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import attrs

from recloser.config import CircuitBreakerConfig
from recloser.errors import ConfigError, FoldError, NotALogError
from recloser.events import (
    CallObserved,
    Checkpoint,
    ClockTicked,
    Event,
    LogOpened,
    LogSealed,
    StateChanged,
)
from recloser.log.memory import MemoryLog
from recloser.log.reader import LogReader, Tail
from recloser.log.sequencer import Log
from recloser.logfold import LogFold
from recloser.replay.drive import drive
from recloser.replay.history import Difference, History
from recloser.replay.timeline import Timeline
from recloser.state import BreakerState, restore


def read_events(path: str | os.PathLike[str]) -> Iterator[Event]:
    """The typed events of a log, a folder or one segment, in their order.

    Raises:
        LogError: It is no log, or not whole; no event is handed out before its seal is checked.
    """
    return iter(LogReader(Path(path)))


def replay(
    source: str | os.PathLike[str] | Iterable[Event],
    *,
    config: CircuitBreakerConfig | None = None,
    into: Log | None = None,
) -> History:
    """Rebuild the history of every breaker in a log.

    A log that breakers wrote is folded and its witnesses are compared. Imported traffic drives
    breakers of the given configuration instead, and the log that they write is folded.

    Args:
        source: A log's folder or file, or any iterable of events.
        config: What to drive imported traffic with; by default ``CircuitBreakerConfig()``.
        into: The log to drive imported traffic into, timed by nothing yet; by default in memory.

    Raises:
        LogError: The log can't be read or is damaged.
        ConfigError: ``config`` or ``into`` is given for a log that breakers wrote.
    """
    events = _reiterable(source)
    if is_traffic(events):
        driven = MemoryLog(tick_seconds=None) if into is None else into
        drive(events, CircuitBreakerConfig() if config is None else config, driven)
        return fold_history(driven)
    if config is not None or into is not None:
        raise ConfigError(
            "this log was written by breakers, whose configuration is in it; "
            "settings can be given only for imported traffic"
        )
    return fold_history(events)


def is_traffic(events: Iterable[Event]) -> bool:
    """Whether a log holds imported traffic, and not the events of breakers."""
    about_all = (LogOpened, ClockTicked, LogSealed)
    calls = (event for event in events if not isinstance(event, about_all))
    return any(isinstance(event, CallObserved) for event in islice(calls, 1))


def _reiterable(source: str | os.PathLike[str] | Iterable[Event]) -> Iterable[Event]:
    if isinstance(source, str | os.PathLike):
        return LogReader(Path(source))
    return list(source) if isinstance(source, Iterator) else source


def fold_history(events: Iterable[Event]) -> History:
    """Fold the events of a log that breakers wrote and compare its witnesses.

    Raises:
        LogError: The log can't be read or is damaged.
    """
    replayed = _Replay()
    event: Event | None = None
    for event in events:
        try:
            replayed.take(event)
        except FoldError as error:
            replayed.refuse(event, error)
            break
    if event is None:
        raise NotALogError("there are no events in this log")
    tail = events.tail if isinstance(events, LogReader) else Tail()
    if not tail.unsealed:
        replayed.finish()
    fold = replayed.fold
    return History(
        edges=replayed.edges,
        snapshots={name: fold.snapshot(name) for name in sorted(fold.breakers)},
        witnesses=replayed.witnesses,
        differences=replayed.differences,
        timeline=replayed.timeline,
        events=events,
        count=replayed.count,
        tail=tail,
    )


class _Replay:
    def __init__(self) -> None:
        self.fold = LogFold()
        self.edges: list[StateChanged] = []
        self.differences: list[Difference] = []
        self.timeline = Timeline()
        self.witnesses = 0
        self.count = 0
        self._awaited: deque[StateChanged] = deque()
        self._is_gap = False

    def take(self, event: Event) -> None:
        self.count += 1
        if event.kind == "state_changed":
            self._compare(event)
        elif self._awaited:
            self._miss(event)
        if event.kind == "checkpoint":
            self._check(event)
        elif event.kind != "log_sealed":
            self._is_gap = event.kind == "log_gap"
        edges = self.fold.apply(event)
        self.edges += edges
        self._awaited.extend(edges)
        if event.kind in ("log_opened", "clock_ticked"):
            self.timeline.add(event)

    def finish(self) -> None:
        """Note witnesses that the end of a whole log leaves wanting."""
        for edge in self._awaited:
            self.differences.append(
                Difference(edge.seq, edge.breaker, _told(edge), "the end of the log")
            )

    def refuse(self, event: Event, error: FoldError) -> None:
        """Note an event that can't have happened; what follows it can't be folded."""
        self.differences.append(
            Difference(
                seq=event.seq,
                breaker=getattr(event, "breaker", ""),
                expected="an event that can happen in this state",
                got=str(error),
            )
        )
        self._awaited.clear()

    def _compare(self, witness: StateChanged) -> None:
        self.witnesses += 1
        awaited = self._awaited.popleft() if self._awaited else None
        if awaited != witness:
            expected = "no edge" if awaited is None else _told(awaited)
            self._differ(witness, expected)

    def _check(self, checkpoint: Checkpoint) -> None:
        """A checkpoint must be what the events before it lead to, unless some of them are lost."""
        state = self.fold.breakers.get(checkpoint.breaker)
        if state is None or self._is_gap:
            return
        told = restore(checkpoint)
        parted = [
            field.name
            for field in attrs.fields(BreakerState)
            if getattr(state, field.name) != getattr(told, field.name)
        ]
        if parted:
            self.differences.append(
                Difference(
                    seq=checkpoint.seq,
                    breaker=checkpoint.breaker,
                    expected="the state that the events before it lead to",
                    got=f"a checkpoint that differs in {', '.join(parted)}",
                )
            )

    def _miss(self, event: Event) -> None:
        """The witnesses of the event before should have stood here."""
        is_cut = event.kind == "log_gap" or (event.kind == "log_opened" and event.unsealed > 0)
        if not is_cut:
            # A process that died, or a disk, may have left the event and not its witness.
            self._differ(event, _told(self._awaited[0]))
        self._awaited.clear()

    def _differ(self, event: Event, expected: str) -> None:
        breaker = getattr(event, "breaker", "") or (
            self._awaited[0].breaker if self._awaited else ""
        )
        got = _told(event) if event.kind == "state_changed" else event.kind
        self.differences.append(Difference(event.seq, breaker, expected, got))


def _told(edge: StateChanged) -> str:
    cause = edge.cause
    evidence = f", on seq {', '.join(map(str, cause.seqs))}" if cause.seqs else ""
    if cause.span:
        evidence = f" in {cause.calls} calls, on seq {cause.span[0]} to {cause.span[1]}"
    return (
        f"{edge.trigger.value} of {edge.breaker!r} from {edge.from_state.value} to "
        f"{edge.to_state.value} (epoch {edge.epoch}) at {edge.at} ns by {cause.rule.value}, "
        f"{cause.observed} of {cause.rate or cause.threshold}{evidence}"
    )
