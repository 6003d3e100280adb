"""``recloser watch`` in a pseudo-terminal, and off a terminal."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from breaker_calls import fail, succeed

from recloser import CircuitBreaker, CircuitBreakerConfig, EventLog
from recloser.cli import status_of

RECLOSER = Path(sys.executable).with_name("recloser")


@pytest.fixture
def log(tmp_path):
    with EventLog(tmp_path / "log", seal_seconds=0.1) as log:
        yield log


class Terminal:
    """A pseudo-terminal of 24 lines that runs a program; its output is read as it arrives."""

    def __init__(self, columns, *arguments):
        self.own, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [RECLOSER, *arguments], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "", "LINES": ""},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )  # fmt: skip
        os.close(theirs)
        self.shown = ""

    def wait_for(self, text):
        until = time.monotonic() + 20
        while text not in self.shown:
            assert time.monotonic() < until, self.shown[-4000:]
            self.shown += os.read(self.own, 65536).decode()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        _, err = self.process.communicate(timeout=30)
        os.close(self.own)
        return self.process.returncode, err


def test_watch_follows_a_log_until_it_is_interrupted(log):
    breaker = CircuitBreaker("pay\x1b[31m", CircuitBreakerConfig(failure_threshold=3), log=log)
    succeed(breaker)
    log.flush()
    terminal = Terminal(80, "watch", str(log.path))
    terminal.wait_for("consecutive failures: 0 of 3")
    fail(breaker, 3)
    log.flush()
    terminal.wait_for("3 consecutive failures reached")
    terminal.wait_for("29.")
    status, err = terminal.interrupt()
    assert (status, err) == (130, b"\n")
    assert "pay\\x1b[31m" in terminal.shown
    assert "pay\x1b" not in terminal.shown


def test_watch_prints_no_line_wider_than_the_terminal(log):
    for n in range(40):
        breaker = CircuitBreaker(f"{n:02} " + "long" * 30, log=log)
        fail(breaker, 5 * (n < 3))
    log.flush()
    terminal = Terminal(80, "watch", str(log.path))
    terminal.wait_for("not shown")
    terminal.wait_for("00 long")
    terminal.interrupt()
    screen = terminal.shown.replace("\x1b[H", "\n")  # the next picture begins
    screen = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert max(len(line) for line in screen.splitlines()) <= 80


def test_watch_off_a_terminal_prints_once(log, capsys):
    fail(CircuitBreaker("b", log=log), 5)
    log.flush()
    assert status_of(["watch", str(log.path)]) == 0
    assert "1 breaker, 1 not closed" in capsys.readouterr().out
    assert status_of(["watch", str(log.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert next(iter(found)) == "schema"
    assert (found["schema"], found["breakers"][0]["state"]) == ("recloser.watch/1", "OPEN")
    assert found["breakers"][0]["probe_in_ns"] > 0


def test_watch_of_a_missing_folder_is_bad_input(capsys):
    assert status_of(["watch", "absent"]) == 2
    assert capsys.readouterr().err == "recloser: absent: there is no such file or folder\n"
