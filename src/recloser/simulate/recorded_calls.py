"""Traffic: the calls of a log, whoever recorded it, as columns for each breaker.

Imported traffic tells every outcome. A log that breakers wrote tells those of the calls that were
let through; of a refused call nothing is known but its time. Its outcome is then ``UNKNOWN``, and
it is taken to last as long as the median of its breaker's other calls. A call that was recorded
started at ``at - took``.
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
from recloser.simulate.run_bound import ExpansionLimit

_NAMES_TOLD: Final = 10


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

    @classmethod
    def imported(cls, calls: dict[str, Calls], last_at: int, timeline: Timeline) -> Self:
        """That which was recorded by something else than breakers.

        Args:
            calls: The calls of each breaker, by name; none is without any.
            last_at: When the last event was, in nanoseconds of the log.
            timeline: Dates the moments of the log.
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
    columns = events.columns() if isinstance(events, LogReader) else None
    if columns is not None and columns.about.traffic:
        from recloser.history.columnar.exported_log import whole_log_events
        from recloser.simulate.parquet_calls import calls_in_parquet

        calls = calls_in_parquet(columns)
        if calls:
            timeline = Timeline(whole_log_events(columns))
            return Traffic.imported(calls, columns.about.last_at, timeline)
    reading = _Reading()
    for event in _lean_if_observed(events):
        reading.take(event)
    return reading.traffic()


def _lean_if_observed(events: Iterable[Event]) -> Iterator[Event]:
    """The events, of which observed calls need not be made whole."""
    if not isinstance(events, LogReader):
        yield from events
        return
    for batch in events.batches():
        for event in batch:
            yield event if event.kind == "call_observed" else full(event)


class _Gathered:
    """The calls of one breaker in the order in which the log tells of them."""

    def __init__(self) -> None:
        self.starts, self.ends, self.tooks = array("q"), array("q"), array("q")
        self.outcomes = bytearray()
        self.unreported: dict[tuple[int, int], int] = {}

    def add(self, start: int, took: int, code: int) -> None:
        start = max(0, start)
        self.starts.append(start)
        self.ends.append(start + took)
        self.tooks.append(took)
        self.outcomes.append(code)

    def add_alike(self, start: int, took: int, code: int, count: int) -> None:
        start = max(0, start)
        self.starts.extend(array("q", (start,)) * count)
        self.ends.extend(array("q", (start + took,)) * count)
        self.tooks.extend(array("q", (took,)) * count)
        self.outcomes += bytes((code,)) * count

    def calls(self, breaker: str) -> Calls:
        for at in self.unreported.values():
            self.add(at, 0, UNKNOWN)
        return Calls.from_log(breaker, self.starts, self.ends, self.tooks, bytes(self.outcomes))


class _Reading:
    def __init__(self) -> None:
        self._fold = LogFold()
        self._gathered: dict[str, _Gathered] = {}
        self._edges: list[Edge] = []
        self._timeline = Timeline()
        self._recorded = False
        self._lost = 0
        self._bound = ExpansionLimit()

    def take(self, event: Event) -> None:
        self._edges += self._fold.apply(event)
        if event.kind == "call_observed":
            self._observe(event)
        elif isinstance(event, CallSucceeded | CallFailed | CallIgnored):
            self._report(event)
        elif event.kind == "call_rejected":
            self._recorded = True
            if self._fold.breakers[event.breaker].mode != "shadow":  # in shadow it is reported too
                gathered = self._of(event.breaker)
                self._bound.take(event.seq, event.count)
                gathered.add_alike(event.at, 0, UNKNOWN, event.count)
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
        code = UNKNOWN if refused else OUTCOME_CODES[event.outcome.value]
        self._of(event.breaker).add(event.start, event.took, code)

    def _report(self, event: CallSucceeded | CallFailed | CallIgnored) -> None:
        self._recorded = True
        gathered = self._of(event.breaker)
        if event.probe:
            gathered.unreported.pop(_permit(event), None)
        code = OUTCOME_CODES[event.kind.removeprefix("call_")]
        count = event.count if event.kind == "call_succeeded" else 1
        start = event.at - event.took
        if count == 1:
            gathered.add(start, event.took, code)
        else:
            self._bound.take(event.seq, count)
            gathered.add_alike(start, event.took, code, count)

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
            horizon=max(self._fold.at, *(found.last_end for found in calls.values())),
            timeline=self._timeline,
        )


def _permit(event: CallSucceeded | CallFailed | CallIgnored | ProbeAdmitted) -> tuple[int, int]:
    return event.epoch, event.probe
