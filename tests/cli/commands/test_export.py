"""``recloser export``: a log as one Parquet file, which every command reads as the log."""

import json

import pytest
from log_files import write_traffic

from conftest import ROOT
from recloser.cli import status_of

RECORDING = ROOT / "fixtures" / "redis-killed"


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture
def exported(capsys, tmp_path):
    path = tmp_path / "log.parquet"
    status, out, err = run(capsys, "export", RECORDING, path)
    assert (status, err) == (0, "")
    assert out.startswith(f"397 events written to {path}: ")
    return path


def test_export_as_json_has_the_figures_of_the_file(capsys, tmp_path):
    status, out, _ = run(capsys, "export", RECORDING, tmp_path / "log.parquet", "--json")
    printed = json.loads(out)
    assert status == 0
    assert (printed["schema"], printed["events"]) == ("recloser.export/1", 397)
    assert printed["bytes"] == (tmp_path / "log.parquet").stat().st_size


def test_replay_of_a_parquet_file_prints_the_same(capsys, exported):
    assert run(capsys, "replay", exported) == run(capsys, "replay", RECORDING)
    printed = json.loads(run(capsys, "replay", exported, "--json")[1])
    assert printed["engine"] == {"name": "columns", "because": None}


@pytest.mark.parametrize(
    "command", [["why"], ["why", "--at", "2026-11-24T14:48:55Z"], ["whatif"], ["replay", "--prove"]]
)
def test_every_command_reads_a_parquet_file_as_the_log(capsys, exported, command):
    name, *options = command
    status, out, err = run(capsys, name, exported, *options)
    printed = (status, out.replace(str(exported), str(RECORDING)), err)
    assert printed == run(capsys, name, RECORDING, *options)


def test_calls_in_a_parquet_file_drive_breakers(capsys, tmp_path):
    log = write_traffic(tmp_path / "log", "..FFFFFF.....")
    run(capsys, "export", log, tmp_path / "log.parquet")
    by_event = json.loads(run(capsys, "replay", log, "--json")[1])
    by_column = json.loads(run(capsys, "replay", tmp_path / "log.parquet", "--json")[1])
    assert by_column["digest"] == by_event["digest"]
    assert by_event["edges"]


def test_existing_output_is_not_overwritten(capsys, exported):
    before = exported.read_bytes()
    status, _, err = run(capsys, "export", RECORDING, exported)
    assert status == 2
    assert "exists already and is left as it is" in err
    assert exported.read_bytes() == before


def test_export_refuses_a_name_without_the_suffix_of_parquet(capsys, tmp_path):
    status, _, err = run(capsys, "export", RECORDING, tmp_path / "log.csv")
    assert status == 2
    assert "choose a name that ends in .parquet" in err


def test_export_of_a_damaged_log_leaves_no_file(capsys, tmp_path):
    segment = tmp_path / "log.jsonl"
    (original,) = RECORDING.glob("*.jsonl")
    segment.write_bytes(original.read_bytes().replace(b'"took":', b'"took":1', 1))
    status, _, err = run(capsys, "export", segment, tmp_path / "log.parquet")
    assert status == 3
    assert "is broken" in err
    assert not (tmp_path / "log.parquet").exists()
