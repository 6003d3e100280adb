"""Invalid entries: passed over by all members, counted, and reported once."""

import logging

import msgspec
import pytest
from breaker_calls import fail
from redis_servers import RedisServer, servers_here, wait_for
from shared_support import await_agreement, history, is_degraded, log_of, state

from recloser import CircuitBreaker, CircuitBreakerConfig
from recloser.sharing.stream_entry import MAX_BODY_BYTES, MAX_EVENTS_BYTES
from recloser.sharing.stream_fold import StreamFold

CONFIG = CircuitBreakerConfig(failure_threshold=3, recovery_timeout_seconds=30)
BEGIN = {"generation": "x", "format": 1, "rules": 1, "library": "9"}
CHECKPOINT = {
    "of": "1-1", "begin": BEGIN, "anchor": 1, "seq": 9, "at": 5, "ticked_at": 5, "unsealed": 0,
    "members": {}, "states": [],
}  # fmt: skip


def checkpoint(**changed):
    return {
        "member": "m",
        "batch": "1",
        "checkpoint": msgspec.json.encode({**CHECKPOINT, **changed}),
    }


UNREADABLE = {
    "not ours": {"temperature": "21"},
    "no member": {"batch": "1", "events": "{}"},
    "no batch": {"member": "m", "events": "{}"},
    "a batch that is not a number": {"member": "m", "batch": "one", "events": ""},
    "a batch of two numbers": {"member": "m", "batch": "1_0", "events": ""},
    "a batch too large to be written": {"member": "m", "batch": "1" + "0" * 30, "events": ""},
    "a batch below 0": {"member": "m", "batch": "-1", "events": ""},
    "a member that is not text": {"member": b"\xff\xfe", "batch": "1", "events": ""},
    "a member with a huge name": {"member": "m" * 100_000, "batch": "1", "events": ""},
    "lines that are not events": {"member": "m", "batch": "1", "events": "nonsense\n\n{}"},
    "an event of a newer version": {"member": "m", "batch": "1", "events": '{"event":"breaker_melted","breaker":"b"}'},
    "an event with a field of a newer version": {"member": "m", "batch": "1", "events": '{"event":"reset","breaker":"b","why":"x"}'},
    "an event of another type": {"member": "m", "batch": "1", "events": '{"event":"reset","breaker":7}'},
    "a count of 0": {"member": "m", "batch": "1", "events": '{"event":"call_succeeded","breaker":"b","epoch":0,"took":1,"count":0}'},
    "a count past all bounds": {"member": "m", "batch": "1", "events": '{"event":"call_succeeded","breaker":"b","epoch":0,"took":1,"count":9000000000000000000}'},
    "settings that are not valid": {"member": "m", "batch": "1", "events": '{"event":"breaker_configured","breaker":"x","config":{"failure_threshold":-1}}'},
    "settings of a newer version": {"member": "m", "batch": "1", "events": '{"event":"breaker_configured","breaker":"x","config":{"temper":1e999}}'},
    "a body of a newer version": {"member": "m", "batch": "1", "vote": "{}"},
    "too many events": {"member": "m", "batch": "1", "events": "\n" * (MAX_EVENTS_BYTES + 1)},
    "one huge event": {"member": "m", "batch": "1", "events": '{"event":"reset","breaker":"b","actor":"%s"}' % ("x" * (1 << 20))},
    "a checkpoint that is not JSON": {"member": "m", "batch": "1", "checkpoint": "{"},
    "a checkpoint without its fields": {"member": "m", "batch": "1", "checkpoint": "{}"},
    "a checkpoint of no entry": checkpoint(of="yesterday"),
    "a checkpoint of an impossible id": checkpoint(of="9" * 40 + "-1"),
    "a checkpoint of what comes later": checkpoint(of="9999999999999-1"),
    "a checkpoint with a number too large": checkpoint(seq=2**64 - 1),
    "nested without an end": {"member": "m", "batch": "1", "away": "[" * 100_000},
    "an offline report of another type": {"member": "m", "batch": "1", "away": '{"host":1,"seconds":"x"}'},
}  # fmt: skip

HARMLESS = {
    "a beginning in the middle": {"member": "m", "batch": "0", "begin": msgspec.json.encode(BEGIN)},
    "a beginning of a newer version": {"member": "m", "batch": "0", "begin": msgspec.json.encode({**BEGIN, "format": 99})},
    "a checkpoint of a stream that is not there": checkpoint(),
    "a checkpoint of a newer version": checkpoint(begin={**BEGIN, "rules": 99}),
    "a checkpoint with states that are not valid": checkpoint(states=[{"breaker": "b"}]),
    "an outcome of an epoch that has not begun": {"member": "m", "batch": "1", "events": '{"event":"call_failed","breaker":"b","epoch":77,"took":1}'},
    "an outcome of a breaker that is not there": {"member": "m", "batch": "1", "events": '{"event":"call_failed","breaker":"zzz","epoch":0,"took":1}'},
    "an event of the log's own": {"member": "m", "batch": "1", "events": '{"event":"checkpoint","breaker":"b","state":{}}'},
}  # fmt: skip


@pytest.fixture(scope="module")
def redis_server():
    """A single kind of server, because reading entries does not depend on it."""
    if not servers_here():
        pytest.skip("there is no Redis server on this machine")
    with RedisServer() as running:
        yield running


@pytest.fixture
def breaker(redis_server, stream, make_log):
    made = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream))
    wait_for(lambda: not is_degraded(made))
    return made


@pytest.fixture
def add(redis_server, stream):
    """A function that adds an entry, as any client of the server could."""
    with redis_server.client() as client:
        yield lambda fields: client.xadd(f"recloser:{{{stream}}}", fields)


@pytest.mark.parametrize("what", UNREADABLE)
def test_unreadable_entry_is_passed_over_by_all_members(
    redis_server, stream, make_log, breaker, add, what
):
    fail(breaker)
    await_agreement(breaker)
    add(UNREADABLE[what])
    await_agreement(breaker)
    late = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream))
    assert not is_degraded(late)
    fail(late, 2)
    wait_for(lambda: state(breaker) == state(late) == "OPEN")
    await_agreement(breaker, late)
    assert [log_of(each).health().passed_over for each in (breaker, late)] == [1, 1]
    assert [event.kind for event in history(breaker)].count("call_failed") == 3


@pytest.mark.parametrize("what", HARMLESS)
def test_ignored_entry_prevents_no_member_from_joining(
    redis_server, stream, make_log, breaker, add, what
):
    fail(breaker)
    await_agreement(breaker)
    add(HARMLESS[what])
    await_agreement(breaker)
    late = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream))
    assert not is_degraded(late)
    fail(late, 2)
    wait_for(lambda: state(breaker) == state(late) == "OPEN")
    await_agreement(breaker, late)
    assert history(breaker)


def test_unreadable_entries_are_reported_once(breaker, add, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            add({"temperature": "21"})
            await_agreement(breaker)
    reports = [r.message for r in caplog.records if "cannot be read completely" in r.message]
    assert len(reports) == 1
    assert "it has no field 'member'" in reports[0]
    assert log_of(breaker).health().passed_over == 5


def test_large_entries_of_others_delay_no_call(redis_server, stream, make_log, breaker, add):
    """Their fields are not parsed, so no thread waits for that."""
    clock = log_of(breaker)._clock
    add({"member": "m", "batch": "1", "events": b"\n" * (32 << 20)})
    add({"member": "m", "batch": "2", "checkpoint": b"[" * (MAX_BODY_BYTES + 1)})
    slowest = 0
    late = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream))
    until = clock.monotonic_ns() + 10**9
    while clock.monotonic_ns() < until:
        began = clock.monotonic_ns()
        breaker.call(int)
        slowest = max(slowest, clock.monotonic_ns() - began)
    wait_for(lambda: not is_degraded(late))
    fail(late, 3)
    wait_for(lambda: state(breaker) == state(late) == "OPEN")
    assert slowest < 1_000_000_000  # the tools measure it, on a machine with nothing else to do


def test_unfoldable_entry_is_passed_over_by_all_members(
    redis_server, stream, make_log, breaker, add, monkeypatch
):
    """The entry is tried twice, whatever error it causes."""
    fold_entry = StreamFold.fold_entry

    def picky(self, entry):
        if entry.member == "poison":
            self.fold.seq += 5  # half way through
            raise KeyError("no idea")
        return fold_entry(self, entry)

    monkeypatch.setattr(StreamFold, "fold_entry", picky)
    add({"member": "poison", "batch": "1", "events": ""})
    wait_for(lambda: log_of(breaker).health().passed_over == 1)
    wait_for(lambda: not is_degraded(breaker))
    late = CircuitBreaker("b", CONFIG, log=make_log(redis_server, stream, timeout_seconds=5))
    fail(late, 3)
    wait_for(lambda: state(breaker) == state(late) == "OPEN")
    await_agreement(breaker, late)


def test_large_entry_is_not_fetched_in_every_round_trip(breaker, add):
    add({"member": "m", "batch": "1", "events": b"\n" * (4 << 20)})
    server = log_of(breaker)._connection
    wait_for(lambda: not server.page_back(None, count=1)[0].is_large)
    await_agreement(breaker)
