"""Progress: shown on a terminal, and only there."""

import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest
from breaker_calls import succeed
from log_files import write_traffic

from recloser import CircuitBreaker, EventLog, ManualClock

RECLOSER = (sys.executable, "-c", "from recloser.cli import run; run()")


def on_a_terminal(arguments, folder):
    """Run a command with a terminal as standard error; returns standard output and what it shows."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    process = subprocess.Popen(
        [*RECLOSER, *arguments],
        stdout=subprocess.PIPE,
        stderr=its,
        cwd=folder,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(its)
    shown = bytearray()
    with io.FileIO(ours) as terminal, contextlib.suppress(OSError):
        while piece := terminal.read(4096):  # EIO marks its end
            shown += piece
    printed = process.communicate(timeout=60)[0]
    return process.returncode, printed.decode(), shown.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_replay_shows_progress_rate_and_time_left_on_a_terminal(tmp_path):
    """Progress is measured in bytes on disk, which is right for compressed segments too."""
    clock = ManualClock()
    with EventLog(tmp_path / "log", clock=clock, durability="memory", segment_bytes=100_000) as log:
        breaker = CircuitBreaker("b", log=log)
        for number in range(6000):
            clock.advance(seconds=0.01)
            succeed(breaker)
            if number % 500 == 0:
                log.flush()
    assert list((tmp_path / "log").glob("*.zst"))
    status, printed, shown = on_a_terminal(["replay", "log"], tmp_path)
    assert status == 0
    assert "all equal" in printed
    assert "\x1b" not in printed
    assert re.search(r"log .*100% .*\d (bytes|[kM]B)/s .*0:00:00", shown)
    status, alone, _ = on_a_terminal(["replay", "log", "--jobs", "1"], tmp_path)
    assert (status, alone) == (0, printed)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pty")
def test_replay_of_imported_calls_shows_progress_of_both_stages(tmp_path):
    write_traffic(tmp_path / "calls", "FFSSF" * 1000, every_ns=10**8)
    status, _, shown = on_a_terminal(["replay", "calls"], tmp_path)
    assert status == 0
    assert "imported traffic, driven with the default settings" in shown
    assert "calls" in shown
    assert "driving" in shown
    assert re.search(r"driving .*\d+% .*\d calls/s", shown)


def test_no_progress_is_shown_off_a_terminal(tmp_path):
    write_traffic(tmp_path / "calls", "FFSSF" * 10)
    done = subprocess.run(
        [*RECLOSER, "replay", "calls"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "recloser: imported traffic, driven with the default settings\n"
