"""Rows of delimited text are read by the names in their header."""

import pytest
from import_support import imported, ready
from observed_calls import ObservedCall

from recloser import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.detection.format_opening import guess_delimiter
from recloser.importers.formats.format_description import TimeField
from recloser.importers.outcomes.outcome_rules import UserRules

HEADER = "start_ns,took_ms,target,outcome,why\n"
FAIL = UserRules(failed=["fail"])


def read(tmp_path, text, duration="took_ms", **options):
    return imported(
        tmp_path,
        text,
        **{"format": "csv", "outcome": "outcome", "own": FAIL, "breaker": "{target}"}
        | {"start": TimeField.parse("start_ns"), "duration": duration and TimeField.parse(duration)}
        | options,
    )


def test_row_of_a_table_becomes_a_call(tmp_path):
    text = HEADER + "5,1.5,db,ok,\n6,,db,fail,boom\n"
    calls, unreadable = read(tmp_path, text, error="why", labels=["target"])
    assert unreadable == []
    assert calls == [
        ObservedCall("db", 5, 1_500_000, Outcome.SUCCEEDED, None, {"target": "db"}),
        ObservedCall("db", 6, 0, Outcome.FAILED, "boom", {"target": "db"}),
    ]


@pytest.mark.parametrize("delimiter", ";\t|")
def test_delimiter_is_detected_from_the_header(tmp_path, delimiter):
    text = (HEADER + "5,1.5,db,fail,\n").replace(",", delimiter)
    (call,), _ = read(tmp_path, text)
    assert call == ObservedCall("db", 5, 1_500_000, Outcome.FAILED, "fail")


def test_call_without_a_duration_takes_no_time(tmp_path):
    (call,), _ = read(tmp_path, "start_ns,target,outcome\n5,db,ok\n", duration=None)
    assert call.took == 0


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("x,1,db,ok,\n", "'x' is not a number"),
        ("5,-1,db,ok,\n", "'-1' is not a duration"),
        ("5,1,db\n", "the row has 3 values, and the header 5"),
        ("5,1,db,ok,,7\n", "the row has 6 values, and the header 5"),
        ("5,1,,ok,\n", "the field target is empty"),
        ('5,1,"d"b,ok,\n', "expected after"),
        ("5" * (1 << 20) + "5,1,db,ok,\n", "expected after"),
    ],
)
def test_unreadable_row_is_reported_with_its_line_and_the_rest_is_read(tmp_path, row, why):
    good = "5,1,db,ok,\n"
    (first, last), (bad,) = read(tmp_path, HEADER + good + "\n" + row + good)
    assert (bad.line, first) == (4, last)
    assert why in bad.why


def test_quoted_value_may_span_several_lines(tmp_path):
    calls, (bad,) = read(tmp_path, HEADER + '5,1,db,ok,"a\nb"\n5,1,db,ok,\nx,1,db,ok,\n')
    assert len(calls) == 2
    assert bad.line == 5


def test_each_file_has_its_own_header(tmp_path):
    (tmp_path / "b").write_text("target,start_ns,took_ms,outcome\ndb,7,2,fail\n")
    trace_import = ready(
        tmp_path, HEADER + "5,1,db,ok,\n", format="csv", outcome="outcome", own=FAIL
    )
    assert trace_import.format.description.name == "csv"


def test_missing_column_is_reported_with_the_existing_ones(tmp_path):
    with pytest.raises(ImportTraceError, match=r"no field 'begin'; the fields are start_ns, took"):
        read(tmp_path, HEADER, start=TimeField.parse("begin"))


def test_duration_without_a_unit_is_refused(tmp_path):
    _, (bad,) = read(tmp_path, HEADER + "5,1,db,ok,3\n", duration="why")
    assert bad.why == "the duration '3' has no unit: give it as FIELD:ms, with s, ms, us or ns"
    (call,), _ = read(tmp_path, HEADER + "5,1,db,ok,3\n", duration="why:s")
    assert call.took == 3 * 10**9


SPACED = "start_ns  took_ms target   outcome\n5         1.5     db       fail\n16        2       cache    ok\n"


def test_columns_may_be_aligned_with_spaces(tmp_path):
    calls, unreadable = imported(tmp_path, SPACED, own=FAIL)
    assert unreadable == []
    assert [(call.breaker, call.start, call.took) for call in calls] == [
        ("db", 5, 1_500_000), ("cache", 16, 2_000_000),
    ]  # fmt: skip


def test_sentences_are_not_read_as_columns(tmp_path):
    with pytest.raises(ImportTraceError, match="no known format reads these lines"):
        ready(tmp_path, "something bad happened\nthen another thing\n")


def test_header_option_names_the_columns_of_a_file_without_a_header(tmp_path):
    text = "5,1.5,db,fail\n6,2,db,ok\n"
    with pytest.raises(ImportTraceError, match="if they are columns, name them with --header"):
        ready(tmp_path, text)
    header = ["start_ns", "took_ms", "target", "outcome"]
    calls, unreadable = imported(tmp_path, text, header=header, own=FAIL)
    assert unreadable == []
    assert [(call.start, call.took, call.error) for call in calls] == [
        (5, 1_500_000, "fail"), (6, 2_000_000, None),
    ]  # fmt: skip
    with pytest.raises(ImportTraceError, match="--header names the columns of delimited text"):
        ready(tmp_path, text, header=header, format="caddy")
    with pytest.raises(ImportTraceError, match="give one of --log-format and --header"):
        ready(tmp_path, text, header=header, log_format="$status")


def test_spaces_after_commas_are_not_part_of_column_names(tmp_path):
    calls, _ = imported(tmp_path, "start_ns, took_ms, target, outcome\n5, 1.5, db,fail\n", own=FAIL)
    assert [(call.start, call.took) for call in calls] == [(5, 1_500_000)]


def test_repeated_header_of_an_appended_file_is_not_a_row(tmp_path):
    row = "5,1.5,db,fail,x\n"
    calls, unreadable = read(tmp_path, HEADER + row + HEADER + row)
    assert (len(calls), unreadable) == (2, [])


@pytest.mark.parametrize(
    ("lines", "delimiter"),
    [
        (["a;b;c", "1,5;2,5;x"], ";"),
        (["1,5;0,5;bank"], ";"),
        (["a,b;c,d", "1,2,3"], ","),
        (["a\tb,c", "1\t2"], "\t"),
        (["a b c"], " "),
        ([], " "),
    ],
)
def test_character_that_is_in_all_lines_is_the_delimiter(lines, delimiter):
    assert guess_delimiter(lines) == delimiter


def comma(*rows):
    return "start_s;duration_ms;target;status\n" + "".join(f"{row}\n" for row in rows)


def test_decimal_comma_is_detected_in_a_table_with_semicolons(tmp_path):
    calls, unreadable = imported(
        tmp_path, comma("17,25;0,5;a;200", "18;1,234;a;200", "1.018,5;7 ms;a;200")
    )
    assert unreadable == []
    assert [(call.start, call.took) for call in calls] == [
        (17_250_000_000, 500_000), (18_000_000_000, 1_234_000), (1_018_500_000_000, 7_000_000),
    ]  # fmt: skip


@pytest.mark.parametrize(("decimal", "took"), [(",", 1_234_000), (".", 1_234_000_000)])
def test_ambiguous_number_is_refused_until_the_decimal_mark_is_named(tmp_path, decimal, took):
    text = comma("17;1,234;a;200")
    calls, (bad,) = imported(tmp_path, text)
    assert calls == []
    assert "'1,234' may be either of two numbers" in bad.why
    (call,), _ = imported(tmp_path, text, decimal=decimal)
    assert call.took == took


def test_comma_in_a_number_separates_thousands_in_a_table_with_commas(tmp_path):
    (call,), _ = imported(tmp_path, 'start_s,duration_ms,target,status\n17,"1,234",a,200\n')
    assert call.took == 1_234_000_000
    calls, (bad,) = imported(tmp_path, 'start_s,duration_ms,target,status\n17,"0,5",a,200\n')
    assert (calls, bad.why) == ([], "'0,5' is not a duration")
