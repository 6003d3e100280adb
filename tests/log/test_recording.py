"""A log of observed calls that is written at once is like any other log."""

from datetime import UTC, datetime

import pytest

from recloser.core.events import CallObserved, LogOpened, LogSealed, Outcome
from recloser.errors import LogError
from recloser.log import disk, recording
from recloser.log.codec import lean
from recloser.log.reader import LogReader
from recloser.log.recording import Recording

WALL = datetime(2026, 1, 1, tzinfo=UTC)


def record(folder, count):
    with Recording(folder, WALL) as log:
        number = 0
        while number < count:
            size = min(log.room, count - number)
            make = lean(CallObserved)
            log.put(
                [
                    make(log.next_seq + n, number + n, "b", number + n, 0, Outcome.SUCCEEDED)
                    for n in range(size)
                ]
            )
            number += size


@pytest.mark.parametrize("count", [0, 1, 4095, 4096, 10_000])
def test_every_recorded_call_is_in_the_log_and_sealed(tmp_path, count):
    record(tmp_path / "log", count)
    opened, *events = LogReader(tmp_path / "log")
    assert isinstance(opened, LogOpened)
    assert (opened.wall, opened.session) == (WALL, 1)
    assert isinstance(events[-1], LogSealed)
    calls = [event for event in events if isinstance(event, CallObserved)]
    assert [call.at for call in calls] == list(range(count))
    assert [event.seq for event in events] == list(range(2, len(events) + 2))


def test_full_segment_is_compressed_and_followed_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "SEGMENT_BYTES", 500_000)
    record(tmp_path / "log", 20_000)
    names = sorted(path.name for path in (tmp_path / "log").iterdir() if path.name != "lock")
    assert names[0] == "000000000001.jsonl.zst"
    assert len(names) >= 3
    events = list(LogReader(tmp_path / "log"))
    assert sum(isinstance(event, CallObserved) for event in events) == 20_000


def test_existing_folder_is_left_as_it_is(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "mine").touch()
    with pytest.raises(LogError, match="log"):
        Recording(tmp_path / "log", WALL)
    assert (tmp_path / "log" / "mine").exists()


def test_recording_that_cannot_be_finished_is_removed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk, "write", full)
    with pytest.raises(LogError, match="the log can't be written: No space left on device"):
        record(tmp_path / "log", 10_000)
    assert not (tmp_path / "log").exists()


def test_recording_is_removed_when_its_source_fails(tmp_path):
    with pytest.raises(KeyError), Recording(tmp_path / "log", WALL):
        raise KeyError
    assert not (tmp_path / "log").exists()
