"""``recloser replay --prove``, ``--sensitivity`` and ``--warp``: outputs and statuses."""

import json
import sys

import pytest
from log_files import read_lines, resealed

from conftest import ROOT
from recloser.cli import status_of
from recloser.proof import variants

RECORDING = ROOT / "fixtures" / "redis-killed"


def run(capsys, *arguments):
    status = status_of([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_proof_prints_a_table_of_equal_digests(capsys):
    status, out, err = run(capsys, "replay", RECORDING, "--prove")
    assert (status, err) == (0, "")
    head, *rows = out.splitlines()
    assert head.split() == ["variant", "digest"]
    assert sum("7d3a43c03f2c4a13  equal" in row for row in rows) == 24
    assert rows[-1] == "397 events, 5 edges; all 24 variants are equal; digest 7d3a43c03f2c4a13"


def test_a_proof_as_json_has_the_documented_form(capsys):
    status, out, _ = run(capsys, "replay", RECORDING, "--prove", "--json")
    proof = json.loads(out)
    assert status == 0
    assert next(iter(proof.items())) == ("schema", "recloser.replay-prove/1")
    assert (proof["events"], proof["edges"], proof["holds"]) == (397, 5, True)
    assert proof["rows"][0] == {
        "name": "same again",
        "digest": proof["digest"],
        "equal": True,
        "parting": None,
        "left_out": None,
    }


def test_variant_that_is_left_out_is_not_compared(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for name in ("recloser.log.parquet", "recloser.log.arrow_table"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    status, out, _ = run(capsys, "replay", RECORDING, "--prove", "--json")
    (left_out,) = [row for row in json.loads(out)["rows"] if row["left_out"]]
    assert status == 0
    assert left_out == {
        "name": "through Parquet and back",
        "digest": None,
        "equal": None,
        "parting": None,
        "left_out": "Parquet needs pyarrow, which is not installed; "
        "pip install 'recloser[parquet]'",
    }


def test_differing_variant_names_the_first_event_and_has_status_1(capsys, monkeypatch):
    right = variants.dump
    monkeypatch.setattr(variants, "dump", lambda state: {**right(state), "failed": 0})
    status, out, _ = run(capsys, "replay", RECORDING, "--prove")
    assert status == 1
    assert "cut and resumed from snapshots" in out
    assert "DIFFERS" in out
    assert (
        "cut and resumed from snapshots differs at seq 101, breaker 'redis': expected the event in "
        "the log; got the snapshot of 'redis' does not restore failed" in out
    )
    assert "1 of 24 variants differ" in out
    status, out, _ = run(capsys, "replay", RECORDING, "--prove", "--json")
    (row,) = [row for row in json.loads(out)["rows"] if row["equal"] is False]
    assert (status, row["parting"]["seq"]) == (1, 101)


def test_sensitivity_prints_the_smallest_errors_and_the_edges_that_move(capsys):
    status, out, err = run(capsys, "replay", RECORDING, "--sensitivity")
    assert (status, err) == (0, "")
    assert "drift   -12,227 ppm" in out
    assert "jitter  7.949 ms" in out
    assert "cool of 'redis' from OPEN to HALF_OPEN (epoch 4) at 3125469656 ns" in out


def test_sensitivity_as_json_has_the_documented_form(capsys):
    status, out, _ = run(capsys, "replay", RECORDING, "--sensitivity", "--json")
    result = json.loads(out)
    assert status == 0
    assert next(iter(result.items())) == ("schema", "recloser.replay-sensitivity/1")
    assert (result["events"], result["edges"]) == (397, 5)
    drift, jitter = result["sensitivities"]
    assert drift["moved"]["edge"] == {
        "seq": 314,
        "at_ns": 3125469656,
        "breaker": "redis",
        "epoch": 4,
        "from": "OPEN",
        "to": "HALF_OPEN",
        "trigger": "cool",
    }
    assert {**drift, "moved": None} == {
        "error": "drift",
        "unit": "ppm",
        "smallest": -12227,
        "most": 500_000,
        "host": None,
        "seed": None,
        "moved": None,
    }
    assert (jitter["unit"], jitter["seed"]) == ("us", 2)


@pytest.mark.parametrize("options", [["--prove"], ["--sensitivity"]])
def test_checks_of_imported_traffic_note_its_settings(capsys, tmp_path, options):
    trace = tmp_path / "trace.csv"
    rows = [f"{n},1,b,{'fail' if n < 5 else 'ok'}" for n in range(20)]
    trace.write_text("\n".join(["start_s,took_ms,target,outcome", *rows]) + "\n")
    run(
        capsys, "import", "csv", trace, "-o", tmp_path / "log", "--breaker", "{target}", "--start",
        "start_s", "--duration", "took_ms", "--outcome", "outcome", "--failure", "fail",
    )  # fmt: skip
    status, out, err = run(
        capsys, "replay", tmp_path / "log", *options, "--set", "failure_threshold=3",
        "--set", "recovery_timeout_seconds=7", "--json",
    )  # fmt: skip
    assert status == 0
    assert err == (
        "recloser: imported traffic, driven with failure_threshold=3, recovery_timeout_seconds=7\n"
    )
    assert json.loads(out)["edges"] >= 3


def test_settings_for_a_recorded_log_are_refused(capsys):
    for option in ("--prove", "--sensitivity"):
        status, out, err = run(capsys, "replay", RECORDING, option, "--set", "failure_threshold=3")
        assert (status, out) == (2, "")
        assert "settings can be given only for imported traffic" in err


def test_checks_of_a_log_with_a_torn_tail_have_status_4(capsys, tmp_path):
    lines = read_lines(RECORDING / "000000000001.jsonl")
    path = tmp_path / "torn.jsonl"
    path.write_bytes(resealed(lines[:50]) + b'{"event":"call_')
    for option in ("--prove", "--sensitivity"):
        status, _, err = run(capsys, "replay", path, option, "--json")
        assert status == 4
        assert "the last line was torn" in err


def test_wall_clock_warp_changes_no_edge(capsys):
    _, plain, _ = run(capsys, "replay", RECORDING, "--json")
    status, out, err = run(
        capsys, "replay", RECORDING, "--warp", "wall-step=-1h@tick", "--warp", "wall-drift=+10%",
        "--json",
    )  # fmt: skip
    assert (status, err) == (0, "")
    plain, warped = json.loads(plain), json.loads(out)
    assert warped["digest"] == plain["digest"]
    assert warped["witnesses"] == plain["witnesses"]
    assert [e["at_ns"] for e in warped["edges"]] == [e["at_ns"] for e in plain["edges"]]


def test_monotonic_clock_warp_notes_that_witnesses_are_not_compared(capsys):
    status, out, err = run(capsys, "replay", RECORDING, "--warp", "mono-drift=+1ppm")
    assert status == 0
    assert "5 edges, 0 witnesses checked" in out
    assert err == (
        "recloser: the time that decisions are taken by is warped: witnesses are not compared\n"
    )


def test_unreadable_warp_and_exclusive_options_are_reported_in_one_line(capsys):
    status, out, err = run(capsys, "replay", RECORDING, "--warp", "wall-shift=far")
    assert (status, out) == (2, "")
    assert err == (
        "recloser: the warp 'wall-shift=far' can't be read; write it as wall-shift=+1h\n"
    )
    status, _, err = run(capsys, "replay", RECORDING, "--prove", "--sensitivity")
    assert status == 2
    assert "do not go together" in err
