"""No command prints text of a log that steers a terminal, turns the reading order or breaks a line."""

import json
import re
import unicodedata

import pytest
from command_server import CommandServer

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog, ManualClock

# An end of line, a sequence of a terminal in C0 and C1, a delete, marks that turn the reading order,
# both separators of Unicode, a mark without width, a tag, and one character that is harmless.
HOSTILE = "a\n\r\x1b[31m\x9b31m\x85\x7f\u202e\u2066\u200f\u2028\u2029\u200b\ufeff\U000e0041é"
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
COMMANDS = [
    ["replay", "log"],
    ["replay", "log", "--prove"],
    ["replay", "log", "--sensitivity"],
    ["replay", "other"],
    ["replay", "traffic", "--set", "failure_threshold=2"],
    ["why", "log"],
    ["why", "log", "--at", "-0s"],
    ["watch", "log"],
    ["diff", "log", "other"],
    ["diff", "traffic", "--set", "failure_threshold=2"],
    ["verify", "log"],
    ["verify", "damaged"],
    ["whatif", "traffic", "--set", "failure_threshold=2"],
    ["tune", "traffic", "--grid", "failure_threshold=2,3"],
    ["golden", "check", "log"],
    ["repair", "damaged", "--dry-run"],
    ["import", "csv", "calls.csv", "-o", HOSTILE, "--breaker", "{target}", "--start", "start_s",
     "--outcome", "outcome"],
    ["export", "log", f"{HOSTILE}.parquet"],
    ["report", "log", "-o", f"{HOSTILE}.html"],
    ["report", "log", "-o", "bad\udcff.html"],
]  # fmt: skip


@pytest.fixture(scope="module")
def commands():
    with CommandServer() as server:
        yield server


def write(path, calls):
    clock = ManualClock()
    with EventLog(path, clock=clock, tick_seconds=None, host=HOSTILE) as log:
        breaker = CircuitBreaker(HOSTILE, CircuitBreakerConfig(failure_threshold=calls), log=log)
        error = type(HOSTILE, (Exception,), {"__module__": HOSTILE})
        for _ in range(calls):
            clock.advance(seconds=1)
            breaker.after_failure(breaker.before_call().permit, error())
        breaker.before_call()
        breaker.force_closed(actor=HOSTILE, reason=HOSTILE)
        breaker.force_open(actor=HOSTILE, reason=HOSTILE)


@pytest.fixture
def folder(tmp_path, commands):
    for name, calls in (("log", 3), ("other", 4), ("damaged", 3)):
        write(tmp_path / name, calls)
    damaged = tmp_path / "damaged" / "000000000001.jsonl"
    with damaged.open("ab") as stream:
        stream.write(f'{{"event":"{HOSTILE}","seq":20}}\n'.encode())
    rows = "".join(f'{n},"{HOSTILE}",{"500" if n < 9 else "200"}\n' for n in range(30))
    (tmp_path / "calls.csv").write_text(f"start_s,target,outcome\n{rows}", newline="")
    mapping = ["--breaker", "{target}", "--start", "start_s", "--outcome", "outcome"]
    commands.run("import", "csv", "calls.csv", "-o", "traffic", *mapping, cwd=tmp_path)
    commands.run("golden", "update", "other", cwd=tmp_path)
    (tmp_path / "other.golden.json").rename(tmp_path / "log.golden.json")
    return tmp_path


def unsafe_in(text):
    return {c for c in text if unicodedata.category(c) in UNSAFE and c != "\n"}


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda a: ascii(" ".join(a))[:50])
def test_hostile_text_is_escaped_in_every_output(commands, folder, arguments):
    for more in ([], ["--json"], ["--markdown"]):
        if more == ["--markdown"] and arguments[0] != "why":
            continue
        before = set(folder.iterdir())
        done = commands.run(*arguments, *more, cwd=folder)
        assert done.status in (0, 1, 3, 4), done.err
        assert (unsafe_in(done.out), unsafe_in(done.err)) == (set(), set())
        assert all(line.startswith("recloser: ") for line in done.err.splitlines())
        if more == ["--json"]:
            text = json.dumps(json.loads(done.out))
            of_no_name = {"verify", "repair", "tune", "golden", "--prove", "--sensitivity"}
            is_named = of_no_name.isdisjoint(arguments)
            assert not is_named or re.search(r"\\u202e|\\udcff", text)
        for made in set(folder.iterdir()) - before:
            made.rename(folder / f"made-{len(list(folder.iterdir()))}")


def test_hostile_arguments_are_escaped_in_messages(commands, folder):
    for arguments in (
        ["replay", HOSTILE],
        [HOSTILE],
        ["why", "log", "--breaker", f"{HOSTILE}x"],
        [f"--{HOSTILE}"],
    ):
        done = commands.run(*arguments, cwd=folder)
        assert (done.status, done.err.count("\n"), unsafe_in(done.err)) == (2, 1, set())


def test_page_shows_no_mark_that_turns_the_reading_order(commands, folder):
    out = commands.run("report", "log", "-o", "-", cwd=folder).out
    assert "\u202e" not in out
    assert "\u2066" not in out
