"""``recloser diff``: two logs, a log and a golden file, one log under two configurations."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from log_files import write_traffic

from conftest import ROOT
from recloser.cli import status_of

RECLOSER = Path(sys.executable).with_name("recloser")
FIXTURES = ROOT / "fixtures"


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Traffic that trips at a threshold of three once, and at five later."""
    monkeypatch.chdir(tmp_path)
    return write_traffic(tmp_path / "calls", "SSFFFSFFFFFSSS").name


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_diff_of_a_log_with_itself_is_equal(capsys):
    log = FIXTURES / "http-outage"
    assert run(capsys, "diff", log, log)[:2] == (
        0,
        "the histories are the same; digest 5eaee1a25b08b34b\n",
    )


def test_diff_shows_the_first_differing_event_of_both_logs(capsys):
    a, b = FIXTURES / "http-outage", FIXTURES / "slow-dependency"
    status, out, err = run(capsys, "diff", a, b)
    lines = out.splitlines()
    assert (status, err) == (1, "")
    assert lines[:5] == [
        f"--- {a}",
        f"+++ {b}",
        "the histories first differ at",
        "- seq 3, call_succeeded of quotes at 0.119658368 s, took 3706910",
        "+ seq 3, call_succeeded of quotes at 0.039367036 s, took 2657876",
    ]
    assert lines[5] == "quotes: edge 1, trip, moved 203.434 ms later; 4 later edges differ too"


def test_diff_takes_a_log_and_a_golden_file_in_either_order(capsys):
    log, own = FIXTURES / "http-outage", FIXTURES / "http-outage.golden.json"
    other = FIXTURES / "slow-dependency.golden.json"
    assert run(capsys, "diff", log, own)[0] == 0
    assert run(capsys, "diff", own, log)[0] == 0
    assert "moved 203.434 ms later" in run(capsys, "diff", log, other)[1]
    assert "moved 203.434 ms earlier" in run(capsys, "diff", other, log)[1]
    assert run(capsys, "diff", own, other)[0] == 1


def test_diff_of_one_log_under_two_settings_files(capsys, calls):
    Path("five.toml").write_text("failure_threshold = 5\n")
    Path("three.toml").write_text("failure_threshold = 3\n")
    status, out, _ = run(capsys, "diff", calls, "--config", "five.toml", "--config", "three.toml")
    assert status == 1
    assert out.splitlines()[:6] == [
        "--- calls under five.toml",
        "+++ calls under three.toml",
        "the histories first differ at seq 7, call_failed of b at 4.001000000 s",
        "b: edge 1, trip, moved 6.000 s earlier",
        "- 10.001000000 s  CLOSED → OPEN  trip at seq 14: consecutive_failures, 5 of 5 on seq 9, 10, 11, 12, 13",
        "+ 4.001000000 s  CLOSED → OPEN  trip at seq 8: consecutive_failures, 3 of 3 on seq 5, 6, 7",
    ]
    assert "failure_threshold: 5 became 3" in out


def test_diff_shows_the_fields_in_which_events_differ(capsys, calls):
    more = ("--set", "failure_threshold=3", "--set", "recovery_timeout_seconds=4")
    Path("three.toml").write_text("failure_threshold = 3\n")
    out = run(capsys, "diff", calls, "--config", "three.toml", *more)[1]
    assert out.splitlines()[2:5] == [
        "the histories first differ at",
        "- seq 10, call_rejected of b at 5.000000000 s, retry_after 29001000000",
        "+ seq 10, call_rejected of b at 5.000000000 s, retry_after 3001000000",
    ]


def test_diff_of_one_log_with_a_setting_changed(capsys, calls):
    status, out, _ = run(capsys, "diff", calls, "--set", "failure_threshold=3")
    assert (status, out.splitlines()[:2]) == (
        1,
        ["--- calls under the defaults", "+++ calls under the defaults --set failure_threshold=3"],
    )
    Path("three.toml").write_text("failure_threshold = 3\nrecovery_timeout_seconds = 1\n")
    out = run(capsys, "diff", calls, "--config", "three.toml", "--set", "failure_threshold=5")[1]
    assert "failure_threshold: 3 became 5" in out
    assert "recovery_timeout_seconds" not in out.replace("three.toml", "")


def test_diff_drives_calls_with_the_settings_of_the_golden_file(capsys, calls):
    run(capsys, "golden", "update", calls, "--set", "failure_threshold=3")
    assert run(capsys, "diff", calls, "calls.golden.json")[0] == 0
    status, out, _ = run(capsys, "diff", "calls.golden.json", calls, "--set", "failure_threshold=5")
    assert (status, "failure_threshold: 3 became 5" in out) == (1, True)


def test_diff_of_a_driven_log_with_its_calls_is_equal(capsys, calls):
    run(capsys, "replay", calls, "--set", "failure_threshold=3", "-o", "driven")
    assert run(capsys, "diff", "driven", calls, "--set", "failure_threshold=3")[0] == 0


def test_diff_as_json_has_its_schema_first(capsys, calls):
    status, out, _ = run(capsys, "diff", calls, "--set", "failure_threshold=3", "--json")
    found = json.loads(out)
    assert (status, next(iter(found.items()))) == (1, ("schema", "recloser.diff/1"))
    (edge,) = found["edges"]
    assert (edge["breaker"], edge["change"], edge["moved_ns"]) == ("b", "moved", -6 * 10**9)
    assert edge["new"]["cause"]["seqs"] == [5, 6, 7]
    assert found["event"]["old"] == found["event"]["new"]
    assert found["settings"] == [{"breaker": "", "name": "failure_threshold", "old": 5, "new": 3}]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["calls"], "give B, or one or two --config"),
        (["calls", *["--config", "x.toml"] * 3], "give B, or one or two --config"),
        (["calls", "calls", *["--config", "x.toml"] * 2], "give one --config"),
        (["calls.golden.json", "--set", "failure_threshold=1"], "has no traffic: give B"),
        (["calls", "absent"], "absent: there is no such file or folder"),
        (["calls", "absent.json"], "absent.json: No such file or directory"),
        ([FIXTURES / "http-outage", "--set", "failure_threshold=1"], "written by breakers"),
        ([], "Missing argument 'A'"),
    ],
)
def test_diff_reports_bad_usage(capsys, calls, arguments, why):
    status, out, err = run(capsys, "diff", *arguments)
    assert (status, out) == (2, "")
    assert why in err


def test_diff_notes_settings_without_effect(capsys, calls):
    log = FIXTURES / "http-outage"
    status, _, err = run(capsys, "diff", log, log, "--set", "failure_threshold=1")
    assert (status, err) == (
        0, "recloser: the settings given have no effect: neither history is that of imported traffic\n",
    )  # fmt: skip


def test_diff_takes_standard_input(calls):
    log = FIXTURES / "http-outage" / "000000000001.jsonl"
    done = subprocess.run(
        [RECLOSER, "diff", "-", log], input=log.read_bytes(), capture_output=True, check=True
    )
    assert done.stdout.startswith(b"the histories are the same")
