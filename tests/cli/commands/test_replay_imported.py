"""Imported calls in a Parquet file give the same results as the log that was exported."""

import json
import subprocess
import sys

import pytest
from log_files import write_traffic
from observed_calls import ObservedCall, write_trace

from recloser.cli import status_of
from recloser.core.events import Outcome

OUTAGE = "..FFFFFF....." + "." * 40 + "FFFFF...."


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def logs(capsys, tmp_path):
    """The same traffic as lines and as columns."""
    log = write_traffic(tmp_path / "log", OUTAGE)
    assert run(capsys, "export", log, tmp_path / "log.parquet")[0] == 0
    return log, tmp_path / "log.parquet"


SETTINGS = ("--set", "failure_threshold=3", "--set", "recovery_timeout_seconds=2")


def test_driving_by_columns_differs_from_driving_by_calls_only_in_the_evidence(capsys, logs):
    by_call, by_column = (
        json.loads(run(capsys, "replay", log, *SETTINGS, "--json")[1]) for log in logs
    )
    for name in ("schema", "breakers", "digest", "states", "totals", "differences"):
        assert by_column[name] == by_call[name], name
    assert len(by_call["edges"]) > 4
    for edge in by_call["edges"]:
        edge.update(seq=None, cause=None)
    assert by_column["edges"] == by_call["edges"]
    assert by_column["engine"] == {"name": "columns", "because": None}


def test_driving_by_columns_notes_how_to_get_the_evidence(capsys, logs, tmp_path):
    status, out, err = run(capsys, "replay", logs[1], *SETTINGS, "--edges", "2")
    assert status == 0
    assert "b        CLOSED      2 " in out
    assert "HALF_OPEN → CLOSED  recover" in out
    assert "before them; --edges 0 shows all" in out
    assert "62 calls, " in out
    assert "failure_threshold=3" in err
    assert "-o writes a log with evidence" in err
    assert run(capsys, "replay", logs[1], *SETTINGS, "-o", tmp_path / "driven")[0] == 0
    status, out, _ = run(capsys, "why", tmp_path / "driven")
    assert "3 consecutive failures reached the threshold of 3" in out


@pytest.mark.parametrize("mode", ["shadow", "disabled"])
def test_modes_that_reject_nothing_are_driven_by_columns(capsys, logs, mode):
    by_call, by_column = (
        json.loads(run(capsys, "replay", log, *SETTINGS, "--set", f"mode={mode}", "--json")[1])
        for log in logs
    )
    assert by_column["engine"]["name"] == "columns"
    for name in ("digest", "states", "totals"):
        assert by_column[name] == by_call[name], name


def test_breakers_that_share_a_log_are_driven_together(capsys, tmp_path):
    """A call of one breaker ends the cooldown of the other, because both share one log."""
    calls = [
        ObservedCall(name, second * 10**9, 10**6, Outcome.FAILED)
        for second in range(60)
        for name in ("a", "b")
        if name == "a" or second % 7 == 0
    ]
    write_trace(tmp_path / "log", calls)
    run(capsys, "export", tmp_path / "log", tmp_path / "log.parquet")
    outputs = [
        run(capsys, "replay", tmp_path / name, *SETTINGS, "--json")
        for name in ("log", "log.parquet")
    ]
    by_call, by_column = (json.loads(out) for _, out, _ in outputs)
    for name in ("breakers", "digest", "states", "totals"):
        assert by_column[name] == by_call[name]
    assert by_column["engine"]["name"] == "columns"


@pytest.mark.parametrize(
    "command",
    [
        ("whatif", *SETTINGS),
        ("tune", "--grid", "failure_threshold=1..6", "--grid", "recovery_timeout_seconds=1,3,9"),
    ],
)
def test_whatif_and_tune_give_the_same_on_a_parquet_file(capsys, logs, command):
    name, *options = command
    by_line, by_column = (run(capsys, name, log, *options, "--json") for log in logs)
    assert by_column == by_line


@pytest.mark.parametrize("command", ["whatif", "tune"])
def test_whatif_and_tune_give_the_same_without_numpy(capsys, logs, command):
    code = (
        "import sys; sys.modules['numpy'] = None\n"
        "from recloser.cli import status_of\n"
        f"sys.exit(status_of([{command!r}, {str(logs[0])!r}, '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == run(capsys, command, logs[0], "--json")[1]
