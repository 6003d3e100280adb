"""Whatever the public interface accepts is written, and read back as the same state."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    ManualClock,
)
from recloser.core.limits import MAX_AT, NAME_BYTES, USUAL_LINE_BYTES
from recloser.history.engine import replay
from recloser.log.listing import segments_in
from recloser.log.reader import LogReader
from recloser.log.segment_reader import open_segment
from recloser.log.verification import verify
from recloser.testing import strategies as rst


class Text(str):
    """As ``Markup``, ``SafeString`` and ``numpy.str_`` are."""

    __slots__ = ()

    def __html__(self):
        return self


def longest_line(path):
    longest = 0
    for segment in segments_in(path):
        with open_segment(segment) as stream:
            longest = max(longest, *map(len, stream))
    return longest


anything = st.text(st.characters(), max_size=40) | st.text(st.characters(exclude_categories=[]))
long = st.builds(lambda text, times: text * times, anything, st.sampled_from([1, 30, 3_000]))
texts = st.one_of(long, long.map(Text), long.map(np.str_), st.just("bank"))
tooks = st.integers(-1, 2**64) | st.sampled_from([2**63 - 1, 2**63, np.int64(5), np.uint64(7)])
seconds = st.sampled_from(
    [0, 1, 0.5, np.float64(30), np.float32(0.5), np.int64(3), timedelta(seconds=2), 1e9, 1e10]
)


@st.composite
def errors(draw):
    kind = type("E", (Exception,), {"__module__": draw(texts | st.just(None) | st.just(5))})
    kind.__qualname__ = draw(texts.map(str.__str__))
    return draw(st.sampled_from([kind("no"), OSError(), draw(texts)]))


@st.composite
def uses(draw):
    """Steps that a test takes with a breaker, one after the other."""
    kinds = ["succeed", "fail", "ignore", "force_open", "force_closed", "reset", "set_mode", "wait"]
    use = draw(st.sampled_from(kinds))
    if use == "wait":
        return use, draw(st.sampled_from([0, 1, 10**9, 31 * 10**9, 2**61, 2**63, np.int64(5)]))
    if use == "set_mode":
        return use, draw(st.sampled_from(["enforce", "shadow", "disabled", Text("shadow")]))
    if use in ("succeed", "fail", "ignore"):
        return use, draw(st.none() | tooks), draw(errors())
    return use, draw(st.none() | texts), draw(st.none() | texts)


def do(breaker, clock, use, *given):
    if use == "wait":
        clock.advance(ns=given[0])
        return
    if use == "set_mode":
        breaker.set_mode(given[0], actor="me")
        return
    if use in ("force_open", "force_closed", "reset"):
        getattr(breaker, use)(actor=given[0], reason=given[1])
        return
    permit = breaker.before_call().permit
    if permit is None:
        return
    took, error = given
    if use == "succeed":
        breaker.after_success(permit, took_ns=took)
    elif use == "fail":
        breaker.after_failure(permit, error, took_ns=took)
    else:
        breaker.after_ignored(permit, error, took_ns=took)


def accepted(make, *args, **kwargs):
    """What comes of a call; None if an argument is refused, which takes one line."""
    refusal = ""
    try:
        return make(*args, **kwargs)
    except ConfigError as error:
        refusal = str(error)
    assert refusal.count("\n") == 0 < len(refusal) < 1500
    return None


@settings(max_examples=100)
@given(
    name=texts,
    host=st.none() | texts,
    config=st.builds(
        dict,
        failure_threshold=st.sampled_from([None, 2, np.int64(2), 600, 2**63 - 1]),
        recovery_timeout_seconds=seconds,
        slow_call_seconds=seconds,
        window=st.none()
        | st.builds(dict, size=st.sampled_from([2, 2**63 - 1]), failures=st.just(2)),
    )
    | rst.configurations(),
    detail=st.sampled_from(["full", "runs"]),
    start=st.sampled_from([0, 5, 2**62, 2**63 - 1, 2**63]),
    used=st.lists(uses(), max_size=12),
)
def test_accepted_arguments_are_written_and_read_back(name, host, config, detail, start, used):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        clock = ManualClock(monotonic_ns=start)
        log = accepted(EventLog, path, clock=clock, host=host, detail=detail, durability="memory")
        if log is None:
            return
        with log:
            breaker = accepted(CircuitBreaker, name, config, log=log)
            if breaker is None:
                return
            for use in used:
                accepted(do, breaker, clock, *use)
            log.flush()
            health = log.health()
            assert (health.failure, health.lost) == (None, 0)
            snapshot = breaker.snapshot()
        assert verify(path).damages == []
        assert replay(path).differences == []
        assert longest_line(path) < USUAL_LINE_BYTES
        with EventLog(path, clock=clock, durability="memory") as log:
            again = CircuitBreaker(name, config, log=log).snapshot()
        assert again.totals == snapshot.totals
        if snapshot.retry_after != 0:  # else opening the log found the cooldown over
            assert (again.state, again.epoch) == (snapshot.state, snapshot.epoch)
        assert replay(path).differences == []


@pytest.mark.parametrize("name", ["n" * (NAME_BYTES + 1), "\x01" * 200, "é" * 600])
def test_a_name_that_is_too_long_for_a_line_is_refused_in_one_line(name):
    with pytest.raises(
        ConfigError, match="^name must take at most 1,024 bytes in a line"
    ) as raised:
        CircuitBreaker(name)
    assert len(str(raised.value)) < 300


def test_settings_that_are_too_large_for_a_line_are_refused():
    kinds = [type(f"E{n:04d}" + "x" * 900, (Exception,), {}) for n in range(200)]
    with pytest.raises(ConfigError, match="^record and ignore name so much that the settings take"):
        CircuitBreaker("b", CircuitBreakerConfig(record=kinds))


def test_a_type_with_a_name_that_utf_8_lacks_can_be_named_in_settings(tmp_path):
    kind = type("E", (Exception,), {"__module__": "a\udc80"})
    kind.__qualname__ = "E\udc80" * 1000
    with EventLog(tmp_path / "log", clock=ManualClock()) as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(record=[kind]), log=log)
        with pytest.raises(kind):
            breaker.call(lambda: (_ for _ in ()).throw(kind()))
    assert replay(tmp_path / "log").differences == []
    assert longest_line(tmp_path / "log") < USUAL_LINE_BYTES


class FrozenTime(datetime):
    """As the classes that freezegun and pandas have."""


class NumpyClock:
    """A clock whose hands are of other types than a log can hold, and go beyond all bounds."""

    boot_id = Text("\udc80" * 5000)

    def __init__(self):
        self.ns = np.int64(5)

    def monotonic_ns(self):
        return self.ns

    def now(self):
        return FrozenTime(2026, 1, 1, 12, tzinfo=UTC)


def test_the_hands_of_any_clock_can_be_written(tmp_path):
    clock = NumpyClock()
    with EventLog(tmp_path / "log", clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        for ns in (np.int64(10), np.uint64(2**63 + 5), 2**70):
            clock.ns = ns
            breaker.after_failure(breaker.before_call().permit)
        assert log.health().lost == 0
    *_, last = LogReader(tmp_path / "log")
    assert last.at == MAX_AT
    assert replay(tmp_path / "log").differences == []
