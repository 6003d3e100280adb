"""The time of a stream while its ids stand still, because the server's clock was set back."""

import pytest
from breaker_calls import fail, succeed
from redis_servers import wait_for
from shared_support import await_agreement, is_degraded, log_of, state

from recloser import CircuitBreaker, CircuitBreakerConfig
from recloser.core.events import (
    FORMAT_VERSION,
    RULES_VERSION,
    BreakerConfigured,
    CallFailed,
    ClockTicked,
)
from recloser.core.state import dump
from recloser.sharing.stream_entry import Begin, Entry, event_lines
from recloser.sharing.stream_fold import StreamFold

CONFIG = CircuitBreakerConfig(
    failure_threshold=1, recovery_timeout_seconds=1, half_open_success_threshold=1
)
HOUR_MS = 3_600_000
SECOND = 1_000_000_000


class Stream:
    """A stream whose ids and times the test chooses."""

    def __init__(self):
        self.entries = [
            Entry((1000, 0), "a", 0, Begin("g", FORMAT_VERSION, RULES_VERSION, "0")),
        ]
        self.add(1000, BreakerConfigured(0, 0, "b", CONFIG.to_mapping()))

    def add(self, ms, *events, at=None):
        number = len(self.entries)
        self.entries.append(Entry((ms, number), "a", number, event_lines(events), at=at))

    def stream_fold(self):
        stream_fold, _ = StreamFold.from_begin(self.entries[0])
        for entry in self.entries[1:]:
            stream_fold.fold_entry(entry)
        return stream_fold


def failed():
    return CallFailed(0, 0, "b", 0, 5)


def test_senders_time_is_used_while_ids_stand_still():
    stream = Stream()
    stream.add(HOUR_MS, failed())
    at = stream.stream_fold().fold.at
    stream.add(HOUR_MS, at=at + SECOND // 2)
    assert stream.stream_fold().fold.breakers["b"].state.value == "OPEN"
    stream.add(HOUR_MS, at=at + SECOND)
    assert stream.stream_fold().fold.at == at + SECOND
    assert stream.stream_fold().fold.breakers["b"].state.value == "HALF_OPEN"


def test_time_never_goes_back_whatever_a_sender_sends():
    stream = Stream()
    stream.add(HOUR_MS)
    at = stream.stream_fold().fold.at
    stream.add(HOUR_MS, at=at + 5 * SECOND)
    stream.add(HOUR_MS, at=at + 1 * SECOND)
    stream.add(HOUR_MS)
    assert stream.stream_fold().fold.at == at + 5 * SECOND


def test_senders_time_is_ignored_while_ids_move():
    stream = Stream()
    stream.add(2000, at=10**18)
    assert stream.stream_fold().fold.at == SECOND


def test_time_continues_without_a_jump_when_ids_move_again():
    """The difference to the ids stays the same, so the time does not jump again."""
    stream = Stream()
    stream.add(HOUR_MS)
    at = stream.stream_fold().fold.at
    stream.add(HOUR_MS, at=at + 600 * SECOND)
    stream.add(HOUR_MS + 1000)
    stream_fold = stream.stream_fold()
    assert stream_fold.fold.at == at + 601 * SECOND
    stream.add(HOUR_MS + 1000, failed())
    ticks = [event for event in _events(stream) if isinstance(event, ClockTicked)]
    assert ticks[-1].wall.timestamp() == (HOUR_MS + 1000) / 1000


def _events(stream):
    stream_fold, taken = StreamFold.from_begin(stream.entries[0])
    events = list(taken.events)
    for entry in stream.entries[1:]:
        events += stream_fold.fold_entry(entry).events
    return events


def test_id_after_the_year_9999_does_not_move_the_time():
    stream = Stream()
    stream.add(2000)
    stream.add(2**64 - 1)
    stream.add(2**64 - 1, at=3 * SECOND)
    assert stream.stream_fold().fold.at == 3 * SECOND


def test_checkpoint_keeps_the_shift_of_the_time():
    stream = Stream()
    stream.add(HOUR_MS)
    stream.add(HOUR_MS, at=2 * HOUR_MS * 1_000_000)
    stream_fold = stream.stream_fold()
    joined = StreamFold.from_checkpoint(stream_fold.checkpoint())
    stream.add(HOUR_MS, failed(), at=2 * HOUR_MS * 1_000_000 + SECOND)
    stream.add(HOUR_MS + 5)
    for entry in stream.entries[-2:]:
        stream_fold.fold_entry(entry)
        joined.fold_entry(entry)
    assert dump(stream_fold.fold.breakers["b"]) == dump(joined.fold.breakers["b"])
    assert (stream_fold.fold.at, stream_fold.fold.seq) == (joined.fold.at, joined.fold.seq)


@pytest.fixture
def pair(own_redis, stream, make_log):
    made = [CircuitBreaker("b", CONFIG, log=make_log(own_redis, stream)) for _ in range(2)]
    wait_for(lambda: not any(map(is_degraded, made)))
    succeed(made[0])
    await_agreement(*made)
    return made


def add_future_id(own_redis, stream):
    """Add one entry whose id is an hour ahead, as if the server's clock had been set back."""
    key = f"recloser:{{{stream}}}"
    with own_redis.client() as client:
        seconds, _ = client.time()
        client.xadd(key, {"x": "y"}, id=f"{(seconds + 3600) * 1000}-0")


def test_cooldown_ends_on_time_after_the_servers_clock_was_set_back(own_redis, stream, pair):
    here, there = pair
    add_future_id(own_redis, stream)
    await_agreement(*pair)
    fail(here)
    wait_for(lambda: state(there) == "OPEN")
    clock = log_of(here)._clock
    began = clock.monotonic_ns()
    for breaker in pair:
        wait_for(lambda breaker=breaker: breaker.snapshot().retry_after < 0.5, 5)
    wait_for(lambda: there.before_call().allowed, 10)
    assert clock.monotonic_ns() - began >= 0.9 * SECOND
    there.after_success()
    await_agreement(*pair)
    assert state(here) == state(there) == "CLOSED"


def test_cooldown_ends_on_time_in_a_member_that_joins_while_ids_are_ahead(
    own_redis, stream, make_log, pair
):
    add_future_id(own_redis, stream)
    await_agreement(*pair)
    fail(pair[0])
    wait_for(lambda: state(pair[0]) == "OPEN")
    late = CircuitBreaker("b", CONFIG, log=make_log(own_redis, stream))
    assert 0 < late.snapshot().retry_after <= 1
    wait_for(lambda: late.before_call().allowed, 10)
    late.after_success()
    await_agreement(late, *pair)


def test_cooldown_ends_on_time_in_members_that_return_while_ids_are_ahead(own_redis, stream, pair):
    add_future_id(own_redis, stream)
    await_agreement(*pair)
    own_redis.kill()
    wait_for(lambda: all(map(is_degraded, pair)))
    own_redis.start()
    wait_for(lambda: not any(map(is_degraded, pair)))
    fail(pair[0])
    wait_for(lambda: state(pair[1]) == "OPEN")
    wait_for(lambda: pair[1].before_call().allowed, 10)
    pair[1].after_success()
    await_agreement(*pair)
    assert state(pair[0]) == "CLOSED"
