"""One breaker called by many threads or tasks: replaying its log gives the same state."""

import asyncio
import itertools
import random
import threading

from breaker_calls import ServiceDownError

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    CountWindow,
    EventLog,
    ManualClock,
)
from recloser.history.engine import replay
from recloser.log.reader import LogReader

CONFIG = CircuitBreakerConfig(
    failure_threshold=8,
    window=CountWindow(50, 0.6, minimum_calls=20),
    recovery_timeout_seconds=0.5,
    half_open_max_probes=3,
)
THREADS = 16
TASKS = 1000
SECONDS = 10


class Outage:
    """A service that fails nine calls in ten during every other stretch of its calls."""

    def __init__(self):
        self._calls = itertools.count()

    def __call__(self, chance):
        failing = next(self._calls) // 200 % 2
        if chance.random() < (0.9 if failing else 0.02):
            raise ServiceDownError


def check(path, breaker, unexpected):
    assert unexpected == []
    history = replay(path)
    assert history.differences == []
    assert history.snapshots["b"] == breaker.snapshot()
    assert [event.seq for event in LogReader(path)] == list(range(1, history.count + 1))
    assert history.trips()
    assert len(history.edges) >= 10
    return history


def test_log_of_16_threads_replays_to_the_live_state(tmp_path):
    """Another thread moves the clock and steps its wall clock, for ten seconds."""
    clock, call, unexpected = ManualClock(), Outage(), []
    stop = threading.Event()
    succeeded = [0] * THREADS

    def hammer(number):
        chance = random.Random(number)
        while not stop.is_set():
            try:
                breaker.call(call, chance)
                succeeded[number] += 1
            except ServiceDownError:
                pass
            except CircuitOpenError:
                clock.advance(seconds=0.001)
            except BaseException as error:
                unexpected.append(error)
                raise

    def move_time():
        while not stop.wait(0.001):
            clock.advance(seconds=0.001)
            clock.advance_wall(seconds=60)

    with EventLog(tmp_path, clock=clock, durability="memory") as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        threads = [threading.Thread(target=hammer, args=(n,)) for n in range(THREADS)]
        threads.append(threading.Thread(target=move_time))
        for thread in threads:
            thread.start()
        stop.wait(SECONDS)
        stop.set()
        for thread in threads:
            thread.join()
    history = check(tmp_path, breaker, unexpected)
    assert [event.kind for event in history.events].count("call_succeeded") == sum(succeeded)


def test_log_of_1000_tasks_replays_to_the_live_state(tmp_path):
    """The calls overlap, so that many end in a later epoch than they began in."""
    clock, call, unexpected = ManualClock(), Outage(), []

    async def hammer(number, until):
        chance = random.Random(number)
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            try:
                async with breaker:
                    await asyncio.sleep(chance.random() / 100)
                    call(chance)
            except (ServiceDownError, CircuitOpenError):
                await asyncio.sleep(chance.random() / 50)
            except BaseException as error:
                unexpected.append(error)
                raise
            clock.advance(seconds=0.0002)

    async def main():
        until = asyncio.get_running_loop().time() + SECONDS
        await asyncio.gather(*(hammer(number, until) for number in range(TASKS)))

    with EventLog(tmp_path, clock=clock, durability="memory") as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        asyncio.run(main())
    history = check(tmp_path, breaker, unexpected)
    assert history.snapshots["b"].totals.stale > 0


def test_16_threads_at_once_get_exactly_the_allowed_probes():
    """In each of 300 rounds, all threads ask a half-open breaker at the same moment."""
    clock = ManualClock()
    config = CircuitBreakerConfig(
        failure_threshold=1, recovery_timeout_seconds=1, half_open_max_probes=3
    )
    breaker = CircuitBreaker("b", config, clock=clock)
    barrier = threading.Barrier(THREADS + 1)
    allowed = []

    def ask():
        for _ in range(300):
            barrier.wait()
            decision = breaker.before_call()
            if decision.allowed:
                allowed.append(decision.permit)
            barrier.wait()

    threads = [threading.Thread(target=ask) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    counts = set()
    breaker.after_failure(breaker.before_call().permit)
    for _ in range(300):
        clock.advance(seconds=1)
        allowed.clear()
        barrier.wait()
        barrier.wait()
        counts.add(len(allowed))
        breaker.after_failure(allowed[0])
    for thread in threads:
        thread.join()
    assert counts == {3}
