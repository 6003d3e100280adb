"""Streams that lose data: an operator's command is restored, or its loss is reported."""

import threading
from contextlib import contextmanager

import pytest
from breaker_calls import succeed
from redis_servers import wait_for
from shared_support import await_agreement, history, is_degraded, log_of, state

from recloser import CircuitBreaker, CircuitBreakerConfig, Listener, Reason
from recloser.sharing import stream_joining
from recloser.sharing.connection import StreamChangedError
from recloser.sharing.stream_entry import StreamCheckpoint

CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=0.2)


@pytest.fixture
def short_restart_wait(monkeypatch):
    """Shorten the wait for members that could add a start: all of them were restarted."""
    monkeypatch.setattr(stream_joining, "_RESTART_SECONDS", 0.3)


@pytest.fixture
def members(own_redis, stream, make_log):
    """A function that creates members of one stream."""

    def make(count=1, **options):
        made = [
            CircuitBreaker("b", CONFIG, log=make_log(own_redis, stream, **options))
            for _ in range(count)
        ]
        wait_for(lambda: not any(map(is_degraded, made)))
        return made if count > 1 else made[0]

    return make


@pytest.fixture
def client(own_redis):
    with own_redis.client() as client:
        yield client


@pytest.fixture
def key(stream):
    return f"recloser:{{{stream}}}"


def kill_silently(*breakers):
    """End members as SIGKILL would: nothing more is sent."""
    for breaker in breakers:
        log = log_of(breaker)
        log._stopping.set()
        log._wake.ring()
        wait_for(lambda log=log: not log._threads.is_running("recloser-stream"))
        log._closed = True


@contextmanager
def stopped(breaker, error=None):
    """Suspend the thread of a member's log, as if its process was stopped.

    Args:
        breaker: The member's.
        error: What it meets when it goes on.
    """
    log = log_of(breaker)
    may_go_on, stands = threading.Event(), threading.Event()
    exchange = log._connection.exchange

    def stand(*arguments, **options):
        stands.set()
        may_go_on.wait()
        log._connection.exchange = exchange
        if error is not None:
            raise error
        return exchange(*arguments, **options)

    log._connection.exchange = stand
    log._wake_up()
    stands.wait()
    yield
    may_go_on.set()


def give_start(log):
    stream = log._stream
    stream.hold(lambda: log._round_trips._add_start(stream, stream.stream_fold), lambda: None)


def ask(breaker):
    """Make a call that is rejected and recorded in the stream."""
    assert not breaker.before_call().allowed


def are_open(*breakers):
    return all(state(breaker) == "OPEN" and not is_degraded(breaker) for breaker in breakers)


@pytest.mark.parametrize("left", [0, 1, 2])
def test_members_add_a_checkpoint_to_a_trimmed_stream(members, client, key, left):
    here, there = members(2)
    for _ in range(3):
        succeed(here)
        await_agreement(here, there)
    here.force_open(actor="me")
    client.xtrim(key, maxlen=left, approximate=False)
    late = members()
    wait_for(lambda: are_open(here, there, late))
    await_agreement(here, there, late)


def test_trimmed_stream_has_a_start_after_its_last_member_closes(members, client, key):
    breaker = members()
    breaker.force_open(actor="me")
    for _ in range(3):
        ask(breaker)
        log_of(breaker).flush()
    client.xtrim(key, maxlen=1, approximate=False)
    log_of(breaker).close()
    late = members()
    assert are_open(late)
    assert late.snapshot().why_open.actor == "me"


def test_emptied_stream_is_begun_anew_before_its_last_member_closes(members, client, key):
    breaker = members()
    breaker.force_open(actor="me")
    client.xtrim(key, maxlen=0, approximate=False)
    log_of(breaker).close()
    assert are_open(members())


@pytest.mark.usefixtures("short_restart_wait")
def test_commands_left_in_a_stream_without_a_start_are_obeyed(members, client, key, caplog):
    breaker = members()
    succeed(breaker)
    await_agreement(breaker)
    breaker.force_open(actor="me", reason="works")
    client.xtrim(key, maxlen=1, approximate=False)
    kill_silently(breaker)
    again = members(2)
    assert are_open(*again)
    assert again[0].before_call().reason is Reason.FORCED_OPEN
    await_agreement(*again)
    (gap,) = [event for event in history(again[0]) if event.kind == "log_gap"]
    assert "what operators had commanded before is not known" in gap.error
    assert "what operators had commanded before is not known" in caplog.text


@pytest.mark.usefixtures("short_restart_wait")
def test_restart_reports_that_earlier_commands_are_unknown(members, client, key, caplog):
    breaker = members()
    breaker.force_open(actor="me")
    ask(breaker)
    await_agreement(breaker)
    client.xtrim(key, maxlen=1, approximate=False)
    kill_silently(breaker)
    again = members(2)
    await_agreement(*again)
    assert [state(each) for each in again] == ["CLOSED", "CLOSED"]
    assert "what operators had commanded before is not known" in caplog.text
    again[0].force_open()
    wait_for(lambda: are_open(*again))


@pytest.mark.usefixtures("short_restart_wait")
def test_checkpoint_whose_entry_is_gone_still_provides_its_states(
    members, client, key, monkeypatch
):
    breaker = members()
    breaker.force_open(actor="me")
    log = log_of(breaker)
    log._round_trips._start_checked_ns = log._now_ns() + 10**12  # it does not look itself
    give_start(log)
    log.flush()
    assert isinstance(log._connection.page_back(None)[0].body, StreamCheckpoint)
    client.xtrim(key, maxlen=1, approximate=False)
    kill_silently(breaker)
    assert are_open(members())


def test_lost_commands_are_restored_once(members, client, key):
    """The stream loses its last entries, as after a failover to a replica."""
    here, there = members(2)
    await_agreement(here, there)
    remaining = client.xrange(key)
    here.force_open(actor="me", reason="works")
    await_agreement(here, there)
    here.set_mode("shadow")
    await_agreement(here, there)
    lost = client.xrange(key)[len(remaining) :]
    client.xdel(key, *[identity for identity, _ in lost])
    wait_for(lambda: any(b"again" in fields for _, fields in client.xrange(key)))
    wait_for(lambda: are_open(here, there) and here.snapshot().mode == "shadow")
    await_agreement(here, there)
    events = history(here)
    assert [e.actor for e in events if e.kind == "forced_open"] == ["me"], "it is obeyed once"
    assert len([e for e in events if e.kind == "mode_changed"]) == 1


def test_lost_command_is_not_restored_after_a_newer_one(members, client, key):
    here = members()
    remaining = len(client.xrange(key))
    here.force_open(actor="me")
    await_agreement(here)
    lost = client.xrange(key)[remaining:]
    client.xdel(key, *[identity for identity, _ in lost])
    there = members()
    there.force_open(actor="you")
    there.reset(actor="you")
    wait_for(lambda: not is_degraded(here))
    await_agreement(here, there)
    assert state(here) == "CLOSED"


@pytest.mark.parametrize("delete", ["flushall", "delete"])
def test_states_and_commands_of_members_outlive_the_stream(members, client, key, delete):
    here, there = members(2)
    here.force_open(actor="me")
    await_agreement(here, there)
    client.flushall() if delete == "flushall" else client.delete(key)
    wait_for(lambda: client.exists(key))
    wait_for(lambda: are_open(here, there))
    late = members()
    wait_for(lambda: are_open(late))
    late.reset()
    wait_for(lambda: state(here) == state(there) == "CLOSED")


def test_new_stream_is_reported_with_a_warning(members, caplog):
    members()
    assert "the stream does not exist; it is started with every breaker CLOSED" in caplog.text


@pytest.mark.usefixtures("short_restart_wait")
def test_two_members_that_restart_a_stream_at_once_agree(members, client, key, monkeypatch):
    breaker = members()
    succeed(breaker)
    await_agreement(breaker)
    client.xtrim(key, maxlen=1, approximate=False)
    kill_silently(breaker)
    made = members(4)
    await_agreement(*made)
    assert len({each._sequencer.stream_fold.begin.generation for each in made}) == 1
    made[0].force_open()
    wait_for(lambda: are_open(*made))


@pytest.mark.usefixtures("short_restart_wait")
def test_stopped_member_follows_a_restarted_stream(members, client, key):
    """The member knows the stream as it was, and restores the commands that it knows."""
    first = members()
    succeed(first)
    first.force_open(actor="me")
    ask(first)
    await_agreement(first)
    with stopped(first):
        client.xtrim(key, maxlen=1, approximate=False)
        others = members(2)
        assert [state(each) for each in others] == ["CLOSED", "CLOSED"]
    wait_for(lambda: are_open(first, *others))
    await_agreement(first, *others)


def test_listeners_receive_edges_before_the_checkpoint_of_a_reread_stream(
    own_redis, stream, make_log, members
):
    """The member has not read these edges, and the checkpoint only has the resulting states."""
    recorder = []

    class Recorder(Listener):
        def on_transition(self, edge):
            recorder.append(edge.trigger.value)

    here = CircuitBreaker("b", CONFIG, log=make_log(own_redis, stream), listeners=[Recorder()])
    there = members()
    await_agreement(here, there)
    with stopped(here, StreamChangedError("it is read again")):
        there.force_open(actor="me")
        log = log_of(there)
        give_start(log)
        log.flush()
        assert isinstance(log._connection.page_back(None)[0].body, StreamCheckpoint)
    wait_for(lambda: recorder)
    assert recorder == ["force_open"]
    await_agreement(here, there)
    assert here.flush()
    assert recorder == ["force_open"]
