"""Read the calls of a log into one table per breaker.

Imported traffic holds the outcome of every call. A log that breakers wrote holds the outcomes of the
calls that were let through. Of a rejected call it holds only the time: such a call gets the outcome
``UNKNOWN`` and is assumed to take the median duration of its breaker's other calls.

An outcome event is written when the call ends, so its call started at ``at - took``.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Self

from attrs import define, evolve

from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import (
    REFUSED,
    CallFailed,
    CallIgnored,
    CallObserved,
    CallSucceeded,
    Edge,
    Event,
    Outcome,
    ProbeAdmitted,
)
from recloser.core.log_fold import LogFold
from recloser.errors import ConfigError, NotALogError
from recloser.history.timeline import Timeline
from recloser.log.codec import full
from recloser.log.reader import LogReader
from recloser.simulate.call_table import OUTCOME_CODES, UNKNOWN, Calls
from recloser.simulate.expansion_limit import ExpansionLimit

_NAMES_SHOWN: Final = 10


@define
class Traffic:
    """All calls of a log.

    Attributes:
        calls: The calls of each breaker, by name.
        recorded: Whether breakers wrote the log; if so, ``configs`` and ``edges`` are theirs.
        configs: The last settings of each breaker, by name; empty for imported traffic.
        edges: The edges in the log, in its order; empty for imported traffic.
        lost: How many events could not be written to the log.
        horizon: When the last event or call ended, in nanoseconds of the log's time.
        timeline: Converts the log's time to wall time.
    """

    calls: dict[str, Calls]
    recorded: bool
    configs: Mapping[str, CircuitBreakerConfig]
    edges: Sequence[Edge]
    lost: int
    horizon: int
    timeline: Timeline

    @classmethod
    def imported(cls, calls: dict[str, Calls], last_at: int, timeline: Timeline) -> Self:
        """Make imported traffic, which was recorded by something other than a breaker.

        Args:
            calls: The calls of each breaker, by name; each table has at least one call.
            last_at: When the last event was, in nanoseconds of the log's time.
            timeline: Converts the log's time to wall time.
        """
        horizon = max(last_at, *(each.last_end for each in calls.values()))
        return cls(
            calls,
            recorded=False,
            configs={},
            edges=(),
            lost=0,
            horizon=horizon,
            timeline=timeline,
        )

    @property
    def total(self) -> int:
        """How many calls there are."""
        return sum(len(calls) for calls in self.calls.values())

    @property
    def unknown(self) -> int:
        """How many calls have an unknown outcome."""
        return sum(calls.count(UNKNOWN) for calls in self.calls.values())

    def only(self, breaker: str) -> "Traffic":
        """The same traffic with the calls of one breaker only.

        Raises:
            ConfigError: The breaker has no calls.
        """
        if breaker not in self.calls:
            some = ", ".join(list(self.calls)[:_NAMES_SHOWN])
            raise ConfigError(f"no breaker {breaker!r} has calls in this log; these have: {some}")
        return evolve(self, calls={breaker: self.calls[breaker]})


def read_traffic(events: Iterable[Event]) -> Traffic:
    """Read the calls of imported traffic, or of a log that breakers wrote.

    Raises:
        LogError: The log can't be read, is damaged, or holds no call.
        FoldError: An event is impossible in the state that precedes it.
    """
    columns = events.columns() if isinstance(events, LogReader) else None
    if columns is not None and columns.about.traffic:
        from recloser.history.columnar.exported_log import whole_log_events
        from recloser.simulate.parquet_calls import calls_in_parquet

        calls = calls_in_parquet(columns)
        if calls:
            timeline = Timeline(whole_log_events(columns))
            return Traffic.imported(calls, columns.about.last_at, timeline)
    reader = _CallReader()
    for event in _events_of(events):
        reader.add(event)
    return reader.traffic()


def _events_of(events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events of a log; an observed call stays in its faster, lean form."""
    if not isinstance(events, LogReader):
        yield from events
        return
    for batch in events.batches():
        for event in batch:
            yield event if event.kind == "call_observed" else full(event)


class _CallRows:
    """The calls of one breaker, in the order of the log."""

    def __init__(self) -> None:
        self.starts, self.ends, self.durations = array("q"), array("q"), array("q")
        self.outcomes = bytearray()
        # When each probe that has not reported yet was admitted, by its epoch and probe number.
        self.unreported: dict[tuple[int, int], int] = {}

    def add(self, start: int, took: int, code: int) -> None:
        start = max(0, start)
        self.starts.append(start)
        self.ends.append(start + took)
        self.durations.append(took)
        self.outcomes.append(code)

    def add_many(self, start: int, took: int, code: int, count: int) -> None:
        start = max(0, start)
        self.starts.extend(array("q", (start,)) * count)
        self.ends.extend(array("q", (start + took,)) * count)
        self.durations.extend(array("q", (took,)) * count)
        self.outcomes += bytes((code,)) * count

    def calls(self, breaker: str) -> Calls:
        for at in self.unreported.values():
            self.add(at, 0, UNKNOWN)
        return Calls.from_log(breaker, self.starts, self.ends, self.durations, bytes(self.outcomes))


class _CallReader:
    def __init__(self) -> None:
        self._fold = LogFold()
        self._rows: dict[str, _CallRows] = {}
        self._edges: list[Edge] = []
        self._timeline = Timeline()
        self._recorded = False
        self._lost = 0
        self._limit = ExpansionLimit()

    def add(self, event: Event) -> None:
        self._edges += self._fold.apply(event)
        if event.kind == "call_observed":
            self._observe(event)
        elif isinstance(event, CallSucceeded | CallFailed | CallIgnored):
            self._report(event)
        elif event.kind == "call_rejected":
            self._recorded = True
            # In shadow mode the call was made all the same, and its outcome is an event too.
            if self._fold.breakers[event.breaker].mode != "shadow":
                rows = self._rows_of(event.breaker)
                self._limit.add(event.seq, event.count)
                rows.add_many(event.at, 0, UNKNOWN, event.count)
        elif event.kind == "probe_admitted":
            self._recorded = True
            self._rows_of(event.breaker).unreported[_permit(event)] = event.at
        elif event.kind == "log_gap":
            self._lost += event.lost
        elif event.kind in ("log_opened", "clock_ticked"):
            self._timeline.add(event)
        elif event.kind == "breaker_configured":
            self._recorded = True

    def _observe(self, event: CallObserved) -> None:
        is_rejected = event.outcome is Outcome.IGNORED and REFUSED in event.labels
        code = UNKNOWN if is_rejected else OUTCOME_CODES[event.outcome.value]
        self._rows_of(event.breaker).add(event.start, event.took, code)

    def _report(self, event: CallSucceeded | CallFailed | CallIgnored) -> None:
        self._recorded = True
        rows = self._rows_of(event.breaker)
        if event.probe:
            rows.unreported.pop(_permit(event), None)
        code = OUTCOME_CODES[event.kind.removeprefix("call_")]
        count = event.count if event.kind == "call_succeeded" else 1
        start = event.at - event.took
        if count == 1:
            rows.add(start, event.took, code)
        else:
            self._limit.add(event.seq, count)
            rows.add_many(start, event.took, code, count)

    def _rows_of(self, breaker: str) -> _CallRows:
        rows = self._rows.get(breaker)
        if rows is None:
            rows = self._rows[breaker] = _CallRows()
        return rows

    def traffic(self) -> Traffic:
        tables = {name: rows.calls(name) for name, rows in sorted(self._rows.items())}
        calls = {name: table for name, table in tables.items() if len(table)}
        if not calls:
            raise NotALogError("there is no call in this log")
        return Traffic(
            calls=calls,
            recorded=self._recorded,
            configs={name: state.config for name, state in self._fold.breakers.items()},
            edges=self._edges,
            lost=self._lost,
            horizon=max(self._fold.at, *(table.last_end for table in calls.values())),
            timeline=self._timeline,
        )


def _permit(event: CallSucceeded | CallFailed | CallIgnored | ProbeAdmitted) -> tuple[int, int]:
    return event.epoch, event.probe
