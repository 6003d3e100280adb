"""The registry makes a breaker for each name on first use."""

import gc
import multiprocessing
import os
import sys
import threading
import time
import tracemalloc

import pytest
from attrs import evolve
from breaker_calls import fail

from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    Listener,
    ManualClock,
    MemoryLog,
)
from recloser.core import kernel


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock)


def test_a_breaker_is_made_on_first_use_and_kept(log):
    breakers = Breakers(CircuitBreakerConfig(failure_threshold=2), log=log)
    assert "payments" not in breakers
    assert len(breakers) == 0
    fail(breakers["payments"], 2)
    assert breakers["payments"] is breakers["payments"]
    assert breakers["payments"].current_state().value == "OPEN"
    assert breakers["orders"].current_state().value == "CLOSED"
    assert list(breakers) == ["payments", "orders"]
    assert dict(breakers)["orders"] is breakers["orders"]


def test_settings_may_depend_on_the_name(log):
    breakers = Breakers(lambda name: CircuitBreakerConfig(failure_threshold=len(name)), log=log)
    assert breakers["abc"].config.failure_threshold == 3


def test_listeners_and_the_clock_are_those_of_all(clock):
    heard = []

    class Recorder(Listener):
        def on_transition(self, edge):
            heard.append(edge.breaker)

    breakers = Breakers(clock=clock, listeners=[Recorder()])
    fail(breakers["a"], 5)
    fail(breakers["b"], 5)
    assert breakers["b"].flush()
    assert heard == ["a", "b"]


def test_a_bounded_registry_gives_further_names_one_breaker_together(log):
    breakers = Breakers(log=log, max_size=2)
    first, second = breakers["a"], breakers["b"]
    assert breakers["c"] is breakers["d"]
    assert breakers["c"].name == "(others)"
    assert (breakers["a"], breakers["b"]) == (first, second)
    for n in range(1000):
        breakers[f"stranger {n}"]
    assert len(breakers) <= 3


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "10"])
def test_a_bound_is_a_number_from_1_up(size):
    with pytest.raises(ConfigError, match="max_size must be"):
        Breakers(max_size=size)


def in_threads(count, run):
    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("max_size", [None, 1])
def test_threads_that_ask_at_once_get_the_same_breaker(log, max_size):
    """All of them are in the settings function at once, and each makes settings of its own."""
    barrier = threading.Barrier(8)
    heard, got = [], []

    class Recorder(Listener):
        def on_transition(self, edge):
            heard.append(edge.breaker)

    def settings(_name):
        barrier.wait()
        return {"failure_threshold": 3}

    breakers = Breakers(settings, log=log, listeners=[Recorder()], max_size=max_size)
    in_threads(8, lambda _: got.append(breakers["payments"]))
    assert {id(breaker) for breaker in got} == {id(breakers["payments"])}
    assert got[0].name == "payments"
    fail(got[0], 3)
    assert got[0].flush(10)
    assert heard == ["payments"]


def test_threads_that_ask_for_different_names_keep_the_bound(log):
    barrier = threading.Barrier(16)

    def settings(name):
        if name != "(others)":
            barrier.wait()
        return {}

    breakers = Breakers(settings, log=log, max_size=3)
    got = [None] * 16
    in_threads(16, lambda number: got.__setitem__(number, breakers[f"{number}"].name))
    assert len(breakers) == 4
    assert got.count("(others)") == 13
    assert len(set(got)) == 4


def test_settings_function_may_use_the_registry(log):
    def settings(name):
        if name == "default":
            return CircuitBreakerConfig(failure_threshold=3)
        return evolve(breakers["default"].config, recovery_timeout_seconds=5)

    breakers = Breakers(settings, log=log)
    assert breakers["bank"].config.failure_threshold == 3
    assert list(breakers) == ["default", "bank"]


def test_settings_function_may_ask_for_the_very_breaker_that_it_is_asked_about(log):
    depth = iter(range(3))

    def settings(name):
        if next(depth) < 2:
            breakers[name]
        return {"failure_threshold": 3}

    breakers = Breakers(settings, log=log, max_size=1)
    assert breakers["bank"] is breakers["bank"]
    assert list(breakers) == ["bank"]


def test_settings_function_that_raises_takes_no_place(log):
    def settings(name):
        if name.startswith("stranger"):
            raise KeyError(name)
        return {}

    breakers = Breakers(settings, log=log, max_size=2)
    for number in range(10):
        with pytest.raises(KeyError):
            breakers[f"stranger {number}"]
    assert breakers["a"].name == "a"
    assert breakers["b"].name == "b"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_child_forked_while_a_thread_is_in_the_settings_function_makes_breakers(clock):
    entered, leave = threading.Event(), threading.Event()

    def settings(name):
        if name == "slow":
            entered.set()
            leave.wait()
        return {}

    breakers = Breakers(settings, clock=clock)
    thread = threading.Thread(target=lambda: breakers["slow"])
    thread.start()
    entered.wait()
    child = multiprocessing.get_context("fork").Process(target=lambda: breakers["payments"])
    child.start()
    child.join(timeout=10)
    is_done, _ = child.exitcode == 0, child.kill()
    leave.set()
    thread.join()
    assert is_done


def test_looking_for_a_breaker_makes_none(log):
    breakers = Breakers(log=log)
    assert breakers.get("x") is None
    assert breakers.get("x", 7) == 7
    assert "x" not in breakers
    assert 5 not in breakers
    assert ("x", 7) not in breakers.items()
    assert "x" not in breakers.keys()  # noqa: SIM118  # it is the view that is asked
    assert 7 not in breakers.values()
    assert len(breakers) == len(log) == 0
    made = breakers["x"]
    assert breakers.get("x") is made
    assert ("x", made) in breakers.items()


class Name(str):
    """A text whose own methods must not be called later on."""

    __slots__ = ()

    def __str__(self):
        raise AssertionError

    def __eq__(self, other):
        raise AssertionError

    __hash__ = None


def test_name_of_a_subclass_of_str_is_that_text(log):
    breakers = Breakers(log=log)
    made = breakers[Name("bank")]
    assert made is breakers["bank"] is breakers.get(Name("bank"))
    assert Name("bank") in breakers
    assert type(made.name) is str


@pytest.mark.parametrize("name", ["", None, 5, b"bank", "\ud800"])
def test_name_that_is_no_text_is_refused(log, name):
    with pytest.raises(ConfigError, match="name must be a text that UTF-8 can encode"):
        Breakers(log=log)[name]


def test_settings_may_be_a_mapping_or_a_function_that_gives_one(log):
    window = {"size": 10, "failure_rate": 0.5}
    given = {"failure_threshold": 3, "window": window}
    assert Breakers(given, log=log)["a"].config == CircuitBreakerConfig.from_mapping(given)
    assert Breakers(lambda _: given, log=log)["b"].config.window.size == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": MemoryLog()}, r"not a log: Breakers\(log=log\)"),
        ({"config": 7}, "config must be a CircuitBreakerConfig or a mapping of its settings"),
        ({"config": {"failures": 7}}, "no setting 'failures'"),
        ({"log": "logs/x"}, r"give log=EventLog\('logs/x'\)"),
        ({"log": 7}, "log must be an EventLog, a RedisLog or a MemoryLog, not 7"),
    ],
)
def test_registry_refuses_arguments_that_it_can_not_use(arguments, message):
    with pytest.raises(ConfigError, match=message):
        Breakers(**arguments)


def test_function_that_gives_no_settings_is_refused_when_it_is_asked(log):
    with pytest.raises(ConfigError, match="config must be a CircuitBreakerConfig"):
        Breakers(lambda _: 7, log=log)["bank"]


@pytest.mark.parametrize("detail", [None, "full", "runs"])
@pytest.mark.parametrize("is_called", [False, True])
def test_an_idle_breaker_takes_less_than_1_kib(tmp_path, clock, detail, is_called):
    log = None if detail is None else EventLog(tmp_path, clock=clock, detail=detail)
    breakers = Breakers(log=log, clock=clock)
    breakers["warm"].call(int)
    tracemalloc.start()
    for number in range(1000):
        breaker = breakers[f"dependency {number}"]
        if is_called:
            breaker.call(int)
    clock.advance(seconds=2)  # what was counted is written when its second is over
    breakers["warm"].snapshot()
    if log is not None:
        log.flush()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    if log is not None:
        size -= sys.getsizeof(
            log._writer.appender._segment._pending
        )  # one for all of them, however many
        log.close()
    assert size < 1000 * 1024


@pytest.mark.parametrize(("detail", "most"), [("full", 600), ("runs", 720)])
@pytest.mark.parametrize("count", [650, 2000])
def test_idle_breaker_on_a_log_takes_at_most_600_bytes(tmp_path, clock, detail, most, count):
    """With its name, in both dictionaries; one whose successes are only counted has that count too."""
    log = EventLog(tmp_path, clock=clock, detail=detail)
    breakers = [None] * count
    warm = [CircuitBreaker(f"warm-{number}", log=log) for number in range(10)]
    log.flush()
    tracemalloc.start()
    for number in range(count):
        breakers[number] = CircuitBreaker(f"payments-{number}", log=log)
        breakers[number].call(int)
    clock.advance(seconds=2)  # what was counted is written when its second is over
    warm[0].snapshot()
    log.flush()
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size -= sys.getsizeof(
        log._writer.appender._segment._pending
    )  # one for all of them, however many
    log.close()
    assert size <= count * (most if kernel.IS_COMPILED else most + 32)


@pytest.mark.parametrize("is_called", [False, True])
def test_idle_breaker_without_a_log_takes_at_most_600_bytes(is_called):
    """With its name; beside it the registry has a dictionary of all."""
    breakers = Breakers({"failure_threshold": 3})
    breakers["warm"].call(int)
    count = 2000
    gc.collect()
    tracemalloc.start()
    for number in range(count):
        breaker = breakers[f"payments-{number}"]
        if is_called:
            breaker.call(int)
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size -= sys.getsizeof(breakers._breakers)
    assert size <= count * (600 if kernel.IS_COMPILED else 632)


def test_a_breaker_that_shares_no_log_takes_less_than_4_kib(clock):
    made = [CircuitBreaker("warm", clock=clock)]
    tracemalloc.start()
    for number in range(1000):
        made.append(CircuitBreaker(f"dependency {number}", clock=clock))
        made[-1].call(int)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1000 * 4096


@pytest.mark.parametrize("detail", ["full", "runs"])
def test_a_call_costs_the_same_however_many_breakers_there_are(clock, detail):
    def steps(count):
        """How many functions are entered for a few calls of one of many busy breakers."""
        breakers = Breakers(log=MemoryLog(clock=clock, detail=detail))
        calls = [breakers[f"{number}"](int) for number in range(count)]
        fail(breakers["open"], 5)
        for call in calls:
            call()
        for _ in range(200):
            breakers["open"].before_call()
        breakers["0"].snapshot()
        entered = []
        gc.disable()  # callbacks of a collection are not part of a call
        sys.setprofile(lambda _frame, event, _argument: entered.append(event))
        calls[0]()
        fail(breakers["0"])
        calls[0]()
        breakers["open"].before_call()
        breakers["0"].snapshot()
        sys.setprofile(None)
        gc.enable()
        return len(entered)

    assert steps(10) == steps(500)


@pytest.mark.parametrize("clock", [5, time, ManualClock, time.monotonic])
def test_registry_refuses_an_object_that_is_no_clock(clock):
    with pytest.raises(ConfigError, match=r"^clock must be an object with monotonic_ns\(\) and"):
        Breakers(clock=clock)


@pytest.mark.parametrize("config", [CircuitBreakerConfig, lambda: None, lambda _name, _more: {}])
def test_registry_refuses_a_function_that_takes_no_name(config):
    with pytest.raises(ConfigError, match=r"^config must be settings"):
        Breakers(config)
