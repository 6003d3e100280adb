"""Time over restarts: what a pause counts for is decided once, when the log is opened."""

import threading
from datetime import UTC, datetime

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, EventLog, ManualClock, MemoryLog
from recloser.history.engine import read_events, replay

HOUR = 3600


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


def opened_at(path):
    return [event.at for event in read_events(path) if event.kind == "log_opened"][-1]


def open_breaker(path, clock):
    """Ten seconds into the log, the breaker opens for 30 s."""
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        clock.advance(seconds=10)
        fail(breaker, 5)


def reopened(path, clock):
    with EventLog(path, clock=clock) as log:
        return CircuitBreaker("b", log=log).snapshot()


def test_within_one_boot_time_goes_on_by_the_monotonic_clock_alone(path, clock):
    open_breaker(path, clock)
    clock.advance_monotonic(seconds=12)
    clock.advance_wall(seconds=-5 * HOUR)
    snapshot = reopened(path, clock)
    assert opened_at(path) == 22 * 10**9
    assert snapshot.retry_after == 18


@pytest.mark.parametrize(
    ("wall_seconds", "left"),
    [(0, 30), (12, 18), (-5 * HOUR, 30), (29.999999, 0.000001)],
)
def test_over_a_reboot_the_wall_clock_is_believed_within_the_cooldown(
    path, clock, wall_seconds, left
):
    """Set back, it holds the breaker open no longer than one full cooldown."""
    open_breaker(path, clock)
    clock.reboot()
    clock.advance_wall(seconds=wall_seconds)
    snapshot = reopened(path, clock)
    assert snapshot.state.value == "OPEN"
    assert snapshot.retry_after == pytest.approx(left)


@pytest.mark.parametrize("wall_seconds", [30, 31, 10**6])
def test_a_clock_set_forward_over_a_reboot_at_worst_probes_early(path, clock, wall_seconds):
    open_breaker(path, clock)
    clock.reboot()
    clock.advance_wall(seconds=wall_seconds)
    assert reopened(path, clock).state.value == "HALF_OPEN"
    assert opened_at(path) == 40 * 10**9


def test_no_time_passes_over_a_reboot_if_no_breaker_waits(path, clock):
    with EventLog(path, clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
    clock.reboot()
    clock.advance_wall(seconds=HOUR)
    reopened(path, clock)
    assert opened_at(path) == 0


def test_monotonic_clock_before_the_logs_time_counts_as_another_boot(path, clock):
    open_breaker(path, clock)
    restarted = ManualClock(clock.now(), boot_id=clock.boot_id)
    assert reopened(path, restarted).retry_after == 30


def test_a_clock_without_a_boot_id_is_taken_for_a_rebooted_one(path):
    nameless = ManualClock(datetime(2026, 1, 1, tzinfo=UTC), boot_id="")
    open_breaker(path, nameless)
    nameless.advance_monotonic(seconds=20)
    assert reopened(path, nameless).retry_after == 30


def test_a_replay_reads_the_gap_and_does_not_compute_it(path, clock):
    open_breaker(path, clock)
    clock.reboot()
    clock.advance_wall(seconds=12)
    live = reopened(path, clock)
    history = replay(path)
    assert history.snapshots["b"] == live
    assert history.differences == []


def test_probes_under_way_die_with_their_process(path, clock):
    """Else a breaker whose process was killed in a probe would stay half-open for ever."""
    open_breaker(path, clock)
    clock.advance(seconds=30)
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        assert breaker.before_call().allowed
        assert not breaker.before_call().allowed
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        assert breaker.snapshot().probes_in_flight == 0
        assert breaker.before_call().allowed
    assert replay(path).differences == []


def test_worker_ends_though_a_handler_that_holds_the_lock_waits_for_it():
    """As one for SIGTERM does, which stops the workers and interrupted a breaker."""
    breaker = CircuitBreaker("b", log=MemoryLog(clock=ManualClock()))

    def stop_workers():
        worker = threading.Thread(target=fail, args=(breaker,), daemon=True)
        worker.start()
        worker.join(10)
        assert not worker.is_alive()

    breaker._sequencer.hold(stop_workers, lambda: None)
    assert breaker.snapshot().totals.failed == 1
