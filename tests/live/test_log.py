"""What every log promises, be it in memory or on disk."""

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, ConfigError, EventLog, ManualClock, MemoryLog
from recloser.core.events import CallFailed, ClockTicked, LogOpened, StateChanged
from recloser.version import __version__


@pytest.fixture(params=["memory", "disk"])
def make_log(request, tmp_path):
    def make(**options):
        if request.param == "memory":
            return MemoryLog(**options)
        return EventLog(tmp_path / "log", **options)

    return make


def test_log_begins_with_its_writer_and_the_time(make_log, clock):
    clock.advance(seconds=3)
    with make_log(clock=clock, host="spain") as log:
        CircuitBreaker("b", log=log)
        opened = next(iter(log))
    assert isinstance(opened, LogOpened)
    assert (opened.seq, opened.at, opened.session) == (1, 0, 1)
    assert (opened.wall, opened.monotonic) == (clock.now(), 3 * 10**9)
    assert (opened.boot_id, opened.host, opened.library) == (clock.boot_id, "spain", __version__)


def test_events_are_numbered_without_a_hole_and_time_never_falls(make_log, clock):
    with make_log(clock=clock) as log:
        breakers = [CircuitBreaker(name, log=log) for name in "ab"]
        for _ in range(20):
            for breaker in breakers:
                clock.advance(seconds=0.3)
                if breaker.before_call().allowed:
                    breaker.after_failure()
        events = list(log)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_witness_directly_follows_the_event_that_fired_it(make_log, clock):
    with make_log(clock=clock) as log:
        fail(CircuitBreaker("b", log=log), 5)
        events = [event for event in log if event.kind != "log_sealed"]
    assert isinstance(events[-2], CallFailed)
    assert isinstance(events[-1], StateChanged)
    assert events[-1].cause.seqs[-1] == events[-2].seq


def test_clock_ticks_once_per_second_while_events_flow(make_log, clock):
    with make_log(clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(100):
            clock.advance(seconds=0.1)
            succeed(breaker)
        log.flush()
        clock.advance(seconds=3600)
        ticks = [event for event in log if isinstance(event, ClockTicked)]
    assert [tick.at for tick in ticks] == [second * 10**9 for second in range(1, 11)]
    assert ticks[0].monotonic == 10**9


def test_without_ticks_one_is_still_recorded_when_a_deadline_has_passed(make_log, clock):
    with make_log(clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        other = CircuitBreaker("other", log=log)
        fail(breaker, 5)
        clock.advance(seconds=29)
        succeed(other)
        assert not any(isinstance(event, ClockTicked) for event in log)
        clock.advance(seconds=1)
        succeed(other)
        assert sum(isinstance(event, ClockTicked) for event in log) == 1
        assert breaker.current_state().value == "HALF_OPEN"


def test_a_deadline_that_no_longer_matters_makes_no_tick(make_log, clock):
    with make_log(clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        fail(breaker, 5)
        breaker.reset()
        clock.advance(seconds=60)
        succeed(breaker)
        assert not any(isinstance(event, ClockTicked) for event in log)


def test_one_log_has_one_clock(make_log, clock):
    with make_log() as log:
        CircuitBreaker("a", log=log, clock=clock)
        CircuitBreaker("b", log=log)
        with pytest.raises(ConfigError, match="clock: .* one log has one clock"):
            CircuitBreaker("c", log=log, clock=ManualClock())


def test_without_a_clock_the_systems_is_taken(make_log):
    with make_log() as log:
        succeed(CircuitBreaker("b", log=log))
        assert all(event.at < 60 * 10**9 for event in log)


def test_a_configuration_is_recorded_once(make_log, clock):
    with make_log(clock=clock) as log:
        CircuitBreaker("b", log=log)
        CircuitBreaker("b", log=log)
        assert [event.kind for event in log].count("breaker_configured") == 1
