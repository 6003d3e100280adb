"""``recloser import FILE…`` recognises a trace, shows how it understands it, and imports it."""

import gzip
import json
import shlex

import pytest

from recloser.cli import status_of
from recloser.importers.formats.format_description import format_named

LINES = [
    '192.0.2.1 - - [28/Mar/2022:09:28:48 +0000] "GET /home HTTP/1.1" 200 27442 "-" "-" 1.886\n',
    '192.0.2.1 - - [28/Mar/2022:09:28:49 +0000] "GET /home HTTP/1.1" 502 27442 "-" "-" 0.5\n',
    '192.0.2.2 - - [28/Mar/2022:09:28:50 +0000] "GET /home HTTP/1.1" 499 27442 "-" "-" 0.25\n',
]


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "a b.log"
    path.write_text("".join(LINES))
    return path


def run(capsys, *arguments):
    status = status_of(["import", *map(str, arguments)])
    return status, *capsys.readouterr()


def test_calls_outcomes_and_the_full_command_are_shown(capsys, tmp_path, trace):
    out = tmp_path / "log"
    status, text, err = run(capsys, trace, "--breaker", "{host}", "-o", out)
    assert (status, err) == (0, "")
    lines = text.splitlines()
    assert lines[0].startswith("understood as nginx-request-time: nginx's combined")
    assert [line.split() for line in lines[2:6]] == [
        ["start", "(UTC)", "breaker", "took", "outcome"],
        ["2022-03-28T09:28:46.114000000Z", "192.0.2.1", "1.886", "s", "succeeded"],
        ["2022-03-28T09:28:48.500000000Z", "192.0.2.1", "0.5", "s", "failed", "(502)"],
        ["2022-03-28T09:28:49.750000000Z", "192.0.2.2", "0.25", "s", "ignored", "(499)"],
    ]
    assert ["502", "failed", "1"] in [line.split() for line in lines]
    assert lines[-2] == shlex.join(
        ["recloser", "import", str(trace), "--format", "nginx-request-time", "--unwrap", "none",
         "--breaker", "{host}", "--end", "time_local", "--duration", "request_time:s", "-o", str(out)]
    )  # fmt: skip
    assert lines[-1].startswith("read 3 lines: 3 calls on 2 breakers, 1 succeeded, 1 failed")


def test_the_full_command_imports_the_same(capsys, tmp_path, trace):
    given = ["--breaker", "{host}", "--failure", "499", "--slow", "1", "--json"]
    _, text, _ = run(capsys, trace, *given, "-o", tmp_path / "log")
    first = json.loads(text)
    words = shlex.split(first["command"])
    words[words.index("-o") + 1] = str(tmp_path / "again")
    _, text, _ = run(capsys, *words[2:], "--json")
    again = json.loads(text)
    assert (first["failed"], first["ignored"]) == (3, 0)
    assert again["outcomes"] == first["outcomes"]
    assert (again["failed"], again["calls"]) == (first["failed"], first["calls"])


def test_the_full_command_works_for_a_trace_with_start_end_and_duration(capsys, tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("breaker,start_s,end_s,duration_s,outcome\na,1700000000,1700000002,1,ok\n")
    _, text, _ = run(capsys, path, "--json", "-o", tmp_path / "log")
    first = json.loads(text)
    words = shlex.split(first["command"])
    words[words.index("-o") + 1] = str(tmp_path / "again")
    status, text, _ = run(capsys, *words[2:], "--json")
    assert status == 0
    assert json.loads(text)["calls_seen"] == first["calls_seen"]


def test_a_dry_run_writes_nothing(capsys, tmp_path, trace):
    status, text, _ = run(capsys, trace, "--breaker", "{host}", "--dry-run", "--json")
    assert status == 0
    answer = json.loads(text)
    assert answer["log"] is None
    assert answer["outcomes"][0]["calls"] == 1
    assert len(answer["calls_seen"]) == 3
    assert list(tmp_path.iterdir()) == [trace]


def test_a_dry_run_shows_unreadable_lines(capsys, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(
        "start,target,status\n03/04/2021 10:00:00 UTC,a,200\n25/04/2021 10:00:00 UTC,a,200\n"
    )
    status, _, err = run(capsys, path, "--dry-run")
    assert status == 3
    assert err.splitlines() == [
        (
            f"recloser: {path}, line 2: '03/04/2021 10:00:00 UTC' may be either of two dates: say which "
            "comes first with --dates month-first or --dates day-first"
        ),
        "recloser: 1 line of 2 could not be read",
    ]


def test_unreadable_record_of_a_document_is_named_by_its_position(capsys, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"start_ms":"x","service":"a","status":200}]')
    status, _, err = run(capsys, path, "-o", tmp_path / "log")
    assert status == 2
    assert "none of the 1 records could be read; the first is record 1: 'x' is not a number" in err


def test_several_files_make_one_log(capsys, tmp_path, trace):
    packed = tmp_path / "b.log.gz"
    packed.write_bytes(gzip.compress("".join(LINES).encode()))
    status, text, _ = run(capsys, trace, packed, "--breaker", "{host}", "-o", tmp_path / "log", "--json")  # fmt: skip
    assert status == 0
    assert json.loads(text)["calls"] == 6


def test_truncated_file_is_imported_up_to_the_cut(capsys, tmp_path):
    many = "".join(LINES[0].replace("192.0.2.1", f"192.0.2.{n}") for n in range(10_000))
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(many.encode())[:-2000])
    status, text, err = run(capsys, path, "--breaker", "all", "-o", tmp_path / "log", "--json")
    assert status == 3
    assert f"{path}: it is cut: the compressed data ends too early; everything before" in err
    assert 1000 < json.loads(text)["calls"] < 10_000


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--breaker", "{host}"], "name the log to write with -o LOG, or add --dry-run"),
        (["--dry-run"], "name its breaker with --breaker '{field}'; the fields are remote_addr"),
        (["--dry-run", "--breaker", "{nope}"], "there is no field 'nope'; the fields are remote_addr"),
        (["--dry-run", "--format", "nope"], "there is no format 'nope'; the formats are apache-combined"),
        (["--dry-run", "--format", "nginx"], "nginx is a part of other formats (an access log of nginx"),
        (["--dry-run", "--format", "csv", "--log-format", "$status"], "one of --format and --log-format"),
        (["--dry-run", "--breaker", "b", "--zone", "Mars"], "there is no time zone 'Mars'"),
        (["--dry-run", "--breaker", "b", "--unwrap", "x"], "there is no wrapper 'x' for --unwrap; use cri"),
        (["--dry-run", "--breaker", "b", "--duration", "request_time:d"], "there is no unit 'd'"),
        (["--dry-run", "--breaker", "b", "--outcome", "nope"], "there is no field 'nope'"),
    ],
)  # fmt: skip
def test_missing_and_wrong_options_are_reported_in_one_line(
    capsys, tmp_path, trace, arguments, word
):
    status, _, err = run(capsys, trace, *arguments)
    assert status == 2
    assert word in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [trace]


def test_unknown_outcomes_are_refused_after_the_table_is_shown(capsys, tmp_path):
    path = tmp_path / "status0.csv"
    path.write_text("target,start_unix_nano,duration_ms,status\na,1730248323000000000,0,0\n")
    status, text, err = run(capsys, path, "--dry-run")
    assert status == 2
    assert ["0", "unknown", "1"] in [line.split() for line in text.splitlines()]
    assert "the outcome of 1 of 1 calls is unknown" in err
    status, _, _ = run(capsys, path, "--unknown", "failed", "-o", tmp_path / "log")
    assert status == 0


def test_formats_are_listed(capsys):
    status, text, _ = run(capsys, "formats")
    assert status == 0
    assert "istio" in text


def test_many_breakers_with_few_calls_get_a_warning(capsys, tmp_path):
    path = tmp_path / "a.log"
    path.write_text("".join(LINES[0].replace("/home", f"/users/{n}") for n in range(150)))
    _, text, err = run(capsys, path, "--breaker", "{path}", "--dry-run")
    assert "150 breakers have 1.0 calls each, too few to open any: name fewer fields" in err
    assert "add --group, which replaces /users/123 by /users/{id}" in err
    _, text, err = run(capsys, path, "--breaker", "{path}", "--group", "--dry-run")
    assert err == ""
    assert " /users/{id} " in text
    assert " --group " in text


def test_a_dry_run_counts_records_that_are_not_calls(capsys, tmp_path):
    path = tmp_path / "k6.csv"
    header = "metric_name,timestamp,metric_value,name,status\n"
    path.write_text(header + "http_reqs,1645006050,1.0,b,503\nhttp_req_duration,1645006050,1530.1,b,503\n")  # fmt: skip
    _, text, _ = run(capsys, path, "--dry-run")
    assert "not calls: 1 with metric_name http_reqs" in text
    assert "2022-02-16T10:07:28.469900000Z  b        1.5301 s  failed (503)" in text


def test_rejected_call_is_shown_with_an_unknown_outcome(capsys, tmp_path):
    path = tmp_path / "status0.csv"
    path.write_text("target,start_unix_nano,duration_ms,status\na,1730248323000000000,0,0\n")
    _, text, _ = run(capsys, path, "--dry-run")
    assert text.splitlines()[3].split()[-2:] == ["unknown", "(0)"]


def test_outcome_that_no_call_has_is_noted(capsys, trace):
    _, _, err = run(capsys, trace, "--breaker", "b", "--failure", "tiemout", "--dry-run")
    assert "no call has the outcome 'tiemout', which an option names" in err


CSV_OF_S = "breaker,start_s,outcome\na,1700000000,ok\n"


@pytest.mark.parametrize(
    ("text", "options", "word"),
    [
        (CSV_OF_S, ["--slow", "1"], "--slow needs the duration of calls, which is not known"),
        (CSV_OF_S, ["--zone", "Europe/Berlin"], "--zone is for times written as dates, and start_s counts"),
        (CSV_OF_S, ["--group", "--breaker", "b"], "--group is for fields in --breaker"),
        (CSV_OF_S, ["--unwrap", "cri"], "no line is wrapped in"),
        (CSV_OF_S.replace("outcome", "end"), ["--failure", "x"], "need a field that says how calls ended"),
        (
            CSV_OF_S,
            ["--format", "istio"],
            "none of the 2 lines could be read; the first is line 1: the format does not match it",
        ),
        ("".join(LINES), ["--format", "envoy-json", "--breaker", "b"], "it looks like nginx's combined"),
        (
            '192.0.2.28:1 [12/Mar/2021:06:56:28.088] f b/s 0/0/0/1263/1264 200 20602 - - ---- 1/1/3/4/0 0/0 "GET / HTTP/1.1"\n',
            [],
            "has no zone: name it with --zone, as Europe/Berlin",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_dry", [True, False])
def test_options_that_can_not_apply_are_refused(capsys, tmp_path, text, options, word, is_dry):
    path = tmp_path / "trace"
    path.write_text(text)
    where = ["--dry-run"] if is_dry else ["-o", tmp_path / "log"]
    status, out, err = run(capsys, path, *where, *options)
    assert (status, out) == (2, "")
    assert word in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


def test_the_help_of_import_shows_the_options_of_files(capsys):
    status, text, _ = run(capsys, "--help")
    assert status == 0
    lines = [line.strip() for line in text.splitlines()]
    assert lines[:2] == [
        "Usage: recloser import FILE... -o LOG [OPTIONS]",
        "recloser import COMMAND [ARGS]...",
    ]
    for option in (
        "--breaker TEMPLATE",
        "--log-format STRING",
        "--dry-run",
        "-h, --help",
        "--slow",
    ):
        assert sum(line.startswith(option) for line in lines) == 1
    assert any(line.startswith("formats ") for line in lines)


def test_label_that_resilience4j_does_not_log_is_refused(capsys, tmp_path):
    path = tmp_path / "trace"
    path.write_text(format_named("resilience4j").sample.lstrip())
    status, _, err = run(capsys, "resilience4j", path, "-o", tmp_path / "log", "--label", "x")
    assert (status, "there is no field 'x'; the fields are breaker" in err) == (2, True)


@pytest.mark.parametrize(
    "command",
    [
        ["otlp"],
        ["zipkin"],
        ["jaeger"],
        ["resilience4j"],
        ["csv", "--breaker", "b", "--start", "s", "--outcome", "o"],
        ["--format", "json", "--breaker", "b"],
        ["--format", "istio"],
    ],
)
def test_the_wrong_importer_says_what_the_file_is(capsys, tmp_path, trace, command):
    status, _, err = run(capsys, *command, trace, "-o", tmp_path / "log")
    assert status == 2
    assert err.rstrip().endswith("--format nginx-request-time")
    assert "it looks like nginx's combined access log" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(("duration", "is_known"), [("duration_s", True), ("lasted", False)])
def test_unknown_durations_are_noted(capsys, tmp_path, duration, is_known):
    path = tmp_path / "calls.csv"
    path.write_text(f"breaker,start_s,{duration},outcome\na,1700000000,2,ok\n")
    _, text, _ = run(capsys, path, "--dry-run")
    assert ("how long calls took is not known, so each takes 0 s" in text) == (not is_known)
