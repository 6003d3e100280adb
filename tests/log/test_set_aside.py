"""A damaged log does not keep a service from starting, and nothing of it is deleted."""

import errno
import logging
import os
import shutil

import pytest
import zstandard
from breaker_calls import fail, succeed

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    EventLog,
    FutureVersionError,
    LogError,
    ManualClock,
)
from recloser.cli import status_of
from recloser.core.events import LogGap
from recloser.history.engine import replay
from recloser.log import segment_reader
from recloser.log.listing import segments_in
from recloser.log.reader import LogReader
from recloser.log.verification import verify

SETTINGS = CircuitBreakerConfig(failure_threshold=3)


def segment(folder, number):
    return folder / f"{number:012d}.jsonl"


@pytest.fixture
def path(tmp_path, clock):
    """Four sessions; a breaker opens and closes in each, and is forced open in the last."""
    path = tmp_path / "log"
    for session in range(4):
        with EventLog(path, clock=clock, host="h") as log:
            breaker = CircuitBreaker("payments", SETTINGS, log=log)
            for _ in range(3):
                succeed(breaker, 2)
                fail(breaker, 3)
                clock.advance(seconds=30)
                succeed(breaker, 2)
                log.flush()
            breaker.before_call()
            if session == 3:
                breaker.force_open(actor="ops")
    return path


def spoil(file):
    data = bytearray(file.read_bytes())
    middle = data.index(b"call_failed", len(data) // 2)
    data[middle : middle + 4] = b"####"
    file.write_bytes(data)


def zero_first_page(file):
    data = bytearray(file.read_bytes())
    assert len(data) > 4096
    data[:4096] = bytes(4096)
    file.write_bytes(data)


def compress(file):
    packed = file.with_name(file.name + ".zst")
    packed.write_bytes(zstandard.compress(file.read_bytes()))
    file.unlink()
    return packed


def break_compressed(file):
    packed = compress(file)
    data = packed.read_bytes()
    packed.write_bytes(data[: len(data) // 2] + bytes(20) + data[len(data) // 2 + 20 :])


def cut_compressed(file):
    packed = compress(file)
    packed.write_bytes(packed.read_bytes()[:-200])


def put_folder_in_place(file):
    file.unlink()
    file.mkdir()


def put_another_log_in_place(file):
    with EventLog(file.parent / "other", clock=ManualClock()) as log:
        succeed(CircuitBreaker("other", log=log), 500)
    shutil.copyfile(segment(file.parent / "other", 1), file)
    shutil.rmtree(file.parent / "other")


def link_to_itself(file):
    file.unlink()
    file.symlink_to(file.name)


def remove(file):
    file.unlink()


def cut_in_half(file):
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


DAMAGES = [
    spoil,
    zero_first_page,
    break_compressed,
    cut_compressed,
    put_folder_in_place,
    put_another_log_in_place,
    link_to_itself,
    remove,
    cut_in_half,
]


def contents(folder):
    """The bytes of all files in a folder, by name."""
    return {each.name: each.read_bytes() for each in folder.iterdir() if each.is_file()}


def assert_nothing_is_deleted(before, after):
    """All bytes still exist; an intact segment may have a gap after it."""
    for name, data in before.items():
        assert name == "lock" or any(each.startswith(data) for each in after.values()), name


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_service_continues_when_an_earlier_segment_is_damaged(path, clock, caplog, damage, number):
    damage(segment(path, number))
    before = contents(path)
    last = contents(path)[segment(path, 4).name]
    is_removed = damage in (remove, put_folder_in_place)  # a folder is no segment
    if number > 1 or not is_removed:
        assert status_of(["verify", str(path)]) == 3
    assert contents(path) == before
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("payments", SETTINGS, log=log)
        assert breaker.current_state().value == "OPEN"
        health = log.health()
    history = replay(path)
    if number == 1 and is_removed:  # as retention does
        assert health.damage is None
        return
    assert health.damage is not None
    assert health.gaps == 1
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert warning.name == "recloser"
    assert segment(path, number + 1 if is_removed else number).name in warning.message
    gaps = [event for event in LogReader(path) if isinstance(event, LogGap)]
    assert any("damaged" in gap.error for gap in gaps)
    assert contents(path)[segment(path, 4).name] == last
    assert_nothing_is_deleted(before, contents(path))
    assert verify(path).damages == []
    assert history.differences == []
    assert history.snapshots["payments"].state.value == "OPEN"
    with EventLog(path, clock=clock) as log:
        assert log.health().damage is None


@pytest.mark.parametrize(
    "damage", [spoil, zero_first_page, put_folder_in_place, link_to_itself, remove, cut_in_half]
)
def test_service_continues_from_the_last_intact_state_when_the_end_is_damaged(
    path, clock, caplog, damage
):
    damage(segment(path, 4))
    before = contents(path)
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("payments", SETTINGS, log=log)
        state = breaker.current_state().value
        succeed(breaker)
        health = log.health()
    is_silent = damage in (remove, cut_in_half)  # a shorter log, or one whose writer was killed
    assert (health.damage is None) == is_silent
    assert (not caplog.records) == is_silent
    assert state in ("CLOSED", "HALF_OPEN")
    assert_nothing_is_deleted(before, contents(path))
    assert verify(path).damages == []
    assert replay(path).differences == []


def test_log_without_an_intact_part_begins_anew(tmp_path, clock, caplog):
    folder = tmp_path / "log"
    with EventLog(folder, clock=clock) as log:
        succeed(CircuitBreaker("payments", log=log), 100)
    zero_first_page(segment(folder, 1))
    damaged = segment(folder, 1).read_bytes()
    with EventLog(folder, clock=clock) as log:
        succeed(CircuitBreaker("payments", log=log))
        assert log.health().gaps == 1
    assert segment(folder, 1).with_name("000000000001.jsonl.damaged").read_bytes() == damaged
    opened, gap, *_ = LogReader(folder)
    assert (opened.seq, gap.kind) == (1, "log_gap")
    assert gap.lost > 0
    assert len(caplog.records) == 1


def test_service_starts_with_any_bit_of_the_last_segment_flipped(tmp_path, clock, caplog):
    folder = tmp_path / "log"
    with EventLog(folder, clock=clock, host="h") as log:
        fail(CircuitBreaker("payments", SETTINGS, log=log), 3)
    data = segment(folder, 1).read_bytes()
    versions = [data.index(name) + len(name) for name in (b'"format":', b'"rules":')]
    for byte in range(0, len(data), 7):
        if byte in versions:
            continue  # with the format number of a later version
        shutil.rmtree(folder)
        folder.mkdir()
        segment(folder, 1).write_bytes(
            data[:byte] + bytes([data[byte] ^ 1 << byte % 8]) + data[byte + 1 :]
        )
        with EventLog(folder, clock=clock, durability="memory") as log:
            breaker = CircuitBreaker("payments", SETTINGS, log=log)
            breaker.force_closed(actor="ops")
            succeed(breaker)
        assert verify(folder).damages == []


def test_files_set_aside_earlier_are_never_overwritten(path, clock):
    first = segment(path, 4)
    damaged = []
    for _ in range(3):
        spoil(first)
        damaged.append(first.read_bytes())
        with EventLog(path, clock=clock):
            pass
        shutil.copyfile(segment(path, 3), first)
        first.write_bytes(damaged[0][:-1] + b"\n")
    asides = sorted(path.glob("*.damaged*"))
    assert [each.name for each in asides] == [
        "000000000004.jsonl.damaged",
        "000000000004.jsonl.damaged-2",
        "000000000004.jsonl.damaged-3",
    ]
    assert [each.read_bytes() for each in asides] == damaged


def test_outcomes_after_the_damage_are_recorded(path, clock):
    spoil(segment(path, 4))
    with EventLog(path, clock=clock, durability="sync", on_log_failure="raise") as log:
        breaker = CircuitBreaker("payments", SETTINGS, log=log)
        lost = log.health().lost
        breaker.force_closed(actor="ops")
        succeed(breaker, 50)
        assert (log.health().lost, log.health().gaps) == (lost, 1)
        assert log.health().failure is None
    ours = list(LogReader(segments_in(path)[-1]))
    assert sum(event.kind == "call_succeeded" for event in ours) == 50
    assert sum(event.kind == "log_gap" for event in ours) == 1


def test_damage_with_raise_is_an_error_and_changes_nothing(path, clock):
    spoil(segment(path, 4))
    before = contents(path)
    for _ in range(2):
        with pytest.raises(LogError, match="is broken: .*; keep its intact parts with"):
            EventLog(path, clock=clock, on_damage="raise")
    before.pop("lock")
    after = contents(path)
    after.pop("lock")
    assert after == before


def test_log_of_a_later_version_is_never_set_aside(path, clock):
    data = segment(path, 4).read_bytes()
    segment(path, 4).write_bytes(data.replace(b'"format":2', b'"format":3', 1))
    with pytest.raises(FutureVersionError):
        EventLog(path, clock=clock)
    assert not list(path.glob("*.damaged*"))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_log_is_not_set_aside_for_errors_of_the_process(path, clock, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(segment_reader, "open_counted", refuse)
        with pytest.raises(LogError, match=os.strerror(number)):
            EventLog(path, clock=clock)
    assert not list(path.glob("*.damaged*"))
    with EventLog(path, clock=clock) as log:
        assert log.health().damage is None


def test_only_the_end_of_a_large_log_is_checked(path, clock, monkeypatch):
    """Opening takes no longer as the log grows; ``verify`` finds earlier damage."""
    from recloser.log import recovery

    monkeypatch.setattr(recovery, "CHECKED_BYTES", 0)
    spoil(segment(path, 2))
    with EventLog(path, clock=clock) as log:
        assert log.health().damage is None
    assert len(verify(path).damages) == 1
    segment(path, 3).unlink()
    with EventLog(path, clock=clock) as log:
        assert "is missing" in log.health().damage or "is broken" in log.health().damage
        assert CircuitBreaker("payments", log=log).current_state().value == "OPEN"
    assert verify(path).damages == []
    with EventLog(path, clock=clock) as log:
        assert log.health().damage is None


def test_repaired_and_set_aside_logs_can_be_proved_tuned_and_exported(path, clock, capsys):
    spoil(segment(path, 2))
    with EventLog(path, clock=clock) as log:
        breaker = CircuitBreaker("payments", SETTINGS, log=log)
        breaker.force_closed(actor="ops")
        fail(breaker, 3)
    for command in (
        ["replay", path, "--prove"],
        ["replay", path, "--jobs", "2"],
        ["why", path],
        ["export", path, path.with_name("log.parquet")],
        ["replay", path.with_name("log.parquet")],
    ):
        status = status_of([str(part) for part in command])
        assert status == 0, (command, capsys.readouterr())
