"""The first commands that users try: they import the file, or say what is missing.

The lines are modelled on the documentation of the programs that write them.
"""

import gzip
import json
import shlex

import pytest

from recloser.cli import status_of

ENVOY = '[2026-01-01T00:00:0{}.250Z] "GET /pay HTTP/1.1" 503 UF 0 154 12 - "-" "curl 8" "c" "bank.example" "192.0.2.1:80"'
CLF = '192.0.2.1 - - [15/Sep/2021:16:13:4{} +0000] "POST /login HTTP/1.1" 503 5 "-" "-"'
TIME = "2021-09-15T16:13:47.123456789Z"
PINO = '{{"level":30,"time":163172242612{},"hostname":"web","req":{{"url":"/pay"}},"res":{{"statusCode":503}},"responseTime":12,"msg":"request completed"}}'
POSTGRES = (
    "2021-09-15 18:13:4{}.123 CEST,app,shop,28,192.0.2.7:5432,ERROR,57014"
    ",canceling statement due to statement timeout\n"
)
NOVA = (
    "nova-api.log 2017-05-16 00:00:0{}.008 25746 INFO nova.wsgi [req-3 - -] 192.0.2.4 "
    '"GET /v2/54fa/servers HTTP/1.1" status: 503 len: 1893 time: 0.2477829\n'
)
APP = ("--outcome", "res.statusCode", "--duration", "responseTime:ms")


def lines(line, wrap="{}"):
    return "".join(wrap.replace("{}", line.format(number)) + "\n" for number in range(3))


FIRST = {
    "Envoy text inside Docker JSON": (
        "".join(
            '{"log":' + json.dumps(ENVOY.format(n) + "\n") + f',"stream":"stdout","time":"{TIME}"}}\n'
            for n in range(3)
        ), [], "bank.example", 12),
    "Envoy text after a CRI prefix": (lines(ENVOY, f"{TIME} stdout F {{}}"), [], "bank.example", 12),
    "access log after syslog": (lines(CLF, "Sep 15 16:13:46 web nginx: {}"), ["{host}"], "192.0.2.1", 0),
    "access log after syslog's new form": (
        lines(CLF, f"<134>1 {TIME} web nginx - - - {{}}"), ["{host}"], "192.0.2.1", 0),
    "access log of a pod": (lines(CLF, "[pod/web-7d/nginx] {}"), ["{host}"], "192.0.2.1", 0),
    "access log of a collector": (
        "".join(json.dumps({"@timestamp": TIME, "message": CLF.format(n)}) + "\n" for n in range(3)),
        ["{host}"], "192.0.2.1", 0),
    "pino after kubectl": (lines(PINO, "[pod/web-7d/app] {}"), ["{hostname}", *APP], "web", 12),
    "pino after kubectl with times": (lines(PINO, TIME + " {}"), ["{hostname}", *APP], "web", 12),
    "pino after docker compose": (lines(PINO, "web-1  | {}"), ["{hostname}", *APP], "web", 12),
    "pino after CRI": (lines(PINO, f"{TIME} stdout F {{}}"), ["{hostname}", *APP], "web", 12),
    "a logger's prefix before JSON": (
        lines(PINO, "2021-09-15 16:13:47,123 INFO [main] app - {}"), ["{hostname}", *APP], "web", 12),
    "PostgreSQL CSV without a header": (
        lines(POSTGRES[:-1]),
        ["{database}", "--header", "time,user,database,pid,client,severity,outcome,message",
         "--end", "time", "--failure", "57014"], "shop", 0),
    "OpenStack's nova-api": (
        lines(NOVA[:-1]),
        ["{target}", "--zone", "UTC", "--duration", "duration_s", "--regex",
         r"(?P<end>\d{4}-\S+ \S+) .* (?P<target>nova\S+) .* status: (?P<status>\d+) .* time: (?P<duration_s>\S+)"],
        "nova.wsgi", 247.7829),
    "semicolons and decimal commas": (
        "service;start;duration_ms;status\n" + "bank;2021-09-15T16:13:47Z;1,5;503\n" * 3, [], "bank", 1.5),
    "tabs": ("service\tstart\tduration\tstatus\n" + f"bank\t{TIME}\t12ms\t503\n" * 3, [], "bank", 12),
    "Go's durations": ("service,start,duration,status\n" + f"bank,{TIME},1m2.5s,503\n" * 3, [], "bank", 62500),
    "durations of Google": (lines('{{"service":"bank","start":"' + TIME + '","duration":"0.027s","status":503}}'),
                            [], "bank", 27),
    "ISO durations": ("service,start,duration,status\n" + f"bank,{TIME},PT1.5S,503\n" * 3, [], "bank", 1500),
    "thousands": ("service,start,duration_ms,status\n" + f'bank,{TIME},"1,234",503\n' * 3, [], "bank", 1234),
    "UTF-16": (("service,start,duration_ms,status\n" + f"bank,{TIME},5,503\n" * 3).encode("utf-16"), [], "bank", 5),
    "an array in JSON": (json.dumps([json.loads(PINO.format(n)) for n in range(3)]), ["{hostname}", *APP], "web", 12),
    "pretty JSON": ("\n".join(json.dumps(json.loads(PINO.format(n)), indent=2) for n in range(3)),
                    ["{hostname}", *APP], "web", 12),
    "an array under a path": (
        json.dumps({"log": {"entries": [json.loads(PINO.format(n)) for n in range(3)]}}),
        ["{hostname}", "--records", "log.entries", *APP], "web", 12),
}  # fmt: skip


def run(capsys, *arguments):
    status = status_of(["import", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.parametrize("what", FIRST)
def test_first_command_imports_the_calls_counted_by_hand(capsys, tmp_path, what):
    text, options, breaker, took_ms = FIRST[what]
    path = tmp_path / "trace"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    given = ["--breaker", *options] if options else []
    status, out, err = run(capsys, path, *given, "--json", "-o", tmp_path / "log")
    assert (status, err) == (0, "")
    answer = json.loads(out)
    assert (answer["calls"], answer["failed"], answer["breakers"]) == (3, 3, 1)
    seen = answer["calls_seen"][0]
    assert (seen["breaker"], seen["took_ns"]) == (breaker, round(took_ms * 10**6))
    # The printed command imports the same calls.
    words = shlex.split(answer["command"])
    words[words.index("-o") + 1] = str(tmp_path / "again")
    status, out, _ = run(capsys, *words[2:], "--json")
    assert status == 0
    assert json.loads(out)["calls_seen"] == answer["calls_seen"]


@pytest.mark.parametrize(
    ("text", "options", "missing"),
    [
        ('WEB 192.0.2.1:52340 - "GET / HTTP/1.1" 200 OK\n', [], "give the format string of the program that wrote them"),
        ('INFO:     192.0.2.1:52340 - "GET / HTTP/1.1" 200 OK\n', [], "which does not say when a call was"),
        ("service,start,duration_ms,status\nbank,2021-09-15 16:13:47,5,503\n", [], "has no zone: name it with --zone"),
        ("service,start,duration_ms,status\nbank,03/04/2021 16:13:47 UTC,5,503\n", [], "first with --dates month-first"),
        (f"service;start;duration_ms;status\nbank;{TIME};1,234;503\n", [], "with --decimal , or --decimal ."),
        (f"bank,{TIME},5,503\n", [], "name them with --header"),
        (json.dumps({"log": {"pages": [{"id": 1}], "entries": [{"status": 1}] * 3}}), [], "--records log.entries"),
        ("#Fields: date time cs-method sc-status time-taken\n2021-09-15 16:13:47 GET 503 5\n",
         ["--breaker", "a"], "has no unit: give it as FIELD:ms"),
    ],
)  # fmt: skip
def test_missing_option_is_named_in_one_line(capsys, tmp_path, text, options, missing):
    (tmp_path / "trace").write_text(text)
    status, _, err = run(capsys, tmp_path / "trace", *options, "-o", tmp_path / "log")
    assert status == 2
    assert missing in err
    assert err.count("\n") == 1


def test_rotated_pieces_in_a_folder_make_one_log(capsys, tmp_path):
    folder = tmp_path / "traces"
    folder.mkdir()
    (folder / "access.log").write_text(lines(CLF))
    (folder / "access.log.1").write_text(lines(CLF))
    (folder / "access.log.2.gz").write_bytes(gzip.compress(lines(CLF).encode()))
    status, out, _ = run(capsys, folder, "--breaker", "{host}", "--json", "-o", tmp_path / "log")
    assert (status, json.loads(out)["calls"]) == (0, 9)
