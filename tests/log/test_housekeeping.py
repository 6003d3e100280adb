"""Full segments are compressed and, if asked, removed; at every step the log reads the same."""

import shutil

import pytest
import zstandard

from recloser import CircuitBreaker, DamagedLogError, EventLog
from recloser.log.reader import LogReader, segments_of
from recloser.log.repair import whole_part, write_whole_part
from recloser.log.verification import verify
from recloser.replay.engine import replay
from support import fail, succeed


def write(path, clock, **options):
    with EventLog(path, clock=clock, tick_seconds=None, segment_bytes=3000, **options) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(40):
            clock.advance(seconds=60)
            succeed(breaker, 2)
            log.flush()
        fail(breaker, 3)
        return breaker.snapshot()


def names(path):
    return [segment.name for segment in segments_of(path)]


def test_all_but_the_last_segment_are_compressed(tmp_path, clock):
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


def test_a_compressed_log_is_gone_on_with(tmp_path, clock):
    before = names_after = None
    write(tmp_path, clock)
    before = names(tmp_path)
    write(tmp_path, clock)
    names_after = names(tmp_path)
    assert len(names_after) > len(before)
    assert len({name.partition(".")[0] for name in names_after}) == len(names_after)
    assert replay(tmp_path).snapshots["b"].totals.succeeded == 160


@pytest.mark.parametrize("step", ["part", "both", "done"])
def test_a_crash_at_any_step_of_compressing_leaves_the_same_log(tmp_path, clock, step):
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


def test_what_a_disk_refuses_to_compress_stays_as_it_is(tmp_path, clock, monkeypatch, caplog):
    def refuse(folder, full_bytes):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recloser.log.housekeeping.compress_full", refuse)
    write(tmp_path, clock)
    assert "full segments stay as they are" in caplog.text
    assert replay(tmp_path).snapshots["b"].totals.succeeded == 80


def test_the_oldest_segments_of_a_log_that_is_too_large_are_removed(tmp_path, clock):
    snapshot = write(tmp_path, clock, compress=False, keep_bytes=9000)
    segments = segments_of(tmp_path)
    assert segments[0].name != "000000000001.jsonl"
    assert sum(segment.stat().st_size for segment in segments[1:]) <= 9000 + 3000
    history = replay(tmp_path)
    assert history.differences == []
    assert history.snapshots["b"] == snapshot
    assert verify(tmp_path).damages == []


def test_segments_whose_events_are_too_old_are_removed(tmp_path, clock):
    write(tmp_path, clock, keep_seconds=600)
    first, *_ = LogReader(tmp_path)
    assert first.seq > 1
    events = list(LogReader(tmp_path))
    assert events[0].at <= events[-1].at - 600 * 10**9
    assert replay(tmp_path).differences == []


def test_the_last_two_segments_are_never_removed(tmp_path, clock):
    snapshot = write(tmp_path, clock, keep_bytes=1, keep_seconds=0)
    assert len(names(tmp_path)) == 2
    with EventLog(tmp_path, clock=clock) as log:
        assert CircuitBreaker("b", log=log).snapshot() == snapshot


def test_damage_in_a_compressed_segment_is_found_and_what_is_whole_is_kept(tmp_path, clock):
    write(tmp_path / "log", clock)
    segment = segments_of(tmp_path / "log")[1]
    data = zstandard.ZstdDecompressor().decompressobj().decompress(segment.read_bytes())
    at = data.rindex(b"call_succeeded")
    segment.write_bytes(zstandard.compress(data[:at] + b"call_suxxeeded" + data[at + 14 :]))
    assert any("seal " in damage for damage in verify(tmp_path / "log").damages)
    write_whole_part(whole_part(tmp_path / "log"), tmp_path / "repaired")
    assert verify(tmp_path / "repaired").damages == []
    assert names(tmp_path / "repaired")[:3] == [
        "000000000001.jsonl.zst",
        "000000000002.jsonl",
        "000000000003.jsonl.zst",
    ]
    assert replay(tmp_path / "repaired").differences == []


def test_a_broken_compressed_segment_is_told_with_its_name(tmp_path, clock):
    write(tmp_path, clock)
    segment = segments_of(tmp_path)[1]
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    with pytest.raises(DamagedLogError, match=segment.name):
        list(LogReader(tmp_path))


def test_a_segment_that_was_compressed_since_it_was_listed_is_found(tmp_path, clock):
    write(tmp_path, clock, compress=False)
    reader = iter(LogReader(tmp_path))
    events = [next(reader)]
    second = segments_of(tmp_path)[1]
    second.with_name(second.name + ".zst").write_bytes(zstandard.compress(second.read_bytes()))
    second.unlink()
    events += reader
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    shutil.rmtree(tmp_path)
