"""The interface of pybreaker: recorded, replayed, and timed by an injected clock."""

import asyncio
import contextvars
import os
import signal
import threading

import pytest
from servers import THROUGH_AN_OUTAGE, replayed, triggers_of

from recloser import ConfigError, EventLog
from recloser.compat.pybreaker import (
    CircuitBreaker,
    CircuitBreakerError,
    CircuitBreakerListener,
    CircuitMemoryStorage,
    CircuitRedisStorage,
)


class Recorder(CircuitBreakerListener):
    def __init__(self):
        self.changes, self.calls = [], []

    def before_call(self, cb, func, *args, **kwargs):
        self.calls.append("before")

    def success(self, cb):
        self.calls.append("success")

    def failure(self, cb, exc):
        self.calls.append(type(exc).__name__)

    def state_change(self, cb, old_state, new_state):
        self.changes.append((old_state.name, new_state.name))


def down():
    raise ConnectionError


def up():
    return True


def test_pybreaker_goes_through_an_outage_and_its_log_replays(clock, tmp_path):
    recorder = Recorder()
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker(2, 10, listeners=[recorder], name="bank", log=log, clock=clock)
        assert breaker.call(up)
        with pytest.raises(ConnectionError):
            breaker.call(down)
        with pytest.raises(CircuitBreakerError, match="threshold reached") as tripped:
            breaker.call(down)
        assert isinstance(tripped.value.__cause__, ConnectionError)
        assert (breaker.current_state, breaker.fail_counter) == ("open", 2)
        with pytest.raises(CircuitBreakerError, match="not elapsed"):
            breaker.call(up)
        clock.advance(seconds=10)
        with pytest.raises(CircuitBreakerError, match="Trial call failed"):
            breaker.call(down)
        assert breaker.fail_counter == 3
        clock.advance(seconds=10)
        assert breaker.call(up)
        assert (breaker.current_state, breaker.fail_counter) == ("closed", 0)
    assert recorder.changes == [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    ]
    assert recorder.calls == [
        *("before", "success"),
        *("before", "ConnectionError"),
        *("before", "ConnectionError"),
        *("before", "ConnectionError"),
        *("before", "success"),
    ]
    assert triggers_of(replayed(tmp_path)) == THROUGH_AN_OUTAGE


def test_manual_moves_are_recorded_as_events(clock, tmp_path):
    """``open()`` ends after its timeout; listeners see one change where the log has several edges."""
    recorder = Recorder()
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker(
            reset_timeout=10, listeners=[recorder], name="bank", log=log, clock=clock
        )
        breaker.open()
        clock.advance(seconds=9)
        with pytest.raises(CircuitBreakerError):
            breaker.call(up)
        breaker.half_open()
        assert breaker.current_state == "half-open"
        assert breaker.call(up)
        assert breaker.current_state == "closed"
        breaker.half_open()
        breaker.close()
        breaker.open()
        clock.advance(seconds=10)
        assert breaker.call(up)
    assert recorder.changes == [
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
        ("closed", "half-open"),
        ("half-open", "closed"),
        ("closed", "open"),
        ("open", "half-open"),
        ("half-open", "closed"),
    ]
    history = replayed(tmp_path)
    assert {e.error for e in history.events if e.kind == "call_failed"} == {
        "pybreaker.open()",
        "pybreaker.half_open()",
    }


def test_initial_state_is_that_of_the_storage(clock):
    for state in ("open", "half-open", "closed"):
        breaker = CircuitBreaker(state_storage=CircuitMemoryStorage(state), clock=clock)
        assert breaker.state.name == breaker.current_state == state
    with pytest.raises(ValueError, match="Unknown state 'ajar'"):
        CircuitBreaker(state_storage=CircuitMemoryStorage("ajar"), clock=clock)


def test_other_storage_is_refused_with_a_remedy(clock):
    with pytest.raises(ConfigError, match="give it log="):
        CircuitRedisStorage("closed", None)
    with pytest.raises(ConfigError, match="must be a CircuitMemoryStorage"):
        CircuitBreaker(state_storage=object())


def test_success_threshold_requires_several_trials(clock):
    breaker = CircuitBreaker(1, 5, success_threshold=2, clock=clock)
    breaker.open()
    clock.advance(seconds=5)
    breaker.call(up)
    assert (breaker.current_state, breaker.success_counter) == ("half-open", 1)
    breaker.call(up)
    assert (breaker.current_state, breaker.success_counter) == ("closed", 0)


def test_excluded_exception_is_a_success(clock):
    breaker = CircuitBreaker(2, exclude=[LookupError, lambda error: "ours" in str(error)])
    for error in (OSError(), KeyError(), OSError(), ValueError("ours"), OSError()):
        with pytest.raises(type(error)):
            breaker.call(raising(error))
    assert (breaker.current_state, breaker.fail_counter) == ("closed", 1)


def raising(error):
    def function():
        raise error

    return function


def test_throw_new_error_on_trip_false_raises_the_original_error(clock):
    breaker = CircuitBreaker(1, throw_new_error_on_trip=False, clock=clock)
    with pytest.raises(ConnectionError):
        breaker.call(down)
    assert breaker.current_state == "open"


def test_late_failure_of_an_open_breaker_is_not_counted(clock):
    breaker = CircuitBreaker(1, clock=clock)

    def slow():
        with pytest.raises(CircuitBreakerError):
            breaker.call(down)
        raise OSError

    with pytest.raises(OSError):
        breaker.call(slow)
    assert breaker.fail_counter == 1


def test_settings_can_be_changed(clock):
    breaker = CircuitBreaker(clock=clock)
    breaker.fail_max, breaker.reset_timeout, breaker.success_threshold = 1, 3, 1
    assert (breaker.fail_max, breaker.reset_timeout, breaker.success_threshold) == (1, 3, 1)
    with pytest.raises(CircuitBreakerError):
        breaker.call(down)
    clock.advance(seconds=3)
    assert breaker.call(up)


def test_generators_and_blocks_and_coroutines_are_protected(clock):
    breaker = CircuitBreaker(3, clock=clock)

    @breaker
    def numbers():
        yield 1
        raise ConnectionError

    with pytest.raises(ConnectionError):
        list(numbers())
    with pytest.raises(KeyError), breaker.calling():
        raise KeyError
    assert breaker.fail_counter == 2

    @breaker(__pybreaker_call_async=True)
    async def failing():
        raise ConnectionError

    assert breaker.fail_counter == 2
    with pytest.raises(CircuitBreakerError):
        asyncio.run(failing())
    with pytest.raises(CircuitBreakerError):
        asyncio.run(breaker.acall(failing))


def test_generator_closed_early_succeeds(clock):
    breaker = CircuitBreaker(3, clock=clock)

    @breaker
    def numbers():
        yield 1

    with pytest.raises(KeyError):
        breaker.call({}.__getitem__, 1)
    begun = numbers()
    next(begun)
    assert breaker.fail_counter == 1
    begun.close()
    assert breaker.fail_counter == 0


def half_open(breaker, clock, seconds=60):
    with pytest.raises(KeyError):
        breaker.call({}.__getitem__, 1)
    clock.advance(seconds=seconds)


@pytest.mark.parametrize("outer", ["call", "acall"])
def test_nested_call_of_a_half_open_breaker_is_part_of_the_trial(clock, outer):
    breaker = CircuitBreaker(1, 60, clock=clock, throw_new_error_on_trip=False)
    half_open(breaker, clock)

    async def nested():
        return breaker.call(up)

    if outer == "call":
        assert breaker.call(breaker.call, up) == up()
    else:
        assert asyncio.run(breaker.acall(nested)) == up()
    assert breaker.current_state == "closed"


def test_nested_call_in_a_block_is_part_of_the_trial(clock):
    breaker = CircuitBreaker(1, 60, clock=clock, throw_new_error_on_trip=False)
    half_open(breaker, clock)
    with breaker.calling():
        assert breaker.call(up) == up()
    assert breaker.current_state == "closed"


def test_refusal_by_the_same_breaker_does_not_reopen_it(clock):
    breaker = CircuitBreaker(1, 60, clock=clock, throw_new_error_on_trip=False)
    half_open(breaker, clock)
    trial_context = contextvars.Context()
    with pytest.raises(CircuitBreakerError):
        breaker.call(trial_context.run, breaker.call, up)
    assert breaker.current_state == "half-open"


def test_pybreaker_call_passes_any_keyword_argument():
    breaker = CircuitBreaker()
    assert breaker.call(dict, func=1, self=2) == {"func": 1, "self": 2}


def test_acall_refuses_generators_before_calling_them(clock):
    breaker = CircuitBreaker(1, clock=clock)

    def numbers():
        yield 1

    with pytest.raises(TypeError, match="does not support generators"):
        asyncio.run(breaker.acall(numbers))
    assert breaker.call(up), "nothing was counted"


def test_fail_counter_never_exceeds_fail_max_with_threads(clock):
    breaker = CircuitBreaker(50, clock=clock)
    barrier = threading.Barrier(4)

    def fail():
        barrier.wait()
        for _ in range(50):
            with pytest.raises((ConnectionError, CircuitBreakerError)):
                breaker.call(down)

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (breaker.current_state, breaker.fail_counter) == ("open", 50)


def in_another_thread(function):
    """Return whether a function returns in another thread; a lock held here would prevent that."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    thread.join(timeout=10)
    return not thread.is_alive()


def test_no_lock_is_held_while_a_listener_or_predicate_runs(clock):
    free = []

    def use():
        with pytest.raises((ConnectionError, CircuitBreakerError)):
            breaker.call(down)
        breaker.add_excluded_exception(KeyError)
        assert breaker.state.name

    def look(*_arguments):
        breaker.remove_listener(listener)  # or the calls of the other thread would look too
        breaker.remove_excluded_exception(look)
        free.append(in_another_thread(use))
        breaker.add_listener(listener)
        breaker.add_excluded_exception(look)
        return False

    class Looks(CircuitBreakerListener):
        before_call = failure = success = state_change = look

    listener = Looks()
    breaker = CircuitBreaker(100, exclude=[look], listeners=[listener], clock=clock)
    breaker.call(up)
    assert free == [True, True]
    with pytest.raises(ConnectionError):
        breaker.call(down)
    assert free == [True] * 5
    breaker.open()
    assert free == [True] * 6


def test_trial_prevented_by_a_listener_is_released(clock):
    class Prevents(CircuitBreakerListener):
        def before_call(self, cb, func, *args, **kwargs):
            raise KeyError

    breaker = CircuitBreaker(1, 5, clock=clock)
    breaker.open()
    clock.advance(seconds=5)
    prevents = Prevents()
    breaker.add_listener(prevents)
    with pytest.raises(KeyError):
        breaker.call(up)
    breaker.remove_listener(prevents)
    assert breaker.call(up)
    assert breaker.current_state == "closed"


def test_failure_counts_when_a_listener_raises(clock):
    class Broken(CircuitBreakerListener):
        def failure(self, cb, exc):
            raise KeyError

    breaker = CircuitBreaker(2, listeners=[Broken()], clock=clock)
    for _ in range(2):
        with pytest.raises(KeyError):
            breaker.call(down)
    assert breaker.current_state == "open"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_child_forked_while_a_listener_runs_can_call(clock):
    class Slow(CircuitBreakerListener):
        def before_call(self, cb, func, *args, **kwargs):
            if threading.current_thread() is not threading.main_thread():
                entered.set()
                released.wait(60)

    entered, released = threading.Event(), threading.Event()
    breaker = CircuitBreaker(listeners=[Slow()], clock=clock)
    caller = threading.Thread(target=breaker.call, args=(up,))
    caller.start()
    assert entered.wait(60)
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        os._exit(not breaker.call(up))
    released.set()
    caller.join()
    assert os.waitpid(pid, 0)[1] == 0
