"""``recloser golden`` and ``replay --golden``: statuses, and how differences are printed."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from breaker_calls import fail, succeed
from log_files import write_traffic

from conftest import ROOT
from recloser import CircuitBreaker, EventLog
from recloser.cli import status_of
from recloser.cli.render.terminal import results

RECLOSER = Path(sys.executable).with_name("recloser")


@pytest.fixture
def folder(tmp_path, monkeypatch, clock):
    """A recording with its golden file in the current folder."""
    with EventLog(tmp_path / "outage", clock=clock, tick_seconds=None, seal_seconds=None) as log:
        breaker = CircuitBreaker("pay[bold]\x1b[31m", log=log)
        clock.advance(seconds=2)
        fail(breaker, 5)
        clock.advance(seconds=30)
        succeed(breaker, 2)
    monkeypatch.chdir(tmp_path)
    assert status_of(["golden", "update", "outage"]) == 0
    return tmp_path


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def edit(old, new):
    path = Path("outage.golden.json")
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_golden_check_of_equal_histories_prints_one_line(capsys, folder):
    capsys.readouterr()
    for path in ("outage", "outage.golden.json", "."):
        status, out, err = run(capsys, "golden", "check", path)
        assert (status, out, err) == (0, "1 golden file: 1 the same, 0 different\n", "")


def test_golden_check_names_the_edge_its_move_and_the_first_event(capsys, folder):
    edit('"seq":8,"at":2000000000', '"seq":8,"at":1999000000')
    capsys.readouterr()
    status, out, err = run(capsys, "golden", "check", ".")
    assert (status, err) == (1, "")
    assert out.splitlines() == [
        "outage.golden.json: differs",
        "  the histories first differ at seq 7, call_failed of pay[bold]\\x1b[31m at 2.000000000 s, TimeoutError",
        "  pay[bold]\\x1b[31m: edge 1, trip, moved 1.000 ms later",
        "  - 1.999000000 s  CLOSED → OPEN  trip at seq 8: consecutive_failures, 5 of 5 on seq 3, 4, 5, 6, 7",
        "  + 2.000000000 s  CLOSED → OPEN  trip at seq 8: consecutive_failures, 5 of 5 on seq 3, 4, 5, 6, 7",
        f"  digest: {json.loads(Path('outage.golden.json').read_text())['digest'][:16]}, the same",
        "1 golden file: 0 the same, 1 different",
    ]


def test_golden_check_colours_differences_on_a_terminal(capsys, folder, monkeypatch):
    edit('"seq":8,"at":2000000000', '"seq":8,"at":1999000000')
    capsys.readouterr()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    results.cache_clear()
    try:
        _, out, _ = run(capsys, "golden", "check", ".")
    finally:
        results.cache_clear()
    lines = out.splitlines()
    assert sum(line.startswith("\x1b[31m  - 1.999") for line in lines) == 1
    assert sum(line.startswith("\x1b[32m  + 2.000") for line in lines) == 1


def test_golden_commands_as_json_have_the_whole_comparison(capsys, folder):
    edit('"failed":5', '"failed":4')
    capsys.readouterr()
    status, out, _ = run(capsys, "golden", "check", ".", "--json")
    found = json.loads(out)
    assert (status, next(iter(found.items()))) == (1, ("schema", "recloser.golden-check/1"))
    (golden,) = found["golden"]
    assert (golden["golden"], golden["verdict"]) == ("outage.golden.json", "different")
    assert golden["comparison"]["totals"][0]["old"]["failed"] == 4
    assert golden["comparison"]["edges"] == []
    status, out, _ = run(capsys, "golden", "update", ".", "--json")
    assert status == 0
    assert json.loads(out)["schema"] == "recloser.golden-update/1"
    assert json.loads(out)["golden"][0]["verdict"] == "changed"


def test_golden_update_prints_what_it_wrote(capsys, folder):
    shutil.copytree("outage", "again")
    edit('"failed":5', '"failed":4')
    capsys.readouterr()
    status, out, err = run(capsys, "golden", "update", ".")
    assert (status, err) == (0, "")
    assert "again.golden.json: new\n" in out
    assert "outage.golden.json: changed\n" in out
    assert "failed 4 became 5" in out
    assert out.endswith("2 golden files: 1 new, 1 changed, 0 unchanged\n")
    assert run(capsys, "golden", "check", ".")[0] == 0
    assert run(capsys, "golden", "update", ".")[1] == (
        "2 golden files: 0 new, 0 changed, 2 unchanged\n"
    )


def test_missing_and_unused_golden_files_fail(capsys, folder):
    shutil.copytree("outage", "new")
    Path("outage").rename("renamed")
    capsys.readouterr()
    status, out, err = run(capsys, "golden", "check", ".")
    assert status == 2
    assert err.count("\n") == 3
    assert "new has no golden file; write it with `recloser golden update new`" in err
    assert "outage.golden.json: its trace is gone" in err
    assert out == "3 golden files: 0 the same, 0 different, 3 could not be checked\n"


def test_broken_golden_file_does_not_stop_the_others(capsys, folder):
    shutil.copytree("outage", "a")
    Path("a.golden.json").write_text("{")
    capsys.readouterr()
    status, out, err = run(capsys, "golden", "check", ".")
    assert (status, out.split(": ")[1]) == (2, "1 the same, 0 different, 1 could not be checked\n")
    assert err.startswith("recloser: a.golden.json: this is not a complete golden file: ")


def test_golden_check_has_statuses_for_later_versions_torn_tails_and_damage(capsys, folder):
    edit("golden/1", "golden/2")
    assert run(capsys, "golden", "check", ".")[0] == 5
    edit("golden/2", "golden/1")
    segment = Path("outage/000000000001.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(whole + b'{"event":')
    assert run(capsys, "golden", "check", ".")[0] == 4
    segment.write_bytes(whole.replace(b'"took":0', b'"took":1', 1))
    assert run(capsys, "golden", "check", ".")[0] == 3


def test_golden_update_is_refused_on_a_ci_server(capsys, folder, monkeypatch):
    edit('"failed":5', '"failed":4')
    before = Path("outage.golden.json").read_bytes()
    monkeypatch.setenv("CI", "true")
    capsys.readouterr()
    status, out, err = run(capsys, "golden", "update", ".")
    assert (status, out) == (2, "")
    assert err.startswith("recloser: recloser golden update: the environment says that this is CI")
    assert Path("outage.golden.json").read_bytes() == before
    assert run(capsys, "golden", "check", ".")[0] == 1


def test_golden_file_keeps_the_settings_of_imported_calls(capsys, folder):
    write_traffic(folder / "calls", "FFFFFF")
    settings = Path("breaker.toml")
    settings.write_text("failure_threshold = 2\n")
    assert run(capsys, "golden", "update", "calls", "--config", settings)[0] == 0
    assert (
        json.loads(Path("calls.golden.json").read_text())["driven_with"]["failure_threshold"] == 2
    )
    assert run(capsys, "golden", "check", "calls")[0] == 0
    status, out, _ = run(capsys, "golden", "update", "calls", "--set", "failure_threshold=3")
    assert (status, "failure_threshold: 2 became 3" in out) == (0, True)


def test_replay_compares_with_a_golden_file(capsys, folder):
    capsys.readouterr()
    golden = ("--golden", "outage.golden.json")
    status, out, _ = run(capsys, "replay", "outage", *golden)
    assert (status, out.splitlines()[-1]) == (0, "equal to outage.golden.json")
    edit('"failed":5', '"failed":4')
    status, out, _ = run(capsys, "replay", "outage", *golden)
    assert status == 1
    assert "differs from outage.golden.json\ncalls of pay" in out
    status, out, _ = run(capsys, "replay", "outage", *golden, "--json")
    assert (status, json.loads(out)["golden"]["equal"]) == (1, False)
    status, _, err = run(capsys, "replay", "outage", "--golden", "absent.golden.json")
    assert (status, err) == (2, "recloser: absent.golden.json: No such file or directory\n")


def test_replay_drives_calls_with_the_settings_of_the_golden_file(capsys, folder):
    write_traffic(folder / "calls", "FFFFFF")
    run(capsys, "golden", "update", "calls", "--set", "failure_threshold=2")
    golden = ("--golden", "calls.golden.json")
    status, _, err = run(capsys, "replay", "calls", *golden)
    assert (status, err) == (0, "recloser: imported traffic, driven with failure_threshold=2\n")
    status, out, _ = run(capsys, "replay", "calls", *golden, "--set", "failure_threshold=3")
    assert (status, "failure_threshold: 2 became 3" in out) == (1, True)
    assert run(capsys, "replay", "calls", *golden, "-o", "driven")[0] == 0


@pytest.mark.parametrize(
    "command", [["golden"], ["golden", "check"], ["golden", "update"], ["diff"]]
)
def test_help_begins_with_the_usage(capsys, command):
    status, out, _ = run(capsys, *command, "--help")
    assert (status, out.startswith("Usage: recloser")) == (0, True)


def test_fixtures_agree_with_their_golden_files(capsys):
    status, out, err = run(capsys, "golden", "check", ROOT / "fixtures")
    assert (status, err) == (0, "")
    assert out.endswith("the same, 0 different\n")
