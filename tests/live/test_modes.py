"""Modes: enforce, shadow, and disabled."""

import pytest
from breaker_calls import fail, succeed

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    MemoryLog,
    Reason,
)
from recloser.history.engine import replay


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock, tick_seconds=None)


def breaker_in(mode, log, **settings):
    return CircuitBreaker(
        "b", CircuitBreakerConfig(failure_threshold=3, mode=mode, **settings), log=log
    )


def script(breaker, clock):
    """An outage with calls throughout; a call that a mode admits is reported too."""
    for step in range(200):
        clock.advance(seconds=1)
        decision = breaker.before_call()
        failing = 40 <= step < 110
        if decision.permit is not None:
            (breaker.after_failure if failing else breaker.after_success)(decision.permit)


def test_shadow_blocks_nothing_and_takes_the_edges_that_enforce_takes(clock):
    """It records each refusal that it would have made."""
    histories = {}
    for mode in ("enforce", "shadow"):
        log = MemoryLog(clock=clock, tick_seconds=None)
        breaker = breaker_in(mode, log)
        script(breaker, clock)
        histories[mode] = replay(log)
        assert histories[mode].differences == []
    enforced, shadowed = (histories[mode].snapshots["b"].totals for mode in ("enforce", "shadow"))
    assert [(e.trigger, e.cause.rule) for e in histories["enforce"].edges] == [
        (e.trigger, e.cause.rule) for e in histories["shadow"].edges
    ]
    assert shadowed.rejected == enforced.rejected > 50
    assert shadowed.stale == shadowed.rejected
    assert (shadowed.succeeded, shadowed.failed) == (enforced.succeeded, enforced.failed)


def test_shadow_mode_shows_that_it_would_have_rejected(log, clock):
    breaker = breaker_in("shadow", log)
    fail(breaker, 3)
    decision = breaker.before_call()
    assert (decision.allowed, decision.reason) == (True, Reason.SHADOW)
    assert decision.retry_after == 30
    assert breaker.call(lambda: "made") == "made"
    clock.advance(seconds=30)
    assert breaker.before_call().reason is Reason.PROBE
    assert breaker.before_call().reason is Reason.SHADOW


def test_disabled_lets_every_call_through_and_decides_nothing(log, clock):
    breaker = breaker_in("disabled", log)
    fail(breaker, 100)
    decision = breaker.before_call()
    assert (decision.allowed, decision.reason) == (True, Reason.DISABLED)
    breaker.after_success(decision.permit)
    assert breaker.snapshot().state.value == "CLOSED"
    assert breaker.snapshot().totals.failed == 100
    assert replay(log).edges == []


def test_a_mode_is_changed_by_command_with_actor_and_reason(log, clock):
    breaker = breaker_in("enforce", log)
    breaker.set_mode("shadow", actor="ann", reason="a dry run")
    event = list(log)[-1]
    assert (event.kind, event.mode, event.actor, event.reason) == (
        "mode_changed",
        "shadow",
        "ann",
        "a dry run",
    )
    assert breaker.snapshot().mode == "shadow"
    assert replay(log).snapshots["b"] == breaker.snapshot()


def test_disabling_an_open_breaker_lets_calls_through_and_enabling_finds_it_as_it_was(log, clock):
    breaker = breaker_in("enforce", log)
    fail(breaker, 3)
    breaker.set_mode("disabled")
    succeed(breaker, 5)
    assert breaker.current_state().value == "OPEN"
    breaker.set_mode("enforce")
    assert not breaker.before_call().allowed
    assert replay(log).differences == []


def test_a_probe_under_way_while_the_breaker_is_disabled_holds_no_place(log, clock):
    breaker = breaker_in("enforce", log)
    fail(breaker, 3)
    clock.advance(seconds=30)
    permit = breaker.before_call().permit
    breaker.set_mode("disabled")
    breaker.set_mode("enforce")
    breaker.after_success(permit)
    assert breaker.snapshot().totals.stale == 1
    assert breaker.before_call().reason is Reason.PROBE
    assert replay(log).differences == []


def test_a_mode_survives_a_restart_until_the_configuration_changes(tmp_path, clock):
    config = CircuitBreakerConfig(failure_threshold=3)
    with EventLog(tmp_path / "log", clock=clock) as log:
        CircuitBreaker("b", config, log=log).set_mode("shadow")
    with EventLog(tmp_path / "log", clock=clock) as log:
        assert CircuitBreaker("b", config, log=log).snapshot().mode == "shadow"
    other = CircuitBreakerConfig(failure_threshold=4)
    with EventLog(tmp_path / "log", clock=clock) as log:
        assert CircuitBreaker("b", other, log=log).snapshot().mode == "enforce"


def test_an_unknown_mode_is_refused(log):
    with pytest.raises(
        ConfigError, match="mode must be one of enforce, shadow, disabled, not 'on'"
    ):
        breaker_in("enforce", log).set_mode("on")
    with pytest.raises(ConfigError, match="mode must be one of"):
        CircuitBreakerConfig(mode="on")


def test_shadow_admits_calls_after_an_open_disabled_breaker_got_new_settings(log):
    breaker = breaker_in("enforce", log)
    breaker.force_open()
    breaker.set_mode("disabled")
    CircuitBreaker("b", {"failure_threshold": 4}, log=log, on_other_config="replace")
    breaker.set_mode("shadow")
    assert breaker.before_call().reason is Reason.SHADOW
    breaker.set_mode("disabled")
    assert breaker.before_call().reason is Reason.DISABLED
