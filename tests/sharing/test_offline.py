"""Offline members decide by their own calls, and follow the stream when it is back."""

import threading

import pytest
from breaker_calls import fail, succeed
from redis_servers import Loop, Proxy, wait_for
from shared_support import (
    has_tripped,
    history,
    is_degraded,
    log_of,
    restart_server,
    state,
    synchronize,
)

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    Listener,
    ManualClock,
    Reason,
)
from recloser.sharing import outbox as outbox_module
from recloser.sharing.connection import StreamChangedError
from recloser.sharing.offline import PRIVATE_EPOCHS
from recloser.sharing.outbox import MAX_WAITING
from recloser.sharing.redis_log import RedisLog
from recloser.sharing.stream_entry import format_id

CONFIG = CircuitBreakerConfig(
    failure_threshold=3, recovery_timeout_seconds=0.2, half_open_success_threshold=1
)


@pytest.fixture
def pair(own_redis, stream, make_log):
    breakers = [
        CircuitBreaker("b", CONFIG, log=make_log(own_redis, stream, host=host, timeout_seconds=0.5))
        for host in ("here", "there")
    ]
    succeed(breakers[0])
    synchronize(*breakers)
    return breakers


@pytest.fixture
def offline_pair(own_redis, pair):
    own_redis.kill()
    wait_for(lambda: all(map(is_degraded, pair)))
    return pair


def test_offline_member_opens_by_its_own_calls(offline_pair):
    here, there = offline_pair
    fail(here, 3)
    assert state(here) == "OPEN"
    assert here.before_call().reason is Reason.COOLDOWN_ACTIVE
    assert state(there) == "CLOSED"
    assert there.before_call().allowed


def test_offline_member_cools_probes_and_recovers(offline_pair):
    here, _ = offline_pair
    fail(here, 3)
    wait_for(lambda: here.before_call().reason is Reason.PROBE)
    assert not here.before_call().allowed
    here.after_success()
    assert state(here) == "CLOSED"
    assert here.snapshot().epoch > PRIVATE_EPOCHS


def test_offline_failures_are_sent_late_and_count(own_redis, offline_pair):
    fail(offline_pair[0])
    fail(offline_pair[1], 2)
    restart_server(own_redis, offline_pair)
    assert all(map(has_tripped, offline_pair))
    assert offline_pair[0].snapshot().totals.failed == 3
    assert 0 < offline_pair[0].snapshot().epoch < PRIVATE_EPOCHS


def test_history_of_the_stream_wins_and_names_discarded_edges(own_redis, offline_pair):
    here, there = offline_pair
    fail(here, 3)
    wait_for(lambda: here.before_call().reason is Reason.PROBE)
    here.after_success()
    succeed(here, 2)
    there.reset(actor="me")
    restart_server(own_redis, offline_pair)
    assert here.snapshot().epoch < PRIVATE_EPOCHS
    gaps = {e.error.split()[0]: e for e in history(here) if e.kind == "log_gap"}
    assert "gave up b trip, b cool, b recover" in gaps["here"].error
    assert gaps["here"].lost == 3, "its probe and the calls after it belong to no epoch there"
    assert "gave up b reset" in gaps["there"].error
    resets = [e for e in history(here) if e.kind == "reset"]
    assert [reset.actor for reset in resets] == ["me"], "an operator's word is sent late, not lost"


def test_offline_period_without_calls_leaves_no_gap(own_redis, offline_pair):
    restart_server(own_redis, offline_pair)
    assert not [e for e in history(offline_pair[0]) if e.kind == "log_gap"]


def test_probe_admitted_offline_does_not_count_in_the_stream(own_redis, offline_pair):
    here, there = offline_pair
    fail(here, 3)
    wait_for(lambda: here.before_call().reason is Reason.PROBE)
    restart_server(own_redis, offline_pair)
    assert all(map(has_tripped, offline_pair)), "its failures were sent late"
    wait_for(lambda: there.before_call().reason is Reason.PROBE)
    seen = there.snapshot()
    assert (seen.epoch, seen.probes_in_flight) == (2, 1)
    here.after_failure()
    synchronize(here, there)
    assert there.snapshot().epoch == 2
    there.after_success()
    synchronize(here, there)
    assert state(here) == "CLOSED"


def test_old_offline_outcomes_are_counted_as_lost(own_redis, offline_pair, monkeypatch):
    monkeypatch.setattr(outbox_module, "MAX_AGE_NS", 0)
    fail(offline_pair[0], 2)
    restart_server(own_redis, offline_pair)
    assert offline_pair[0].snapshot().totals.failed == 0
    (gap,) = [e for e in history(offline_pair[0]) if e.kind == "log_gap"]
    assert gap.lost == 2


def test_lost_entry_below_newer_ones_is_noticed(own_redis, pair):
    server = log_of(pair[0])._connection
    server.exchange(pair[0]._sequencer.stream_fold.position)
    newest = server.page_back(None)[0].id
    with own_redis.client() as client:
        client.xadd(server.key, {"member": "x", "batch": 1, "events": ""})
        client.xdel(server.key, format_id(newest))
    with pytest.raises(StreamChangedError):
        server.exchange(newest)


def test_number_of_waiting_events_is_bounded(offline_pair):
    here, _ = offline_pair
    for _ in range(MAX_WAITING + 10):
        permit = here.before_call().permit
        if permit is not None:
            here.after_ignored(permit)
    health = log_of(here).health()
    assert health.waiting <= MAX_WAITING
    assert health.lost > 0
    assert health.failure is not None


def test_deleted_stream_begins_again_with_the_known_states(own_redis, pair):
    here, there = pair
    fail(here, 3)
    wait_for(lambda: has_tripped(there))
    opened_at = there.snapshot().opened_at
    generation = here._sequencer.stream_fold.begin.generation
    with own_redis.client() as client:
        client.flushall()
    wait_for(lambda: here._sequencer.stream_fold.begin.generation != generation)
    wait_for(lambda: not any(map(is_degraded, pair)))
    synchronize(*pair)
    assert all(map(has_tripped, pair))
    assert abs((there.snapshot().opened_at - opened_at).total_seconds()) < 1
    assert history(here)[0].session == 2
    wait_for(lambda: here.before_call().reason is Reason.PROBE)
    here.after_success()
    synchronize(*pair)
    assert state(there) == "CLOSED"


def test_stream_that_lost_its_end_is_folded_anew(own_redis, pair):
    """The stream loses its last entries, as after a failover to a replica."""
    here, there = pair
    fail(here, 3)
    wait_for(lambda: has_tripped(there))
    key = log_of(here)._connection.key
    with own_redis.client() as client:
        kept, lost = client.xrange(key, count=3), []
        lost = [identity for identity, _ in client.xrange(key)][len(kept) :]
        client.xdel(key, *lost)
    wait_for(lambda: state(here) == state(there) == "CLOSED" and not is_degraded(here))
    wait_for(lambda: not is_degraded(there))
    synchronize(*pair)
    gaps = [e.error for e in history(here) if e.kind == "log_gap"]
    assert gaps
    assert all("gave up b trip" in gap for gap in gaps)


def test_members_continue_after_a_foreign_trim(own_redis, pair):
    here, there = pair
    for _ in range(5):
        succeed(here)
        synchronize(*pair)
    with own_redis.client() as client:
        client.xtrim(log_of(here)._connection.key, maxlen=1, approximate=False)
    fail(here, 3)
    wait_for(lambda: has_tripped(there))
    synchronize(*pair)


def test_listeners_receive_offline_events_and_none_twice(own_redis, stream, make_log):
    class Recorder(Listener):
        hears_successes = hears_refusals = True

        def __init__(self):
            self.failures = 0
            self.edges = []

        def on_event(self, event):
            self.failures += event.kind == "call_failed"

        def on_transition(self, edge):
            self.edges.append(edge.trigger.value)

    recorder = Recorder()
    log = make_log(own_redis, stream, timeout_seconds=0.5)
    # Its cooldown does not end meanwhile: where an answer is late, its end would be read with the
    # trip, and passed to listeners right after it.
    config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=60)
    breaker = CircuitBreaker("b", config, log=log, listeners=[recorder])
    own_redis.kill()
    wait_for(lambda: is_degraded(breaker))
    fail(breaker, 3)
    assert breaker.flush()
    assert (recorder.failures, recorder.edges) == (3, ["trip"])
    own_redis.start()
    wait_for(lambda: not is_degraded(breaker))
    synchronize(breaker)
    wait_for(lambda: len(recorder.edges) == 2)
    assert (recorder.failures, recorder.edges) == (3, ["trip", "trip"])


def test_silent_server_delays_no_call(own_redis, stream, make_log, request):
    loop = Loop()
    request.addfinalizer(loop.close)
    proxy = Proxy(loop, own_redis.port)
    log = make_log(proxy, stream, timeout_seconds=0.3)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    proxy.hold()
    clock = log._clock
    slowest = 0
    while not is_degraded(breaker):
        began = clock.monotonic_ns()
        succeed(breaker)
        slowest = max(slowest, clock.monotonic_ns() - began)
        threading.Event().wait(0.002)
    assert slowest < 250_000_000
    proxy.release()
    wait_for(lambda: not is_degraded(breaker))


def test_differing_settings_are_reported_when_the_stream_is_back(
    own_redis, stream, make_log, caplog, pair
):
    own_redis.kill()
    log = make_log(own_redis, stream, timeout_seconds=0.3)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=9), log=log)
    assert breaker._state.config.failure_threshold == 9
    own_redis.start()
    wait_for(lambda: not is_degraded(breaker))
    assert breaker._state.config.failure_threshold == 3
    assert "'b' has other settings in the stream than here: failure_threshold" in caplog.text


def test_process_that_starts_without_the_server_joins_later(own_redis, stream, make_log):
    own_redis.kill()
    log = make_log(own_redis, stream, timeout_seconds=0.3)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    assert is_degraded(breaker)
    fail(breaker)
    own_redis.start()
    wait_for(lambda: not is_degraded(breaker))
    other = CircuitBreaker("b", CONFIG, log=make_log(own_redis, stream))
    synchronize(breaker, other)
    assert other.snapshot().totals.failed == 1


def test_offline_success_that_waited_is_folded_at_its_own_time():
    """Rejected calls wait after it, and are earlier than the call that folds them."""
    clock = ManualClock()
    log = RedisLog("redis://127.0.0.1:1/0", stream="away", clock=clock, timeout_seconds=0.05)
    config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=0.8)
    breaker = CircuitBreaker("b", config, log=log)

    def slow():
        for _ in range(3):
            breaker.after_failure(breaker.before_call().permit, "OSError")
        clock.advance(seconds=0.3)

    breaker.call(slow)
    for _ in range(2):
        with pytest.raises(CircuitOpenError):
            breaker.call(int)
        clock.advance(seconds=0.1)
    clock.advance(seconds=1)
    assert breaker.call(int) == 0
    totals = breaker.snapshot().totals
    assert (totals.failed, totals.rejected, totals.stale, totals.succeeded) == (3, 2, 1, 1)
    log.close()
