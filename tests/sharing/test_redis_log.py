"""Shared breakers on a real server: all processes follow the same stream."""

import asyncio
import logging
import os
import threading

import pytest
import redis
from breaker_calls import fail, succeed
from redis_servers import Loop, Proxy, wait_for
from shared_support import has_tripped, state

from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitOpenError,
    ConfigError,
    CountWindow,
    Listener,
    Reason,
    SkewedClock,
    SystemClock,
)
from recloser.core.state import dump
from recloser.sharing import redis_log as redis_module
from recloser.sharing import stream_fold as stream_fold_module
from recloser.sharing.claims import HOLD_NS
from recloser.sharing.redis_log import RedisLog
from recloser.sharing.stream_entry import StreamCheckpoint
from recloser.sharing.stream_fold import StreamFold

CONFIG = CircuitBreakerConfig(
    failure_threshold=3, recovery_timeout_seconds=0.2, half_open_success_threshold=1
)


class Recorder(Listener):
    hears_successes = hears_refusals = True

    def __init__(self):
        self.events = []

    def on_event(self, event):
        self.events.append(event)

    @property
    def edges(self):
        return [e for e in self.events if e.kind == "state_changed"]


@pytest.fixture
def pair(redis_server, stream, make_log):
    """One breaker in two members."""
    return [CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream)) for _ in range(2)]


def synchronize(*breakers):
    """Wait until all events of the breakers were sent and read by all."""
    for _ in range(2):
        for breaker in breakers:
            breaker._sequencer._log.flush()


def states(*breakers):
    synchronize(*breakers)
    return [dump(breaker._state) for breaker in breakers]


def entries(redis_server, stream):
    with redis_server.client() as client:
        return client.xlen(f"recloser:{{{stream}}}")


def test_trip_in_one_process_opens_the_breaker_in_all(pair):
    here, there = pair
    fail(here, 2)
    synchronize(*pair)
    fail(there)
    wait_for(lambda: state(here) == state(there) == "OPEN")
    assert here.before_call().reason is Reason.COOLDOWN_ACTIVE
    with pytest.raises(CircuitOpenError):
        there.call(int)
    first, second = states(*pair)
    assert first == second
    assert first["why_open"]["observed"] == 3


def test_only_one_process_admits_a_probe(pair):
    fail(pair[0], 3)
    wait_for(lambda: has_tripped(pair[1]))
    wait_for(lambda: any(b.before_call().allowed for b in pair))
    assert [state(b) for b in pair].count("HALF_OPEN") >= 1
    synchronize(*pair)
    assert [b.before_call().reason for b in pair] == [Reason.PROBES_EXHAUSTED] * 2


def test_only_one_of_many_threads_in_many_processes_gets_a_probe(redis_server, stream, make_log):
    breakers = [CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream)) for _ in range(4)]
    fail(breakers[0], 3)
    wait_for(lambda: all(map(has_tripped, breakers)))
    wait_for(lambda: breakers[0].snapshot().retry_after == 0)
    threading.Event().wait(0.01)
    allowed = []
    barrier = threading.Barrier(16)

    def ask(breaker):
        barrier.wait()
        allowed.append(breaker.before_call().allowed)

    threads = [threading.Thread(target=ask, args=(b,)) for b in breakers for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert allowed.count(True) == 1


def test_successful_probe_closes_the_breaker_in_all_processes(pair):
    fail(pair[0], 3)
    wait_for(lambda: pair[1].before_call().reason is Reason.PROBE)
    pair[1].after_success()
    wait_for(lambda: [state(b) for b in pair] == ["CLOSED"] * 2)
    assert states(*pair)[0]["epoch"] == 3


def test_calling_threads_send_nothing_to_the_server(pair, monkeypatch):
    sent = []
    connection = redis.connection.Connection
    send = connection.send_packed_command

    def counted(self, *args, **options):
        sent.append(threading.get_ident())
        return send(self, *args, **options)

    monkeypatch.setattr(connection, "send_packed_command", counted)
    for _ in range(100):
        pair[0].call(int)
    fail(pair[0], 3)
    wait_for(lambda: has_tripped(pair[1]))
    wait_for(lambda: pair[1].before_call().allowed)
    assert sent
    assert threading.get_ident() not in sent


def test_thousand_calls_become_a_few_entries(redis_server, stream, pair):
    before = entries(redis_server, stream)
    for _ in range(1000):
        pair[0].call(int)
    assert states(*pair)[0]["succeeded"] == 1000
    assert entries(redis_server, stream) - before <= 5


def test_late_process_learns_the_whole_history(redis_server, stream, make_log, pair):
    fail(pair[0], 3)
    synchronize(*pair)
    late = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream))
    assert has_tripped(late)
    assert late.snapshot().opened_at == pair[0].snapshot().opened_at
    first, second = states(pair[0], late)
    assert first == second


def test_late_process_starts_at_a_checkpoint_of_a_trimmed_stream(
    redis_server, stream, make_log, monkeypatch
):
    monkeypatch.setattr(stream_fold_module, "CHECKPOINT_EVERY", 20)
    log = make_log(redis_server, stream, keep_entries=30)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=1000), log=log)
    for _ in range(120):
        fail(breaker)
        log.flush()
    synchronize(breaker)
    assert 30 <= entries(redis_server, stream) <= 80
    late = CircuitBreaker("b", breaker.config, log=make_log(redis_server, stream))
    assert late._sequencer.stream_fold.start > (0, 0)
    assert late._sequencer.stream_fold.entries < 60
    first, second = states(breaker, late)
    assert first == second
    assert first["failed"] == 120
    assert breaker._sequencer.fold.seq == late._sequencer.fold.seq


def test_command_is_in_effect_in_all_processes_when_it_returns(pair):
    pair[0].force_open(actor="me", reason="to see")
    assert state(pair[0]) == "OPEN"
    wait_for(lambda: has_tripped(pair[1]))
    assert pair[1].before_call().reason is Reason.FORCED_OPEN
    pair[1].reset()
    assert state(pair[1]) == "CLOSED"
    wait_for(lambda: state(pair[0]) == "CLOSED")


def test_listeners_receive_all_edges_and_the_calls_of_their_own_process(
    redis_server, stream, make_log
):
    recorder = [Recorder(), Recorder()]
    here, there = (
        CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream), listeners=[listener])
        for listener in recorder
    )
    succeed(here, 3)
    fail(there, 3)
    synchronize(here, there)
    wait_for(lambda: recorder[0].edges and recorder[1].edges)
    assert here.flush()
    assert there.flush()
    assert recorder[0].edges == recorder[1].edges
    assert sum(e.count for e in recorder[0].events if e.kind == "call_succeeded") == 3
    assert [e.kind for e in recorder[1].events if e.kind.startswith("call")] == ["call_failed"] * 3


def test_differing_settings_are_reported_and_not_used(redis_server, stream, make_log, pair, caplog):
    other = CircuitBreakerConfig(failure_threshold=9)
    with caplog.at_level(logging.WARNING):
        breaker = CircuitBreaker("b", other, log=make_log(redis_server, stream))
    assert "'b' has other settings in the stream than here: failure_threshold, " in caplog.text
    assert breaker._state.config.failure_threshold == 3
    with pytest.raises(ConfigError, match="has other settings"):
        CircuitBreaker("b", other, log=make_log(redis_server, stream, on_other_config="raise"))


def test_on_other_config_replace_replaces_settings_in_all_processes(
    redis_server, stream, make_log, pair
):
    other = CircuitBreakerConfig(failure_threshold=9)
    CircuitBreaker("b", other, log=make_log(redis_server, stream, on_other_config="replace"))
    wait_for(lambda: all(b._state.config.failure_threshold == 9 for b in pair))


@pytest.mark.parametrize(
    "options",
    [{"on_other_config": "ignore"}, {"timeout_seconds": 0}, {"claim_seconds": -1}],
)
def test_invalid_options_are_refused(redis_server, options, make_log):
    with pytest.raises(ConfigError, match=next(iter(options))):
        make_log(redis_server, "s", **options)


def test_wall_clock_that_is_an_hour_wrong_makes_no_difference(redis_server, stream, make_log):
    clocks = [SkewedClock(SystemClock(), shift_seconds=s) for s in (3600, -3600)]
    breakers = [
        CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream, clock=clock))
        for clock in clocks
    ]
    fail(breakers[0], 3)
    wait_for(lambda: has_tripped(breakers[1]))
    assert breakers[1].snapshot().retry_after <= 0.2
    wait_for(lambda: breakers[1].before_call().allowed)
    first, second = states(*breakers)
    assert first == second


def test_coroutines_are_protected_by_a_shared_breaker(pair):
    async def work():
        await asyncio.sleep(0)

    async def main():
        for _ in range(10):
            await pair[0].call(work)

    asyncio.run(main())
    assert states(*pair)[1]["succeeded"] == 10


@pytest.mark.parametrize("protocol", [2, 3])
def test_both_versions_of_the_redis_protocol_work(redis_server, stream, make_log, protocol):
    class Spoken:
        url = f"{redis_server.url}?protocol={protocol}"

    breaker = CircuitBreaker("b", CONFIG, log=make_log(Spoken, stream))
    breaker.force_open()
    assert state(breaker) == "OPEN"
    assert not breaker.snapshot().degraded


def test_registry_can_use_a_redis_log(redis_server, stream, make_log):
    here, there = (Breakers(CONFIG, log=make_log(redis_server, stream)) for _ in range(2))
    fail(here["x"], 3)
    wait_for(lambda: has_tripped(there["x"]))
    assert state(there["y"]) == "CLOSED"


def test_window_counts_the_calls_of_all_processes(redis_server, stream, make_log):
    config = CircuitBreakerConfig(
        failure_threshold=None, window=CountWindow(10, 0.5, minimum_calls=10)
    )
    breakers = [CircuitBreaker("b", config, log=make_log(redis_server, stream)) for _ in range(2)]
    succeed(breakers[0], 5)
    synchronize(*breakers)
    fail(breakers[1], 5)
    wait_for(lambda: [state(b) for b in breakers] == ["OPEN"] * 2)
    assert states(*breakers)[0]["why_open"]["calls"] == 10


def test_probe_of_a_call_that_gave_up_is_used_by_the_next_call_or_returned(
    redis_server, stream, make_log, request
):
    loop = Loop()
    request.addfinalizer(loop.close)
    proxy = Proxy(loop, redis_server.port)
    config = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=0.1)
    breaker = CircuitBreaker("b", config, log=make_log(proxy, stream, claim_seconds=0.01))
    fail(breaker, 3)
    wait_for(lambda: breaker.snapshot().retry_after == 0)
    threading.Event().wait(0.01)

    def claim_and_give_up():
        proxy.hold()
        with pytest.raises(CircuitOpenError):
            breaker.call(int)
        proxy.release()
        wait_for(lambda: breaker.snapshot().probes_in_flight == 1)

    claim_and_give_up()
    with breaker as permit:
        assert permit.probe == 1
    wait_for(lambda: state(breaker) == "HALF_OPEN" and not breaker.snapshot().probes_in_flight)
    claim_and_give_up()
    wait_for(lambda: not breaker.snapshot().probes_in_flight, 3 * HOLD_NS / 1e9)
    assert breaker.snapshot().totals.ignored == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_child_is_a_member_of_its_own(redis_server, stream, make_log):
    breaker = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream))
    succeed(breaker)
    synchronize(breaker)
    child = os.fork()
    if not child:
        status = 1
        try:
            fail(breaker, 3)
            wait_for(lambda: has_tripped(breaker) and not breaker.snapshot().degraded)
            synchronize(breaker)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    wait_for(lambda: state(breaker) == "OPEN")
    assert breaker.snapshot().totals.failed == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_children_that_use_the_log_first_are_members_of_their_own(
    redis_server, stream, make_log
):
    log = make_log(redis_server, stream)
    children = []
    for _ in range(2):
        child = os.fork()
        if not child:
            status = 1
            try:
                breaker = CircuitBreaker("b", CONFIG, log=log)
                fail(breaker)
                log.close()
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker)
    wait_for(lambda: breaker.snapshot().totals.failed == 3)
    wait_for(lambda: state(breaker) == "OPEN")


def test_health_reports_waiting_events_and_failures(redis_server, stream, make_log):
    log = make_log(redis_server, stream)
    assert log.health().failure is None
    breaker = CircuitBreaker("b", CONFIG, log=log)
    fail(breaker)
    log.flush()
    assert (log.health().waiting, log.health().lost, log.health().failure) == (0, 0, None)


def test_calls_continue_after_the_log_is_closed(redis_server, stream, make_log):
    log = make_log(redis_server, stream)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    log.close()
    log.close()
    fail(breaker, 3)
    assert state(breaker) == "OPEN"
    assert breaker.snapshot().degraded


def test_checkpoint_describes_an_entry_in_the_stream(redis_server, stream, make_log, monkeypatch):
    monkeypatch.setattr(stream_fold_module, "CHECKPOINT_EVERY", 5)
    log = make_log(redis_server, stream)
    breaker = CircuitBreaker("b", CONFIG, log=log)
    for _ in range(10):
        succeed(breaker)
        log.flush()
    wait_for(lambda: any(isinstance(e.body, StreamCheckpoint) for e in log._connection.page(None)))
    checkpoint = next(
        e.body for e in log._connection.page(None) if isinstance(e.body, StreamCheckpoint)
    )
    assert StreamFold.from_checkpoint(checkpoint).fold.breakers["b"].succeeded > 0


def test_claim_is_sent_without_delay_after_a_checkpoint(
    redis_server, stream, make_log, monkeypatch
):
    monkeypatch.setattr(redis_module, "BATCH_SECONDS", 10)
    breaker = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream, claim_seconds=5))
    fail(breaker, 3)
    wait_for(lambda: has_tripped(breaker))
    wait_for(lambda: breaker.snapshot().retry_after == 0)
    threading.Event().wait(0.01)
    sequencer = breaker._sequencer
    sequencer.hold(
        lambda: sequencer.outbox.add_body(sequencer.stream_fold.checkpoint(), 0), lambda: None
    )
    assert breaker.before_call().allowed


def test_wake_up_without_hurry_does_not_cancel_the_hurry_of_another_thread():
    class Raced(RedisLog):
        """Set the flag right after it was read, as another thread may."""

        reads = 0

        @property
        def _hurry(self):
            self.reads += 1
            seen, self.is_in_hurry = self.is_in_hurry, True
            return seen

        @_hurry.setter
        def _hurry(self, value):
            self.is_in_hurry = value

    log = Raced("redis://127.0.0.1:1/0")
    log.is_in_hurry = False
    log._wake_up(hurry=False)
    assert log.is_in_hurry or not log.reads
