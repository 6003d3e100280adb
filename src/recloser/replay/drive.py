"""Driving: imported traffic put through breakers, which then have a history of their own."""

import heapq
from collections.abc import Iterable

from recloser.breaker import CircuitBreaker, Permit
from recloser.clock import ManualClock
from recloser.config import CircuitBreakerConfig
from recloser.errors import NotALogError
from recloser.events import CallObserved, Event, LogOpened, Outcome
from recloser.log.sequencer import Log
from recloser.log.writer import FLUSH_EVERY


def drive(events: Iterable[Event], config: CircuitBreakerConfig, log: Log) -> None:
    """Let each recorded call ask a breaker when it started and report when it ended.

    Calls go in the order of time, at one instant ends before starts. The breakers are live ones of
    ``config``, on a clock whose ``at`` is that of the trace. What a refused call would have come to
    is not reported.

    Args:
        events: A trace: its ``log_opened``, and ``call_observed`` events.
        config: The settings of each breaker.
        log: An empty log for what the breakers write, which is left open.
    """
    opened, calls = _read_trace(events)
    driver = _Driver(opened, config, log)
    for started, call in enumerate(calls):
        driver.start(call)
        if started % FLUSH_EVERY == 0:
            log.flush()
    driver.finish()


def _read_trace(events: Iterable[Event]) -> tuple[LogOpened, list[CallObserved]]:
    opened: LogOpened | None = None
    calls: list[CallObserved] = []
    for event in events:
        if event.kind == "call_observed":
            calls.append(event)
        elif event.kind == "log_opened" and opened is None:
            opened = event
    if opened is None:
        raise NotALogError("a trace begins with a log_opened event")
    # The log has them in the order of their ends.
    calls.sort(key=lambda call: (call.start, call.seq))
    return opened, calls


class _Driver:
    def __init__(self, opened: LogOpened, config: CircuitBreakerConfig, log: Log) -> None:
        self._clock = ManualClock(start=opened.wall, boot_id="")
        self._config = config
        self._log = log
        self._now = 0
        self._breakers: dict[str, CircuitBreaker] = {}
        self._under_way: list[tuple[int, int, CallObserved, Permit]] = []
        log.attach(self._clock)

    def start(self, call: CallObserved) -> None:
        self._end_until(call.start)
        self._move_to(call.start)
        breaker = self._breakers.get(call.breaker)
        if breaker is None:
            breaker = CircuitBreaker(call.breaker, self._config, log=self._log)
            self._breakers[call.breaker] = breaker
        permit = breaker.before_call().permit
        if permit is not None:
            heapq.heappush(self._under_way, (call.at, call.seq, call, permit))

    def finish(self) -> None:
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
