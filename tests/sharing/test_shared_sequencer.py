"""The shared sequencer step by step, without a thread or a server."""

import logging

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, Listener, ManualClock, SystemClock
from recloser.core.events import FORMAT_VERSION, RULES_VERSION
from recloser.sharing.redis_log import RedisLog
from recloser.sharing.stream_entry import Begin, Entry
from recloser.sharing.stream_fold import StreamFold

CONFIG = CircuitBreakerConfig(
    failure_threshold=3, recovery_timeout_seconds=1, half_open_success_threshold=1
)
MS = 1_000_000


class Unreached(RedisLog):
    """A log without threads; the test does their work."""

    def __init__(self, clock=None):
        super().__init__(
            "redis://127.0.0.1:1/0", clock=clock or ManualClock(), timeout_seconds=0.001
        )

    def _start(self):
        """Start no thread."""


class Stream:
    """A stream in memory; the test decides which entries the log reads."""

    def __init__(self, log):
        self.log = log
        self.ms = 1_000_000
        self.entries = [Entry((self.ms, 0), "x", 0, Begin("g", FORMAT_VERSION, RULES_VERSION, "0"))]
        self.stream_fold, _ = StreamFold.from_begin(self.entries[0])

    @property
    def sequencer(self):
        return self.log._stream

    def hold(self, change):
        return self.sequencer.hold(change, lambda: pytest.fail("the lock is held"))

    def add(self, batch, after_ms=1, member=None):
        """Append an entry that a member has sent."""
        self.ms += after_ms
        entry = Entry(
            (self.ms, len(self.entries)),
            self.log._member if member is None else member,
            batch.number,
            batch.body,
            batch.replaces,
        )
        self.entries.append(entry)
        return entry

    def read(self, *entries):
        self.hold(lambda: self.sequencer.fold_entries(self.stream_fold, entries, self.log._member))
        self.sequencer.after_unlock()

    def join(self):
        """Go online, as the log's thread does."""
        while batch := self.hold(lambda: self.sequencer.batch_before_rejoining(self.stream_fold)):
            self.read(self.add(batch))
        at = self.stream_fold.fold.at
        assert self.hold(lambda: self.sequencer.go_online(self.stream_fold, at))

    def send(self, after_ms=1):
        """Send everything that waits, without reading it."""
        batch = self.hold(lambda: self.sequencer.begin_round(is_due=lambda _since: True))
        return None if batch is None else self.add(batch, after_ms)

    def send_all(self):
        while entry := self.send():
            self.read(entry)

    def go_offline(self):
        self.hold(lambda: self.sequencer.go_offline("it is away"))
        self.sequencer.after_unlock()


class Recorder(Listener):
    hears_successes = hears_refusals = True
    inline = True

    def __init__(self):
        self.calls = []
        self.edges = []

    def on_event(self, event):
        if event.kind.startswith("call"):
            self.calls.append(event.kind)

    def on_transition(self, edge):
        self.edges.append(edge.trigger.value)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def log():
    with Unreached() as log:
        yield log


@pytest.fixture
def breaker(log, recorder):
    return CircuitBreaker("b", CONFIG, log=log, listeners=[recorder])


@pytest.fixture
def stream(log, breaker):
    stream = Stream(log)
    stream.join()
    stream.send_all()
    return stream


# Calls raise nothing, whatever happens to the stream.


class Moving(SystemClock):
    """A clock that advances whenever it is read."""

    def __init__(self):
        self.ns = 0

    def monotonic_ns(self):
        self.ns += MS
        return self.ns


def test_report_after_the_settings_of_another_breaker_is_recorded(caplog):
    """Both were requested inside a change, and are carried out one after the other."""
    with Unreached(Moving()) as log:
        breaker = CircuitBreaker("b", CONFIG, log=log)
        permit = breaker.before_call().permit

        def inside():
            CircuitBreaker("other", CONFIG, log=log)
            breaker.after_failure(permit, "OSError")

        log._stream.hold(inside, lambda: None)
        assert breaker.snapshot().totals.failed == 1
        assert "could not be recorded" not in caplog.text


def test_function_protected_before_a_jump_of_the_time_does_not_move_the_time(log):
    breaker, clock = CircuitBreaker("b", CONFIG, log=log), log._clock
    protected = breaker(lambda: None)
    days = 10 * 86_400 * 10**9
    log._stream.hold(lambda: setattr(log._stream, "origin", clock.monotonic_ns() + days), lambda: 0)
    clock.advance(seconds=20 * 86_400)
    protected()
    fail(breaker, 3)
    clock.advance(seconds=0.25)
    assert breaker.snapshot().retry_after == 0.75


def test_call_continues_when_folding_a_joined_stream_is_interrupted(log, breaker, monkeypatch):
    fail(breaker)
    stream = Stream(log)
    batch = stream.hold(lambda: stream.sequencer.batch_before_rejoining(stream.stream_fold))

    def half(self, entry):
        self.fold.seq, self.fold.at = 10**6, 10**15
        raise KeyboardInterrupt

    monkeypatch.setattr(StreamFold, "fold_entry", half)
    with pytest.raises(KeyboardInterrupt):
        stream.read(stream.add(batch))
    assert breaker.call(int) == 0
    fail(breaker)
    assert breaker.snapshot().totals.failed == 2
    assert breaker.snapshot().opened_at is None
    assert stream.sequencer.must_reread


def test_duration_of_a_call_is_right_when_the_time_jumps_meanwhile(log, breaker):
    permit = breaker.before_call().permit
    log._clock.advance(seconds=1)
    stream = Stream(log)
    stream.ms += 10 * 86_400_000
    stream.join()
    later = breaker.before_call().permit
    log._clock.advance(seconds=2)
    for each in (permit, later):
        breaker.after_failure(each, "OSError")
    log._stream.outbox.confirm(log._stream.outbox.next_batch().number)  # its settings
    waiting = log._stream.outbox.next_batch().events
    assert [event.took for event in waiting if event.kind == "call_failed"] == [
        3 * 10**9,
        2 * 10**9,
    ]


def test_breaker_created_just_before_going_offline_takes_calls(log, stream):
    made = []
    stream.hold(lambda: made.append(CircuitBreaker("new", CONFIG, log=log)))
    stream.go_offline()
    (new,) = made
    fail(new, 3)
    assert new.current_state().value == "OPEN"
    assert not new.before_call().allowed
    assert new.snapshot().totals.failed == 3


def test_breaker_created_inside_a_change_follows_the_stream_joined_later(log, breaker):
    made = []
    log._stream.hold(lambda: made.append(CircuitBreaker("new", CONFIG, log=log)), lambda: None)
    stream = Stream(log)
    stream.join()
    stream.send_all()
    (new,) = made
    fail(new, 3)
    stream.send_all()
    assert new.current_state().value == "OPEN"


# Listeners receive each edge once.


def test_listeners_receive_all_edges_that_are_read_at_once(stream, recorder, breaker):
    """A late reply may contain the trip together with the end of its cooldown."""
    stream.go_offline()
    fail(breaker, 3)
    assert (recorder.calls, recorder.edges) == (["call_failed"] * 3, ["trip"])
    stream.join()
    tripping = stream.send()
    stream.hold(lambda: stream.sequencer.outbox.confirm(tripping.batch))
    cooling = stream.send(after_ms=1000)
    stream.read(tripping, cooling)
    assert (recorder.calls, recorder.edges) == (["call_failed"] * 3, ["trip", "trip", "cool"])


def test_listeners_receive_events_of_an_offline_period_once(stream, recorder, breaker):
    """The stream is back for a moment, and the failures may or may not have arrived."""
    stream.go_offline()
    fail(breaker, 3)
    stream.join()
    tripping = stream.send()
    stream.go_offline()
    assert breaker.current_state().value == "OPEN"
    assert (recorder.calls, recorder.edges) == (["call_failed"] * 3, ["trip"])
    stream.read(tripping)
    stream.join()
    assert (recorder.calls, recorder.edges) == (["call_failed"] * 3, ["trip", "trip"])


def test_listeners_receive_no_edge_again_when_a_stream_is_read_again(stream, recorder, breaker):
    fail(breaker, 3)
    stream.send_all()
    assert recorder.edges == ["trip"]
    stream.go_offline()
    stream.stream_fold, _ = StreamFold.from_begin(stream.entries[0])
    stream.read(*stream.entries[1:])
    stream.join()
    assert recorder.edges == ["trip"]
    succeed_after_cooldown(stream, breaker)
    assert recorder.edges[:2] == ["trip", "cool"]


def succeed_after_cooldown(stream, breaker):
    stream.log._clock.advance(seconds=2)
    stream.ms += 2000
    breaker.before_call()
    stream.send_all()


# OperatorCommands come first.


def test_member_goes_online_only_after_its_commands_are_in_the_stream(stream, breaker):
    stream.go_offline()
    fail(breaker)
    breaker.force_open(actor="me")
    batch = stream.hold(lambda: stream.sequencer.batch_before_rejoining(stream.stream_fold))
    assert [event.kind for event in batch.events] == ["call_failed", "forced_open"]
    assert not stream.hold(lambda: stream.sequencer.go_online(stream.stream_fold, 0))
    assert breaker.current_state().value == "OPEN"
    stream.read(stream.add(batch))
    stream.join()
    assert breaker.current_state().value == "OPEN"


def test_closing_reports_commands_that_could_not_be_sent(caplog):
    with caplog.at_level(logging.WARNING), Unreached() as log:
        CircuitBreaker("b", CONFIG, log=log).force_open()
        CircuitBreaker("c", CONFIG, log=log).reset()
    assert "are lost unless they are given again: forced_open of 'b', reset of 'c'" in caplog.text


def test_call_made_offline_is_counted_once(stream, breaker):
    stream.go_offline()
    succeed(breaker, 2)
    stream.join()
    stream.send_all()
    assert breaker.snapshot().totals.succeeded == 2
