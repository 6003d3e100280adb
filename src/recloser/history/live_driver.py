"""Driving: imported traffic put through breakers, which then have a history of their own."""

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
_TOLD_EVERY: Final = 500

OnDriven: TypeAlias = Callable[[int, int], None]
"""Told how many calls have been driven, of about how many."""


def drive(
    events: Iterable[Event],
    config: CircuitBreakerConfig,
    log: Log,
    warps: Sequence[Warp] = (),
    on_driven: OnDriven | None = None,
) -> None:
    """Let each recorded call ask a breaker when it started and report when it ended.

    Calls go in the order of time, at one instant ends before starts. The breakers are live ones of
    ``config``, on a clock whose ``at`` is that of the trace. What a refused call would have come to
    is not reported.

    Args:
        events: A trace: its ``log_opened``, and ``call_observed`` events.
        config: The settings of each breaker.
        log: An empty log for what the breakers write, which is left open.
        warps: What is wrong with the clocks, those of the trace and that of the breakers.
        on_driven: Told how many calls have been driven, of how many, now and then.
    """
    for _ in _driving(events, config, log, warps, on_driven):
        pass


@frozen
class DrivenEvents:
    """What breakers write that are driven by a trace: driven anew each time this is iterated.

    So neither the trace nor what comes of it need be held. The parameters are those of ``drive``.
    """

    trace: Iterable[Event]
    config: CircuitBreakerConfig
    warps: Sequence[Warp] = ()
    on_driven: OnDriven | None = None

    def __iter__(self) -> Iterator[Event]:
        for batch in self.batches():
            yield from map(full, batch)

    def batches(self) -> Iterator[Sequence[Event]]:
        """The events, in lean forms where calls come with them, many at a time."""
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
    """Drive as ``drive`` does, and pause whenever the log has been flushed."""
    bent = bending(warps)
    if isinstance(events, LogReader) and not bent:
        events = chain.from_iterable(events.batches())
    counter = count()
    opened, calls = _begun(event for event, _ in zip(warped(events, bent), counter, strict=False))
    driver = Driver(opened, config, log, warps)
    log.flush()
    yield
    total = 0
    for started, call in enumerate(calls):
        driver.start(call)
        if on_driven is not None and started % _TOLD_EVERY == 0:
            total = total or next(counter)  # all have been read before the first was driven
            on_driven(started, total)
        if started % FLUSH_EVERY == 0:
            log.flush()
            yield
    driver.finish()
    log.flush()
    yield


def read_trace(events: Iterable[Event]) -> tuple[LogOpened, Iterator[CallObserved]]:
    """What a trace begins with, and its calls in the order of their starts.

    Raises:
        NotALogError: It does not begin with ``log_opened``.
    """
    opened, calls = _begun(events)
    return opened, map(full, calls)


def _begun(events: Iterable[Event]) -> tuple[LogOpened, Iterator[CallObserved]]:
    """As ``read_trace``, of which the calls may be lean."""
    rest = iter(events)
    first = next(rest, None)
    opened = None if first is None else full(first)
    if not isinstance(opened, LogOpened):
        raise NotALogError("a trace begins with a log_opened event")
    calls = (event for event in rest if event.kind == "call_observed")
    return opened, by_start(cast("Iterator[CallObserved]", calls))


def by_start(calls: Iterator[CallObserved]) -> Iterator[CallObserved]:
    """Calls in the order of their starts; a log has them in that of their ends.

    Memory does not grow with their number: many are sorted on disk, and come back in lean forms.
    """
    first = list(islice(calls, _SORTED_IN_MEMORY))
    if len(first) < _SORTED_IN_MEMORY:
        yield from sorted(first, key=lambda call: (call.start, call.seq))
        return
    with closing(sqlite3.connect("")) as database:  # a file of its own, gone when it is closed
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


class Driver:
    """Live breakers that are given the calls of a trace, one after the other.

    Args:
        opened: What the trace begins with.
        config: The settings of each breaker.
        log: Where they write.
        warps: What is wrong with their clock, unless it bends time: then the calls are bent.
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
        self._under_way: list[tuple[int, int, CallObserved, Permit]] = []
        self._sequencer = log.attach(WarpedClock(self._clock, warps) if warps else self._clock)
        self._sequencer.disable_fast_paths()

    def start(self, call: CallObserved) -> None:
        """Ask for the next call, after what ended before has been reported."""
        self._end_until(call.start)
        self._move_to(call.start)
        breaker = self._breakers.get(call.breaker)
        if breaker is None:
            breaker = DrivenBreaker(call.breaker, self._config, log=self._log)
            self._breakers[call.breaker] = breaker
        if self._sequencer.fold.next_deadline is not None:
            self._sequencer.fold_buffered()  # a call that is refused asks nobody what is due
        permit = breaker.before_call().permit
        if permit is not None:
            heapq.heappush(self._under_way, (call.at, call.seq, call, permit))

    def finish(self) -> None:
        """Report all calls that are under way."""
        while self._under_way:
            self._end_first()

    def _end_until(self, at: int) -> None:
        while self._under_way and self._under_way[0][0] <= at:
            self._end_first()

    def _end_first(self) -> None:
        at, _, call, permit = heapq.heappop(self._under_way)
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
