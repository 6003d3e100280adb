"""No event is lost when a process ends, in any way and with calls to breakers until the end."""

import os
import signal
import subprocess
import sys

import pytest

from recloser.history.engine import replay
from recloser.log.reader import LogReader

HEADER = """
import atexit, multiprocessing, os, signal, sys, threading
from recloser import Breakers, CircuitBreaker, CircuitBreakerConfig, EventLog, Listener
log = EventLog(sys.argv[1], durability=sys.argv[2])
breakers = Breakers({"failure_threshold": None}, log=log)
def fail(times=1):
    for _ in range(times):
        breakers["b"].after_failure(breakers["b"].before_call().permit, "OSError")
"""

ENDS = {
    "the end of the script": "fail(3)",
    "sys.exit": "fail(3); sys.exit()",
    "an exception": "fail(3); sys.stderr.close(); 1 / 0",
    "first use in an exit handler": "atexit.register(fail, 3)",
    "use in an exit handler too": "fail(2); atexit.register(fail)",
    "a thread that runs on": """
fail(2)
def run():
    threading.main_thread().join()
    fail()
threading.Thread(target=run).start()
""",
    "a listener that exits": """
class Exiting(Listener):
    def on_event(self, event):
        sys.exit("a bug")
CircuitBreaker("b", log=log, listeners=[Exiting()])
fail(3)
""",
}


def run(code, path, durability):
    command = [sys.executable, "-W", "ignore", "-c", HEADER + code, path, durability]
    return subprocess.run(command, timeout=60, check=False, capture_output=True, text=True)


def failed_in(path):
    replayed = replay(path)
    assert replayed.differences == []
    assert LogReader(path).tail.torn == 0
    return replayed.snapshots["b"].totals.failed


@pytest.mark.parametrize("durability", ["batch", "sync"])
@pytest.mark.parametrize("code", ENDS.values(), ids=ENDS)
def test_process_that_ends_without_closing_its_log_loses_nothing(tmp_path, code, durability):
    ended = run(code, tmp_path / "log", durability)
    assert failed_in(tmp_path / "log") == 3, ended.stderr


FORKING = """
def work():
    fail(3)
child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
print(child.pid, child.exitcode)
"""

CHILDREN = {
    "before first use": "",
    "after first use": "fail(2)",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this platform")
@pytest.mark.parametrize("durability", ["batch", "sync"])
@pytest.mark.parametrize("before", CHILDREN.values(), ids=CHILDREN)
def test_child_of_multiprocessing_that_ends_without_closing_loses_nothing(
    tmp_path, before, durability
):
    ended = run(before + FORKING, tmp_path / "log", durability)
    pid, exitcode = ended.stdout.split()
    assert exitcode == "0", ended.stderr
    assert failed_in(tmp_path / f"log-{pid}") == (5 if before else 3)


TERMINATED = """
def stop(*_):
    log.close()
    raise SystemExit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
n = 0
while True:
    n += 1
    if n == 100:
        print("busy", flush=True)
    fail()
"""


@pytest.mark.parametrize("durability", ["batch", "sync"])
def test_busy_process_that_closes_and_exits_on_sigterm_leaves_a_whole_log(tmp_path, durability):
    command = [sys.executable, "-c", HEADER + TERMINATED, tmp_path / "log", durability]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"up\n"
        assert process.stdout.readline() == b"busy\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert failed_in(tmp_path / "log") >= 99
