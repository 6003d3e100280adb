"""A log has one writer, and a dead process holds no lock."""

import os
import subprocess
import sys

import pytest
from breaker_calls import succeed

from recloser import CircuitBreaker, EventLog, LogError
from recloser.history.engine import replay

WRITER = """
import sys, threading
from recloser import CircuitBreaker, EventLog
log = EventLog(sys.argv[1])
CircuitBreaker("b", log=log).call(int)
log.flush()
print("writing", flush=True)
threading.Event().wait()
"""


@pytest.fixture
def writer(tmp_path):
    command = [sys.executable, "-c", WRITER, tmp_path / "log"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


def test_second_writer_is_refused_with_the_process_id_of_the_first(tmp_path, writer):
    with pytest.raises(LogError, match=f"written by process {writer.pid}; one log has one writer"):
        EventLog(tmp_path / "log")


def test_second_writer_in_the_same_process_is_refused(tmp_path):
    with (
        EventLog(tmp_path / "log"),
        pytest.raises(LogError, match=f"written by process {os.getpid()};"),
    ):
        EventLog(tmp_path / "log")


def test_lock_of_a_dead_process_is_free(tmp_path, writer):
    writer.kill()
    writer.wait()
    with EventLog(tmp_path / "log") as log:
        succeed(CircuitBreaker("b", log=log))
    assert replay(tmp_path / "log").snapshots["b"].totals.succeeded == 2


def test_log_that_could_not_be_opened_is_not_locked(tmp_path):
    (tmp_path / "000000000001.jsonl").write_bytes(b"no log\n")
    for _ in range(2):
        with pytest.raises(LogError, match="not a recloser log"):
            EventLog(tmp_path, on_damage="raise")


def test_log_can_be_read_while_it_is_locked(tmp_path, writer):
    assert replay(tmp_path / "log").snapshots["b"].totals.succeeded == 1
