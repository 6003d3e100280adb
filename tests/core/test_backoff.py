"""Backoff: how long each opening cools, the same in every replay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    Constant,
    Exponential,
    MemoryLog,
)
from recloser.core.backoff import cooldown_ns
from recloser.history.engine import replay

SECOND = 10**9


def cooldowns(backoff, count, base=SECOND, breaker="b"):
    return [cooldown_ns(backoff, base, breaker, opening=k, in_a_row=k) for k in range(1, count + 1)]


def test_a_constant_backoff_is_always_the_same():
    assert cooldowns(Constant(), 4) == [SECOND] * 4


def test_exponential_backoff_grows_up_to_its_maximum():
    assert cooldowns(Exponential(2, 10), 6) == [n * SECOND for n in (1, 2, 4, 8, 10, 10)]
    assert cooldowns(Exponential(1.5, 10), 4)[-1] == 3_375_000_000
    assert cooldowns(Exponential(2, 0.5), 2) == [SECOND // 2] * 2


@pytest.mark.parametrize("factor", [1, 1.000001, 3])
def test_the_millionth_opening_in_a_row_is_decided_at_once(factor):
    wait = cooldown_ns(Exponential(factor, 60), SECOND, "b", opening=1, in_a_row=10**6)
    assert SECOND <= wait <= 60 * SECOND


def test_cooldown_of_0_stays_0():
    assert cooldowns(Exponential(2, 60), 3, base=0) == [0, 0, 0]


def test_some_draws_are_pinned():
    """A change of these would make every log with jitter differ from its replay."""
    assert cooldowns(Constant("full"), 3) == [949416999, 842647833, 784765326]
    assert cooldowns(Constant("equal", seed=7), 3) == [899002568, 517963630, 546815428]


@given(st.integers(0, 10**12), st.integers(1, 10**6), st.integers(0, 99))
def test_jitter_keeps_its_bounds(base, opening, seed):
    def draw(jitter):
        return cooldown_ns(Constant(jitter, seed), base, "b", opening=opening, in_a_row=1)

    assert 0 <= draw("full") <= base
    assert base / 2 <= draw("equal") <= base
    assert draw("full") == draw("full")


def test_jitter_is_even_and_depends_on_seed_name_and_opening():
    draws = cooldowns(Constant("full"), 2000, base=1000)
    assert 450 < sum(draws) / len(draws) < 550
    assert len(set(draws)) > 800
    assert draws != cooldowns(Constant("full", seed=1), 2000, base=1000)
    assert draws != cooldowns(Constant("full"), 2000, base=1000, breaker="c")


def test_jitter_is_drawn_anew_for_each_opening_of_a_breakers_life(clock):
    """Not for each in a row, or every outage would begin with the same wait."""
    config = CircuitBreakerConfig(failure_threshold=1, backoff=Constant("full"))
    breaker = CircuitBreaker("b", config, clock=clock)
    waits = []
    for _ in range(3):
        breaker.after_failure(breaker.before_call().permit)
        waits.append(breaker.snapshot().retry_after)
        breaker.reset()
    base = 30 * SECOND
    assert [round(wait * 1e9) for wait in waits] == cooldowns(Constant("full"), 3, base)


def test_each_opening_in_a_row_cools_longer_until_the_breaker_closes(clock):
    log = MemoryLog(clock=clock)
    config = CircuitBreakerConfig(
        failure_threshold=1,
        recovery_timeout_seconds=1,
        backoff=Exponential(2, 60),
        half_open_success_threshold=1,
    )
    breaker = CircuitBreaker("b", config, log=log)
    waits = []
    for outcome in ("f", "f", "f", "s", "f", "f"):
        clock.advance(seconds=breaker.snapshot().retry_after or 0)
        decision = breaker.before_call()
        (breaker.after_failure if outcome == "f" else breaker.after_success)(decision.permit)
        waits.append(breaker.snapshot().retry_after)
    assert waits == [1, 2, 4, None, 1, 2]
    assert replay(log).differences == []


def test_replay_draws_the_same_jitter_per_opening(clock):
    """Asking again and again does not draw again, so the cooldown shrinks with no call rate."""
    log = MemoryLog(clock=clock)
    config = CircuitBreakerConfig(failure_threshold=1, backoff=Constant("full", seed=3))
    breaker = CircuitBreaker("b", config, log=log)
    breaker.after_failure(breaker.before_call().permit)
    wait = breaker.snapshot().retry_at
    for _ in range(1000):
        breaker.before_call()
    assert breaker.snapshot().retry_at == wait
    assert replay(log).snapshots["b"].retry_at == wait


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exponential(0.5), "factor must be a number from 1 to"),
        (lambda: Exponential(True), "factor must be .* not True"),
        (lambda: Exponential(max_seconds=-1), "max_seconds must be .* not -1"),
        (lambda: Constant("some"), "jitter must be one of none, full, equal, not 'some'"),
        (lambda: Constant(seed=-1), "seed must be .* not -1"),
        (
            lambda: CircuitBreakerConfig(backoff=2),
            "backoff must be a Constant or a Exponential, not",
        ),
    ],
)
def test_a_bad_backoff_is_refused_with_its_field_and_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
