"""Calls out of access logs in the combined format."""

import io

import pytest

from recloser import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.access_log import AccessLogMapping, read_access_log
from recloser.importers.fields import BreakerTemplate, OutcomeRule
from recloser.importers.trace import ObservedCall, Unreadable

LINE = '83.149.9.216 - ann [17/May/2015:10:05:03 +0200] "GET /a/b?q=1 HTTP/1.1" {} 203 "-" "Moz"\n'


def read(*lines, breaker="{host}", labels=()):
    mapping = AccessLogMapping(
        breaker=BreakerTemplate(breaker), rule=OutcomeRule(["5xx"], ["499"]), labels=labels
    )
    return list(read_access_log(io.StringIO("".join(lines), newline=""), mapping))


def test_a_line_becomes_a_call_at_the_second_it_tells():
    (call,) = read(LINE.format(200))
    assert call == ObservedCall("83.149.9.216", 1431849903 * 10**9, 0, Outcome.SUCCEEDED)


@pytest.mark.parametrize(
    ("status", "outcome", "error"),
    [(404, "succeeded", None), (503, "failed", "503"), (499, "ignored", "499")],
)
def test_the_status_tells_the_outcome(status, outcome, error):
    (call,) = read(LINE.format(status))
    assert (call.outcome, call.error) == (Outcome(outcome), error)


def test_breakers_and_labels_are_named_from_the_fields():
    (call,) = read(LINE.format(200), breaker="{user} {method}", labels=["route", "path", "agent"])
    assert call.breaker == "ann GET"
    assert call.labels == {"route": "GET /a/b", "path": "/a/b?q=1", "agent": "Moz"}


@pytest.mark.parametrize(
    ("line", "route", "agent"),
    [
        (r'h - - [17/May/2015:10:05:03 +0000] "GET /\"x\" HTTP/1.0" 200 - "-" "a \"b\""', r"GET /\"x\"", r"a \"b\""),
        ('h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5 "-" "cut by its logger', "GET /", "cut by its logger"),
        ('h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5', "GET /", ""),
        ('h - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5 "-" "a" 0.031 [up]', "GET /", "a"),
        ('h - - [17/May/2015:10:05:03 +0000] "\\x16\\x03" 400 0 "-" "-"', "\\x16\\x03 ", "-"),
        ('h - an n [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 5 "-" "a"', "GET /", "a"),
    ],
)  # fmt: skip
def test_lines_of_the_wild_are_read(line, route, agent):
    (call,) = read(line + "\r\n", labels=["route", "agent"])
    assert call.labels == {"route": route, "agent": agent}


@pytest.mark.parametrize(
    "line",
    ["", "no access log", LINE.format("20x"), LINE.replace("May", "Mai").format(200)],
)
def test_a_line_that_can_not_be_read_is_told_with_its_number(line):
    first, bad = read(LINE.format(200), line.rstrip("\n") + "\n")
    assert isinstance(first, ObservedCall)
    assert isinstance(bad, Unreadable)
    assert bad.line == 2


def test_an_unknown_field_is_refused_with_those_there_are():
    with pytest.raises(ImportTraceError, match=r"no field 'upstream'; there are host, "):
        read(breaker="{upstream}")
