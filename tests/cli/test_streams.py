"""Standard output and error of any encoding, closed, full, or read by nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_server import SOURCES, CommandServer

from recloser import CircuitBreaker, EventLog, ManualClock

NAME = "straße→雪"
ENCODINGS = ["ascii", "cp1252", "latin-1", "cp037", "shift_jis", "utf-8", "utf-16"]
PRINTING = [
    ["replay", "log"],
    ["why", "log"],
    ["why", "log", "--markdown"],
    ["verify", "log"],
    ["watch", "log"],
    ["diff", "log", "log"],
    ["machine"],
    ["--help"],
    ["report", "log", "-o", "-"],
]


@pytest.fixture(scope="module")
def commands():
    with CommandServer() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    for name in ("log", "damaged"):
        with EventLog(folder / name, clock=ManualClock(), tick_seconds=None, host="") as log:
            breaker = CircuitBreaker(NAME, log=log)
            for _ in range(5):
                breaker.after_failure(breaker.before_call().permit, TimeoutError())
    damaged = folder / "damaged" / "000000000001.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b'"took":0', b'"took":7', 1))
    return folder


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_can_be_printed_to(commands, folder, encoding):
    for arguments in PRINTING:
        done = commands.run(*arguments, cwd=folder, encoding=encoding)
        assert (done.status, done.err) == (0, ""), arguments
        assert done.out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "shift_jis", "utf-8"])
def test_json_is_whole_in_every_encoding(commands, folder, encoding):
    for command in ("replay", "why", "watch"):
        done = commands.run(command, "log", "--json", cwd=folder, encoding=encoding)
        assert NAME in json.dumps(json.loads(done.out), ensure_ascii=False)


def test_what_an_encoding_does_not_have_is_readable(commands, folder):
    out = commands.run("replay", "log", cwd=folder, encoding="ascii").out
    assert "CLOSED -> OPEN" in out
    assert "stra\\xdfe->\\u96ea" in out


def test_page_on_standard_output_is_utf_8_whatever_the_terminal_has(commands, folder):
    done = commands.run("report", "log", "-o", "-", cwd=folder, encoding="ascii")
    assert NAME in done.out


@pytest.mark.parametrize(
    "arguments",
    [["replay", "log"], ["replay", "log", "--json"], ["--help"], ["report", "log", "-o", "-"]],
)
class TestOutput:
    def test_full_disk_is_reported_in_one_line(self, commands, folder, arguments):
        done = commands.run(*arguments, cwd=folder, stdout="full")
        assert done.status == 2
        assert done.err == ("recloser: standard output can't be written: No space left on device\n")

    def test_output_that_nobody_reads_is_no_error(self, commands, folder, arguments):
        done = commands.run(*arguments, cwd=folder, stdout="unread")
        assert (done.status, done.err) == (0, "")

    def test_output_that_is_closed_is_no_error(self, commands, folder, arguments):
        done = commands.run(*arguments, cwd=folder, stdout="closed")
        assert (done.status, done.err) == (0, "")

    def test_nothing_that_can_be_written_to_is_no_traceback(self, commands, folder, arguments):
        for kind in ("full", "closed", "unread"):
            done = commands.run(*arguments, cwd=folder, stdout=kind, stderr=kind)
            assert done.status == (2 if kind == "full" else 0)


@pytest.mark.parametrize("stdout", ["unread", "closed"])
def test_status_is_the_verdict_even_if_nobody_reads_the_output(commands, folder, stdout):
    assert commands.run("verify", "damaged", cwd=folder, stdout=stdout).status == 3


@pytest.mark.parametrize("stderr", ["full", "closed", "unread"])
def test_unwritable_standard_error_changes_no_status(commands, folder, stderr):
    assert commands.run("verify", "damaged", cwd=folder, stderr=stderr).status == 3
    assert commands.run("nope", cwd=folder, stderr=stderr).status == 2


def test_descriptor_of_a_closed_output_is_not_reused(commands, folder, tmp_path):
    """Otherwise the next file opened would get descriptor 1, and everything that is printed."""
    before = "import os, sys\nsys.argv[2:2] = ['log']"
    done = commands.run(
        "export", str(tmp_path / "x.parquet"), cwd=folder, stdout="closed", before=before
    )
    assert done.status == 0
    assert commands.run("replay", str(tmp_path / "x.parquet"), cwd=folder).status == 0


PROCESSES = [
    ({"PYTHONIOENCODING": "ascii"}, "", 0),
    ({"PYTHONIOENCODING": "cp1252:strict"}, "", 0),
    ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "", 0),
    ({}, ">&-", 0),
    ({}, ">/dev/full", 2),
    ({}, ">/dev/full 2>&1", 2),
    ({}, "<&- >&- 2>&-", 0),
    ({}, "| true; exit ${PIPESTATUS[0]}", 0),
]


@pytest.mark.parametrize(("environment", "into", "status"), PROCESSES)
def test_real_process_with_unwritable_output_ends_quietly(folder, environment, into, status):
    """Real processes behave like the command server of the other tests."""
    command = f"{sys.executable} -m recloser replay log {into}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(SOURCES), **environment},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_page_that_can_not_be_written_whole_leaves_no_file(commands, folder):
    before = (
        "import io, recloser.cli.render.pages as p\n"
        "from pathlib import Path\n"
        "class Full(io.BytesIO):\n"
        "  def flush(self): raise OSError(28, 'No space left on device', 'page.html')\n"
        "opened = Path.open\n"
        "def full(path, mode='r', *more, **options):\n"
        "  stream = opened(path, mode, *more, **options)\n"
        "  return Full() if mode == 'xb' else stream\n"
        "Path.open = full"
    )
    arguments = ("report", "log", "-o", "page.html")
    done = commands.run(*arguments, cwd=folder, before=before)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert not (folder / "page.html").exists()
    assert commands.run(*arguments, cwd=folder).status == 0
    old = (folder / "page.html").read_bytes()
    assert commands.run(*arguments, "--force", cwd=folder, before=before).status == 2
    assert (folder / "page.html").read_bytes() == old
    assert [path.name for path in folder.iterdir() if "part" in path.name] == []


def test_page_is_written_to_a_device_when_forced(commands, folder):
    assert commands.run("report", "log", "-o", "/dev/null", "--force", cwd=folder).status == 0
    assert Path("/dev/null").is_char_device()
    done = commands.run("report", "log", "-o", "/dev/full", "--force", cwd=folder)
    assert (done.status, done.err.count("\n")) == (2, 1)
