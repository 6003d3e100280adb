"""Rows of W3C extended log files are read by the names in their ``#Fields:`` lines."""

import pytest
from import_support import imported, ready

from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField

LOG = (
    "#Software: Example\n#Version: 1.0\n#Date: 2024-03-05 10:00:00\n"
    "#Fields: date time s-ip cs-method cs-uri-stem sc-status time-taken\n"
    "2024-03-05 10:00:01 192.0.2.1 GET /pay 200 250\n"
    "2024-03-05 10:00:02.5 192.0.2.1 GET /pay 503 1250\n"
)
MS = TimeField.parse("time-taken:ms")


def test_w3c_rows_are_read_by_the_names_above_them(tmp_path):
    calls, unreadable = imported(tmp_path, LOG, breaker="{s-ip} {route}", duration=MS)
    assert unreadable == []
    assert [(call.breaker, call.took, call.error) for call in calls] == [
        ("192.0.2.1 GET /pay", 250_000_000, None), ("192.0.2.1 GET /pay", 1_250_000_000, "503"),
    ]  # fmt: skip
    # 10:00:01 UTC is when it ended.
    assert [call.start for call in calls] == [1_709_632_800_750_000_000, 1_709_632_801_250_000_000]


def test_w3c_names_may_change_within_a_file_and_do_not_carry_over_to_the_next(tmp_path):
    text = LOG + "#Fields: time date sc-status s-ip\n10:00:03 2024-03-05 502 192.0.2.2\n"
    calls, unreadable = imported(tmp_path, text, breaker="{s-ip}", duration=MS)
    assert unreadable == []
    assert (calls[2].breaker, calls[2].took, calls[2].error) == ("192.0.2.2", 0, "502")
    assert calls[2].start == 1_709_632_803_000_000_000


def test_values_between_tabs_may_hold_spaces(tmp_path):
    text = "#Version: 1.0\n#Fields: date time x-note sc-status\n2024-03-05\t10:00:01\ta b\t200\n"
    calls, _ = imported(tmp_path, text, breaker="{x-note}")
    assert [call.breaker for call in calls] == ["a b"]


def test_quoted_values_may_hold_spaces(tmp_path):
    text = '#Fields: date time x-note sc-status\n2024-03-05 10:00:01 "a ""b""" 200\n'
    calls, _ = imported(tmp_path, text, breaker="{x-note}")
    assert [call.breaker for call in calls] == ['a "b"']


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("2024-03-05 10:00:02 192.0.2.1\n", "it has 3 values for 7 fields"),
        ("2024-03-05 - 192.0.2.1 GET / 200 1\n", "it has no time"),
        ('2024-03-05 10:00:02 192.0.2.1 GET "/ 200 1\n', "it has"),
    ],
)
def test_w3c_row_with_too_few_values_is_unreadable(tmp_path, row, why):
    calls, (bad,) = imported(tmp_path, LOG + row, breaker="{s-ip}", duration=MS)
    assert (len(calls), bad.line) == (2, 7)
    assert why in bad.why


def test_unit_of_time_taken_must_be_named(tmp_path):
    calls, unreadable = imported(tmp_path, LOG, breaker="{s-ip}")
    assert calls == []
    assert "the duration '250' has no unit: give it as FIELD:ms" in unreadable[0].why


def test_w3c_rows_before_any_names_are_unreadable(tmp_path):
    with pytest.raises(ImportTraceError, match="no known format reads"):
        ready(tmp_path, LOG.split("\n", 4)[4])
    _, unreadable = imported(tmp_path, "x\n" + LOG, breaker="{s-ip}", duration=MS, format="w3c")
    assert [(bad.line, bad.why) for bad in unreadable] == [
        (1, "there is no #Fields: line before it")
    ]
