"""What breakers and logs are given is checked at the door, and made exact there."""

from collections import UserDict
from datetime import timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from breaker_calls import fail
from log_files import write_traffic

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    Constant,
    CountWindow,
    EventLog,
    Exponential,
    MemoryLog,
    TimeWindow,
    read_events,
    replay,
)
from recloser.proof.proof import prove
from recloser.proof.sensitivity import sensitivity
from recloser.sharing.redis_log import RedisLog
from recloser.simulate.recorded_calls import read_traffic
from recloser.whatif.evaluation import what_if
from recloser.whatif.settings_search import tune


class Count(IntEnum):
    THREE = 3


class Word(StrEnum):
    BANK = "bank"
    SHADOW = "shadow"


class Text(str):
    __slots__ = ()

    def __str__(self):
        raise AssertionError("the text of a user's class is not asked for")


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (np.float64(30), 30.0),
        (np.float64(0.1), 0.1),
        (np.float32(0.1), 0.1),
        (np.int64(30), 30),
        (np.uint8(30), 30),
        (Decimal("0.5"), 0.5),
        (Decimal(30), 30),
        (Fraction(1, 4), 0.25),
        (timedelta(seconds=3), 3),
        (timedelta(milliseconds=1500), 1.5),
        (timedelta(microseconds=1), 1e-06),
        (Count.THREE, 3),
    ],
)
def test_seconds_of_any_number_type_become_exact_numbers(given, exact):
    for setting in ("recovery_timeout_seconds", "slow_call_seconds", "probe_timeout_seconds"):
        value = getattr(CircuitBreakerConfig(**{setting: given}), setting)
        assert (value, type(value)) == (exact, type(exact))
    assert Exponential(max_seconds=given).max_seconds == exact


@pytest.mark.parametrize(
    "given",
    [
        True, np.True_, "30", np.float64("nan"), np.float64("inf"), Decimal("nan"),
        Decimal("-Infinity"), Fraction(1, 3), Decimal("0.12345678901234567890"),
        timedelta(seconds=-1), 10**400, Decimal("1e400"), 1j, [], object(),
    ],
)  # fmt: skip
def test_object_that_is_no_number_of_seconds_is_refused(given):
    with pytest.raises(ConfigError, match="^recovery_timeout_seconds must be a number of seconds"):
        CircuitBreakerConfig(recovery_timeout_seconds=given)


@pytest.mark.parametrize("given", [np.int64(3), np.uint8(3), Count.THREE])
def test_counts_of_any_integer_type_become_exact_integers(given):
    config = CircuitBreakerConfig(
        failure_threshold=given,
        half_open_max_probes=given,
        half_open_success_threshold=given,
        window=CountWindow(given, failures=given, minimum_calls=given),
        backoff=Constant(jitter="full", seed=given),
    )
    found = (
        config.failure_threshold,
        config.half_open_max_probes,
        config.half_open_success_threshold,
        config.window.size,
        config.window.failures,
        config.window.minimum_calls,
        config.backoff.seed,
        TimeWindow(given, failures=1).seconds,
    )
    assert {(value, type(value)) for value in found} == {(3, int)}


@pytest.mark.parametrize("given", [True, np.True_, 3.0, np.float64(3), "3", 10**30, Decimal(3)])
def test_object_that_is_no_count_is_refused(given):
    with pytest.raises(ConfigError, match="^failure_threshold must be "):
        CircuitBreakerConfig(failure_threshold=given)


@pytest.mark.parametrize(
    ("given", "exact"),
    [
        (np.float64(0.5), 0.5),
        (np.float32(0.1), 0.1),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 3), Fraction(1, 3)),
        (np.int64(1), 1),
    ],
)
def test_rates_of_any_number_type_become_exact_numbers(given, exact):
    rate = CountWindow(10, failure_rate=given).failure_rate
    assert (rate, type(rate)) == (exact, type(exact))


@pytest.mark.parametrize("given", [True, 50, np.float64("nan"), Decimal("nan"), "0.5", 10**400])
def test_object_that_is_no_rate_is_refused(given):
    with pytest.raises(ConfigError, match="^failure_rate must be a rate"):
        CountWindow(10, failure_rate=given)


def test_computed_settings_are_written_and_read_back(tmp_path, clock):
    config = CircuitBreakerConfig(
        failure_threshold=np.int64(2),
        recovery_timeout_seconds=np.float64(30),
        window=CountWindow(np.int64(10), failure_rate=Decimal("0.5")),
        mode=Word.SHADOW,
    )
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker("b", config, log=log)
        fail(breaker, 2)
        clock.advance(seconds=31)
        breaker.before_call()
    assert replay(tmp_path).snapshots["b"].state.value == "HALF_OPEN"


@pytest.mark.parametrize("name", [Text("bank"), Word.BANK, np.str_("bank")])
@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_texts_of_subclasses_of_str_are_recorded_as_texts(tmp_path, clock, name, durability):
    with EventLog(tmp_path, clock=clock, durability=durability, host=name) as log:
        breaker = CircuitBreaker(name, log=log)
        breaker.after_failure(breaker.before_call().permit, name)
        breaker.after_ignored(breaker.before_call().permit, name)
        breaker.set_mode(Word.SHADOW, actor=name, reason=name)
        breaker.force_open(actor=name, reason=name)
        breaker.force_closed(actor=name, reason=name)
        breaker.reset(actor=name, reason=name)
        log.flush()
        assert log.health().failure is None
    texts = {
        getattr(event, field, None)
        for event in read_events(tmp_path)
        for field in ("breaker", "error", "actor", "reason", "host")
    }
    assert texts == {"bank", None}
    assert type(breaker.name) is str
    assert breaker.snapshot().mode == "shadow"


@pytest.mark.parametrize("took_ns", [True, -1, 1.5, "1", 2**63, np.int64(-1)])
def test_duration_that_no_log_can_hold_is_refused(took_ns):
    breaker = CircuitBreaker("b")
    permit = breaker.before_call().permit
    with pytest.raises(ConfigError, match="took_ns must be a whole number from 0 up to"):
        breaker.after_success(permit, took_ns=took_ns)
    breaker.after_success(permit, took_ns=np.int64(7))


@pytest.mark.parametrize("took_ns", [2**63 - 1, np.int64(7)])
def test_duration_of_any_integer_type_is_recorded(tmp_path, clock, took_ns):
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        breaker.after_failure(breaker.before_call().permit, took_ns=took_ns)
    assert [event.took for event in read_events(tmp_path) if event.kind == "call_failed"] == [
        took_ns
    ]


@pytest.mark.parametrize("log", ["logs/x", Path("logs/x"), Text("logs/x")])
def test_path_in_place_of_a_log_is_refused_with_the_code_to_use(log):
    with pytest.raises(ConfigError, match=r"give log=EventLog\('logs/x'\), made once in each"):
        CircuitBreaker("b", log=log)


@pytest.mark.parametrize("log", [EventLog, 7, {"path": "logs/x"}])
def test_object_that_is_no_log_is_refused(log):
    with pytest.raises(ConfigError, match="log must be an EventLog, a RedisLog or a MemoryLog"):
        CircuitBreaker("b", log=log)


GIVEN = {"failure_threshold": 3, "window": {"size": 10, "failure_rate": "1/3"}, "mode": "shadow"}


@pytest.mark.parametrize("mapping", [GIVEN, UserDict(GIVEN)])
def test_breaker_takes_a_mapping_of_settings(mapping):
    assert CircuitBreaker("b", mapping).config == CircuitBreakerConfig.from_mapping(GIVEN)


@pytest.mark.parametrize(
    "config", [7, "failure_threshold=3", [("failure_threshold", 3)], MemoryLog()]
)
def test_object_that_is_no_configuration_is_refused(config):
    with pytest.raises(ConfigError, match="config must be "):
        CircuitBreaker("b", config)


def test_tools_take_a_mapping_of_settings(tmp_path):
    trace = write_traffic(tmp_path / "trace", "FFFFSSFF" * 20)
    given = {"failure_threshold": 2}
    config = CircuitBreakerConfig(failure_threshold=2)
    assert replay(trace, config=given).edges == replay(trace, config=config).edges
    events = list(read_events(trace))
    assert prove(events, config=given).digest == prove(events, config=config).digest
    assert sensitivity(events, config=given).found == sensitivity(events, config=config).found
    traffic = read_traffic(events)
    assert what_if(traffic, lambda _: given) == what_if(traffic, lambda _: config)
    assert tune(traffic, config, [given]).candidates == tune(traffic, {}, [given]).candidates
    with pytest.raises(ConfigError, match="no setting 'threshold'"):
        replay(trace, config={"threshold": 2})


BAD_LOG_ARGUMENTS = [
    ("durability", "fsync"),
    ("durability", ["sync"]),
    ("on_log_failure", "ignore"),
    ("on_log_failure", None),
    ("detail", "some"),
    ("detail", None),
    ("host", 7),
    ("host", b"host"),
    ("host", "\ud800"),
    ("tick_seconds", 0),
    ("tick_seconds", -1),
    ("tick_seconds", "1"),
    ("tick_seconds", True),
    ("seal_seconds", "x"),
    ("seal_seconds", -1),
    ("seal_seconds", float("nan")),
    ("segment_bytes", 0),
    ("segment_bytes", -5),
    ("segment_bytes", None),
    ("segment_bytes", 1e6),
    ("segment_bytes", True),
    ("segment_seconds", 0),
    ("segment_seconds", "60"),
    ("keep_bytes", "1GB"),
    ("keep_bytes", 0),
    ("keep_bytes", -1),
    ("keep_bytes", 1.5),
    ("keep_seconds", -1),
    ("keep_seconds", "7d"),
    ("compress", "no"),
    ("compress", None),
]


@pytest.mark.parametrize(("argument", "value"), BAD_LOG_ARGUMENTS)
def test_log_refuses_a_bad_argument_by_its_name_and_makes_no_folder(tmp_path, argument, value):
    with pytest.raises(ConfigError, match=rf"^{argument} must be .*, not "):
        EventLog(tmp_path / "log", **{argument: value})
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("path", ["", None, 7, b"logs", "a\0b"])
def test_log_refuses_an_object_that_is_no_path(path):
    with pytest.raises(ConfigError, match="^path must be the path of a folder, not "):
        EventLog(path)


def test_log_takes_computed_arguments(tmp_path):
    with EventLog(
        Text(tmp_path / "log"),
        tick_seconds=timedelta(seconds=1),
        seal_seconds=np.float64(0.5),
        segment_bytes=np.int64(4096),
        keep_bytes=np.int64(10**6),
        keep_seconds=Decimal(60),
    ) as log:
        fail(CircuitBreaker("b", log=log))
    assert log.health().failure is None


@pytest.mark.parametrize(
    ("argument", "value"),
    [row for row in BAD_LOG_ARGUMENTS if row[0] in ("detail", "host", "tick_seconds")],
)
def test_log_in_memory_refuses_a_bad_argument_by_its_name(argument, value):
    with pytest.raises(ConfigError, match=rf"^{argument} must be .*, not "):
        MemoryLog(**{argument: value})


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("url", 7),
        ("url", ""),
        ("stream", None),
        ("stream", ""),
        ("host", 7),
        ("timeout_seconds", 0),
        ("timeout_seconds", None),
        ("timeout_seconds", "1"),
        ("claim_seconds", -1),
        ("keep_entries", 0),
        ("keep_entries", "many"),
        ("on_other_config", "ignore"),
    ],
)
def test_log_in_a_stream_refuses_a_bad_argument_by_its_name(argument, value):
    with pytest.raises(ConfigError, match=rf"^{argument} must be .*, not "):
        RedisLog(**{"url": "redis://localhost:9", argument: value})
