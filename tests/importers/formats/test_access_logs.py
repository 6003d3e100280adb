"""Access logs in the combined format and its relatives."""

import pytest
from import_support import imported
from observed_calls import ObservedCall

from recloser import Outcome
from recloser.errors import ImportTraceError

LINE = '83.149.9.216 - ann [17/May/2015:10:05:03 +0200] "GET /a/b?q=1 HTTP/1.1" {} 203 "-" "Moz"\n'


def read(tmp_path, *lines, breaker="{host}", **options):
    text = "".join(lines)
    return imported(tmp_path, text, format="apache-combined", breaker=breaker, **options)


def test_access_log_line_becomes_a_call_at_its_second(tmp_path):
    (call,), _ = read(tmp_path, LINE.format(200))
    assert call == ObservedCall("83.149.9.216", 1431849903 * 10**9, 0, Outcome.SUCCEEDED)


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [(404, "succeeded", None), (503, "failed", "503"), (499, "ignored", "499")],
)
def test_http_status_decides_the_outcome(tmp_path, status, outcome, error):
    (call,), _ = read(tmp_path, LINE.format(status))
    assert (call.outcome, call.error) == (Outcome(outcome), error)


def test_breakers_and_labels_come_from_fields(tmp_path):
    labels = ["route", "path", "agent"]
    (call,), _ = read(tmp_path, LINE.format(200), breaker="{user} {method}", labels=labels)
    assert call.breaker == "ann GET"
    assert call.labels == {"route": "GET /a/b", "path": "/a/b?q=1", "agent": "Moz"}


@pytest.mark.parametrize(
    ("line", "route", "agent"),
    [
        (r'h - - [17/May/2015:10:05:03 +0000] "GET /\"x\" HTTP/1.0" 200 - "-" "a \"b\""', 'GET /"x"', 'a "b"'),
        ('h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5 "-" "cut by its logger', "GET /", "cut by its logger"),
        ('h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5', "GET /", None),
        ('h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5 "-" "a" 0.031 [up]', "GET /", "a"),
        ('h - - [17/May/2015:10:05:03 +0000] "\\x16\\x03" 400 0 "-" "-"', "\\x16\\x03 ", "-"),
        ('h - an n [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5 "-" "a"', "GET /", "a"),
    ],
)  # fmt: skip
def test_real_world_access_log_lines_are_read(tmp_path, line, route, agent):
    (call,), unreadable = read(tmp_path, line + "\r\n", labels=["route", "agent"])
    assert unreadable == []
    assert call.breaker == "h"
    assert call.labels == {"route": route, **({} if agent is None else {"agent": agent})}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("no access log\n", "the format does not match it: no access log"),
        (LINE.replace("May", "Mai").format(200), "no month 'Mai'"),
        (LINE.replace("17/", "37/").format(200), "day"),
        ("x" * (1 << 20) + "y\n", "longer than 1,048,576 characters"),
    ],
)
def test_unreadable_access_log_line_is_reported_with_its_number(tmp_path, line, why):
    calls, (bad,) = read(tmp_path, LINE.format(200), "\n", line, LINE.format(500))
    assert len(calls) == 2
    assert (bad.line, bad.source) == (3, str(tmp_path / "trace"))
    assert why in bad.why


def test_unknown_field_is_refused_with_the_existing_ones(tmp_path):
    with pytest.raises(ImportTraceError, match=r"no field 'upstream'; the fields are host, "):
        read(tmp_path, LINE.format(200), breaker="{upstream}")
