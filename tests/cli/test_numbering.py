"""Events of driven traffic have the same numbers wherever they are shown."""

import json
import shlex

import pytest
from log_files import write_traffic

from recloser.cli import status_of
from recloser.core.events import StateChanged
from recloser.log.reader import LogReader

SETTINGS = ("--set", "failure_threshold=3", "--set", "recovery_timeout_seconds=2")
OUTAGES = {
    "two trips": "..FFFF....FFFFFFFF....",
    "more than one block": "." * 3000 + "FFFF...." + "." * 6000 + "FFFF.....",
}


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert status == 0
    return captured.out, captured.err


@pytest.mark.parametrize("outcomes", OUTAGES.values(), ids=list(OUTAGES))
def test_replay_why_and_the_written_log_have_the_same_seq_numbers(capsys, tmp_path, outcomes):
    log = write_traffic(tmp_path / "log", outcomes)
    replayed = json.loads(run(capsys, "replay", log, *SETTINGS, "--json", "--edges", "0")[0])
    numbers = [edge["seq"] for edge in replayed["edges"]]
    kept = json.loads(run(capsys, "replay", log, *SETTINGS, "--json", "-o", tmp_path / "kept")[0])
    assert [edge["seq"] for edge in kept["edges"]] == numbers
    written = [
        event.seq for event in LogReader(tmp_path / "kept") if isinstance(event, StateChanged)
    ]
    assert written == numbers
    trips = [edge["seq"] for edge in replayed["edges"] if edge["trigger"] == "trip"]
    for asked, settings in ((log, SETTINGS), (tmp_path / "kept", ())):
        why = json.loads(run(capsys, "why", asked, *settings, "--trip", "all", "--json")[0])
        assert [cause["seq"] for cause in why["causes"]] == trips


def test_why_says_how_to_keep_the_log_of_driven_breakers(capsys, tmp_path):
    log = write_traffic(tmp_path / "log", OUTAGES["two trips"])
    out, err = run(capsys, "why", log, *SETTINGS)
    (command,) = [
        line.partition(" with these seq numbers: ")[2]
        for line in err.splitlines()
        if " with these seq numbers: " in line
    ]
    words = shlex.split(command)
    assert words[-2:] == ["-o", "DRIVEN"]
    run(capsys, *words[1:-1], tmp_path / "kept")
    again, err = run(capsys, "why", tmp_path / "kept")
    assert again.splitlines()[0] == out.splitlines()[0]
    assert " with these seq numbers: " not in err
