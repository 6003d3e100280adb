"""The live breaker: what it answers, what it records, and what it refuses."""

import asyncio
import contextvars
import copy
import pickle
import threading
from datetime import UTC, datetime, timedelta, timezone

import pytest
from breaker_calls import fail, succeed

from recloser import (
    BreakerDecision,
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    CircuitOpenError,
    ConfigError,
    EventLog,
    MemoryLog,
    PermitError,
    Reason,
)
from recloser.core.events import CallFailed, CallIgnored, CallRejected, CallSucceeded, ForcedOpen


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock)


@pytest.fixture
def breaker(log):
    return CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)


def last(log, event_type):
    return [event for event in log if isinstance(event, event_type)][-1]


def test_a_closed_breaker_allows(breaker):
    decision = breaker.before_call()
    assert decision == BreakerDecision(
        allowed=True,
        reason=Reason.CLOSED,
        retry_after=None,
        permit=decision.permit,
        state=CircuitBreakerState.CLOSED,
    )


def test_open_breaker_rejects_with_retry_after(breaker, clock, log):
    fail(breaker, 3)
    clock.advance(seconds=12.5)
    decision = breaker.before_call()
    assert decision == BreakerDecision(
        allowed=False,
        reason=Reason.COOLDOWN_ACTIVE,
        retry_after=17.5,
        permit=None,
        state=CircuitBreakerState.OPEN,
    )
    assert last(log, CallRejected).retry_after == 17_500_000_000


def test_half_open_breaker_admits_probes_and_rejects_other_calls(breaker, clock):
    fail(breaker, 3)
    clock.advance(seconds=30)
    assert breaker.before_call().reason is Reason.PROBE
    refused = breaker.before_call()
    assert (refused.allowed, refused.reason) == (False, Reason.PROBES_EXHAUSTED)
    assert refused.retry_after is None
    assert refused.state is CircuitBreakerState.HALF_OPEN


def test_forced_open_breaker_rejects_without_retry_after(breaker, clock, log):
    breaker.force_open(actor="ann", reason="maintenance")
    clock.advance(seconds=10**6)
    decision = breaker.before_call()
    assert (decision.allowed, decision.reason) == (False, Reason.FORCED_OPEN)
    assert decision.retry_after is None
    assert last(log, ForcedOpen).actor == "ann"
    breaker.force_closed()
    assert breaker.before_call().allowed


def test_the_cooldown_ends_at_its_deadline_to_the_nanosecond(breaker, clock):
    fail(breaker, 3)
    clock.advance(seconds=30, ns=-1)
    assert breaker.before_call().retry_after == 1e-9
    clock.advance(ns=1)
    assert breaker.before_call().allowed


def test_reading_appends_nothing_and_changes_nothing(breaker, clock, log):
    """Past its deadline an OPEN breaker stays OPEN until an event says so."""
    fail(breaker, 3)
    clock.advance(seconds=31)
    before = list(log)
    assert breaker.current_state() is CircuitBreakerState.OPEN
    snapshot = breaker.snapshot()
    assert snapshot.state is CircuitBreakerState.OPEN
    assert snapshot.retry_after == 0
    assert list(log) == before


def test_times_in_a_snapshot_are_aware_utc(breaker, clock):
    fail(breaker, 3)
    clock.advance(seconds=1)
    snapshot = breaker.snapshot()
    assert snapshot.opened_at.tzinfo is UTC
    assert snapshot.opened_at == clock.now() - timedelta(seconds=1)
    assert snapshot.retry_at == clock.now() + timedelta(seconds=29)
    assert snapshot.retry_after == 29


def test_an_hours_step_of_the_wall_clock_moves_no_decision(breaker, clock):
    fail(breaker, 3)
    clock.advance_wall(seconds=3600)
    assert not breaker.before_call().allowed
    clock.advance_wall(seconds=-7200)
    clock.advance_monotonic(seconds=30)
    assert breaker.before_call().allowed


def test_the_duration_is_measured_unless_the_caller_has_done_it(breaker, clock, log):
    permit = breaker.before_call().permit
    clock.advance(ns=1234)
    breaker.after_success(permit)
    assert last(log, CallSucceeded).took == 1234
    breaker.after_failure(breaker.before_call().permit, took_ns=77)
    assert last(log, CallFailed).took == 77


class OwnError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "recorded"),
    [
        (TimeoutError("secret"), "TimeoutError"),
        (OwnError("secret"), "test_breaker.OwnError"),
        ("503", "503"),
        (None, None),
    ],
)
def test_a_failure_is_recorded_by_its_type_and_not_its_message(breaker, log, error, recorded):
    breaker.after_failure(breaker.before_call().permit, error)
    assert last(log, CallFailed).error == recorded


def test_without_a_permit_the_last_one_of_the_context_is_reported(breaker, log):
    other = CircuitBreaker("other", log=log)
    breaker.before_call()
    other.before_call()
    breaker.after_success()
    other.after_failure()
    assert last(log, CallSucceeded).breaker == "b"
    assert last(log, CallFailed).breaker == "other"


def test_without_any_permit_there_is_nothing_to_report(breaker):
    with pytest.raises(PermitError, match="no open permit of 'b' in this context"):
        breaker.after_success()
    breaker.before_call()
    breaker.after_success()
    with pytest.raises(PermitError, match="no open permit"):
        breaker.after_success()


def test_rejected_call_leaves_no_permit(breaker):
    fail(breaker, 3)
    assert breaker.before_call().permit is None
    with pytest.raises(PermitError):
        breaker.after_failure()


def test_a_permit_is_reported_once(breaker, log):
    permit = breaker.before_call().permit
    breaker.after_success(permit)
    count = len(log)
    with pytest.raises(PermitError, match="reported before"):
        breaker.after_failure(permit)
    assert len(log) == count


def test_permit_of_another_breaker_is_refused(breaker, log):
    permit = CircuitBreaker("other", log=log).before_call().permit
    with pytest.raises(PermitError, match="not given by this breaker, 'b'"):
        breaker.after_success(permit)


def test_contexts_do_not_see_each_others_permits(breaker):
    breaker.before_call()
    with pytest.raises(PermitError):
        contextvars.Context().run(breaker.after_success)
    breaker.after_success()


def test_tasks_report_their_own_permits(breaker, clock, log):
    """Two overlapping calls report their own permits although none is passed."""

    async def call(started, proceed):
        breaker.before_call()
        started.set()
        await proceed.wait()
        breaker.after_success()

    async def both():
        started, proceed = [asyncio.Event(), asyncio.Event()], [asyncio.Event(), asyncio.Event()]
        tasks = []
        for n in (0, 1):
            tasks.append(asyncio.create_task(call(started[n], proceed[n])))
            await started[n].wait()
            clock.advance(seconds=1)
        for n in (0, 1):
            proceed[n].set()
            await tasks[n]

    asyncio.run(both())
    assert [event.took for event in log if isinstance(event, CallSucceeded)] == [2 * 10**9, 10**9]


def test_a_call_that_began_before_the_trip_changes_nothing_after_it(breaker, clock):
    """Neither may it close the half-open breaker, nor reopen it."""
    early = [breaker.before_call().permit for _ in range(4)]
    fail(breaker, 3)
    breaker.after_success(early[0])
    assert breaker.current_state() is CircuitBreakerState.OPEN
    clock.advance(seconds=30)
    probe = breaker.before_call().permit
    for permit in early[1:]:
        breaker.after_failure(permit)
    assert breaker.current_state() is CircuitBreakerState.HALF_OPEN
    assert breaker.snapshot().totals.stale == 4
    breaker.after_success(probe)
    assert breaker.snapshot().probe_successes == 1


def test_call_reports_success_and_gives_the_result_back(breaker, log):
    assert breaker.call(divmod, 7, 2) == (3, 1)
    assert last(log, CallSucceeded).breaker == "b"


def test_call_reports_a_failure_and_raises_it(breaker, log):
    with pytest.raises(ZeroDivisionError):
        breaker.call(divmod, 7, 0)
    assert last(log, CallFailed).error == "ZeroDivisionError"


def test_call_ignores_errors_that_are_not_failures_of_the_dependency(breaker, log):
    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaker.call(interrupted)
    assert last(log, CallIgnored).error == "KeyboardInterrupt"


def test_call_raises_when_rejected_and_does_not_call(breaker):
    fail(breaker, 3)
    with pytest.raises(
        CircuitOpenError, match=r"'b' refused the call: cooldown_active; .* 30.000 s"
    ):
        breaker.call(pytest.fail, "it was called")
    breaker.force_open()
    with pytest.raises(CircuitOpenError, match=r"forced_open$") as raised:
        breaker.call(pytest.fail, "it was called")
    assert raised.value.decision.reason is Reason.FORCED_OPEN


def test_the_protected_call_is_not_made_under_the_lock(breaker):
    """A call that takes its time keeps no other from being made."""
    entered, leave = threading.Event(), threading.Event()

    def slow():
        entered.set()
        assert leave.wait(10)

    thread = threading.Thread(target=breaker.call, args=(slow,))
    thread.start()
    assert entered.wait(10)
    assert breaker.call(lambda: "meanwhile") == "meanwhile"
    leave.set()
    thread.join()


def test_breakers_of_one_name_on_one_log_are_one_breaker(breaker, log):
    twin = CircuitBreaker("b", breaker.config, log=log)
    fail(twin, 3)
    assert breaker.current_state() is CircuitBreakerState.OPEN
    breaker.reset()
    twin.after_success(breaker.before_call().permit)


def test_without_a_log_a_breaker_works_and_keeps_nothing(clock):
    breaker = CircuitBreaker("b", clock=clock)
    fail(breaker, 5)
    assert breaker.current_state() is CircuitBreakerState.OPEN
    clock.advance(seconds=30)
    succeed(breaker, 2)
    assert breaker.current_state() is CircuitBreakerState.CLOSED


@pytest.mark.parametrize("name", ["", "lone \ud800 surrogate", 7])
def test_a_name_that_no_log_can_hold_is_refused(name, log):
    with pytest.raises(ValueError, match="^name must be a text"):
        CircuitBreaker(name, log=log)


def test_threads_lose_no_outcome(log):
    """What four threads report adds up, and the log folds to it."""
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=None), log=log)

    def hammer():
        for n in range(500):
            permit = breaker.before_call().permit
            (breaker.after_failure if n % 5 else breaker.after_success)(permit)

    threads = [threading.Thread(target=hammer) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    totals = breaker.snapshot().totals
    assert (totals.succeeded, totals.failed) == (400, 1600)
    assert [event.seq for event in log] == list(range(1, len(log) + 1))


@pytest.mark.parametrize("took_ns", [-1, 1.5, "7"])
def test_duration_that_no_log_can_hold_is_refused_and_the_permit_stays_valid(breaker, took_ns):
    permit = breaker.before_call().permit
    with pytest.raises(ConfigError, match="took_ns must be a whole number"):
        breaker.after_success(permit, took_ns=took_ns)
    breaker.after_success(permit)


def test_texts_of_callers_are_made_such_that_a_log_can_hold_them(breaker, log):
    breaker.after_failure(breaker.before_call().permit, "lone \ud800" + "x" * 10_000)
    recorded = last(log, CallFailed).error
    assert recorded.startswith("lone \\ud800x")
    assert len(recorded) < 1100
    with pytest.raises(ConfigError, match="must be texts, not 7"):
        breaker.force_open(actor=7)


class OtherClock:
    def __init__(self, now, monotonic_ns=0):
        self._now, self._ns = now, monotonic_ns

    def monotonic_ns(self):
        return self._ns

    def now(self):
        return self._now


def test_a_clock_in_another_zone_is_read_in_utc():
    zone = timezone(timedelta(hours=14))
    log = MemoryLog()
    CircuitBreaker("b", log=log, clock=OtherClock(datetime(2026, 1, 1, 14, tzinfo=zone)))
    assert next(iter(log)).wall == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "message"),
    [
        (OtherClock(datetime(2026, 1, 1)), r"now\(\) must give an aware time"),  # noqa: DTZ001
        (OtherClock(datetime(2026, 1, 1, tzinfo=UTC), 0.5), r"monotonic_ns\(\) must give a whole"),
        (OtherClock(datetime(2026, 1, 1, tzinfo=UTC), -1), "not -1"),
    ],
)
def test_a_clock_that_can_not_time_a_log_is_refused(clock, message):
    with pytest.raises(ConfigError, match=f"^clock: .*{message}"):
        CircuitBreaker("b", clock=clock)


@pytest.mark.parametrize(
    ("report", "message"),
    [
        (lambda breaker, _: breaker.after_failure(OSError("x")), r"after_failure\(error=\.\.\.\)"),
        (lambda breaker, _: breaker.after_failure(OSError), r"after_failure\(error=\.\.\.\)"),
        (lambda breaker, _: breaker.after_ignored(OSError()), r"after_ignored\(error=\.\.\.\)"),
        (lambda breaker, _: breaker.after_success("receipt"), "takes a permit .* not str"),
        (lambda breaker, _: breaker.after_success(0), "takes a permit .* not int"),
        (lambda breaker, decision: breaker.after_success(decision), r"pass decision\.permit"),
    ],
)
def test_report_with_another_object_than_a_permit_names_what_to_pass(breaker, log, report, message):
    decision = breaker.before_call()
    with pytest.raises(PermitError, match=message):
        report(breaker, decision)
    breaker.after_success()
    assert list(log)[-1].kind == "call_succeeded"


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, pickle.dumps, lambda given: copy.deepcopy({"it": [given]})]
)
@pytest.mark.parametrize("what", ["breaker", "registry", "log", "file"])
def test_objects_of_one_process_can_not_be_copied(breaker, log, copied, what, tmp_path):
    with EventLog(tmp_path / "log") as file:
        given = {"breaker": breaker, "registry": Breakers(), "log": log, "file": file}[what]
        with pytest.raises(TypeError, match="make it in each process"):
            copied(given)
        with pytest.raises(ConfigError):
            copied(given)
