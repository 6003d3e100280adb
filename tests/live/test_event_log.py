"""The log on disk: segments, seals, and going on after a stop."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from breaker_calls import fail, succeed
from log_files import crash, read_lines

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    CountWindow,
    EventLog,
    Exponential,
    LogError,
    ManualClock,
)
from recloser.history.engine import replay
from recloser.live.event_log import FULL_BATCH
from recloser.log import disk
from recloser.log.reader import LogReader
from recloser.log.seals import SEAL_EVERY, is_seal
from recloser.log.verification import verify

SECOND_NS = 10**9


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "payments"


def segment(path, number=1):
    return path / f"{number:012d}.jsonl"


def test_an_edge_is_sealed_at_once(path, clock):
    with EventLog(path, clock=clock) as log:
        fail(CircuitBreaker("b", log=log), 5)
        log.flush()
        lines = read_lines(segment(path))
        assert is_seal(lines[-1])
        assert b"state_changed" in lines[-2]


def test_while_events_flow_a_seal_is_written_every_second(path, clock):
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(30):
            clock.advance(seconds=0.1)
            succeed(breaker)
            log.flush()
        events = list(log)
    seals = [event.at for event in events if event.kind == "log_sealed"]
    assert seals == [1 * SECOND_NS, 2 * SECOND_NS, 3 * SECOND_NS]


def test_a_block_has_at_most_4096_events(path, clock):
    with EventLog(path, clock=clock, seal_seconds=None, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        succeed(breaker, 10_000)
    counts = [event.count for event in LogReader(path) if event.kind == "log_sealed"]
    assert counts == [4096, 4096, 10_002 - 2 * 4096]


def test_closing_seals_the_last_events_and_can_be_repeated(path, clock):
    log = EventLog(path, clock=clock)
    succeed(CircuitBreaker("b", log=log))
    log.close()
    log.close()
    reader = LogReader(path)
    assert list(reader)[-1].kind == "log_sealed"
    assert reader.tail.unsealed == 0


def test_a_log_that_no_breaker_used_leaves_no_segment(path):
    with EventLog(path) as log:
        pass
    log.close()
    assert [file.name for file in path.iterdir()] == ["lock"]


def test_a_closed_log_records_nothing_more_and_breaks_no_call(path, clock, caplog):
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
    count = len(list(log))
    assert breaker.call(lambda: "made") == "made"
    fail(breaker, 5)
    assert not breaker.before_call().allowed
    assert len(list(log)) == count
    assert caplog.text.count("the log is closed; calls go on, and are not recorded") == 1


@pytest.mark.parametrize("segment_bytes", [1, 8 << 20])
def test_calls_that_end_while_the_log_is_closed_leave_it_whole(path, clock, segment_bytes):
    """They are refused, and numbered all the same: the last seal must not take their numbers."""
    log = EventLog(path, clock=clock, segment_bytes=segment_bytes, tick_seconds=None)
    breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=100), log=log)
    fail(breaker, 3)
    commit = log._commit

    def commit_after_calls(**how):
        if log._buffer.is_closed:
            fail(breaker, 3)
        commit(**how)

    log._commit = commit_after_calls
    log.close()
    assert verify(path).damages == []
    assert replay(path).snapshots["b"].totals.failed == 3


def test_closed_log_raises_with_on_log_failure_raise(path, clock):
    with EventLog(path, clock=clock, on_log_failure="raise") as log:
        breaker = CircuitBreaker("b", log=log)
    with pytest.raises(LogError, match=r"payments: the log is closed"):
        breaker.reset()


def test_garbage_that_reports_in_mid_write_waits_for_nobody(path, clock, monkeypatch):
    """With sync a report waits for the writer, which may be this very thread."""
    with EventLog(path, clock=clock, durability="sync") as log:
        breaker = CircuitBreaker("b", log=log)
        generators = [breaker(iter_once)()]
        next(generators[0])
        write = disk.write

        def write_and_collect(*arguments):
            if generators:
                generators.pop().close()
            return write(*arguments)

        monkeypatch.setattr(disk, "write", write_and_collect)
        succeed(breaker)
        monkeypatch.undo()
    assert replay(path).snapshots["b"].totals.succeeded == 2


def iter_once():
    yield


def test_an_unknown_durability_is_refused(path):
    with pytest.raises(ConfigError, match="durability must be batch, sync or memory, not 'none'"):
        EventLog(path, durability="none")


@pytest.mark.parametrize(("durability", "waits"), [("batch", 1), ("sync", 5), ("memory", 0)])
def test_the_durability_says_when_the_disk_is_waited_for(
    path, clock, monkeypatch, durability, waits
):
    """Five failures are recorded, the last of them with an edge and so with a seal."""
    with EventLog(path, clock=clock, durability=durability) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        forced = []
        monkeypatch.setattr(disk, "sync", forced.append)
        fail(breaker, 5)
        log.flush()
        monkeypatch.undo()
    assert len(forced) == waits


def syncs(monkeypatch):
    """The calls to the disk that wait for it, from now on."""
    forced = []
    monkeypatch.setattr(disk, "sync", forced.append)
    return forced


def succeed_much(breaker, calls):
    """As many successes as calls, past the lock."""
    call_buffer = breaker.fast_path.call_buffer
    for _ in range(calls):
        call_buffer.record(
            breaker.fast_path.monotonic_ns() - breaker.fast_path.origin,
            0,
            breaker.fast_path.admit_token,
        )


def test_seal_of_a_full_block_waits_for_the_next_sync(path, clock, monkeypatch):
    """Under load there are hundreds a second, and what they seal is on disk within that second."""
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        forced = syncs(monkeypatch)
        succeed_much(breaker, 3 * SEAL_EVERY)
        log.flush()
        assert segment(path).read_bytes().count(b"log_sealed") == 3
        assert forced == []
        clock.advance(seconds=1)
        succeed_much(breaker, 1)
        log.flush()
        assert len(forced) == 1
        succeed_much(breaker, SEAL_EVERY)
        log.flush()
        assert len(forced) == 1
        monkeypatch.undo()


def test_sealed_block_is_synced_when_no_more_events_come(path, clock, monkeypatch):
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        forced = syncs(monkeypatch)
        succeed_much(breaker, log.room())
        log.flush()
        assert log.room() == SEAL_EVERY  # nothing is left to be sealed
        for _ in range(500):
            if forced:
                break
            threading.Event().wait(0.01)
        assert len(forced) == 1
        monkeypatch.undo()


def test_without_seals_by_time_each_seal_is_waited_for(path, clock, monkeypatch):
    with EventLog(path, clock=clock, tick_seconds=None, seal_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        forced = syncs(monkeypatch)
        for _ in range(3):
            succeed_much(breaker, log.room())
            log.flush()
        assert len(forced) == 3
        monkeypatch.undo()


def test_a_full_batch_is_written_at_once(path, clock):
    with EventLog(path, clock=clock, tick_seconds=None) as log:
        breaker = CircuitBreaker("b", log=log)
        log.flush()
        hurried = []
        log._thread.hurry.ring = lambda: hurried.append(log._buffer.waiting)
        with log._disk_lock._io:  # so that nobody writes meanwhile
            succeed_much(breaker, FULL_BATCH - 100)
            breaker.snapshot()
            assert hurried == []
            succeed_much(breaker, 200)
            breaker.snapshot()
            assert hurried


def appears(path, kind):
    """Wait until the file, read while the log is open, has an event of this kind."""
    for _ in range(500):
        if segment(path).exists() and kind in segment(path).read_bytes():
            return True
        threading.Event().wait(0.01)
    return False


def test_events_are_written_without_a_flush(path, clock):
    with EventLog(path, clock=clock) as log:
        fail(CircuitBreaker("b", log=log))
        assert appears(path, b"call_failed")


def test_unsealed_events_are_sealed_when_no_more_events_come(path, clock):
    with EventLog(path, clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
        assert appears(path, b"log_sealed")


def test_flushing_hands_on_all_that_was_appended(path, clock):
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        for count in range(1, 5):
            fail(breaker)
            log.flush()
            assert [event.kind for event in LogReader(path)].count("call_failed") == count


def test_a_full_segment_is_followed_by_one_that_begins_with_every_breaker(path, clock):
    with EventLog(path, clock=clock, segment_bytes=2000, compress=False) as log:
        breakers = [CircuitBreaker(name, log=log) for name in "ab"]
        for _ in range(30):
            for breaker in breakers:
                if breaker.before_call().allowed:
                    breaker.after_failure()
            log.flush()
        snapshots = {breaker.name: breaker.snapshot() for breaker in breakers}
    files = sorted(path.glob("*.jsonl"))
    assert len(files) > 3
    for file in files[1:]:
        opened, first, second, *_ = LogReader(file)
        assert (opened.session, opened.checkpoints) == (1, 2)
        assert [first.kind, second.kind] == ["checkpoint"] * 2
        assert replay(file).differences == []
    assert replay(path).differences == []
    assert replay(path).snapshots == replay(files[-1]).snapshots == snapshots


def test_more_breakers_than_a_block_holds_begin_a_segment_too(path, clock):
    with EventLog(path, clock=clock, segment_bytes=1, compress=False, durability="memory") as log:
        for n in range(4200):
            breaker = CircuitBreaker(f"b{n}", log=log)
        log.flush()
        fail(breaker)
    assert len(list(path.glob("*.jsonl"))) > 1
    history = replay(path)
    assert history.differences == []
    assert len(history.snapshots) == 4200
    with EventLog(path, clock=clock) as log:
        assert CircuitBreaker("b4199", log=log).snapshot().consecutive_failures == 1


def test_opening_reads_the_last_segment_only(path, clock):
    """An older one may even be damaged; it is verified by those who want to know."""
    with EventLog(path, clock=clock, segment_bytes=2000, compress=False) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(60):
            succeed(breaker)
            log.flush()
        snapshot = breaker.snapshot()
    data = segment(path).read_bytes()
    segment(path).write_bytes(data.replace(b"call_succeeded", b"call_failed...", 1))
    with EventLog(path, clock=clock) as log:
        assert CircuitBreaker("b", log=log).snapshot() == snapshot


def test_a_crash_before_the_checkpoints_were_written_costs_nothing(path, clock):
    for _ in range(2):
        with EventLog(path, clock=clock) as log:
            fail(CircuitBreaker("b", log=log), 2)
    whole = read_lines(segment(path, 2))
    assert b"checkpoint" in whole[1]
    segment(path, 2).write_bytes(whole[0])
    with EventLog(path, clock=clock) as log:
        assert CircuitBreaker("b", log=log).snapshot().consecutive_failures == 2
    assert replay(path).differences == []


def test_a_restarted_process_goes_on_in_a_segment_of_its_own(path, clock):
    config = CircuitBreakerConfig(failure_threshold=4)
    with EventLog(path, clock=clock) as log:
        fail(CircuitBreaker("b", config, log=log), 3)
    first = segment(path).read_bytes()
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("b", config, log=log)
        assert breaker.snapshot().consecutive_failures == 3
        fail(breaker)
        assert breaker.current_state().value == "OPEN"
    assert segment(path).read_bytes() == first
    assert segment(path, 2).exists()
    assert replay(path).differences == []


def test_windows_backoff_and_probes_continue_after_a_restart(path, clock):
    """With settings that JSON has no form of: a fraction, a type, a predicate."""
    config = CircuitBreakerConfig(
        failure_threshold=None,
        window=CountWindow(9, Fraction(1, 3), minimum_calls=9),
        backoff=Exponential(Fraction(3, 2), 60, jitter="equal"),
        record=[OSError, callable],
        recovery_timeout_seconds=1,
    )
    snapshots = []
    for n in range(12):
        with EventLog(path, clock=clock) as log:
            breaker = CircuitBreaker("b", config, log=log)
            decision = breaker.before_call()
            if decision.allowed and n % 3 == 0:
                breaker.after_failure(decision.permit)
            elif decision.allowed:
                breaker.after_success(decision.permit)
            snapshots.append(breaker.snapshot())
    assert [snapshot.window.failures for snapshot in snapshots[:8]] == [1, 1, 1, 2, 2, 2, 3, 3]
    assert snapshots[8].state.value == "OPEN"
    history = replay(path)
    assert history.differences == []
    assert history.snapshots["b"] == snapshots[-1]
    assert [event.kind for event in LogReader(path)].count("breaker_configured") == 1


def test_after_a_crash_whole_lines_are_kept_and_a_torn_one_is_dropped(path, clock):
    log = EventLog(path, clock=clock)
    fail(CircuitBreaker("b", log=log), 3)
    crash(log)
    with segment(path).open("ab") as stream:
        stream.write(b'{"event":"call_failed","seq":6,"at"')
    log = EventLog(path, clock=clock)
    assert (log.tail.unsealed, log.tail.torn) == (5, 35)
    with log:
        assert CircuitBreaker("b", log=log).snapshot().consecutive_failures == 3
    history = replay(path)
    assert history.differences == []
    assert history.snapshots["b"].totals.failed == 3


def test_a_segment_that_died_before_its_first_line_is_taken_over(path, clock):
    with EventLog(path, clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
    segment(path, 2).write_bytes(b'{"event":"log_')
    with EventLog(path, clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
    assert sorted(file.name for file in path.glob("*.jsonl")) == [
        segment(path).name,
        segment(path, 2).name,
    ]
    assert replay(path).snapshots["b"].totals.succeeded == 2


def test_a_witness_that_a_crash_kept_from_being_written_is_no_difference(path, clock):
    log = EventLog(path, clock=clock)
    fail(CircuitBreaker("b", log=log), 5)
    crash(log)
    lines = read_lines(segment(path))
    assert b"state_changed" in lines[-2]
    segment(path).write_bytes(b"".join(lines[:-2]))
    with EventLog(path, clock=clock) as log:
        assert CircuitBreaker("b", log=log).current_state().value == "OPEN"
    history = replay(path)
    assert history.differences == []
    assert [edge.trigger.value for edge in history.edges] == ["trip"]


def test_damaged_log_is_not_continued(path, clock):
    with EventLog(path, clock=clock) as log:
        fail(CircuitBreaker("b", log=log), 5)
    data = segment(path).read_bytes()
    segment(path).write_bytes(data.replace(b"call_failed", b"call_ignored", 1))
    with pytest.raises(LogError, match="is broken.*; keep its intact parts with"):
        EventLog(path, clock=ManualClock(), on_damage="raise")
    assert segment(path).read_bytes() != data
    assert not segment(path, 2).exists()


EXITING = """
import signal, sys, threading
from recloser import CircuitBreaker, EventLog
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
log = EventLog(sys.argv[1])
CircuitBreaker("b", log=log).call(int)
if sys.argv[2] == "wait":
    print("up", flush=True)
    threading.Event().wait()
"""


@pytest.mark.parametrize("ends", ["at its end", "wait"])
def test_a_log_that_was_not_closed_is_closed_when_the_interpreter_exits(path, ends):
    """Also on SIGTERM, where the application turns that into an exit."""
    command = [sys.executable, "-c", EXITING, path, ends]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        if ends == "wait":
            assert process.stdout.readline() == b"up\n"
            process.terminate()
        assert process.wait(30) == 0
    reader = LogReader(path)
    assert [event.kind for event in reader][-2:] == ["call_succeeded", "log_sealed"]
    assert (reader.tail.unsealed, reader.tail.torn) == (0, 0)


def test_callers_that_are_faster_than_the_writer_give_way_and_lose_nothing(tmp_path):
    """Threads that do nothing else would leave it too little of the interpreter."""
    with EventLog(tmp_path, durability="memory") as log:
        protected = CircuitBreaker("b", log=log)(int)

        def hammer(_):
            for _ in range(25_000):
                protected()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(hammer, range(8)))
        log.flush()
        assert (log.health().lost, log.health().gaps) == (0, 0)
    assert replay(tmp_path).snapshots["b"].totals.succeeded == 200_000


def test_lock_held_for_long_after_a_write_causes_no_second_write(tmp_path, monkeypatch):
    """The writer's thread can't note that the write is done, so it checks the file before writing."""
    log = EventLog(tmp_path / "log", clock=ManualClock(), durability="memory")
    breaker = CircuitBreaker("b", log=log)
    log.flush()
    sequencer = log.attach()
    is_held, may_end = threading.Event(), threading.Event()

    def hold():
        is_held.set()
        may_end.wait()

    holder = threading.Thread(target=lambda: sequencer.hold(hold, hold))
    flush = log._writer.appender.flush

    def flush_and_wait(*, is_sync_due):
        flush(is_sync_due=is_sync_due)
        holder.start()
        is_held.wait()
        monkeypatch.undo()

    breaker.force_open()
    monkeypatch.setattr(log._writer.appender, "flush", flush_and_wait)
    log.flush()
    may_end.set()
    holder.join()
    breaker.reset()
    log.close()
    kinds = [event.kind for event in LogReader(tmp_path / "log")]
    assert kinds.count("forced_open") == kinds.count("reset") == 1
    assert verify(tmp_path / "log").damages == []
