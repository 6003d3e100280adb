"""A repair keeps the intact parts before, between and after the damage."""

import json

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, LogError
from recloser.cli import status_of
from recloser.core.events import LogGap
from recloser.history.engine import replay
from recloser.log import disk
from recloser.log.reader import LogReader
from recloser.log.verification import verify

SEGMENTS = [f"{number:012d}.jsonl" for number in range(1, 6)]


@pytest.fixture
def path(tmp_path, clock):
    """Five sessions of a breaker that opens and closes."""
    path = tmp_path / "log"
    for _ in range(5):
        with EventLog(path, clock=clock) as log:
            breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)
            for _ in range(3):
                fail(breaker, 3)
                clock.advance(seconds=30)
                succeed(breaker, 2)
                log.flush()
    return path


def spoil(file):
    data = file.read_bytes()
    at = data.index(b"call_failed", len(data) // 2)
    file.write_bytes(data[:at] + b"####" + data[at + 4 :])


def outcomes(path):
    return [(event.seq, event.kind) for event in LogReader(path) if event.kind.startswith("call_")]


def test_repair_keeps_everything_that_is_intact(path, capsys):
    before = outcomes(path)
    spoil(path / SEGMENTS[1])
    (path / SEGMENTS[3]).unlink()
    assert status_of(["repair", str(path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    repaired = path.with_name("log-repaired")
    gaps = [event for event in LogReader(repaired) if isinstance(event, LogGap)]
    assert [s["lost"] for s in report["segments"] if s["lost"]] == [gap.lost for gap in gaps]
    assert len(gaps) == 2
    recovered = outcomes(repaired)
    assert set(recovered) <= set(before)
    missing = set(before) - set(recovered)
    covered = {seq for gap in gaps for seq in range(gap.seq - gap.lost + 1, gap.seq + 1)}
    assert {seq for seq, _ in missing} <= covered
    assert (repaired / SEGMENTS[4]).read_bytes() == (path / SEGMENTS[4]).read_bytes()
    assert verify(repaired).damages == []
    assert replay(repaired).differences == []


def test_gap_of_a_repaired_log_must_match_the_next_segment(path, capsys):
    spoil(path / SEGMENTS[1])
    assert status_of(["repair", str(path)]) == 0
    repaired = path.with_name("log-repaired")
    (repaired / SEGMENTS[2]).unlink()
    (damage,) = verify(repaired).damages
    assert f"{SEGMENTS[3]}, byte 0: the segment is not the one written after" in damage


def test_unreadable_segment_is_reported_and_left_out(path, capsys):
    (path / SEGMENTS[2]).unlink()
    (path / SEGMENTS[2]).symlink_to(SEGMENTS[2])
    assert status_of(["verify", str(path)]) == 3
    assert f"{SEGMENTS[2]}: it can't be read: Too many levels" in capsys.readouterr().err
    assert status_of(["repair", str(path)]) == 0
    assert verify(path.with_name("log-repaired")).damages == []


def test_repaired_copy_is_synced_before_the_command_ends(path, monkeypatch):
    synced = []
    sync, sync_folder = disk.sync, disk.sync_folder
    monkeypatch.setattr(disk, "sync", lambda fd: synced.append("file") or sync(fd))
    monkeypatch.setattr(disk, "sync_folder", lambda f: synced.append(f) or sync_folder(f))
    spoil(path / SEGMENTS[1])
    assert status_of(["repair", str(path)]) == 0
    assert synced == ["file"] * 5 + [path.with_name("log-repaired"), path.parent]


def test_failed_copy_is_removed(path, monkeypatch):
    spoil(path / SEGMENTS[1])
    real, written = disk.write_new, []

    def fail_third(target, parts, **options):
        written.append(target)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        real(target, parts, **options)

    monkeypatch.setattr(disk, "write_new", fail_third)
    assert status_of(["repair", str(path)]) == 2
    assert [each.name for each in path.parent.iterdir()] == ["log"]


@pytest.mark.parametrize("stop_at", range(1, 9))
def test_interrupted_repair_in_place_leaves_a_log_that_opens(path, clock, monkeypatch, stop_at):
    before = set(outcomes(path))
    spoil(path / SEGMENTS[1])
    (path / SEGMENTS[3]).unlink()
    damaged = {file.name: file.read_bytes() for file in path.glob("*.jsonl")}
    steps = []

    def stopping(real):
        def step(*arguments, **options):
            steps.append(real)
            if len(steps) >= stop_at:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return step

    with monkeypatch.context() as patched:
        for name in ("name_also", "rename", "remove", "write_new"):
            patched.setattr(disk, name, stopping(getattr(disk, name)))
        status = status_of(["repair", str(path), "--in-place", "--yes"])
    assert status == (130 if stop_at <= len(steps) else 0)
    with EventLog(path, clock=clock):
        pass
    assert verify(path).damages == []
    recovered = set(outcomes(path))
    assert recovered <= before
    assert {each for each in before if each[0] > 200} <= recovered
    everywhere = [each.read_bytes() for each in path.parent.rglob("*.jsonl*")]
    assert all(any(each.startswith(data) for each in everywhere) for data in damaged.values())


def test_log_with_a_writer_is_not_repaired_in_place(path, clock, capsys):
    spoil(path / SEGMENTS[1])
    with EventLog(path, clock=clock, on_damage="set_aside"):
        assert status_of(["repair", str(path), "--in-place", "--yes"]) == 2
    assert "one log has one writer" in capsys.readouterr().err
    with pytest.raises(LogError):
        LogReader(path.with_name("log.broken")).listed()
