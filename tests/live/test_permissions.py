"""Who may read the files of a log, and that no link is followed to a file that is not its own."""

import os
import stat

import pytest
from breaker_calls import succeed

from recloser import CircuitBreaker, EventLog, LogError
from recloser.cli import status_of
from recloser.log.folder_lock import LOCK_NAME
from recloser.log.reader import LogReader, segments_of
from recloser.log.retention import compress_full
from recloser.log.salvage import find_intact, write_intact

SECRET = b"not a log's\n"


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def elsewhere(tmp_path):
    """A file that a planted link leads to."""
    path = tmp_path / "elsewhere"
    path.write_bytes(SECRET)
    return path


def write(path, clock, calls=60, **options):
    settings = {"segment_bytes": 2000, "tick_seconds": None, "clock": clock, "host": ""} | options
    with EventLog(path, **settings) as log:
        breaker = CircuitBreaker("b", log=log)
        for _ in range(calls):
            clock.advance(seconds=1)
            succeed(breaker)
            log.flush()


def modes(folder):
    return {stat.S_IMODE(path.lstat().st_mode) for path in folder.iterdir()}


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_log_is_for_its_owner_only(tmp_path, clock):
    """The lock, segments, rotated and compressed ones."""
    write(tmp_path / "log", clock)
    assert any(path.suffix == ".zst" for path in segments_of(tmp_path / "log"))
    assert (mode_of(tmp_path / "log"), modes(tmp_path / "log")) == (0o700, {0o600})


@pytest.mark.parametrize(
    ("umask", "folder", "files"),
    [
        (0o022, 0o755, 0o644),
        (0o022, 0o750, 0o640),
        (0o077, 0o755, 0o600),
        (0o002, 0o775, 0o644),
        (0o000, 0o777, 0o644),
    ],
)
def test_reader_with_access_to_the_folder_may_read_its_files(tmp_path, clock, umask, folder, files):
    path = tmp_path / "log"
    path.mkdir()
    path.chmod(folder)
    os.umask(umask)
    write(path, clock)
    assert (mode_of(path), modes(path)) == (folder, {files})


def test_compressed_segment_is_read_by_whom_the_plain_one_was(tmp_path, clock):
    write(tmp_path / "log", clock, compress=False)
    for segment in segments_of(tmp_path / "log"):
        segment.chmod(0o640)
    compress_full(tmp_path / "log", 1)
    assert {mode_of(segment) for segment in segments_of(tmp_path / "log")} == {0o640}


@pytest.mark.parametrize(("folder", "files"), [(0o700, 0o600), (0o750, 0o640)])
def test_repaired_log_is_read_by_whom_the_damaged_one_was(tmp_path, clock, folder, files):
    path = tmp_path / "log"
    path.mkdir()
    path.chmod(folder)
    write(path, clock)
    with segments_of(path)[-1].open("ab") as stream:
        stream.write(b"torn")
    write_intact(find_intact(path), tmp_path / "repaired")
    assert (mode_of(tmp_path / "repaired"), modes(tmp_path / "repaired")) == (folder, {files})


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_log_of_a_forked_child_is_read_by_whom_the_parents_is(tmp_path, clock):
    path = tmp_path / "log"
    path.mkdir()
    path.chmod(0o750)
    log = EventLog(path, clock=clock, tick_seconds=None, host="")
    breaker = CircuitBreaker("b", log=log)
    child = os.fork()
    if child == 0:
        succeed(breaker)
        log.flush()
        os._exit(0)
    os.waitpid(child, 0)
    log.close()
    folder = tmp_path / f"log-{child}"
    assert (mode_of(folder), modes(folder)) == (0o750, {0o640})


def test_imported_log_is_for_its_owner_only(tmp_path, capsys):
    (tmp_path / "calls.csv").write_text("start_s,outcome\n1,ok\n")
    columns = ["--breaker", "b", "--start", "start_s", "--outcome", "outcome"]
    command = ["import", "csv", str(tmp_path / "calls.csv"), "-o", str(tmp_path / "log"), *columns]
    assert status_of(command) == 0
    assert (mode_of(tmp_path / "log"), modes(tmp_path / "log")) == (0o700, {0o600})


def test_lock_that_is_a_link_is_refused(tmp_path, elsewhere):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / LOCK_NAME).symlink_to(elsewhere)
    with pytest.raises(
        LogError, match=r"lock: this is a symbolic link, which a log never has; remove"
    ):
        EventLog(tmp_path / "log")
    assert elsewhere.read_bytes() == SECRET


def test_lock_that_is_a_link_to_nowhere_makes_no_file(tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / LOCK_NAME).symlink_to(tmp_path / "nowhere")
    with pytest.raises(LogError, match="symbolic link"):
        EventLog(tmp_path / "log")
    assert not (tmp_path / "nowhere").exists()


def test_lock_that_is_a_pipe_is_refused_at_once(tmp_path):
    (tmp_path / "log").mkdir()
    os.mkfifo(tmp_path / "log" / LOCK_NAME)
    with pytest.raises(LogError, match=r"lock: this is not a regular file"):
        EventLog(tmp_path / "log")


def test_part_of_a_compressed_segment_is_not_written_through_a_link(tmp_path, clock, elsewhere):
    write(tmp_path / "log", clock, compress=False)
    events = list(LogReader(tmp_path / "log"))
    for segment in segments_of(tmp_path / "log"):
        segment.with_name(f"{segment.name}.zst.part").symlink_to(elsewhere)
    compress_full(tmp_path / "log", 1)
    assert elsewhere.read_bytes() == SECRET
    assert list(LogReader(tmp_path / "log")) == events


def test_part_that_a_full_disk_left_is_no_obstacle(tmp_path, clock):
    write(tmp_path / "log", clock, compress=False)
    first = segments_of(tmp_path / "log")[0]
    first.with_name(f"{first.name}.zst.part").write_bytes(b"half")
    compress_full(tmp_path / "log", 1)
    assert segments_of(tmp_path / "log")[0].suffix == ".zst"


def test_link_among_the_segments_is_not_compressed_into_the_log(tmp_path, clock, elsewhere):
    write(tmp_path / "log", clock, compress=False)
    first = segments_of(tmp_path / "log")[0]
    planted = first.with_name(f"{0:012d}.jsonl")
    planted.symlink_to(elsewhere)
    compress_full(tmp_path / "log", 1)
    assert planted.is_symlink()
    assert not planted.with_name(f"{planted.name}.zst").exists()
    assert not first.exists()  # the others are


@pytest.mark.parametrize("target", ["file", "folder", "nowhere"])
def test_repair_writes_through_no_link(tmp_path, clock, elsewhere, target, capsys):
    write(tmp_path / "log", clock)
    (tmp_path / "folder").mkdir()
    leads_to = {"file": elsewhere}.get(target, tmp_path / target)
    for name in ("log-repaired", "log.broken"):
        (tmp_path / name).symlink_to(leads_to)
    before = sorted(tmp_path.rglob("*"))
    log = str(tmp_path / "log")
    for arguments in ([log], [log, "--in-place", "--yes"]):
        assert status_of(["repair", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before
    assert elsewhere.read_bytes() == SECRET


def test_golden_file_is_not_written_through_a_link(tmp_path, clock, elsewhere, capsys):
    write(tmp_path / "log", clock)
    golden = tmp_path / "log.golden.json"
    (tmp_path / f"{golden.name}.{os.getpid()}.tmp").symlink_to(elsewhere)
    assert status_of(["golden", "update", str(tmp_path / "log")]) == 0
    assert elsewhere.read_bytes() == SECRET


def test_golden_file_that_is_a_link_is_replaced_by_a_file(tmp_path, clock, elsewhere, capsys):
    write(tmp_path / "log", clock)
    golden = tmp_path / "log.golden.json"
    golden.symlink_to(tmp_path / "nowhere")
    assert status_of(["golden", "update", str(tmp_path / "log")]) == 0
    assert not golden.is_symlink()
