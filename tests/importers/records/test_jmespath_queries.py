"""JMESPath expressions name fields of JSON, and select records."""

import json
import sys

import pytest
from import_support import imported, ready

from recloser.cli import status_of
from recloser.errors import ImportTraceError
from recloser.importers.formats.format_description import TimeField
from recloser.importers.outcomes.outcome_rules import UserRules
from recloser.importers.records.jmespath_queries import is_jmespath

CALLS = [
    {"start_s": 17, "tags": [{"k": "peer", "v": "bank"}, {"k": "zone", "v": "a"}], "status": 200, "ms": [5]},
    {"start_s": 18, "tags": [{"k": "peer", "v": "mail"}], "status": 503, "ms": [7]},
    {"start_s": 19, "tags": [], "status": 200, "ms": [9]},
]  # fmt: skip
JSON = "".join(json.dumps(call) + "\n" for call in CALLS)
PEER = "tags[?k=='peer'].v | [0]"
CSV = "start_s,target,status,note\n17,a,200,\n18,b,503,x\n19,b,200,x\n"


def test_jmespath_expression_names_a_field(tmp_path):
    calls, (bad,) = imported(
        tmp_path,
        JSON,
        breaker="{" + PEER + "}",
        duration=TimeField("ms[0]", "ms"),
        labels=["length(tags)"],
    )
    assert [(call.breaker, call.took, call.labels) for call in calls] == [
        ("bank", 5_000_000, {"length(tags)": "2"}), ("mail", 7_000_000, {"length(tags)": "1"}),
    ]  # fmt: skip
    assert (bad.line, bad.why) == (3, f"the field {PEER} is empty, and the breaker's name needs it")


def test_jmespath_expression_names_the_outcome_field(tmp_path):
    calls, _ = imported(tmp_path, JSON, breaker="a", outcome="not_null(code, status)")
    assert [call.error for call in calls] == [None, "503", None]
    calls, _ = imported(
        tmp_path, JSON, breaker="a", outcome="status == `503` && 'bad' || 'good'",
        own=UserRules(failed=["bad"], succeeded=["good"]),
    )  # fmt: skip
    assert [call.error for call in calls] == [None, "bad", None]


@pytest.mark.parametrize(
    ("where", "starts"),
    [
        ("status == `503`", [18]),
        ("tags", [17, 18]),
        ("tags[?k=='zone']", [17]),
        ("!contains(tags[].v, 'bank') && status < `500`", [19]),
        ("status", [17, 18, 19]),
        ("absent", []),
        ("ms[0] == `5` && `0`", [17]),
        ("ms[0] == `5`", [17]),
    ],
)
def test_where_selects_records_of_json(tmp_path, where, starts):
    calls, unreadable = imported(tmp_path, JSON, breaker="a", where=where)
    assert [call.start // 10**9 for call in calls] == starts
    assert unreadable == []


@pytest.mark.parametrize(
    ("where", "starts"),
    [
        ("status == '503'", [18]),
        ("to_number(status) < `500` && target == 'b'", [19]),
        ("note", [18, 19]),
    ],
)
def test_where_sees_values_of_tables_as_text(tmp_path, where, starts):
    calls, unreadable = imported(tmp_path, CSV, where=where)
    assert [call.start // 10**9 for call in calls] == starts
    assert unreadable == []


def test_records_that_where_leaves_out_are_counted(capsys, tmp_path):
    (tmp_path / "trace").write_text(CSV)
    words = ["import", str(tmp_path / "trace"), "-o", str(tmp_path / "log"), "--where", "note"]
    assert status_of(words) == 0
    assert "not calls: 1 not selected by --where" in capsys.readouterr().out


def test_record_for_which_an_expression_fails_is_unreadable(tmp_path):
    calls, (bad,) = imported(
        tmp_path, JSON + '{"start_s":1,"status":200}\n', breaker="a", where="length(tags) >= `0`"
    )
    assert (len(calls), bad.line) == (3, 4)
    assert "--where 'length(tags) >= `0`': In function length()" in bad.why
    calls, (bad,) = imported(
        tmp_path, JSON + '{"start_s":1,"status":200}\n', breaker="{length(tags)}"
    )
    assert (len(calls), bad.line) == (3, 4)


@pytest.mark.parametrize(
    ("text", "options", "why"),
    [
        (CSV, {"where": "nope == 'x'"}, "there is no field 'nope'; the fields are start_s, target"),
        (CSV, {"where": "`1`"}, "there is no field in it"),
        (CSV, {"where": "status =="}, "--where 'status ==' is not JMESPath"),
        (JSON, {"breaker": "a", "where": "["}, "is not JMESPath"),
        (JSON, {"breaker": "{tags |}"}, "is not JMESPath"),
        (JSON, {"breaker": "a", "where": "(" * 5000}, "is not JMESPath"),
    ],
)
def test_malformed_jmespath_is_refused(tmp_path, text, options, why):
    with pytest.raises(ImportTraceError, match=why.replace("(", r"\(").replace("[", r"\[")):
        list(ready(tmp_path, text, **options).calls())


def test_expressions_are_refused_without_jmespath_installed(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(ImportTraceError, match=r"needs jmespath: pip install 'recloser\[traces\]'"):
        ready(tmp_path, CSV, where="note")
    assert len(imported(tmp_path, CSV)[0]) == 3


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a.b", False), ("@timestamp", False), ("user-agent", False), ('"a[0]"', False), ('"x(ms)".b', False),
        ("a[0]", True), ("a || b", True), ("length(a)", True), ("a.*", True), ("@", True), ("@.a", True),
    ],
)  # fmt: skip
def test_jmespath_is_distinguished_from_a_path_of_keys(name, is_one):
    assert is_jmespath(name) is is_one
