"""Calls out of CSV, by the names of columns."""

import io

import pytest

from recloser import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.fields import BreakerTemplate, OutcomeRule
from recloser.importers.tabular import CsvMapping, read_csv
from recloser.importers.trace import ObservedCall, Unreadable

HEADER = "start_ns,took_ms,target,outcome,why\n"


def read(text, **changes):
    options = {
        "breaker": BreakerTemplate("{target}"),
        "start": "start_ns",
        "duration": "took_ms",
        "outcome": "outcome",
        "rule": OutcomeRule(["fail"]),
    }
    return list(read_csv(io.StringIO(text, newline=""), CsvMapping(**options | changes)))


def test_a_row_becomes_a_call():
    assert read(HEADER + "5,1.5,db,ok,\n6,,db,fail,boom\n", error="why", labels=["target"]) == [
        ObservedCall("db", 5, 1_500_000, Outcome.SUCCEEDED, None, {"target": "db"}),
        ObservedCall("db", 6, 0, Outcome.FAILED, "boom", {"target": "db"}),
    ]


def test_a_failure_is_named_by_its_outcome_if_no_column_is_given():
    (call,) = read(HEADER + "5,1,db,fail,boom\n")
    assert call.error == "fail"


def test_without_a_duration_a_call_takes_no_time():
    (call,) = read(HEADER + "5,7,db,ok,\n", duration=None)
    assert call.took == 0


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("x,1,db,ok,\n", "'x' is no number"),
        ("5,-1,db,ok,\n", "out of range"),
        ("5,1,db\n", "not as many values"),
        ("5,1,db,ok,,7\n", "not as many values"),
        ("5,1,db,,\n", "column 'outcome' is empty"),
        ('5,1,"d"b,ok,\n', "expected after"),
    ],
)
def test_a_row_that_can_not_be_read_is_told_with_its_line_and_the_rest_is_read(row, why):
    good = "5,1,db,ok,\n"
    first, bad, last = read(HEADER + good + row + good)
    assert isinstance(bad, Unreadable)
    assert bad.line == 3
    assert why in bad.why
    assert isinstance(first, ObservedCall)
    assert first == last


def test_a_missing_column_is_named_with_those_there_are():
    with pytest.raises(
        ImportTraceError, match=r"no column 'to', 'begin'; there are start_ns, took"
    ):
        read(HEADER, start="begin", breaker=BreakerTemplate("{to}"))


def test_a_duration_without_a_unit_is_refused():
    with pytest.raises(ImportTraceError, match="unit of column 'why' .* --duration-unit"):
        read(HEADER, duration="why")
    (call,) = read(HEADER + "5,1,db,ok,3\n", duration="why", duration_unit="s")
    assert call.took == 3 * 10**9
