"""Damage is found and located anywhere, and distinguished from a torn tail."""

import json
import shutil

import pytest
import zstandard
from breaker_calls import fail, succeed
from log_files import crash, read_lines, write_rotated_log

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, LogError
from recloser.cli import status_of
from recloser.core.events import LogSealed
from recloser.history.engine import replay
from recloser.log import verification
from recloser.log.reader import LogReader, segments_of
from recloser.log.salvage import find_intact, write_intact
from recloser.log.seals import is_seal
from recloser.log.verification import Head, verify

SEGMENTS = [f"{n:012d}.jsonl" for n in (1, 2, 3)]


@pytest.fixture
def path(tmp_path, clock):
    """Three sessions with several seals each; the second ends with a crash."""
    path = tmp_path / "log"
    for session in range(3):
        log = EventLog(path, clock=clock, durability="memory")
        breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)
        for _ in range(2):
            fail(breaker, 3)
            clock.advance(seconds=30)
            succeed(breaker, 2)
        breaker.before_call()
        if session == 1:
            crash(log)
        else:
            log.close()
    return path


def edit(path, name, old, new, count=1):
    data = (path / name).read_bytes()
    assert old in data
    (path / name).write_bytes(data.replace(old, new, count))


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_intact_log_is_verified_with_its_head(path):
    result = verify(path)
    events = list(LogReader(path))
    assert result.damages == []
    assert (result.segments, result.events) == (3, len(events))
    assert result.seals == sum(isinstance(event, LogSealed) for event in events)
    assert result.head == Head(events[-1].seq, events[-1].digest)


def test_every_damage_is_located_by_segment_byte_and_seal(path):
    """Lines after a damage and later segments are checked as well."""
    edit(path, SEGMENTS[0], b'"error":"TimeoutError"', b'"error":"TimeoutErrer"')
    edit(path, SEGMENTS[2], b'"trigger":"recover"', b'"trigger":"relapse"')
    result = verify(path)
    first, second = result.damages
    lines = read_lines(path / SEGMENTS[0])
    nth = next(i for i, line in enumerate(lines) if is_seal(line))
    assert first.startswith(
        f"{path / SEGMENTS[0]}, byte {sum(map(len, lines[:nth]))}: seal 1 (seq "
    )
    assert f"{SEGMENTS[2]}, byte " in second
    assert "seal 3 (seq " in second


def test_removed_and_swapped_segments_are_found(path):
    (path / SEGMENTS[1]).unlink()
    damages = verify(path).damages
    assert any(
        f"{SEGMENTS[2]}, byte 0: the segment is not the one written after" in d for d in damages
    )


def test_log_cut_after_a_seal_is_found_by_its_expected_head(path):
    """Without an expected head it is a valid shorter log."""
    head = verify(path).head
    lines = read_lines(path / SEGMENTS[2])
    cut = max(i for i, line in enumerate(lines[:-1]) if is_seal(line))
    (path / SEGMENTS[2]).write_bytes(b"".join(lines[: cut + 1]))
    assert verify(path).damages == []
    assert verify(path, head).found is False


def test_log_that_has_grown_still_has_its_head(path, clock):
    head = verify(path).head
    with EventLog(path, clock=clock) as log:
        succeed(CircuitBreaker("b", log=log))
    assert verify(path, head).found is True


def test_missing_seq_and_falling_time_are_found_although_the_seals_match(path, tmp_path):
    from log_files import write_segment

    _, configured, *_ = events = list(LogReader(path))
    hole = write_segment(tmp_path / "hole", [events[0], configured, events[4]])
    (damage,) = verify(hole).damages
    assert f"seq {events[4].seq}: it follows seq 2, so events are missing" in damage


def test_exit_status_distinguishes_damage_torn_tail_and_missing_head(capsys, path):
    status, out, err = run(capsys, "verify", path)
    assert (status, err) == (0, "")
    assert out.startswith("whole: ")
    head = out.rpartition("head: ")[2].strip()
    assert run(capsys, "verify", path, "--expect-head", head)[0] == 0
    seq, digest = head.split(":")
    status, _, err = run(capsys, "verify", path, "--expect-head", f"{int(seq) + 1}:{digest}")
    assert status == 1
    assert "is not in this log" in err
    with (path / SEGMENTS[2]).open("ab") as stream:
        stream.write(b'{"event"')
    status, out, _ = run(capsys, "verify", path)
    assert status == 4
    assert "torn: 8 bytes" in out
    edit(path, SEGMENTS[0], b"TimeoutError", b"TimeoutErrer")
    status, out, err = run(capsys, "verify", path, "--json")
    assert status == 3
    assert err.count("is broken") == 1
    assert json.loads(out)["schema"] == "recloser.verify/1"
    assert run(capsys, "verify", path, "--expect-head", "7")[0] == 2


def test_log_torn_at_any_byte_keeps_its_intact_part(path, clock, capsys):
    """Cut anywhere in its last two blocks, a log opens and keeps exactly its intact part."""
    whole = list(LogReader(path))
    data = (path / SEGMENTS[2]).read_bytes()
    lines = read_lines(path / SEGMENTS[2])
    seals = [i for i, line in enumerate(lines) if is_seal(line)]
    start = sum(map(len, lines[: seals[-3] + 1]))
    before = [event for event in whole if event.seq < first_seq(path / SEGMENTS[2])]
    opened = 0
    for cut in range(start, len(data) + 1):
        shutil.rmtree(path.with_name("cut"), ignore_errors=True)
        copy = shutil.copytree(path, path.with_name("cut"))
        (copy / SEGMENTS[2]).write_bytes(data[:cut])
        complete = data[:cut].count(b"\n")
        expected = before + whole[len(before) : len(before) + complete]
        with EventLog(copy, clock=clock, durability="memory") as log:
            assert log.tail.torn == len(data[:cut]) - data[:cut].rfind(b"\n") - 1
            CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=3), log=log)
        events = list(LogReader(copy))
        assert events[: len(expected)] == expected
        assert events[len(expected)].kind == "log_opened"
        assert replay(copy).differences == []
        opened += 1
    assert opened == len(data) + 1 - start
    with capsys.disabled():
        print(f"\ntorn at every byte: {opened:,} cuts, all opened, no event lost or invented")


def first_seq(segment):
    return next(iter(LogReader(segment))).seq


def test_every_flipped_bit_is_found(tmp_path, clock, capsys):
    """Each flipped bit of a small log is found and located, or gives provably the same events."""
    with EventLog(tmp_path / "log", clock=clock, durability="memory", host="h") as log:
        breaker = CircuitBreaker("b", CircuitBreakerConfig(failure_threshold=2), log=log)
        fail(breaker, 2)
        clock.advance(seconds=30)
        succeed(breaker, 2)
    segment = tmp_path / "log" / SEGMENTS[0]
    data = segment.read_bytes()
    original = list(LogReader(segment))
    last_line = len(data) - data[:-1].rfind(b"\n") - 1
    found = torn = 0
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        segment.write_bytes(flipped)
        try:
            result = verify(segment)
        except LogError as error:
            refused = str(error)
        else:
            refused = None
        if refused:
            # The first line is no header any more, or one from the future.
            assert bit // 8 < data.index(b"\n") + 1
            assert segment.name in refused
            found += 1
            continue
        if result.damages:
            assert f"{segment.name}, byte " in result.damages[0]
            found += 1
            continue
        # Only the end of the last seal's own line may look as if it had not been written whole.
        assert bit // 8 >= len(data) - last_line
        assert result.tail.torn > 0
        assert list(LogReader(segment)) == original[:-1]
        torn += 1
    assert found + torn == len(data) * 8
    assert torn <= 8
    with capsys.disabled():
        print(f"\nevery bit: {found + torn:,} flipped, {found:,} located as damage, {torn} as torn")


def test_copy_keeps_the_intact_parts_before_and_after_the_damage(capsys, path):
    edit(path, SEGMENTS[1], b'"trigger":"recover"', b'"trigger":"relapse"')
    before = {file.name: file.read_bytes() for file in path.glob("*.jsonl")}
    status, out, _ = run(capsys, "repair", path)
    repaired = path.with_name("log-repaired")
    assert status == 0
    assert {file.name: file.read_bytes() for file in path.glob("*.jsonl")} == before
    assert sorted(file.name for file in repaired.iterdir()) == SEGMENTS
    assert f"{SEGMENTS[1]}: followed by a gap of up to " in out
    assert (repaired / SEGMENTS[0]).read_bytes() == before[SEGMENTS[0]]
    cut = (repaired / SEGMENTS[1]).read_bytes()
    before_the_gap = cut[: cut.index(b'{"event":"log_gap"')]
    assert before[SEGMENTS[1]].startswith(before_the_gap)
    assert (repaired / SEGMENTS[2]).read_bytes() == before[SEGMENTS[2]]
    assert verify(repaired).damages == []
    assert replay(repaired).differences == []
    assert run(capsys, "repair", path)[0] == 2


def test_repaired_log_can_be_continued(path, clock):
    edit(path, SEGMENTS[1], b'"trigger":"recover"', b'"trigger":"relapse"')
    write_intact(find_intact(path), path.with_name("repaired"))
    with EventLog(path.with_name("repaired"), clock=clock) as log:
        succeed(CircuitBreaker("other", log=log))
    assert replay(path.with_name("repaired")).differences == []


def test_repair_of_an_intact_log_keeps_everything(path):
    segments = find_intact(path).segments
    assert [segment.dropped for segment in segments] == [0, 0, 0]


def test_dry_run_writes_nothing(capsys, path):
    edit(path, SEGMENTS[2], b'"trigger":"recover"', b'"trigger":"relapse"')
    status, out, _ = run(capsys, "repair", path, "--dry-run", "--json")
    assert status == 0
    assert json.loads(out)["written"] is None
    assert [entry.name for entry in path.parent.iterdir()] == ["log"]


def test_repair_in_place_keeps_the_old_files_aside(capsys, path):
    edit(path, SEGMENTS[2], b'"trigger":"recover"', b'"trigger":"relapse"')
    damaged = (path / SEGMENTS[2]).read_bytes()
    assert run(capsys, "repair", path, "--in-place", "--yes")[0] == 0
    assert verify(path).damages == []
    assert (path.with_name("log.broken") / SEGMENTS[2]).read_bytes() == damaged
    assert run(capsys, "repair", path, "--in-place", "--yes")[0] == 2


def test_repair_in_place_asks_first(capsys, path, monkeypatch):
    edit(path, SEGMENTS[2], b'"trigger":"recover"', b'"trigger":"relapse"')
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    assert run(capsys, "repair", path, "--in-place")[0] == 2
    assert [entry.name for entry in path.parent.iterdir()] == ["log"]


def test_repair_without_an_intact_part_keeps_nothing(path):
    for segment in SEGMENTS:
        edit(path, segment, b'"host":', b'"hust":')
    with pytest.raises(LogError, match="no part of it is intact"):
        find_intact(path)


def since_it_was_listed(monkeypatch, change):
    """Do what a writer may do between the listing of its log and the reading."""
    is_first = True

    def listed(path):
        nonlocal is_first
        segments = segments_of(path)
        if is_first:
            is_first = False
            change(segments)
        return segments

    monkeypatch.setattr(verification, "segments_of", listed)


def compress(segments):
    for segment in segments[:-1]:
        data = zstandard.compress(segment.read_bytes())
        segment.with_name(f"{segment.name}.zst").write_bytes(data)
        segment.unlink()


def remove_first(segments):
    for segment in segments[:2]:
        segment.unlink()


def remove_all_but_last(segments):
    for segment in segments[:-1]:
        segment.unlink()


@pytest.mark.parametrize("change", [compress, remove_first, remove_all_but_last])
def test_compressed_or_removed_full_segments_are_not_damage(tmp_path, clock, monkeypatch, change):
    segments = write_rotated_log(tmp_path, clock)
    since_it_was_listed(monkeypatch, change)
    result = verify(tmp_path)
    assert result.damages == []
    assert result.segments == len(segments_of(tmp_path))
    assert result.events == len(list(LogReader(tmp_path)))
    assert result.head == verify(tmp_path).head
    assert len(segments) > 1


def test_missing_segment_with_older_ones_left_is_reported(tmp_path, clock, monkeypatch):
    segments = write_rotated_log(tmp_path, clock)
    since_it_was_listed(monkeypatch, lambda listed: listed[1].unlink())
    (damage,) = verify(tmp_path).damages
    assert f"{segments[1].name}: it can't be read: No such file" in damage


@pytest.mark.parametrize("size", [1, 200])
def test_partial_line_being_written_is_not_a_torn_tail(tmp_path, clock, monkeypatch, size):
    last = write_rotated_log(tmp_path, clock)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[:-size])
    verified = verification._verified

    def write_the_rest(segments, expected):
        result = verified(segments, expected)
        last.write_bytes(whole)
        return result

    monkeypatch.setattr(verification, "_verified", write_the_rest)
    result = verify(tmp_path)
    assert (result.damages, result.tail.torn) == ([], 0)


def test_damage_in_a_log_being_written_is_reported(tmp_path, clock, monkeypatch):
    first, *_, last = write_rotated_log(tmp_path, clock)
    first.write_bytes(first.read_bytes().replace(b"succeeded", b"suxxeeded", 1))
    verified, looks = verification._verified, []

    def write_more(segments, expected):
        looks.append(segments)
        with last.open("ab") as stream:
            stream.write(b"{")
        return verified(segments, expected)

    monkeypatch.setattr(verification, "_verified", write_more)
    assert any("seal 1" in damage for damage in verify(tmp_path).damages)
    assert len(looks) == 3
