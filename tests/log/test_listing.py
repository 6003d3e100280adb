"""A folder that can't be listed is an error, and never an empty folder."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from recloser import CircuitBreaker, EventLog, LogError, RecloserError
from recloser.audit.live_view import Watch
from recloser.clock import SYSTEM_CLOCK
from recloser.golden.golden_pairs import check, find_pairs, update
from recloser.history.engine import replay
from recloser.log import listing
from recloser.log.reader import LogReader, segments_of
from recloser.log.verification import verify

NOBODY = 65534
ENOUGH_FILES = 12
"""So many free descriptors are enough for everything here."""


@pytest.fixture
def path(tmp_path):
    """A log of a breaker that was forced open, in several segments."""
    path = tmp_path / "log"
    for _ in range(3):
        with EventLog(path, segment_bytes=600) as log:
            CircuitBreaker("b", log=log).force_open()
    (pair,) = find_pairs(path)
    update(pair)
    return path


def state_after_opening(path):
    with EventLog(path) as log:
        return CircuitBreaker("b", log=log).current_state().value


def state_watched(path):
    watch = Watch(path, SYSTEM_CLOCK)
    watch.poll()
    return watch.breakers()[0].state.value


def state_read(path):
    return replay(path).snapshots["b"].state.value


def state_verified(path):
    found = verify(path)
    return "OPEN" if found.events and not found.damages else found


def state_in_golden_file(path):
    (pair,) = find_pairs(path.parent)
    return "OPEN" if check(pair).verdict.value == "same" else pair


STATES = {
    "opened": state_after_opening,
    "watched": state_watched,
    "replayed": state_read,
    "verified": state_verified,
    "golden": state_in_golden_file,
}


def use_up_files(free):
    """Leave only ``free`` descriptors; returns the open files that use up the others."""
    held = []
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(name.name) for name in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, limit[1]))
    while True:
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            break
    for _ in range(free):
        os.close(held.pop())
    return held, limit


@pytest.mark.parametrize("asks", STATES.values(), ids=STATES)
def test_log_with_few_descriptors_opens_fully_or_fails(path, asks):
    asks(path)  # so that everything that is imported late is loaded
    errors = 0
    for free in range(ENOUGH_FILES):
        held, limit = use_up_files(free)
        try:
            found = asks(path)
        except RecloserError as error:
            found = error
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            for descriptor in held:
                os.close(descriptor)
        if isinstance(found, RecloserError):
            assert "Too many open files" in str(found)
            errors += 1
        else:
            assert found == "OPEN"
    assert 0 < errors < ENOUGH_FILES
    assert asks(path) == "OPEN"


AS_NOBODY = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_listing
path = Path(sys.argv[1])
import recloser.history.engine, recloser.history.parallel  # before the right to read them is given up
if os.getuid() == 0:
    os.setgid(test_listing.NOBODY)
    os.setuid(test_listing.NOBODY)
for asks in test_listing.STATES.values():
    try:
        print(asks(path))
    except test_listing.RecloserError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("locked", ["log", "above"])
def test_folder_that_may_not_be_read_is_an_error_with_a_remedy(path, locked):
    folder = path if locked == "log" else path.parent
    for above in list(path.parents)[1:4]:
        above.chmod(0o755)
    folder.chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, path, Path(__file__).parent],
        capture_output=True,
        text=True,
        check=False,
    )
    folder.chmod(0o755)
    lines = done.stdout.splitlines()
    assert len(lines) == len(STATES), done
    for line in lines:
        assert line.startswith(("LogError", "NotALogError"))
        assert "Permission denied; give this process the right to" in line
    assert state_after_opening(path) == "OPEN"


def test_empty_folder_and_unlistable_folder_give_different_errors(tmp_path):
    with pytest.raises(LogError, match="there is no segment"):
        segments_of(tmp_path)
    with pytest.raises(LogError, match="no such file or folder"):
        segments_of(tmp_path / "absent")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(LogError, match="a link leads to itself; remove it"):
        segments_of(tmp_path / "loop")


def test_segments_are_listed_by_number_and_plain_before_compressed(tmp_path):
    for name in ("000000000002.jsonl", "000000000010.jsonl.zst", "000000000002.jsonl.zst"):
        (tmp_path / name).touch()
    (tmp_path / "1000000000000.jsonl").touch()  # one digit more than usual
    found = [path.name for path in listing.segments_in(tmp_path)]
    assert found == ["000000000002.jsonl", "000000000010.jsonl.zst", "1000000000000.jsonl"]


def test_folder_with_the_name_of_a_segment_is_not_a_segment(tmp_path):
    (tmp_path / "000000000001.jsonl").mkdir()
    os.mkfifo(tmp_path / "000000000002.jsonl")
    (tmp_path / "folder").mkdir()
    (tmp_path / "000000000003.jsonl").symlink_to("folder")
    (tmp_path / "000000000004.jsonl").symlink_to("000000000002.jsonl")
    (tmp_path / "notes.jsonl").touch()
    assert listing.segments_in(tmp_path) == []
    assert listing.last_number(tmp_path) == 4
    assert [path.name for path in listing.other_files(tmp_path)] == ["notes.jsonl"]


def test_segment_may_be_a_link_to_a_file(path, tmp_path):
    first = segments_of(path)[0]
    first.rename(tmp_path / first.name)
    first.symlink_to(tmp_path / first.name)
    assert verify(path).damages == []
    first.unlink()
    first.symlink_to("nowhere")
    with pytest.raises(LogError, match="No such file or directory"):
        list(LogReader(path))


def test_segment_missing_from_a_listing_is_looked_for_again(tmp_path, monkeypatch):
    """A listing may miss a segment that is compressed, and renamed, at the same time."""
    for number in (1, 2, 3):
        (tmp_path / f"{number:012d}.jsonl").touch()
    entries, listings = listing.entries, []

    def missing_one(folder):
        listings.append(folder)
        return [e for e in entries(folder) if len(listings) > 1 or "2" not in e.name]

    monkeypatch.setattr(listing, "entries", missing_one)
    assert [listing.number_of(path) for path in listing.segments_in(tmp_path)] == [1, 2, 3]
