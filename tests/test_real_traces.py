"""Public traces, from the import to the cause of a trip, compared with independent counts."""

import csv
import gzip
import json
import subprocess
from collections import defaultdict
from datetime import UTC, datetime
from fractions import Fraction

import pytest
import zstandard

from recloser.cli import status_of

FAILURES_IN_A_ROW = 5


def run(capsys, *arguments):
    assert status_of([str(argument) for argument in arguments]) == 0
    return json.loads(capsys.readouterr().out)


def imported_csv(capsys, trace, out, breaker):
    return run(
        capsys, "import", "csv", trace, "-o", out, "--breaker", breaker, "--start",
        "start_unix_nano", "--duration", "duration_ms", "--outcome", "outcome", "--failure",
        "fail", "--json",
    )  # fmt: skip


def replayed(capsys, log):
    return run(
        capsys, "replay", log, "--set", "failure_threshold=5", "--set",
        "recovery_timeout_seconds=30", "--json",
    )  # fmt: skip


def rows_of(trace):
    """Each row with its breaker's name and the end in nanoseconds, read without recloser."""
    with gzip.open(trace, "rt", newline="") as text:
        for row in csv.DictReader(text):
            took = round(Fraction(row["duration_ms"] or "0") * 10**6)
            row["took_ns"] = took
            row["end_ns"] = int(row["start_unix_nano"]) + took
            row["breaker"] = f"{row['caller']}->{row['target']}"
            yield row


def runs_of_failures(trace):
    """For each breaker: the first five failures of every run of at least five, ordered by end."""
    runs = defaultdict(list)
    current = defaultdict(list)
    for row in sorted(rows_of(trace), key=lambda row: row["end_ns"]):
        run = current[row["breaker"]]
        if row["outcome"] != "fail":
            current[row["breaker"]] = []
            continue
        run.append(row)
        if len(run) == FAILURES_IN_A_ROW:
            runs[row["breaker"]].append(list(run))
    return runs


def lines_of(log):
    """Return the lines of all segments of a log; full segments are compressed."""
    data = b""
    for path in sorted(log.glob("*.jsonl*")):
        with path.open("rb") as raw:
            if path.suffix == ".zst":
                data += zstandard.ZstdDecompressor().stream_reader(raw).read()
            else:
                data += raw.read()
    return data.splitlines()


def utc_text(ns):
    return f"{datetime.fromtimestamp(ns // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ns % 10**9:09d}Z"


@pytest.mark.parametrize(
    ("name", "calls", "breakers", "failed", "runs", "tripping"),
    [
        ("trainticket-2023-01-29.csv.gz", 50_654, 55, 513, 42, 8),
        ("upptime-sites.csv.gz", 93_257, 125, 22_840, 51, 46),
    ],
)
def test_exactly_the_pairs_with_five_consecutive_failures_trip(
    real_trace, capsys, tmp_path, name, calls, breakers, failed, runs, tripping
):
    trace = real_trace(name)
    log = tmp_path / "log"
    summary = imported_csv(capsys, trace, log, "{caller}->{target}")
    assert (summary["read"], summary["calls"], summary["breakers"]) == (calls, calls, breakers)
    assert (summary["failed"], summary["unreadable"]) == (failed, [])

    expected = runs_of_failures(trace)
    assert sum(len(found) for found in expected.values()) == runs
    assert len(expected) == tripping

    history = replayed(capsys, log)
    trips = [edge for edge in history["edges"] if edge["trigger"] == "trip"]
    assert {edge["breaker"] for edge in trips} == set(expected)
    assert history["witnesses"] == {"checked": len(history["edges"]), "differing": 0}
    assert len(history["states"]) == history["breakers"] == breakers
    for breaker, found in expected.items():
        first = next(edge for edge in trips if edge["breaker"] == breaker)
        assert first["utc"] == utc_text(found[0][-1]["end_ns"])
    totals = history["totals"].values()
    assert sum(sum(total.values()) for total in totals) == calls


@pytest.mark.parametrize("name", ["trainticket-2023-01-29.csv.gz", "upptime-sites.csv.gz"])
def test_why_names_the_failures_that_an_independent_count_finds(real_trace, capsys, tmp_path, name):
    """For the first trips of four breakers, the evidence has the same times and durations."""
    trace = real_trace(name)
    imported_csv(capsys, trace, tmp_path / "log", "{caller}->{target}")
    run(capsys, "replay", tmp_path / "log", "-o", tmp_path / "driven", "--json")
    lines = lines_of(tmp_path / "driven")
    for breaker, found in list(runs_of_failures(trace).items())[:4]:
        driven = tmp_path / "driven"
        answer = run(capsys, "why", driven, "--breaker", breaker, "--trip", 1, "--json")
        (cause,) = answer["causes"]
        assert [(call["utc"], call["took_ns"]) for call in cause["evidence"]] == [
            (utc_text(row["end_ns"]), row["took_ns"]) for row in found[0]
        ]
        assert [call["error"] for call in cause["evidence"]] == ["fail"] * FAILURES_IN_A_ROW
        for call in cause["evidence"]:
            event = json.loads(lines[call["seq"] - 1])
            assert (event["seq"], event["event"]) == (call["seq"], "call_failed")
            assert (event["breaker"], event["took"]) == (breaker, call["took_ns"])


def test_no_breaker_trips_on_a_web_server_with_few_errors(real_trace, capsys, tmp_path):
    trace = real_trace("apache-combined.log.gz")
    for template in ("{host}", "{method}"):
        log = tmp_path / template.strip("{}")
        summary = run(
            capsys, "import", "access-log", trace, "-o", log, "--breaker", template, "--json"
        )
        assert (summary["read"], summary["calls"], summary["failed"]) == (10_000, 10_000, 3)
        assert summary["unreadable"] == []
        history = replayed(capsys, log)
        assert history["edges"] == []
        assert set(history["states"].values()) == {"CLOSED"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("trainticket-2023-01-29.csv.gz", marks=pytest.mark.soak),
        "apache-combined.log.gz",
    ],
)
def test_proof_of_a_real_trace_holds(real_trace, capsys, tmp_path, name):
    trace, log = real_trace(name), tmp_path / "log"
    if name.endswith(".csv.gz"):
        imported_csv(capsys, trace, log, "{caller}->{target}")
    else:
        run(
            capsys, "import", "access-log", trace, "-o", log, "--breaker", "{method}", "--json"
        )  # fmt: skip
    assert_proved(
        run(
            capsys, "replay", log, "--prove", "--set", "failure_threshold=5", "--set",
            "window={seconds=60, failure_rate=0.5, minimum_calls=10}", "--json",
        )
    )  # fmt: skip


@pytest.mark.soak
def test_proof_holds_for_the_log_of_breakers_driven_by_a_real_trace(real_trace, capsys, tmp_path):
    """A third of these sites are down, so about every second call causes a state change."""
    imported_csv(capsys, real_trace("upptime-sites.csv.gz"), tmp_path / "log", "{caller}->{target}")
    run(capsys, "replay", tmp_path / "log", "-o", tmp_path / "driven", "--json")
    proof = run(capsys, "replay", tmp_path / "driven", "--prove", "--json")
    assert_proved(proof)
    assert proof["edges"] == 43_726


def assert_proved(proof):
    assert proof["holds"]
    assert {row["digest"] for row in proof["rows"] if row["equal"]} == {proof["digest"]}
    assert all(row["equal"] for row in proof["rows"])


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("trainticket-2023-01-29.csv.gz", """awk -F, 'NR>1 {n++; k[$3"->"$4]; f+=$7=="fail"} END {print n, length(k), f}'"""),
        ("upptime-sites.csv.gz", """awk -F, 'NR>1 {n++; k[$3"->"$4]; f+=$7=="fail"} END {print n, length(k), f}'"""),
    ],
)  # fmt: skip
def test_counts_of_import_and_whatif_equal_those_of_awk(real_trace, capsys, tmp_path, name, query):
    trace = real_trace(name)
    completed = subprocess.run(
        f"gzip -dc '{trace}' | {query}", shell=True, capture_output=True, text=True, check=True
    )
    calls, breakers, failed = map(int, completed.stdout.split())
    summary = imported_csv(capsys, trace, tmp_path / "log", "{caller}->{target}")
    assert (summary["calls"], summary["breakers"], summary["failed"]) == (calls, breakers, failed)
    report = run(capsys, "whatif", tmp_path / "log", "--json")
    none, ours = (result["total"] for result in report["results"])
    assert (report["calls"], none["let_through"]["low"]) == (calls, failed)
    assert ours["saved"]["low"] + ours["let_through"]["low"] == failed

    history = replayed(capsys, tmp_path / "log")
    trips = sum(edge["trigger"] == "trip" for edge in history["edges"])
    assert ours["trips"]["low"] == trips
    totals = history["totals"].values()
    assert ours["rejected"]["low"] == sum(total["rejected"] for total in totals)


def test_counts_of_an_access_log_equal_those_of_awk(real_trace, capsys, tmp_path):
    trace = real_trace("apache-combined.log.gz")
    query = "grep -cE '\" 5[0-9][0-9] [0-9-]+ '"
    completed = subprocess.run(
        f"gzip -dc '{trace}' | {query}", shell=True, capture_output=True, text=True, check=True
    )
    log = tmp_path / "log"
    summary = run(
        capsys, "import", "access-log", trace, "-o", log, "--breaker", "{method}", "--json"
    )
    assert summary["failed"] == int(completed.stdout)
