"""The strict reader returns nothing before its seal was checked."""

import pytest
from breaker_calls import fail, succeed
from log_files import crash, read_lines, write_rotated_log

from recloser import CircuitBreaker, DamagedLogError, EventLog, FutureVersionError, NotALogError
from recloser.core.events import LogOpened
from recloser.history.engine import read_events
from recloser.log.codec import MAX_LINE_BYTES
from recloser.log.reader import LogReader, segments_of
from recloser.log.seals import SEAL_EVERY, is_seal

FIRST = "000000000001.jsonl"
SECOND = "000000000002.jsonl"


@pytest.fixture
def path(tmp_path, clock):
    """A log of two sessions: the first ends with a crash, the second is closed."""
    path = tmp_path / "log"
    log = EventLog(path, clock=clock)
    breaker = CircuitBreaker("b", log=log)
    fail(breaker, 5)
    clock.advance(seconds=0.1)
    ask_in_vain(breaker)
    crash(log)
    with EventLog(path, clock=clock) as log:
        ask_in_vain(CircuitBreaker("b", log=log))
    return path


def ask_in_vain(breaker):
    assert not breaker.before_call().allowed


def replace(path, segment, old, new):
    data = (path / segment).read_bytes()
    assert old in data
    (path / segment).write_bytes(data.replace(old, new, 1))


def test_log_is_read_across_all_segments(path):
    reader = LogReader(path)
    events = list(reader)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.session for event in events if isinstance(event, LogOpened)] == [1, 2]
    assert (reader.tail.unsealed, reader.tail.torn) == (0, 0)


def test_single_segment_is_a_valid_log(path):
    alone = list(read_events(path / SECOND))
    assert list(read_events(str(path)))[-len(alone) :] == alone
    assert alone[0].seq > 1


def test_log_can_be_iterated_repeatedly(path):
    reader = LogReader(path)
    assert list(reader) == list(reader)


def test_header_counts_the_unsealed_lines_of_the_session_before(path):
    lines = read_lines(path / FIRST)
    unsealed = len(lines) - 1 - max(i for i, line in enumerate(lines) if is_seal(line))
    assert unsealed == 1
    header = next(iter(read_events(path / SECOND)))
    assert (header.unsealed, header.torn) == (unsealed, 0)


def test_torn_last_line_is_left_out_and_counted(path):
    with (path / SECOND).open("ab") as stream:
        stream.write(b'{"event":"call_fai')
    reader = LogReader(path)
    whole = list(reader)
    assert reader.tail.torn == 18
    assert whole[-1].kind == "log_sealed"


def test_changed_byte_is_reported_with_its_seal(path):
    """No event of the block is returned."""
    replace(path, FIRST, b'"call_failed","seq":4', b'"call_failed","seq":9')
    handed_out = []
    with pytest.raises(DamagedLogError) as raised:
        handed_out.extend(read_events(path))
    assert handed_out == []
    assert f"{FIRST}, byte " in str(raised.value)
    assert "seal 1 (seq 9) is broken: the 8 events before it, from byte 0 on" in str(raised.value)


def test_damage_after_the_last_seal_is_found_by_the_next_header(path):
    replace(path, FIRST, b'"retry_after":29900000000', b'"retry_after":29900000001')
    with pytest.raises(DamagedLogError, match=f"{SECOND}, byte 0: .* not the one written after"):
        list(read_events(path))


def test_changed_seal_is_reported(path):
    lines = read_lines(path / FIRST)
    seal = next(line for line in lines if is_seal(line))
    changed = seal.replace(b'"count":8', b'"count":9')
    assert changed != seal
    replace(path, FIRST, seal, changed)
    with pytest.raises(DamagedLogError, match="seal 1 .* is broken"):
        list(read_events(path))


def test_removed_segment_is_reported(tmp_path, clock):
    for _ in range(3):
        with EventLog(tmp_path / "log", clock=clock) as log:
            succeed(CircuitBreaker("b", log=log))
    (tmp_path / "log" / SECOND).unlink()
    with pytest.raises(
        DamagedLogError, match=r"000000000003.jsonl, byte 0: .* not the one written"
    ):
        list(read_events(tmp_path / "log"))


def test_swapped_segments_are_reported(path):
    (path / FIRST).rename(path / "000000000003.jsonl")
    with pytest.raises(DamagedLogError, match=r"000000000003.jsonl, byte 0"):
        list(read_events(path))


def test_unreadable_line_is_reported_with_its_byte(path):
    lines = read_lines(path / SECOND)
    (path / SECOND).write_bytes(b"".join(lines[:-1]) + b"{}\n")
    offset = sum(len(line) for line in lines[:-1])
    with pytest.raises(DamagedLogError, match=f"{SECOND}, byte {offset}: no event can be read"):
        list(read_events(path))


def test_endless_line_is_refused_before_all_of_it_is_read(path):
    with (path / SECOND).open("ab") as stream:
        stream.write(b"x" * (MAX_LINE_BYTES + 1))
    with pytest.raises(DamagedLogError, match=f"longer than {MAX_LINE_BYTES} bytes"):
        list(read_events(path))


def test_endless_block_is_refused_before_all_of_it_is_read(path):
    line = b'{"event":"reset","seq":1,"at":0,"breaker":"b"}\n'
    with (path / SECOND).open("ab") as stream:
        stream.write(line * (SEAL_EVERY + 1))
    with pytest.raises(DamagedLogError, match="there are 4096 events before it without a seal"):
        list(read_events(path))


def test_last_segment_without_a_whole_line_is_empty(path):
    """A process that died before its first line was whole left no event."""
    before = list(read_events(path))
    (path / "000000000003.jsonl").write_bytes(b'{"event":"log_op')
    assert list(read_events(path)) == before


@pytest.mark.parametrize("content", [b"", b"no log", b"{}\n", b"no log\n", b"\x00\n", b"\x1f\x8b"])
def test_file_that_is_not_a_log_is_refused(tmp_path, content):
    path = tmp_path / "file.jsonl"
    path.write_bytes(content)
    with pytest.raises(NotALogError, match=r"file.jsonl: this is not a recloser log"):
        list(read_events(path))


def test_missing_path_is_named(tmp_path):
    with pytest.raises(NotALogError, match="absent: there is no such file or folder"):
        list(read_events(tmp_path / "absent"))


def test_folder_without_segments_is_not_a_log(tmp_path):
    with pytest.raises(NotALogError, match="there is no segment"):
        segments_of(tmp_path)


def test_log_of_a_later_version_is_not_reported_as_damage(path):
    replace(path, FIRST, b'"format":2', b'"format":3')
    with pytest.raises(FutureVersionError, match=f"{FIRST}: the log has format version 3"):
        list(read_events(path))


def test_log_begins_later_when_its_first_segments_were_removed_after_listing(tmp_path, clock):
    first, second, third, *_ = write_rotated_log(tmp_path, clock)

    class Listed(LogReader):
        def listed(self):
            segments = super().listed()
            first.unlink()
            second.unlink()
            return segments

    events = list(Listed(tmp_path))
    assert events == list(LogReader(tmp_path))
    assert events[0].seq == next(iter(LogReader(third))).seq > 1


def test_segment_removed_while_earlier_ones_are_read_is_an_error(tmp_path, clock):
    first, second, third, *_ = write_rotated_log(tmp_path, clock)
    batches = LogReader(tmp_path).batches()
    next(batches)
    first.unlink()
    second.unlink()
    third.unlink()
    with pytest.raises(
        NotALogError, match="keeps only a limited part of the log; read the log again"
    ):
        list(batches)
