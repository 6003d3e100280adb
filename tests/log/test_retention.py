"""Full segments are compressed and old ones removed; after each step the log reads the same."""

import contextlib
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
import zstandard
from breaker_calls import fail, succeed
from bytecode_points import at_each_point

from recloser import CircuitBreaker, DamagedLogError, EventLog
from recloser.history.engine import replay
from recloser.log import disk, retention
from recloser.log.reader import LogReader, segments_of
from recloser.log.retention import Retention, compress_full, remove_old
from recloser.log.salvage import find_intact, write_intact
from recloser.log.verification import verify


def write(path, clock, **options):
    with EventLog(path, clock=clock, tick_seconds=None, segment_bytes=3000, **options) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(40):
            clock.advance(seconds=60)
            succeed(breaker, 2)
            log.flush()
        fail(breaker, 3)
        return breaker.snapshot()


def until(is_so):
    due = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < due
        time.sleep(0.005)


def names(path):
    return [segment.name for segment in segments_of(path)]


def test_all_segments_but_the_last_are_compressed(tmp_path, clock):
    snapshot = write(tmp_path, clock)
    *full, last = names(tmp_path)
    assert len(full) > 2
    assert all(name.endswith(".jsonl.zst") for name in full)
    assert last.endswith(".jsonl")
    assert verify(tmp_path).damages == []
    history = replay(tmp_path)
    assert history.differences == []
    assert history.snapshots["b"] == snapshot
    assert replay(tmp_path / full[1]).differences == []


def test_compression_can_be_turned_off(tmp_path, clock):
    write(tmp_path, clock, compress=False)
    assert all(name.endswith(".jsonl") for name in names(tmp_path))


def test_compressed_log_can_be_continued(tmp_path, clock):
    before = names_after = None
    write(tmp_path, clock)
    before = names(tmp_path)
    write(tmp_path, clock)
    names_after = names(tmp_path)
    assert len(names_after) > len(before)
    assert len({name.partition(".")[0] for name in names_after}) == len(names_after)
    assert replay(tmp_path).snapshots["b"].totals.succeeded == 160


@pytest.mark.parametrize("step", ["part", "both", "done"])
def test_crash_at_any_step_of_compressing_leaves_the_same_log(tmp_path, clock, step):
    write(tmp_path, clock, compress=False)
    events = list(LogReader(tmp_path))
    plain = segments_of(tmp_path)[1]
    compressed = plain.with_name(plain.name + ".zst")
    data = zstandard.compress(plain.read_bytes())
    if step == "part":
        compressed.with_name(compressed.name + ".part").write_bytes(data[:100])
    else:
        compressed.write_bytes(data)
    if step == "done":
        plain.unlink()
    assert list(LogReader(tmp_path)) == events
    with EventLog(tmp_path, clock=clock, compress=False) as log:
        succeed(CircuitBreaker("b", log=log))
    assert list(LogReader(tmp_path))[: len(events)] == events
    leftovers = [path for path in tmp_path.iterdir() if path.name.endswith(".part")]
    assert leftovers == []
    assert plain.exists() != compressed.exists()


def test_segment_that_cannot_be_compressed_stays_as_it_is(tmp_path, clock, monkeypatch, caplog):
    def refuse(folder, full_bytes, live):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recloser.log.retention.compress_full", refuse)
    write(tmp_path, clock)
    assert "full segments stay as they are" in caplog.text
    assert replay(tmp_path).snapshots["b"].totals.succeeded == 80


def test_oldest_segments_of_a_large_log_are_removed(tmp_path, clock):
    snapshot = write(tmp_path, clock, compress=False, keep_bytes=9000)
    segments = segments_of(tmp_path)
    assert segments[0].name != "000000000001.jsonl"
    assert sum(segment.stat().st_size for segment in segments[1:]) <= 9000 + 3000
    history = replay(tmp_path)
    assert history.differences == []
    assert history.snapshots["b"] == snapshot
    assert verify(tmp_path).damages == []


def test_segments_with_old_events_are_removed(tmp_path, clock):
    write(tmp_path, clock, keep_seconds=600)
    first, *_ = LogReader(tmp_path)
    assert first.seq > 1
    events = list(LogReader(tmp_path))
    assert events[0].at <= events[-1].at - 600 * 10**9
    assert replay(tmp_path).differences == []


def test_last_two_segments_are_never_removed(tmp_path, clock):
    snapshot = write(tmp_path, clock, keep_bytes=1, keep_seconds=0)
    assert len(names(tmp_path)) == 2
    with EventLog(tmp_path, clock=clock) as log:
        assert CircuitBreaker("b", log=log).snapshot() == snapshot


def test_damage_in_a_compressed_segment_is_found_and_the_intact_part_kept(tmp_path, clock):
    write(tmp_path / "log", clock)
    segment = segments_of(tmp_path / "log")[1]
    data = zstandard.ZstdDecompressor().decompressobj().decompress(segment.read_bytes())
    at = data.rindex(b"call_succeeded")
    segment.write_bytes(zstandard.compress(data[:at] + b"call_suxxeeded" + data[at + 14 :]))
    assert any("seal " in damage for damage in verify(tmp_path / "log").damages)
    write_intact(find_intact(tmp_path / "log"), tmp_path / "repaired")
    assert verify(tmp_path / "repaired").damages == []
    assert names(tmp_path / "repaired")[:3] == [
        "000000000001.jsonl.zst",
        "000000000002.jsonl",
        "000000000003.jsonl.zst",
    ]
    assert replay(tmp_path / "repaired").differences == []


def test_broken_compressed_segment_is_named(tmp_path, clock):
    write(tmp_path, clock)
    segment = segments_of(tmp_path)[1]
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    with pytest.raises(DamagedLogError, match=segment.name):
        list(LogReader(tmp_path))


def test_segment_compressed_after_listing_is_found(tmp_path, clock):
    write(tmp_path, clock, compress=False)
    reader = iter(LogReader(tmp_path))
    events = [next(reader)]
    second = segments_of(tmp_path)[1]
    second.with_name(second.name + ".zst").write_bytes(zstandard.compress(second.read_bytes()))
    second.unlink()
    events += reader
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    shutil.rmtree(tmp_path)


@contextmanager
def small_disk(path, size):
    """A small file system, which can really be filled."""
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], check=True)  # also where a log in it is left open


def fill(path):
    """Use all the space that is left."""
    with path.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"x" * 512)
        except OSError:
            pass


def test_old_segments_are_removed_from_a_full_disk(tmp_path, clock):
    disk, path = tmp_path / "disk", tmp_path / "disk" / "log"
    with small_disk(disk, "512k"):
        write(path, clock, compress=False)
        before = segments_of(path)
        fill(disk / "filler")
        with pytest.raises(OSError, match="No space left"):
            compress_full(path, 3000)
        assert segments_of(path) == before
        assert not list(path.glob("*.part"))  # it would take the last space
        keeper = Retention(compress_bytes=3000, keep_bytes=9000, keep_ns=None)
        keeper._run(path, 0, 10**6)
        assert "No space left on device" in keeper.failure
        left = segments_of(path)
        assert left == before[-len(left) :]
        assert sum(segment.stat().st_size for segment in left) <= 9000
        assert verify(path).damages == []


def test_writer_makes_room_on_a_full_disk(tmp_path, clock):
    """Old segments are removed even though nothing can be written."""
    disk, path = tmp_path / "disk", tmp_path / "disk" / "log"
    with small_disk(disk, "512k"):
        log = EventLog(
            path,
            clock=clock,
            tick_seconds=None,
            segment_bytes=3000,
            compress=False,
            keep_seconds=3600,
        )
        breaker = CircuitBreaker("b", log=log)
        for _ in range(40):
            clock.advance(seconds=1)
            succeed(breaker, 2)
            log.flush()
        count = len(segments_of(path))
        assert count > 3
        fill(disk / "filler")
        while log.health().failure is None:
            succeed(breaker, 50)
            breaker.fast_path.fold_buffered()
            log.flush()
        assert "No space left" in log.health().failure
        clock.advance(seconds=3600)
        succeed(breaker, 2)
        until(lambda: len(segments_of(path)) < count)
        until(lambda: log.health().failure is None)
        log.close()
        assert log.health().failure is None
        assert verify(path).damages == []
        assert replay(path).differences == []


def test_old_segments_are_removed_when_no_thread_can_start(tmp_path, clock, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    write(tmp_path, clock, compress=False)
    before = segments_of(tmp_path)
    keeper = Retention(compress_bytes=3000, keep_bytes=9000, keep_ns=None)
    keeper.set_due()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    keeper.start_if_due(tmp_path, 0, 10**6)
    assert 2 < len(segments_of(tmp_path)) < len(before)
    assert "no thread can be started" in keeper.failure


def test_failed_removal_keeps_all_later_segments(tmp_path, clock, monkeypatch):
    write(tmp_path, clock, compress=False)
    first, second, *others = segments_of(tmp_path)
    unlink = type(first).unlink

    def refuse(path, **options):
        if path == second:
            raise PermissionError(1, "Operation not permitted")
        unlink(path, **options)

    monkeypatch.setattr(type(first), "unlink", refuse)
    with pytest.raises(PermissionError):
        remove_old(tmp_path, now=0, keep_bytes=1, keep_ns=None, live=10**6)
    assert segments_of(tmp_path) == [second, *others]
    assert verify(tmp_path).damages == []


@pytest.mark.parametrize("closed", ["source", "sink"])
def test_compression_stops_when_another_file_reuses_its_descriptor(
    tmp_path, clock, monkeypatch, closed
):
    """A daemonizer may close all descriptors; no byte may reach the other file."""
    path = tmp_path / "log"
    write(path, clock, compress=False)
    before = segments_of(path)[0].read_bytes()
    other = tmp_path / "other"
    read, create, steal, sinks = os.read, disk.create, [], []

    def create_sink(*arguments):
        sinks.append(create(*arguments))
        return sinks[-1]

    monkeypatch.setattr(disk, "create", create_sink)

    def read_and_close(descriptor, size):
        piece = read(descriptor, size)
        if piece and not steal:
            target = descriptor if closed == "source" else sinks[0]
            os.close(target)
            steal.append(os.open(other, os.O_RDWR | os.O_CREAT))
            assert steal == [target]
        return piece

    monkeypatch.setattr("recloser.log.retention.os.read", read_and_close)
    with pytest.raises(OSError, match="has closed the log's file"):
        compress_full(path, 3000)
    assert other.read_bytes() == b""
    os.write(steal[0], b"still open")
    os.close(steal[0])
    assert segments_of(path)[0].read_bytes() == before
    assert verify(path).damages == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="os.fork is missing here")
def test_forked_child_leaves_compression_to_its_parent(tmp_path, clock):
    """A signal handler forks while the main thread closes the log; the child continues first."""
    write(tmp_path / "log", clock, compress=False)
    for segment in segments_of(tmp_path / "log")[2:]:
        segment.unlink()
    before = list(LogReader(tmp_path / "log"))
    forked = []

    def fork():
        forked.append(os.fork())
        if forked[-1]:
            os.waitpid(forked[-1], 0)

    for n, interruption in enumerate(at_each_point([retention], fork)):
        folder = shutil.copytree(tmp_path / "log", tmp_path / str(n))
        try:
            with contextlib.suppress(OSError), interruption:
                compress_full(folder, 3000)
        finally:
            if forked[-1:] == [0]:
                os._exit(0)
        assert list(LogReader(folder)) == before
    assert n > 20


def test_segment_begun_before_the_thread_runs_is_compressed_at_the_end(
    tmp_path, clock, monkeypatch
):
    write(tmp_path, clock, compress=False)
    keep, may_go = Retention._run, threading.Event()

    def keep_later(self, *arguments):
        assert threading.current_thread() is threading.main_thread() or may_go.wait(20)
        keep(self, *arguments)

    monkeypatch.setattr(Retention, "_run", keep_later)
    housekeeper = Retention(compress_bytes=3000, keep_bytes=None, keep_ns=None)
    housekeeper.set_due()
    housekeeper.start_if_due(tmp_path, 0, 1)
    housekeeper.set_due()
    may_go.set()
    housekeeper.run_to_end(tmp_path, 0, len(names(tmp_path)))
    *full, _ = names(tmp_path)
    assert all(name.endswith(".jsonl.zst") for name in full)


def test_failed_compression_is_retried_when_the_log_is_closed(tmp_path, clock, monkeypatch):
    """No later segment sets it due again."""
    write(tmp_path, clock, compress=False)
    keeper = Retention(compress_bytes=3000, keep_bytes=None, keep_ns=None)
    keeper.set_due()
    with monkeypatch.context() as patch:
        patch.setattr(disk, "write", refuse)
        keeper.run_to_end(tmp_path, 0, 1 << 30)
    assert keeper.failure is not None
    keeper.run_to_end(tmp_path, 0, 1 << 30)
    assert keeper.failure is None
    assert any(name.endswith(".zst") for name in names(tmp_path))


def refuse(*_):
    raise OSError(28, "No space left on device")
