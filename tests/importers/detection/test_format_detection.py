"""Detection of the format of lines, and errors that say what to name if it is not detected."""

from datetime import UTC
from pathlib import Path

import pytest
from import_support import imported, ready

from recloser import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import format_named
from recloser.importers.outcomes.outcome_rules import UserRules

CLF = '192.0.2.1 - - [15/Sep/2021:16:13:4{} +0000] "POST /login HTTP/1.1" 502 5364 "-" "-"'


def test_lines_after_different_prefixes_are_read_alike(tmp_path):
    lines = [
        "Sep 15 16:13:46 web nginx[2869]: " + CLF.format(6),
        "2021-09-15T16:13:47.1Z stdout F " + CLF.format(7),
        "shop.example:443 " + CLF.format(8),
    ]
    calls, unreadable = imported(tmp_path, "\n".join(lines), breaker="{host}")
    assert unreadable == []
    assert [(call.breaker, call.outcome) for call in calls] == [("192.0.2.1", Outcome.FAILED)] * 3
    assert [call.start - calls[0].start for call in calls] == [0, 10**9, 2 * 10**9]


def test_request_time_at_the_end_of_a_line_is_the_duration(tmp_path):
    line = '192.0.2.1 - - [28/Mar/2022:09:28:48 +0000] "GET /home HTTP/1.1" 200 27442 "-" "-" "-" 1.886 "MISS"'
    trace_import = ready(tmp_path, line, breaker="{host}", slow_ns=10**9)
    assert trace_import.format.description.name == "nginx-request-time"
    (calls,) = trace_import.calls()
    assert list(calls.took) == [1_886_000_000]
    assert calls.outcome == [Outcome.FAILED]


def test_language_of_a_given_log_format_is_detected(tmp_path):
    text = '200|0.250|2026-01-01T00:00:01+00:00|"GET /pay?x HTTP/1.1"|bank\n'
    (call,), _ = imported(
        tmp_path, text, breaker="{upstream_host}", labels=["route"],
        log_format='$status|$request_time|$time_iso8601|"$request"|$upstream_host',
    )  # fmt: skip
    assert (call.breaker, call.took, call.labels) == ("bank", 250_000_000, {"route": "GET /pay"})
    assert call.start == 1_767_225_600_750_000_000


def test_generic_json_and_csv_are_read_by_usual_field_names(tmp_path):
    line = '{"time":"2024-05-01T10:00:02+00:00","request_time":1.250,"status":200,"vhost":"shop.example","duration":1.250}'
    (call,), _ = imported(tmp_path, line)
    assert (call.breaker, call.took) == ("shop.example", 1_250_000_000)
    text = "breaker,start_s,duration_s,status\na,1700000000,0.5,500\n"
    (call,), _ = imported(tmp_path, text)
    assert (call.breaker, call.took, call.error) == ("a", 500_000_000, "500")


@pytest.mark.parametrize(
    ("titles", "values", "outcome"),
    [
        ("ok", "False", "failed"), ("success", "true", "succeeded"), ("status,success", "200,false", "failed"),
        ("status,success", "404,false", "succeeded"), ("status,success", "503,true", "failed"),
        ("status_code,ok", "404,False", "succeeded"), ("status_code", "0", "failed"), ("status_code", "200", "succeeded"),
        ("status,ok", "200,maybe", "succeeded"), ("statusCode", "502", "failed"),
    ],
)  # fmt: skip
def test_field_success_decides_the_outcome(tmp_path, titles, values, outcome):
    text = f"target,start_ms,took_ms,{titles}\na,1,5,{values}\n"
    (call,), _ = imported(tmp_path, text)
    assert (call.outcome.value, call.labels) == (outcome, {})


def test_outcome_field_may_hold_true_and_false(tmp_path):
    text = "target,start_ms,took_ms,ok\na,1,5,False\n"
    (call,), _ = imported(tmp_path, text, outcome="ok")
    assert (call.outcome, call.error) == (Outcome.FAILED, "False")


@pytest.mark.parametrize(
    ("field", "value", "outcome"),
    [("status", "0", "ignored"), ("result", "0", "ignored"), ("grpc_status", "0", "succeeded"),
     ("outcome", "503", "failed"), ("outcome", "404", "succeeded"), ("outcome", "0", "ignored"),
     ("grpc_status", "14", "failed"), ("result", "UO", "ignored"), ("result", "503", "failed")],
)  # fmt: skip
def test_rules_of_a_field_apply_where_the_user_names_it(tmp_path, field, value, outcome):
    text = f"target,start_ms,{field}\na,1,{value}\n"
    (call,), _ = imported(tmp_path, text, outcome=field)
    assert call.outcome.value == outcome
    assert bool(call.labels) == (outcome == "ignored")


@pytest.mark.parametrize(
    ("text", "outcome"), [("target,start_ms,took_ms,status\na,1,0,0\n", "status"), ("target,start_ms,took_ms,result\na,1,5,False\n", "result"), ("target,start_ms,took_ms,status\na,1,0,0\n", None)]
)  # fmt: skip
def test_values_that_no_rule_names_are_refused(tmp_path, text, outcome):
    trace_import = ready(tmp_path, text, outcome=outcome)
    with pytest.raises(ImportTraceError, match="is unknown: no rule names these values"):
        trace_import.write(Path(tmp_path / "log"))
    assert not (tmp_path / "log").exists()
    trace_import = ready(tmp_path, text, outcome=outcome, own=UserRules(failed=["False", "0"]))
    assert trace_import.write(tmp_path / "log").failed == 1


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "there is no call in the input"),
        ("\n\n", "there is no call in the input"),
        ("hello\nworld\n", "no known format reads these lines, of which the first is 'hello'"),
    ],
)
def test_lines_in_no_known_format_are_refused(tmp_path, text, why):
    with pytest.raises(ImportTraceError, match=why):
        ready(tmp_path, text)


@pytest.mark.parametrize("text", ["", "\n"])
@pytest.mark.parametrize(
    "options",
    [{"format": "apache-combined"}, {"log_format": "$status $msec"}, {"regex": "(?P<msec>.)"}],
)
def test_empty_file_is_refused_in_every_format(tmp_path, text, options):
    with pytest.raises(ImportTraceError, match="there is no call in the input"):
        ready(tmp_path, text, breaker="a", **options).write(tmp_path / "log")


def test_log_format_in_an_unknown_language_is_refused(tmp_path):
    with pytest.raises(ImportTraceError, match="is not a format string of nginx"):
        ready(tmp_path, "x\n", log_format="status")


def test_given_haproxy_log_format_is_read(tmp_path):
    text = '192.0.2.1:80 [12/Mar/2021:06:56:28.088] shop/web1 0/0/0/1263/1264 504 sH-- "GET / HTTP/1.1"\n'
    (call,), _ = imported(
        tmp_path, text, zone=UTC, labels=["route"],
        log_format="%ci:%cp [%tr] %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %tsc %{+Q}r",
    )  # fmt: skip
    assert (call.breaker, call.took, call.error) == ("shop", 1_264_000_000, "sH--,504")
    assert call.labels == {"route": "GET /"}


SPANS = ["otlp", "jaeger", "zipkin", "skywalking"]


@pytest.mark.parametrize("given", [*SPANS, "csv", "nginx-combined", "resilience4j"])
@pytest.mark.parametrize("name", SPANS)
def test_wrong_format_is_refused_with_the_detected_one(tmp_path, name, given):
    text = format_named(name).sample.lstrip()
    if given == name:
        assert ready(tmp_path, text, format=given).format.description.name == name
    else:
        with pytest.raises(ImportTraceError, match=f"this is {name} and not {given}: spans"):
            ready(tmp_path, text, format=given, breaker="b")
