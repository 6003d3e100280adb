"""A log folded in batches gives the same result as event by event, whatever is wrong with it."""

import shutil
from pathlib import Path

import attrs
import pytest
from breaker_calls import fail, succeed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_files import write_segment

from conftest import RECORDED_LOGS
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CountWindow,
    DamagedLogError,
    MemoryLog,
    RecloserError,
    TimeWindow,
)
from recloser.core.events import (
    CallFailed,
    CallIgnored,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    LogGap,
    ProbeAdmitted,
)
from recloser.core.fold import apply
from recloser.core.state import BreakerState, dump
from recloser.core.state_machine import HALF_OPEN, OPEN
from recloser.history import batches, engine
from recloser.history.batches import BatchFold, DivergedError
from recloser.history.columnar.breaker_fold import BreakerFold, clock_events_of, in_order
from recloser.history.engine import _fold_singly, replay
from recloser.history.gathering import IS_COMPILED, EventGatherer, LineGatherer
from recloser.log.codec import encode, lean
from recloser.log.reader import LogReader
from recloser.log.seals import SealChain
from recloser.log.segment_reader import SegmentLines, SegmentReader
from recloser.testing import strategies as rst

FIXTURES = RECORDED_LOGS
PIECES = [b" ", b"0", b"7", b"-", b'"', b",", b"}", b"\xff", b"null", b"\\u0062", b'"seq":3,']
OUTCOMES = (CallSucceeded, CallFailed, CallIgnored, CallRejected, ProbeAdmitted)
MS = 10**6


def in_batches(events, sizes=(7,), *, as_lines=False):
    """Fold a log in batches whose sizes repeat."""
    fold = BatchFold()
    start = turn = 0
    while start < len(events):
        size = sizes[turn % len(sizes)]
        batch = events[start : start + size]
        if as_lines:
            text = b"".join(map(encode, batch))
            reader = SegmentReader(Path("of nothing"))
            fold.add_lines(SegmentLines(reader, text, len(batch), 0, is_sealed=True))
        else:
            fold.add_events([lean_form(event) for event in batch])
        start, turn = start + size, turn + 1
    fold.fold_gathered()
    fold.witnessed.note_missing()
    return fold


def lean_form(event):
    if not isinstance(event, OUTCOMES):
        return event
    return lean(type(event))(*(getattr(event, f.name) for f in attrs.fields(type(event))))


def applied_together(state, events):
    """Fold calls of one breaker together, and return the edges that they fire."""
    gathered = EventGatherer()
    gathered.restart(events[0].seq - 1, 0)
    assert gathered.gather([lean_form(event) for event in events])
    (rows,) = gathered.by_breaker()
    fold = BreakerFold("b", clock_events_of(()), state)
    fold.fold_rows(rows)
    return in_order(fold.edges)


def history_values(history):
    """Return every value of a history, for comparison."""
    return (
        history.edges,
        history.snapshots,
        history.witnesses,
        history.differences,
        history.count,
        history.tail,
        [history.timeline.text(edge.at) for edge in history.edges],
    )


@pytest.fixture(params=["compiled", "plain"])
def way(request, monkeypatch):
    """With the compiled reader of lines, and without it."""
    if request.param == "plain":
        monkeypatch.setattr(batches, "IS_COMPILED", False)
    elif not IS_COMPILED:
        pytest.skip("recloser.log.outcome_rows is missing: pip had no C compiler")


@given(
    rst.logs(),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from([1, 20, 4096]),
    st.booleans(),
)
def test_any_log_gives_the_same_result_in_any_batches(log, sizes, most_waiting, as_lines):
    events = list(log)
    expected = _fold_singly(events, ())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventGatherer, "capacity", most_waiting)
        patch.setattr(LineGatherer, "capacity", most_waiting)
        patch.setattr(batches, "_EVENTS_PER_BREAKER", 1)
        fold = in_batches(events, sizes, as_lines=as_lines)
    assert fold.edges == expected.edges
    assert fold.witnessed.differences == []
    assert fold.witnessed.witnesses == expected.witnesses
    assert fold.count == expected.count
    again = engine._history(events, fold.witnessed, fold.edges, fold.timeline, fold.count)
    assert history_values(again) == history_values(expected)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.name)
@pytest.mark.usefixtures("way")
def test_every_fixture_gives_the_same_result_without_a_second_fold(path, monkeypatch):
    expected = _fold_singly(LogReader(path), ())
    monkeypatch.setattr(engine, "_fold_singly", None)
    assert history_values(replay(path)) == history_values(expected)


def admitted(state, seq, at):
    """The probe that the next call of a half-open breaker is."""
    if state.state is not HALF_OPEN or state.mode == "disabled":
        return 0
    probe = state.probes_admitted + 1
    apply(state, ProbeAdmitted(seq, at, "b", state.epoch, probe))
    return probe


successes = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 300, 999, 1000, 2500]),  # ms since the one before
        st.sampled_from([0, 0, 0, 60]),  # how long it took
        st.sampled_from([1, 1, 1, 1, 5, 0]),
        st.sampled_from([0, 0, 0, 0, 0, -1]),  # its epoch, from that of the state
    ),
    max_size=30,
)
settings_that_count = rst.configurations(mode=st.sampled_from(["enforce", "shadow", "disabled"]))


@given(settings_that_count, st.lists(st.booleans(), max_size=12), successes)
@settings(max_examples=300)
def test_successes_together_equal_successes_one_by_one(config, earlier, calls):
    """From any state that failures and successes lead to."""
    together, apart = BreakerState("b", config), BreakerState("b", config)
    at = seq = 0
    for failed in earlier:
        seq, at = seq + 1, at + 200 * MS
        for state in (together, apart):
            kind = CallFailed if failed else CallSucceeded
            if state.state is not OPEN:
                probe = admitted(state, seq, at)
                apply(state, kind(seq, at, "b", state.epoch, 0, probe))
    events = []
    for after, took, count, epoch in calls:
        seq, at = seq + 1, at + after * MS
        told_epoch = max(0, together.epoch + epoch)
        events.append(CallSucceeded(seq, at, "b", told_epoch, took * MS, count=count))
    expected = [edge for event in events for edge in apply(apart, event)]
    assert (applied_together(together, events) if events else []) == expected
    assert dump(together) == dump(apart)


def result_of(fold):
    """Return the history of a log, or the error that reading it raises."""
    try:
        return history_values(fold())
    except RecloserError as error:
        return type(error), str(error)


@pytest.mark.usefixtures("way")
@given(rst.logs(), st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_fault_in_a_log_is_reported_as_event_by_event(tmp_path_factory, log, data):
    """An event is left out, repeated, timed differently or moved to another breaker or epoch."""
    events = list(log)
    n = data.draw(st.integers(1, len(events) - 1), label="event")
    event = events[n]
    change = data.draw(st.sampled_from(["drop", "twice", "at", "breaker", "epoch"]), label="change")
    if change in ("at", "breaker", "epoch") and hasattr(event, change):
        other = {"at": max(0, event.at - 10**9), "breaker": "b", "epoch": 7}[change]
        events[n] = attrs.evolve(event, **{change: other})
    elif change == "twice":
        events.insert(n, event)
    else:
        del events[n]
    is_numbered_anew = data.draw(st.booleans(), label="numbered anew")
    if is_numbered_anew:
        events = [attrs.evolve(event, seq=seq) for seq, event in enumerate(events, start=1)]
    folder = tmp_path_factory.mktemp("log")
    write_segment(folder, events)
    assert result_of(lambda: replay(folder)) == result_of(
        lambda: _fold_singly(LogReader(folder), ())
    )
    shutil.rmtree(folder)


def sealed(lines):
    """Lines with a matching seal after them."""
    chain = SealChain()
    for line in lines:
        chain.add(line)
    return b"".join([*lines, chain.seal(len(lines) + 1, 10**18)[1]])


@pytest.mark.usefixtures("way")
@given(rst.logs(max_steps=30), st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_changed_line_is_reported_as_event_by_event(tmp_path_factory, log, data):
    """A few bytes of a line are changed, and the seal matches the changed line."""
    lines = [encode(event) for event in log]
    n = data.draw(st.integers(1, len(lines) - 1), label="line")
    place = data.draw(st.integers(0, len(lines[n]) - 1), label="byte")
    gone = data.draw(st.integers(0, 3), label="gone")
    put = data.draw(st.sampled_from(PIECES) | st.binary(max_size=2), label="put")
    line = lines[n][:place] + put + lines[n][place + gone :]
    lines[n] = line.replace(b"\n", b"") + b"\n"
    folder = tmp_path_factory.mktemp("log")
    (folder / "000000000001.jsonl").write_bytes(sealed(lines))
    assert result_of(lambda: replay(folder)) == result_of(
        lambda: _fold_singly(LogReader(folder), ())
    )
    shutil.rmtree(folder)


@pytest.mark.usefixtures("way")
def test_unreadable_witness_is_damage_even_without_an_edge(tmp_path, clock):
    log = MemoryLog(clock=clock, tick_seconds=None)
    succeed(CircuitBreaker("b", log=log), 3)
    events = list(log)
    garbage = b'{"event":"state_changed","seq":%d,"at":%d,garbage}\n'
    lines = [*map(encode, events), garbage % (len(events) + 1, events[-1].at)]
    (tmp_path / "000000000001.jsonl").write_bytes(sealed(lines))
    with pytest.raises(DamagedLogError, match="no event can be read here"):
        replay(tmp_path)


def test_gap_in_the_middle_of_a_batch_is_folded(clock):
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", log=log)
    succeed(breaker, 3)
    *events, last = list(log)
    gap = LogGap(last.seq + 5, last.at, 5)
    after_gap = [attrs.evolve(last, seq=gap.seq + n, epoch=0) for n in (1, 2)]
    fold = in_batches([*events, gap, *after_gap], [100])
    assert fold.witnessed.fold.seq == gap.seq + 2
    assert fold.witnessed.fold.breakers["b"].succeeded == 4
    assert fold.count == len(events) + 3


def test_edge_without_its_witness_stops_the_batch_fold(clock):
    """A success can trip the breaker if it makes a window large enough."""
    log = MemoryLog(clock=clock, tick_seconds=None)
    config = CircuitBreakerConfig(
        failure_threshold=None, window=CountWindow(10, 0.1, minimum_calls=3)
    )
    a, b = (CircuitBreaker(name, config, log=log) for name in "ab")
    fail(a), succeed(a), succeed(b), succeed(a), succeed(b)
    events = [event for event in log if event.kind != "state_changed"]
    events = [attrs.evolve(event, seq=seq) for seq, event in enumerate(events, start=1)]
    with pytest.raises(DivergedError):
        in_batches(events, [100])
    assert [edge.trigger.value for edge in in_batches(list(log), [100]).edges] == ["trip"]


@pytest.mark.parametrize(
    "window", [None, CountWindow(100, 0.9), TimeWindow(10, 0.9)], ids=["run", "count", "time"]
)
def test_gathered_success_is_counted_before_the_next_event(window, clock):
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3, window=window), log=log)
    for _ in range(5):
        fail(breaker, 2)
        succeed(breaker)
        clock.advance(seconds=0.4)
    fold = in_batches(list(log), [1000])
    assert fold.edges == []
    assert fold.witnessed.fold.breakers["b"] == log.attach().fold.breakers["b"]


def test_success_that_ends_a_good_second_can_trip():
    """The rate of a time window rises when a second with many successes leaves it."""
    config = CircuitBreakerConfig(
        failure_threshold=None, window=TimeWindow(2, 0.5, minimum_calls=4)
    )
    together, apart = BreakerState("b", config), BreakerState("b", config)
    for state in (together, apart):
        for seq in range(1, 21):
            apply(state, CallSucceeded(seq, 0, "b", 0, 0))
        for seq in range(21, 24):
            apply(state, CallFailed(seq, 1000 * MS, "b", 0, 0))
    events = [CallSucceeded(seq, (1000 + 500 * (seq - 23)) * MS, "b", 0, 0) for seq in (24, 25, 26)]
    edges = applied_together(together, events)
    assert [edge.seq for edge in edges] == [26]
    assert edges == [edge for event in events for edge in apply(apart, event)]
    assert dump(together) == dump(apart)


def test_missing_witness_is_found_at_the_next_success_of_another_breaker(clock, tmp_path):
    log = MemoryLog(clock=clock, tick_seconds=None)
    a, b = (CircuitBreaker(n, CircuitBreakerConfig(failure_threshold=1), log=log) for n in "ab")
    fail(a)
    succeed(b, 2)
    events = [event for event in log if event.kind != "state_changed"]
    events = [attrs.evolve(event, seq=seq) for seq, event in enumerate(events, start=1)]
    write_segment(tmp_path / "log", events)
    (difference,) = replay(tmp_path / "log").differences
    assert (difference.seq, difference.got) == (5, "call_succeeded")


def test_checkpoint_after_a_gap_and_a_success_must_match(clock):
    """Only a checkpoint directly after a gap may differ from the fold."""
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", log=log)
    succeed(breaker)
    *_, last = events = list(log)
    after_gap = [
        LogGap(last.seq + 2, last.at, 1),
        attrs.evolve(last, seq=last.seq + 3),
        Checkpoint(last.seq + 4, last.at, "b", dump(BreakerState("b", CircuitBreakerConfig()))),
    ]
    fold = in_batches([*events, *after_gap], [100])
    assert [difference.seq for difference in fold.witnessed.differences] == [last.seq + 4]
    assert fold.witnessed.differences == _fold_singly([*events, *after_gap], ()).differences
