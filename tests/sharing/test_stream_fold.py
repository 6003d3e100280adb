"""The fold of a stream: every reader of the same entries computes the same events."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recloser import CircuitBreakerConfig, CountWindow, FutureVersionError, LogError
from recloser.core.events import (
    FORMAT_VERSION,
    RULES_VERSION,
    BreakerConfigured,
    CallFailed,
    CallSucceeded,
    ForcedOpen,
    ProbeAdmitted,
    Reset,
)
from recloser.core.state import dump
from recloser.history.witnesses import WitnessedFold
from recloser.sharing.stream_entry import Begin, Entry, OfflineReport, event_lines
from recloser.sharing.stream_fold import CHECKPOINT_EVERY, StreamFold

BEGIN = Begin("g", FORMAT_VERSION, RULES_VERSION, "0")
CONFIG = CircuitBreakerConfig(
    failure_threshold=2, recovery_timeout_seconds=1, half_open_success_threshold=1
)


class Stream:
    """Entries with increasing ids, as a server appends them."""

    def __init__(self):
        self.ms = 1_000_000
        self.number = 0
        self.batches = {}
        self.entries = [Entry((self.ms, 0), "a", 0, BEGIN)]

    def add(self, *events, member="a", after_ms=0, batch=None, replaces=False, body=None):
        self.ms += after_ms
        self.number += 1
        if batch is None:
            batch = self.batches[member] = self.batches.get(member, 0) + 1
        body = event_lines(events) if body is None else body
        self.entries.append(Entry((self.ms, self.number), member, batch, body, replaces))
        return self.entries[-1]

    def stream_fold(self):
        stream_fold, taken = StreamFold.from_begin(self.entries[0])
        events = list(taken.events)
        for entry in self.entries[1:]:
            events += stream_fold.fold_entry(entry).events
        return stream_fold, events


def configured(config=CONFIG, breaker="b"):
    return BreakerConfigured(0, 0, breaker, config.to_mapping())


def failed(epoch=0, probe=0, breaker="b"):
    return CallFailed(0, 0, breaker, epoch, 5, probe)


def succeeded(epoch=0, probe=0, count=1):
    return CallSucceeded(0, 0, "b", epoch, 5, probe, count)


def claim(number, epoch=2):
    return ProbeAdmitted(0, 0, "b", epoch, number)


@pytest.fixture
def stream():
    stream = Stream()
    stream.add(configured())
    return stream


def triggers(stream_fold):
    return [edge.trigger.value for _, edge in stream_fold.edges]


def test_consecutive_failures_of_different_members_trip(stream):
    stream.add(failed(), member="a")
    stream.add(failed(), member="b")
    assert triggers(stream.stream_fold()[0]) == ["trip"]


def test_time_of_an_event_is_that_of_its_entrys_id(stream):
    stream.add(failed(), failed(), after_ms=1500)
    stream_fold, _ = stream.stream_fold()
    assert stream_fold.fold.at == 1_500_000_000
    assert stream_fold.fold.breakers["b"].deadline == 2_500_000_000


def test_first_claim_of_an_epoch_is_granted(stream):
    stream.add(failed(), failed())
    stream_fold, _ = stream.stream_fold()
    grants = [
        stream_fold.fold_entry(
            stream.add(claim(7), member=member, after_ms=1000 * (member == "a"))
        ).grants
        for member in "abc"
    ]
    assert [list(grant) for grant in grants] == [[7], [], []]
    assert grants[0][7].probe == 1
    assert triggers(stream_fold) == ["trip", "cool"]


@pytest.mark.parametrize(("after_ms", "granted"), [(999, 0), (1000, 1)])
def test_claim_is_granted_from_the_millisecond_at_which_the_cooldown_ends(
    stream, after_ms, granted
):
    stream.add(failed(), failed())
    stream_fold, _ = stream.stream_fold()
    assert len(stream_fold.fold_entry(stream.add(claim(1), after_ms=after_ms)).grants) == granted


def test_claim_of_another_epoch_is_ignored(stream):
    stream.add(failed(), failed())
    stream_fold, _ = stream.stream_fold()
    assert stream_fold.fold_entry(stream.add(claim(1, epoch=4), after_ms=1000)).grants == {}


def test_entry_that_was_sent_twice_counts_once(stream):
    entry = stream.add(failed())
    stream.add(failed(), batch=entry.batch)
    stream_fold, _ = stream.stream_fold()
    assert stream_fold.fold.breakers["b"].failed == 1


def test_first_settings_are_used_unless_an_entry_replaces_them(stream):
    other = CircuitBreakerConfig(failure_threshold=9)
    stream.add(configured(other), member="b")
    assert stream.stream_fold()[0].fold.breakers["b"].config.failure_threshold == 2
    stream.add(configured(other), member="b", replaces=True)
    assert stream.stream_fold()[0].fold.breakers["b"].config.failure_threshold == 9


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"\xff\xfe",
        b'{"event":"call_failed"}',
        b'{"event":"call_failed","breaker":"b","epoch":7,"took":1}',
        b'{"event":"call_failed","breaker":"unheard of","epoch":0,"took":1}',
        b'{"event":"breaker_configured","breaker":"c","config":{"failure_threshold":-1}}',
        b'{"event":"checkpoint","breaker":"b","state":{}}',
        b'{"event":"log_sealed","count":1,"digest":""}',
        b'{"event":"call_failed","seq":1,"at":1,"breaker":"b","epoch":0,"took":1}',
        b"[" * 100_000,
    ],
)
def test_invalid_line_is_ignored(stream, line):
    before, _ = stream.stream_fold()
    stream.add(body=(line,))
    after, _ = stream.stream_fold()
    assert after.fold.seq == before.fold.seq
    assert dump(after.fold.breakers["b"]) == dump(before.fold.breakers["b"])


def test_second_begin_is_ignored(stream):
    stream.add(failed())
    stream.add(body=BEGIN, member="b", batch=0)
    stream.add(failed())
    assert triggers(stream.stream_fold()[0]) == ["trip"]


def test_stream_with_newer_rules_is_refused():
    begin = Begin("g", FORMAT_VERSION, RULES_VERSION + 1, "9.0")
    with pytest.raises(FutureVersionError, match=r"recloser 9\.0.* upgrade"):
        StreamFold.from_begin(Entry((1, 0), "a", 0, begin))


def test_stream_whose_first_entry_is_no_begin_is_refused():
    with pytest.raises(LogError, match="is not a beginning"):
        StreamFold.from_begin(Entry((1, 0), "a", 1, ()))


def test_offline_report_becomes_a_gap_followed_by_the_states(stream):
    stream.add(body=OfflineReport("web-1", 3.5, sent=4, lost=2, edges=("b trip",)))
    _, events = stream.stream_fold()
    gap, checkpoint = events[-2:]
    assert gap.kind == "log_gap"
    assert gap.lost == 2
    assert gap.error == (
        "web-1 was without the stream for 3.500 s and on its own: 4 of its outcomes came late, "
        "2 not at all; it gave up b trip"
    )
    assert checkpoint.kind == "checkpoint"


def test_next_generation_begins_with_the_states_of_the_lost_stream(stream):
    stream.add(failed(), failed(), after_ms=700)
    old, _ = stream.stream_fold()
    begin = old.next_generation("h", "0", at=900_000_000)
    new, taken = StreamFold.from_begin(Entry((5_000_000, 0), "b", 0, begin))
    assert dump(new.fold.breakers["b"]) == dump(old.fold.breakers["b"])
    assert taken.events[0].session == 2
    assert new.fold.at == 900_000_000
    # 1.7 s is when the cooldown ends: 800 ms after the new beginning.
    late = Entry((5_000_800, 0), "b", 1, event_lines([claim(1)]))
    assert len(new.fold_entry(late).grants) == 1


def test_checkpoint_is_due_after_2000_entries_and_then_every_50(stream):
    due = []
    stream_fold, _ = stream.stream_fold()
    for number in range(CHECKPOINT_EVERY + 101):
        stream_fold.fold_entry(stream.add(succeeded()))
        if stream_fold.is_checkpoint_due():
            due.append(number)
    assert [later - due[0] for later in due] == [0, 50, 100]
    stream_fold.fold_entry(stream.add(body=stream_fold.checkpoint()))
    stream_fold.fold_entry(stream.add(succeeded()))
    assert not stream_fold.is_checkpoint_due()


def test_trim_position_is_the_newest_checkpoint_with_enough_entries_after_it(stream):
    stream_fold, _ = stream.stream_fold()
    places = []
    for _ in range(3):
        for _ in range(10):
            stream_fold.fold_entry(stream.add(succeeded()))
        places.append(stream_fold.position)
        stream_fold.fold_entry(stream.add(body=stream_fold.checkpoint()))
    assert stream_fold.trim_position(5) == places[1]
    assert stream_fold.trim_position(15) == places[0]
    assert stream_fold.trim_position(100) is None


def test_tick_is_recorded_once_per_second_of_entries(stream):
    for _ in range(10):
        stream.add(succeeded(), after_ms=500)
    _, events = stream.stream_fold()
    assert [e.at for e in events if e.kind == "clock_ticked"] == [n * 10**9 for n in range(1, 6)]


def test_seals_are_at_the_same_events_in_a_fold_from_a_checkpoint(stream):
    stream.add(*[failed(epoch=0)] * 400)
    for _ in range(600):
        stream.add(succeeded())
    checkpoint = stream.stream_fold()[0].checkpoint()
    late = stream.entries[-1].id
    for _ in range(100):
        stream.add(succeeded())
    _, events = stream.stream_fold()
    joined = StreamFold.from_checkpoint(checkpoint)
    later = [
        e for entry in stream.entries if entry.id > late for e in joined.fold_entry(entry).events
    ]
    assert later == events[len(events) - len(later) :]
    assert "log_sealed" in {event.kind for event in later}


members = st.sampled_from("abc")
words = st.one_of(
    st.builds(succeeded, st.integers(0, 5), st.integers(0, 3), st.integers(1, 3)),
    st.builds(failed, st.integers(0, 5), st.integers(0, 3)),
    st.builds(claim, st.integers(1, 3), st.integers(0, 6)),
    st.just(configured(CircuitBreakerConfig(failure_threshold=3, half_open_max_probes=2))),
    st.just(configured(breaker="c")),
    st.just(failed(breaker="c")),
    st.just(ForcedOpen(0, 0, "b", "me", "why")),
    st.just(Reset(0, 0, "b")),
)
said = st.tuples(
    members,
    st.lists(words, max_size=4),
    st.sampled_from([0, 0, 1, 400, 1100]),
    st.booleans(),
    st.booleans(),
)


@given(st.lists(said, min_size=1, max_size=40), st.data())
def test_fold_from_any_checkpoint_equals_the_whole_fold_and_is_a_valid_log(entries, data):
    stream = Stream()
    stream.add(configured())
    cut = data.draw(st.integers(1, len(entries)))
    late = data.draw(st.integers(0, 3))
    for number, (member, events, after_ms, replaces, again) in enumerate(entries):
        batch = stream.batches.get(member, 0) if again else None
        stream.add(*events, member=member, after_ms=after_ms, replaces=replaces, batch=batch)
        if number == cut:
            checkpoint = stream.stream_fold()[0].checkpoint()
        if number == cut + late:
            stream.add(body=checkpoint, member="a")
    whole, events = stream.stream_fold()
    _is_a_log(events)
    for probes in _admissions(events).values():
        assert probes == list(range(1, len(probes) + 1))
    if cut + late >= len(entries):
        return
    joined = StreamFold.from_checkpoint(checkpoint)
    later = [
        e
        for entry in stream.entries
        if entry.id > joined.position
        for e in joined.fold_entry(entry).events
    ]
    assert later == events[len(events) - len(later) :]
    assert joined.fold.breakers == whole.fold.breakers
    assert (joined.fold.seq, joined.fold.at) == (whole.fold.seq, whole.fold.at)
    opened = next(n for n, event in enumerate(later) if event.kind == "log_opened")
    _is_a_log(later[opened:])


def _is_a_log(events):
    fold = WitnessedFold()
    for event in events:
        fold.fold_event(event)
    fold.note_missing()
    assert fold.differences == []


def _admissions(events):
    probes = {}
    for event in events:
        if event.kind == "probe_admitted":
            probes.setdefault((event.breaker, event.epoch), []).append(event.probe)
    return probes


def test_fold_from_a_checkpoint_of_a_large_state_numbers_later_events_alike(stream):
    """Recording a large state takes several events, and reading its checkpoint takes none."""
    window = CountWindow(2000, failures=2000)
    config = CircuitBreakerConfig(failure_threshold=None, window=window)
    stream.add(configured(config), replaces=True)
    for _ in range(5):
        stream.add(*[failed(), succeeded()] * 200)
    whole, _ = stream.stream_fold()
    restored = StreamFold.from_checkpoint(whole.checkpoint())
    entry = stream.add(failed())
    assert restored.fold_entry(entry).events == whole.fold_entry(entry).events
    assert dump(restored.fold.breakers["b"]) == dump(whole.fold.breakers["b"])


def test_states_in_a_checkpoint_are_plain_json(stream):
    stream.add(failed(), failed(), after_ms=20)
    checkpoint = stream.stream_fold()[0].checkpoint()
    assert json.loads(json.dumps(checkpoint.states[0]))["state"] == "OPEN"
