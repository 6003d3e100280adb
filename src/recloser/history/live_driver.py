"""Drives live breakers with recorded calls, which gives a history to replay."""

import heapq
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain, count, islice
from typing import Final, TypeAlias, cast

from attrs import frozen

from recloser.clock import ManualClock
from recloser.core.config import CircuitBreakerConfig
from recloser.core.events import CallObserved, Event, LogOpened, Outcome
from recloser.errors import NotALogError
from recloser.history.driven_breaker import DrivenBreaker
from recloser.history.warping import WarpedClock, warped
from recloser.history.warps import Warp, bending
from recloser.live.breaker import CircuitBreaker
from recloser.live.decision import Permit
from recloser.live.event_log import FLUSH_EVERY
from recloser.live.live_log import Log
from recloser.live.memory_log import PassingLog
from recloser.log.codec import decode_lines, encode, full
from recloser.log.reader import LogReader

_SORTED_IN_MEMORY: Final = 20_000
_FETCHED: Final = 500
_REPORT_EVERY: Final = 500

OnDriven: TypeAlias = Callable[[int, int], None]
"""Called with the number of calls driven and about the number of all calls."""


def drive(
    events: Iterable[Event],
    config: CircuitBreakerConfig,
    log: Log,
    warps: Sequence[Warp] = (),
    on_driven: OnDriven | None = None,
) -> None:
    """Drive live breakers with recorded calls.

    Each call asks its breaker at the time of its start, and reports at the time of its end. At
    equal times, ends come before starts. The breakers' clock shows the ``at`` of the trace. The
    outcome of a rejected call is not reported.

    Args:
        events: A trace: its ``log_opened``, and ``call_observed`` events.
        config: The configuration of each breaker.
        log: An empty log for what the breakers write; it is left open.
        warps: Faults of the clocks, both of the trace and of the breakers.
        on_driven: Called now and then with the number of calls driven and the total.
    """
    for _ in _driving(events, config, log, warps, on_driven):
        pass


@frozen
class DrivenEvents:
    """The events that breakers write when a trace drives them.

    Each iteration drives new breakers, so neither the trace nor the events need be kept.

    Attributes:
        trace: A trace: its ``log_opened``, and ``call_observed`` events.
        config: The configuration of each breaker.
        warps: Faults of the clocks, both of the trace and of the breakers.
        on_driven: Called now and then with the number of calls driven and the total.
    """

    trace: Iterable[Event]
    config: CircuitBreakerConfig
    warps: Sequence[Warp] = ()
    on_driven: OnDriven | None = None

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            yield from map(full, batch)

    def batches(self) -> Iterator[Sequence[Event]]:
        """Yield the events, many at a time; events of calls are lean if the trace's are."""
        log = PassingLog(tick_seconds=None)
        for _ in _driving(self.trace, self.config, log, self.warps, self.on_driven):
            yield log.passed()


def _driving(
    events: Iterable[Event],
    config: CircuitBreakerConfig,
    log: Log,
    warps: Sequence[Warp],
    on_driven: OnDriven | None,
) -> Iterator[None]:
    """Do what ``drive`` does, and yield whenever the log has been flushed."""
    bent = bending(warps)
    if isinstance(events, LogReader) and not bent:
        events = chain.from_iterable(events.batches())
    counter = count()
    opened, calls = _opened(event for event, _ in zip(warped(events, bent), counter, strict=False))
    driver = LiveDriver(opened, config, log, warps)
    log.flush()
    yield
    total = 0
    for started, call in enumerate(calls):
        driver.start(call)
        if on_driven is not None and started % _REPORT_EVERY == 0:
            # Sorting the calls by start read all events before the first call was driven, so the
            # counter has counted all of them.
            total = total or next(counter)
            on_driven(started, total)
        if started % FLUSH_EVERY == 0:
            log.flush()
            yield
    driver.finish()
    log.flush()
    yield


def read_trace(events: Iterable[Event]) -> tuple[LogOpened, Iterator[CallObserved]]:
    """Return the header of a trace, and its calls in the order of their starts.

    Raises:
        NotALogError: The trace does not begin with ``log_opened``.
    """
    opened, calls = _opened(events)
    return opened, map(full, calls)


def _opened(events: Iterable[Event]) -> tuple[LogOpened, Iterator[CallObserved]]:
    """Return the header of a trace, and its calls by start; they may be lean."""
    rest = iter(events)
    first = next(rest, None)
    opened = None if first is None else full(first)
    if not isinstance(opened, LogOpened):
        raise NotALogError("a trace begins with a log_opened event")
    calls = (event for event in rest if event.kind == "call_observed")
    return opened, by_start(cast("Iterator[CallObserved]", calls))


def by_start(calls: Iterator[CallObserved]) -> Iterator[CallObserved]:
    """Sort calls, which a log has in the order of their ends, by their starts.

    Memory use is bounded: more than 20,000 calls are sorted on disk, and yielded as lean events (see
    ``log.codec.lean``).
    """
    first = list(islice(calls, _SORTED_IN_MEMORY))
    if len(first) < _SORTED_IN_MEMORY:
        yield from sorted(first, key=lambda call: (call.start, call.seq))
        return
    with closing(sqlite3.connect("")) as database:  # a temporary file, removed when closed
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("CREATE TABLE calls (start INTEGER, seq INTEGER, line BLOB)")
        database.executemany(
            "INSERT INTO calls VALUES (?, ?, ?)",
            ((call.start, call.seq, encode(call)) for call in chain(first, calls)),
        )
        del first
        rows = database.execute("SELECT line FROM calls ORDER BY start, seq")
        while lines := [line for (line,) in rows.fetchmany(_FETCHED)]:
            batch = decode_lines(b"".join(lines), len(lines))
            assert batch is not None
            yield from cast("Sequence[CallObserved]", batch)


class LiveDriver:
    """Live breakers that are driven by the calls of a trace, one after the other.

    Args:
        opened: The header of the trace.
        config: The configuration of each breaker.
        log: The log to which they write.
        warps: Faults of their clock, without those that change elapsed time: the caller applies
            these to the calls.
    """

    def __init__(
        self,
        opened: LogOpened,
        config: CircuitBreakerConfig,
        log: Log,
        warps: Sequence[Warp] = (),
    ) -> None:
        self._clock = ManualClock(start=opened.wall, boot_id="")
        self._config = config
        self._log = log
        self._now = 0
        self._breakers: dict[str, CircuitBreaker] = {}
        # A heap of the calls in flight, by the time of their end.
        self._in_flight: list[tuple[int, int, CallObserved, Permit]] = []
        self._sequencer = log.attach(WarpedClock(self._clock, warps) if warps else self._clock)
        self._sequencer.disable_fast_paths()

    def start(self, call: CallObserved) -> None:
        """Start the next call, after reporting all calls that ended before."""
        self._report_until(call.start)
        self._move_to(call.start)
        breaker = self._breakers.get(call.breaker)
        if breaker is None:
            breaker = DrivenBreaker(call.breaker, self._config, log=self._log)
            self._breakers[call.breaker] = breaker
        if self._sequencer.fold.next_deadline is not None:
            # A deadline may be due, and a rejected call does not check for it.
            self._sequencer.fold_buffered()
        permit = breaker.before_call().permit
        if permit is not None:
            heapq.heappush(self._in_flight, (call.at, call.seq, call, permit))

    def finish(self) -> None:
        """Report all calls in flight."""
        while self._in_flight:
            self._report_first()

    def _report_until(self, at: int) -> None:
        while self._in_flight and self._in_flight[0][0] <= at:
            self._report_first()

    def _report_first(self) -> None:
        at, _, call, permit = heapq.heappop(self._in_flight)
        self._move_to(at)
        breaker = self._breakers[call.breaker]
        if call.outcome is Outcome.SUCCEEDED:
            breaker.after_success(permit, took_ns=call.took)
        elif call.outcome is Outcome.FAILED:
            breaker.after_failure(permit, call.error, took_ns=call.took)
        else:
            breaker.after_ignored(permit, call.error, took_ns=call.took)

    def _move_to(self, at: int) -> None:
        self._clock.advance(ns=at - self._now)
        self._now = at
