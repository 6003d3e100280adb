"""The proof holds for correct code and finds each kind of fault planted in it."""

import random
import textwrap
from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from log_files import crash, write_segment

import recloser.core.edges
import recloser.core.fold
import recloser.core.log_fold
from conftest import RECORDED_LOGS, ROOT
from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    ManualClock,
    MemoryLog,
    Outcome,
    TimeWindow,
    replay,
)
from recloser.core import kernel
from recloser.core.events import CallObserved, LogOpened
from recloser.core.log_fold import LogFold
from recloser.core.moments import nanoseconds_between
from recloser.history.engine import read_events
from recloser.live.sequencer import Sequencer
from recloser.proof import variants
from recloser.proof.proof import prove
from test_invariants import configs

MS = 10**6
SECOND = 10**9
FIXTURES = [path.name for path in RECORDED_LOGS]
OPENED = LogOpened(1, 0, 1, 1, 1, datetime(2026, 1, 1, tzinfo=UTC), 0, "", "", 1, "0")
CONFIG = CircuitBreakerConfig(
    failure_threshold=6, window=TimeWindow(10, failures=5), recovery_timeout_seconds=3
)


def call(breaker, *, fails=False):
    permit = breaker.before_call().permit
    if permit is not None and fails:
        breaker.after_failure(permit, "OSError")
    elif permit is not None:
        breaker.after_success(permit)


def recorded():
    """Two breakers that trip by their windows and recover; one call is 1 ns too early.

    Before that, failures are as frequent as possible without a trip.
    """
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    breakers = [CircuitBreaker(name, CONFIG, log=log) for name in ("left", "right")]
    clock.advance(ns=4 * SECOND)
    for _ in range(12):
        clock.advance(ns=3 * SECOND)
        for breaker in breakers:
            call(breaker, fails=True)
            call(breaker)
    clock.advance(ns=20 * SECOND)
    for n in range(10):
        call(breakers[n % 2], fails=True)
    clock.advance(ns=3 * SECOND - 1)
    for breaker in breakers:
        breaker.before_call()
    clock.advance(ns=1)
    for n in range(100):
        clock.advance(ns=10 * MS)
        call(breakers[n % 2])
    clock.advance(ns=5 * SECOND)
    call(breakers[0])
    return list(log)


def traffic(*calls):
    """Observed calls of (breaker, start, took, outcome) in milliseconds."""
    ends = sorted(calls, key=lambda call: call[1] + call[2])
    return [
        OPENED,
        *(
            CallObserved(
                seq, (start + took) * MS, name, start * MS, took * MS, Outcome(outcome)
            )
            for seq, (name, start, took, outcome) in enumerate(ends, start=2)
        ),
    ]  # fmt: skip


def outage_of_others():
    """Calls of one breaker fail for two seconds; two others fail as often as possible without a trip."""
    return traffic(
        *(("c", n * 100, 5, "failed" if 20 <= n < 40 else "succeeded") for n in range(100)),
        *(
            (name, n * 700, took, "failed" if 10 <= n < 25 else "succeeded")
            for n in range(60)
            for name, took in (("a", 5), ("b", 1200))
        ),
    )


DRIVEN = CircuitBreakerConfig(
    failure_threshold=20, window=TimeWindow(5, failures=12), recovery_timeout_seconds=2
)


def divergences(proof):
    return {row.name: row.divergence for row in proof.rows if row.divergence is not None}


@pytest.mark.parametrize("name", FIXTURES)
def test_the_proof_of_every_recording_holds(name):
    proof = prove(ROOT / "fixtures" / name)
    assert divergences(proof) == {}
    assert {row.digest for row in proof.rows} == {proof.digest}
    assert proof.digest == replay(ROOT / "fixtures" / name).digest
    assert len(proof.rows) > 20


def test_the_proof_of_imported_traffic_drives_breakers():
    proof = prove(outage_of_others(), config=DRIVEN)
    assert divergences(proof) == {}
    assert proof.edges >= 3
    witnesses = proof.rows[-1]
    assert witnesses.name == f"against the {proof.edges} witnesses recorded live"
    assert proof.digest == replay(outage_of_others(), config=DRIVEN).digest


def test_the_proof_holds_for_traffic_that_ends_with_a_rejected_call():
    trace = traffic(("b", 0, 0, "failed"), ("b", 100, 0, "succeeded"))
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout_seconds=1)
    assert divergences(prove(trace, config=config)) == {}


def test_a_row_that_is_left_out_says_why():
    proof = prove(recorded())
    left_out = {row.name: row.left_out for row in proof.rows if row.left_out}
    assert left_out == {
        "another process, hash seed and time zone": (
            "the events are in memory, where no other process can read them"
        ),
    }
    assert all(row.digest is None for row in proof.rows if row.left_out)
    assert proof.holds


def test_a_row_whose_times_would_overflow_is_left_out():
    clock = ManualClock()
    log = MemoryLog(clock=clock)
    breaker = CircuitBreaker("b", log=log)
    breaker.call(str)
    clock.advance(ns=2**61)
    breaker.call(str)
    proof = prove(list(log))
    left_out = {row.name: row.left_out for row in proof.rows if row.left_out}
    late = left_out["the log's time begins 2^62 ns later"]
    assert late.endswith("warped, its time is past the last one of any log")
    assert proof.holds


# The six kinds of fault that the proof must find.


def cools_by_the_wall(monkeypatch):
    """Plant a fault: the fold takes the time of a tick from the wall clock."""
    right = LogFold._fire_deadlines

    def wrong(fold, tick):
        by_the_wall = nanoseconds_between(fold.opened.wall, tick.wall)
        return right(fold, evolve(tick, at=max(tick.at, by_the_wall)))

    monkeypatch.setattr(LogFold, "_fire_deadlines", wrong)


def times_by_the_wall(monkeypatch):
    """Plant a fault: the live breaker takes the time from the wall clock."""

    def wrong(sequencer):
        wall = nanoseconds_between(sequencer.fold.opened.wall, sequencer._clock.now())
        return max(sequencer.fold.at, wall)

    monkeypatch.setattr(Sequencer, "read_at", wrong)


def draws_at_random(monkeypatch):
    drawn = random.Random(7)
    right = recloser.core.edges.cooldown_ns
    monkeypatch.setattr(
        recloser.core.edges,
        "cooldown_ns",
        lambda *a, **k: right(*a, **k) + drawn.randrange(900 * MS),
    )


SET_ORDER = """
import zlib
import recloser.core.edges

right = recloser.core.edges.cooldown_ns
words = {f"reason {n}" for n in range(20)}


def wrong(*args, **kwargs):
    return right(*args, **kwargs) + zlib.crc32(",".join(words).encode()) % 900_000_000


recloser.core.edges.cooldown_ns = wrong
"""


def compares_floats(monkeypatch):
    right = recloser.core.fold.apply

    def wrong(state, event):
        due = state.deadline
        if due is not None and event.kind == "call_rejected" and float(event.at) >= float(due):
            event = evolve(event, at=max(event.at, due))
        return right(state, event)

    monkeypatch.setattr(recloser.core.log_fold, "apply", wrong)
    monkeypatch.setattr(variants, "apply", wrong)


def forgets_the_run(monkeypatch):
    right = variants.dump
    monkeypatch.setattr(
        variants,
        "dump",
        lambda state: {**right(state), "consecutive_failures": 0, "failure_seqs": []},
    )


def aligns_its_window(monkeypatch):
    """Plant a fault: the seconds of time windows vary in length along the log."""
    right = kernel.step

    def wrong(state, kind, seq, at, *rest):
        window = state.rules.window
        if window is not None and window.is_timed:
            length = window.size * 10**9
            since = at % (8 * length)
            slow = since // 4 if since < 4 * length else length + (since - 4 * length) * 7 // 4
            at += slow - since
        return right(state, kind, seq, at, *rest)

    monkeypatch.setattr(kernel, "step", wrong)


SUMMER = "wall clock across the start of summer time"
STEPPED = "wall clock stepped back and forward at each tick"
LATER = "the log's time begins 2^53 ns later"
MUCH_LATER = "the log's time begins 2^62 ns later"


@pytest.mark.parametrize(
    ("plant", "found_by"),
    [
        (cools_by_the_wall, {"wall clock drifting +10 %", SUMMER}),
        (times_by_the_wall, {"live breakers, wall clock -1 year and drifting"}),
        (draws_at_random, {"same again", "wall clock frozen", "each breaker apart"}),
        (compares_floats, {MUCH_LATER}),
        (forgets_the_run, {"cut and resumed from snapshots"}),
        (aligns_its_window, {MUCH_LATER}),
    ],
)
def test_a_planted_fault_diverges_at_the_first_event_of_a_recorded_log(
    monkeypatch, plant, found_by
):
    assert prove(recorded()).holds
    plant(monkeypatch)
    events = recorded()
    proof = prove(events)
    found = divergences(proof)
    assert not proof.holds
    assert found_by <= found.keys()
    for name in found_by:
        divergence = found[name]
        (event,) = [event for event in events if event.seq == divergence.seq]
        assert divergence.breaker in ("left", "right")
        assert divergence.expected != divergence.got
        assert str(divergence).startswith(
            f"seq {divergence.seq}, breaker '{divergence.breaker}': expected "
        )
        if plant is not draws_at_random:
            # The histories are equal up to the previous event.
            assert name not in divergences(prove(events[: events.index(event)]))


@pytest.mark.parametrize(
    ("plant", "found_by"),
    [
        (times_by_the_wall, {"wall clock drifting +10 %", STEPPED, "wall clock frozen"}),
        (draws_at_random, {"same again", "wall clock +1 h", "cut and resumed from snapshots"}),
        (aligns_its_window, {MUCH_LATER}),
        (forgets_the_run, {"cut and resumed from snapshots"}),
    ],
)
def test_a_planted_fault_diverges_at_the_first_call_of_driven_breakers(
    monkeypatch, plant, found_by
):
    calls = outage_of_others()
    assert prove(calls, config=DRIVEN).holds
    plant(monkeypatch)
    found = divergences(prove(calls, config=DRIVEN))
    assert found_by <= found.keys()
    for name in found_by:
        assert found[name].seq in {call.seq for call in calls}
        assert found[name].breaker in ("a", "b", "c")


def test_a_fault_by_the_order_of_a_set_diverges_in_another_process(monkeypatch, tmp_path):
    """The fault is planted in this process, and in the other one by its ``sitecustomize``."""
    monkeypatch.setattr(recloser.core.edges, "cooldown_ns", recloser.core.edges.cooldown_ns)
    exec(compile(textwrap.dedent(SET_ORDER), "set_order", "exec"), {})
    (tmp_path / "sitecustomize.py").write_text(SET_ORDER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    path = write_segment(tmp_path / "log", recorded())
    found = divergences(prove(path))
    assert found.keys() == {"another process, hash seed and time zone"}
    (divergence,) = found.values()
    # The histories diverge at the earlier of the two cooldown ends.
    ours = [e.seq for e in read_events(path) if e.kind == "state_changed" and e.epoch == 2]
    assert divergence.seq < max(ours)
    assert divergence.expected.startswith("cool of")


def test_the_error_of_another_process_is_in_its_row(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import recloser.core.log_fold as f; del f.LogFold.apply"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = divergences(prove(write_segment(tmp_path / "log", recorded())))
    (divergence,) = found.values()
    assert "the other process failed: AttributeError" in divergence.got


def test_a_log_with_a_forged_witness_diverges_from_its_witnesses():
    events = recorded()
    trip = next(event for event in events if event.kind == "state_changed")
    events[events.index(trip)] = evolve(trip, epoch=2)
    (row,) = [row for row in prove(events).rows if row.divergence is not None]
    assert row.name.startswith("against the ")
    assert row.divergence.seq == trip.seq
    assert row.digest is None


def test_an_impossible_event_is_named_and_ends_the_proof():
    events = recorded()
    index = next(n for n, event in enumerate(events) if event.kind == "probe_admitted")
    events[index] = evolve(events[index], probe=7)
    found = divergences(prove(events))
    assert {divergence.seq for divergence in found.values()} == {events[index].seq}
    assert all("probe 7 follows probe 0" in divergence.got for divergence in found.values())


def test_settings_for_a_log_that_breakers_wrote_are_an_error():
    with pytest.raises(ConfigError, match="written by breakers"):
        prove(recorded(), config=CircuitBreakerConfig())


def test_an_iterator_of_events_is_an_error():
    with pytest.raises(ConfigError, match="give it a list"):
        prove(iter(recorded()))


def test_progress_reports_each_stage(tmp_path):
    steps = []
    prove(write_segment(tmp_path / "log", recorded()), progress=lambda *step: steps.append(step))
    assert [step[:2] for step in steps] == [
        ("reading", 0),
        ("computing it in 21 ways", 0),
        ("through Parquet and back", 0),
    ]
    assert {step[2] for step in steps[1:]} == {len(list(read_events(tmp_path / "log")))}


names = st.sampled_from(["a", "b"])
steps = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 60, 499, 500, 1000, 3000, 20_000])),
    st.tuples(st.just("ask"), names),
    st.tuples(st.sampled_from(["success", "failure", "ignored"]), st.integers(0, 5)),
    st.tuples(st.just("fail"), names),
    st.tuples(
        st.sampled_from(["force_open", "force_closed", "reset", "shadow", "disabled", "enforce"]),
        names,
    ),
    st.tuples(st.just("wall"), st.sampled_from([-3600, -1, 1, 10**8])),
    st.tuples(st.sampled_from(["restart", "crash", "reboot"]), names),
)


class Performance:
    """Drives two live breakers with a random trace, which also restarts the log."""

    def __init__(self, config, open_log):
        self.config, self.open_log = config, open_log
        self.clock = ManualClock()
        self.open()

    def open(self):
        self.log = self.open_log(self.clock)
        self.breakers = {name: CircuitBreaker(name, self.config, log=self.log) for name in "ab"}
        self.permits = []

    def take(self, what, value):
        if what == "wait":
            self.clock.advance(ns=value * MS)
        elif what == "wall":
            self.clock.advance_wall(seconds=value)
        elif what in ("restart", "crash", "reboot"):
            self.restart(what)
        elif what in ("success", "failure", "ignored"):
            if self.permits:
                permit = self.permits.pop(value % len(self.permits))
                getattr(self.breakers[permit.breaker], f"after_{what}")(permit)
        else:
            self.ask(self.breakers[value], what)

    def ask(self, breaker, what):
        if what in ("shadow", "disabled", "enforce"):
            breaker.set_mode(what)
        elif what in ("ask", "fail"):
            permit = breaker.before_call().permit
            if permit is not None and what == "fail":
                breaker.after_failure(permit, "OSError")
            elif permit is not None:
                self.permits.append(permit)
        else:
            getattr(breaker, what)(actor="ann")

    def restart(self, how):
        if isinstance(self.log, MemoryLog):
            return
        if how == "crash":
            crash(self.log)
        else:
            self.log.close()
        if how == "reboot":
            self.clock.reboot()
        self.open()


def perform(trace, config, open_log):
    performance = Performance(config, open_log)
    for step in trace:
        performance.take(*step)
    performance.log.close()
    return performance.log


def test_the_proof_holds_for_a_session_that_forgets_earlier_probes(tmp_path):
    clock = ManualClock()
    config = CircuitBreakerConfig(failure_threshold=1, recovery_timeout_seconds=1)
    for fails in (True, False):
        with EventLog(tmp_path / "log", clock=clock) as log:
            breaker = CircuitBreaker("b", config, log=log)
            if fails:
                breaker.after_failure(breaker.before_call().permit, "TimeoutError")
                clock.advance(seconds=1)
            assert breaker.before_call().permit is not None
            assert breaker.before_call().permit is None
    assert divergences(prove(tmp_path / "log")) == {}


@settings(max_examples=100)
@given(st.lists(steps, max_size=60), configs)
def test_the_proof_of_any_generated_log_holds(trace, config):
    log = perform(trace, config, lambda clock: MemoryLog(clock=clock))
    assert divergences(prove(list(log))) == {}


@settings(max_examples=8)
@given(st.lists(steps, min_size=20, max_size=60), configs)
def test_the_proof_of_any_generated_log_on_disk_holds(tmp_path_factory, trace, config):
    """The log has restarts, crashes and reboots, and another process reads it too."""
    path = tmp_path_factory.mktemp("proved") / "log"
    perform(trace, config, lambda clock: EventLog(path, clock=clock))
    assert divergences(prove(path)) == {}


calls = st.tuples(
    names,
    st.integers(0, 20_000),
    st.sampled_from([0, 1, 60, 1000, 15_000]),
    st.sampled_from(["failed", "failed", "succeeded", "ignored"]),
)


@settings(max_examples=60)
@given(st.lists(calls, min_size=1, max_size=60), configs)
def test_the_proof_of_any_generated_traffic_holds(trace, config):
    assert divergences(prove(traffic(*trace), config=config)) == {}
