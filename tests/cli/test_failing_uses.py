"""More than sixty failing uses: one line on standard error, no traceback, and the right status.

The statuses are those that ``recloser.cli`` documents. Only 2 histories that differ, or a check that
failed, may end with 1.
"""

import pytest
from command_server import CommandServer

from recloser import CircuitBreaker, EventLog, ManualClock
from recloser.log.parquet import write_parquet
from recloser.log.reader import LogReader

SEGMENT = "000000000001.jsonl"
CSV = ["--breaker", "b", "--start", "start_s", "--outcome", "outcome", "--failure", "fail"]
LONG = "n" * 300


@pytest.fixture(scope="module")
def commands():
    with CommandServer() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory, commands):
    """Logs that are whole, damaged, unreadable and none at all, and folders that can't be written."""
    folder = tmp_path_factory.mktemp("uses")
    for name in ("log", "damaged", "torn", "future", "unreadable", "of-folders", "closed"):
        with EventLog(folder / name, clock=ManualClock(), tick_seconds=None, host="") as log:
            breaker = CircuitBreaker("pay", log=log)
            for _ in range(5):
                breaker.after_failure(breaker.before_call().permit, TimeoutError())
            breaker.before_call()
    damaged, future = folder / "damaged" / SEGMENT, folder / "future" / SEGMENT
    damaged.write_bytes(damaged.read_bytes().replace(b'"took":0', b'"took":7', 1))
    future.write_bytes(future.read_bytes().replace(b'"rules":1', b'"rules":9', 1))
    with (folder / "torn" / SEGMENT).open("ab") as stream:
        stream.write(b'{"eve')
    (folder / "unreadable" / SEGMENT).chmod(0)
    (folder / "of-folders" / SEGMENT).unlink()
    (folder / "of-folders" / SEGMENT).mkdir()
    (folder / "read-only").mkdir(mode=0o555)
    (folder / "loop").symlink_to("loop")
    (folder / "nowhere.html").symlink_to("absent.html")
    (folder / "notes").write_text("hello\n")
    (folder / "binary").write_bytes(b"\xff\xfe\x00\x01" * 100)
    (folder / "cut.csv.gz").write_bytes(b"\x1f\x8b\x08broken")
    (folder / "bad.toml").write_text("x = [")
    (folder / "unknown.toml").write_text("nonsense = 1\n")
    (folder / "aliases.yaml").write_text("a: &a [x]\nb: *a\n")
    (folder / "calls.csv").write_text(
        "start_s,outcome\n" + "".join(f"{n},{'fail' if n < 5 else 'ok'}\n" for n in range(20))
    )
    write_parquet(LogReader(folder / "log"), folder / "log.parquet")
    cut = (folder / "log.parquet").read_bytes()[:-9]
    (folder / "cut.parquet").write_bytes(cut)
    done = commands.run("import", "csv", "calls.csv", "-o", "traffic", *CSV, cwd=folder)
    assert done.status == 0, done.err
    (folder / "closed").chmod(0)
    yield folder
    (folder / "closed").chmod(0o700)


USES = [
    # How it is called.
    (2, "No such command 'nope'; see recloser --help", ["nope"]),
    (2, "--nope", ["replay", "--nope"]),
    (2, "Missing argument 'LOG'; see recloser why --help", ["why"]),
    (2, "Missing option '-o'; see recloser report --help", ["report", "log"]),
    (2, "Missing option '-o'", ["import", "csv", "calls.csv", *CSV]),
    (2, "Missing option '--breaker'", ["import", "csv", "calls.csv", "-o", "x", *CSV[2:]]),
    (2, "Missing option '--breaker'", ["import", "access-log", "calls.csv", "-o", "x"]),
    (2, "Missing option '--start'", ["import", "csv", "calls.csv", "-o", "x", *CSV[:2], *CSV[4:]]),
    (2, "Missing argument 'OUT'", ["export", "log"]),
    (2, "'png' is not one of", ["machine", "--format", "png"]),
    (2, "Got unexpected extra argument", ["machine", "x"]),
    (2, "'--edges'", ["replay", "log", "--edges", "-1"]),
    (2, "'--jobs'", ["replay", "log", "--jobs", "0"]),
    (2, "trips are counted from 1", ["why", "log", "--trip", "0"]),
    (2, "--trip and --at", ["why", "log", "--trip", "1", "--at", "-1s"]),
    (2, "give B, or one or two --config", ["diff", "log"]),
    (2, "exclude each other", ["repair", "torn", "--in-place", "-o", "x"]),
    (2, "need --engine dask", ["replay", "log", "--workers", "2"]),
    (2, "SEQ:DIGEST", ["verify", "log", "--expect-head", "9" * 5000 + ":" + "0" * 64]),
    # Values that can't be.
    (2, "yesterday", ["why", "log", "--at", "yesterday"]),
    (2, "cannot read", ["why", "log", "--at", "seq:" + "9" * 5000]),
    (2, "nope", ["why", "log", "--breaker", "nope"]),
    (2, "failure_threshold", ["replay", "traffic", "--set", "failure_threshold=0"]),
    (2, "NAME=VALUE", ["replay", "traffic", "--set", "x"]),
    (2, "can't be read", ["replay", "traffic", "--set", "failure_threshold=" + "9" * 5000]),
    (2, "can't be read", ["replay", "traffic", "--set", "failure_threshold=" + "[" * 5000]),
    (2, "bad.toml", ["replay", "traffic", "--config", "bad.toml"]),
    (2, "nonsense", ["replay", "traffic", "--config", "unknown.toml"]),
    (2, "No such file", ["replay", "traffic", "--config", "absent.toml"]),
    (2, "Is a directory", ["replay", "traffic", "--config", "."]),
    (2, "utf-8", ["replay", "traffic", "--config", "binary"]),
    (2, "aliases.yaml, line 2", ["whatif", "traffic", "--config-from", "aliases.yaml"]),
    (2, "nonsense", ["replay", "traffic", "--warp", "nonsense"]),
    (2, "NAME=VALUES", ["tune", "traffic", "--grid", "x"]),
    (2, "can't be read", ["tune", "traffic", "--grid", "failure_threshold=1,1e9999999999999999999x"]),
    (2, "--slow is a number of seconds", ["import", "csv", "calls.csv", "-o", "x", "--slow", "nan", *CSV]),
    (2, "--slow is a number of seconds", ["import", "csv", "calls.csv", "-o", "x", "--slow", "inf", *CSV]),
    (2, "can't be read as the URL of a Redis server", ["export", "redis://[::1", "x"]),
    (2, "edis", ["export", "redis://localhost:1/0?socket_timeout=abc", "x"]),
    (2, "localhost", ["export", "redis://localhost:1/0?stream=a", "x"]),
    (2, "cannot read it", ["replay", "--engine", "dask", "reference://"]),
    (2, "no scheduler", ["replay", "--engine", "dask", "--scheduler", "zzz://x", "log.parquet"]),
    # Logs and traces that can't be read.
    *(
        (status, word, [*command, name])
        for command in (["replay"], ["verify"], ["why"], ["watch", "--once"])
        for status, word, name in (
            (2, "Permission denied", "unreadable"),
            *[(2, "no segment", "of-folders")][: command[0] != "watch"],  # it waits for one
            (2, "absent: there is no such file", "absent"),
        )
    ),
    (2, "Permission denied", ["report", "unreadable", "-o", "x.html"]),
    (2, "Permission denied", ["export", "unreadable", "x.parquet"]),
    (2, "Permission denied", ["repair", "unreadable", "-o", "x"]),
    (2, "Permission denied", ["diff", "log", "unreadable"]),
    (2, "Permission denied", ["golden", "update", "unreadable"]),
    (2, "unreadable", ["tune", "unreadable"]),
    (2, "closed", ["replay", "closed"]),
    (2, "loop", ["replay", "loop"]),
    (2, "not a recloser log", ["replay", "notes"]),
    (2, "not a recloser log", ["replay", "binary"]),
    (2, "cut.parquet", ["replay", "cut.parquet"]),
    (2, "File name too long", ["replay", LONG]),
    (3, "seal 1", ["replay", "damaged"]),
    (3, "seal 1", ["replay", "damaged", "--prove"]),
    (3, "seal 1", ["verify", "damaged"]),
    (3, "seal 1", ["report", "damaged", "-o", "x.html"]),
    (3, "seal 1", ["golden", "update", "damaged"]),
    (4, "torn", ["replay", "torn"]),
    (5, "upgrade recloser", ["replay", "future"]),
    (5, "upgrade recloser", ["export", "future", "x.parquet"]),
    (2, "No such file", ["import", "csv", "absent", "-o", "x", *CSV]),
    (2, "directory", ["import", "csv", ".", "-o", "x", *CSV]),
    (2, "it is cut: the compressed data ends", ["import", "csv", "cut.csv.gz", "-o", "x", *CSV]),
    (2, "could be read", ["import", "otlp", "binary", "-o", "x"]),
    # Outputs that can't be written.
    (2, "Permission denied", ["report", "log", "-o", "read-only/x.html"]),
    (2, "No such file", ["report", "log", "-o", "absent/x.html"]),
    (2, "Not a directory", ["report", "log", "-o", "notes/x.html"]),
    (2, "exists already", ["report", "log", "-o", "nowhere.html"]),
    (2, "File name too long", ["report", "log", "-o", LONG]),
    (2, "Is a directory", ["report", "log", "--force", "-o", "log"]),
    (2, "Permission denied", ["tune", "traffic", "-o", "read-only/x.html", "--grid", "failure_threshold=2"]),
    (2, "Permission denied", ["export", "log", "read-only/x.parquet"]),
    (2, "No such file", ["export", "log", "absent/x.parquet"]),
    (2, "ends in .parquet", ["export", "log", "x"]),
    (2, "Permission denied", ["import", "csv", "calls.csv", "-o", "read-only/x", *CSV]),
    (2, "a file is in its place", ["import", "csv", "calls.csv", "-o", "notes/x", *CSV]),
    (2, "exists already", ["import", "csv", "calls.csv", "-o", "log", *CSV]),
    (2, "Permission denied", ["replay", "traffic", "-o", "read-only/x"]),
    (2, "Permission denied", ["repair", "torn", "-o", "read-only/x"]),
    (2, "directory", ["repair", "torn", "-o", "notes/x"]),
    (2, "not answered with yes", ["repair", "torn", "--in-place"]),
    (2, "only a folder", ["repair", "notes", "--in-place", "--yes"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "word", "arguments"),
    USES,
    ids=lambda v: " ".join(v)[:60] if isinstance(v, list) else "",
)
def test_failing_use_is_reported_in_one_line_with_its_status(
    commands, folder, status, word, arguments
):
    before = sorted(folder.iterdir())
    done = commands.run(*arguments, cwd=folder, powerless=True)
    assert "Traceback" not in done.err
    assert done.status == status, done.err
    *notes, line = done.err.splitlines()
    assert line.startswith("recloser: ") or "[y/N]" in line
    assert word in line
    assert all("imported traffic, driven with" in note for note in notes)
    assert len(done.err) < 2500
    if status != 4:
        assert sorted(folder.iterdir()) == before  # no new files


def test_at_least_sixty_failing_uses_are_tested():
    assert len(USES) >= 60


@pytest.mark.parametrize("status", [0, 1])
def test_only_a_verdict_has_status_0_or_1(commands, folder, status):
    other = ["log", "log"] if status == 0 else ["log", "traffic"]
    assert commands.run("diff", *other, cwd=folder).status == status


@pytest.mark.parametrize(
    "raised",
    ["KeyError('x')", "AssertionError()", "RecursionError()", "SystemExit(1)", "EOFError('cut')"],
)
def test_fault_of_recloser_has_status_70(commands, folder, raised):
    """The line has the source line that raised, and asks for a report."""
    before = f"import recloser.log.verification as v\ndef verify(*_):\n  raise {raised}\n"
    before += "import recloser.cli.commands.verify as c\nc.verify = verify"
    done = commands.run("verify", "log", cwd=folder, before=before)
    name = raised.partition("(")[0]
    assert (done.status, done.out, done.err.count("\n")) == (70, "", 1)
    assert done.err.startswith(f"recloser: unexpected {name}")
    assert (
        "please report it, with what the same command prints after `recloser --debug`" in done.err
    )
    debugged = commands.run("--debug", "verify", "log", cwd=folder, before=before)
    assert debugged.status == 70
    assert "Traceback" in debugged.err


@pytest.mark.parametrize(
    ("raised", "status", "message"),
    [
        (
            "OSError(28, 'No space left on device', 'x')",
            2,
            "x: No space left on device; free space",
        ),
        ("OSError(5, 'Input/output error')", 2, "Input/output error"),
        ("MemoryError()", 2, "there is not enough memory"),
        ("BrokenPipeError(32, 'Broken pipe')", 2, "Broken pipe"),
        ("KeyboardInterrupt()", 130, ""),
    ],
)
def test_error_of_the_operating_system_has_status_2(commands, folder, raised, status, message):
    before = f"import recloser.cli.commands.verify as c\ndef verify(*_):\n  raise {raised}\nc.verify = verify"
    done = commands.run("verify", "log", cwd=folder, before=before)
    assert (done.status, done.out) == (status, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_error_of_a_thread_is_reported_in_one_line(commands, folder):
    before = (
        "import recloser.cli.commands.verify as c, threading, warnings, logging\n"
        "old = c.verify\n"
        "def verify(*given):\n"
        "  thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()\n"
        "  warnings.warn('a \\x9b warning')\n"
        "  logging.getLogger('x').warning('a\\u2028 record')\n"
        "  return old(*given)\n"
        "c.verify = verify"
    )
    done = commands.run("verify", "log", cwd=folder, before=before)
    assert done.status == 0
    first, *rest = done.err.splitlines()
    assert first.startswith("recloser: unexpected ZeroDivisionError")
    assert rest == ["recloser: a \\x9b warning", "recloser: a\\u2028 record"]
