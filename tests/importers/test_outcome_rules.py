"""Outcomes are said by rules; what none names is unknown, counted and refused."""

import pytest

from recloser import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.outcome_rules import (
    MOST_ROWS,
    Judge,
    OutcomeRow,
    OutcomeRule,
    OwnRules,
    Verdict,
)

FLAGS = OutcomeRule(field="flags", split=",", ignored=["DC"], refused=["UO"], failed=["UF", "URX"])
STATUS = OutcomeRule(field="status", failed=["5xx"], succeeded=["200-399", "4xx"])
OK, BAD, NONE = Verdict.SUCCEEDED, Verdict.FAILED, Verdict.UNKNOWN


def judged(columns, rules=(FLAGS, STATUS), own=None):
    judge = Judge(rules, own or OwnRules())
    size = len(next(iter(columns.values())))
    return judge, judge.judge(columns, size)


@pytest.mark.parametrize(
    ("flags", "status", "verdict"),
    [
        ("-", 200, "succeeded"), ("-", "404", "succeeded"), ("-", 503, "failed"),
        ("UF,URX", 0, "failed"), ("UF", 200, "failed"), ("DC", 0, "ignored"),
        ("UO,URX", 503, "refused"), ("-", 0, "unknown"), ("XX", 200, "succeeded"),
        ("-", 100, "unknown"), (None, None, "unknown"), ("-", [1], "unknown"), ("-", True, "unknown"),
    ],
)  # fmt: skip
def test_the_first_rule_that_names_a_value_decides(flags, status, verdict):
    _, (found,) = judged({"flags": [flags], "status": [status]})
    assert found.verdict.value == verdict


def test_a_failure_is_named_by_all_values_that_are_there():
    _, found = judged({"flags": ["UF", "-", "-"], "status": [503, 503, 200]})
    assert [each.error for each in found] == ["UF,503", "503", None]


def test_unknown_and_refused_calls_are_written_as_ignored_but_not_as_known():
    _, found = judged({"flags": ["UO", "-", "DC"], "status": [503, 0, 0]})
    assert {each.outcome for each in found} == {Outcome.IGNORED}
    assert [each.is_known for each in found] == [False, False, True]


def test_the_users_rule_holds_before_every_other():
    own = OwnRules(failed=["404", "DC"], succeeded=["503"], ignored=["200"])
    _, found = judged({"flags": ["-", "DC", "-", "-"], "status": [404, 0, 503, 200]}, own=own)
    assert [each.verdict.value for each in found] == ["failed", "failed", "succeeded", "ignored"]


@pytest.mark.parametrize(
    ("named", "value", "is_named"),
    [
        ("5xx", "503", True), ("5xx", "50", False), ("500-599", "599", True), ("1-3", "2", True),
        ("timeout*", "timeout after 5 s", True), ("*", "any\nthing", True), ("a.b", "axb", False),
    ],
)  # fmt: skip
def test_values_are_named_in_several_ways(named, value, is_named):
    rule = OutcomeRule(field="v", failed=[named])
    _, (found,) = judged({"v": [value]}, [rule])
    assert (found.verdict is BAD) == is_named


def test_the_table_counts_each_value_with_what_it_was_taken_for():
    judge, _ = judged({"flags": ["-", "-", "UF"], "status": [200, 200, 0]})
    assert judge.fields == ["flags", "status"]
    assert judge.table() == [OutcomeRow(("-", "200"), OK, 2), OutcomeRow(("UF", "0"), BAD, 1)]


def test_the_table_keeps_its_size_whatever_the_values():
    judge, _ = judged({"status": list(range(1000, 1000 + 3 * MOST_ROWS))}, [STATUS])
    rows = judge.table()
    assert len(rows) == MOST_ROWS + 1
    assert rows[-1] == OutcomeRow(("other values",), NONE, 2 * MOST_ROWS)
    assert sum(row.count for row in rows) == 3 * MOST_ROWS


def test_more_than_one_unknown_in_a_hundred_is_refused_with_its_values():
    judge, _ = judged({"status": [200] * 99 + [0]}, [STATUS])
    judge.check_unknown()
    judge, _ = judged({"status": [200] * 98 + [0, "x"]}, [STATUS])
    with pytest.raises(ImportTraceError) as refused:
        judge.check_unknown()
    assert "the outcome of 2 of 100 calls is unknown" in str(refused.value)
    assert "of status: 0 (1); x (1)" in str(refused.value)


def test_the_user_can_say_what_unknown_ones_are():
    own = OwnRules(unknown=Verdict.FAILED)
    judge, (found,) = judged({"status": [0]}, [STATUS], own)
    assert found.verdict is BAD
    judge.check_unknown()


def test_without_any_rule_the_field_must_be_named():
    judge, _ = judged({"status": [0]}, [])
    with pytest.raises(ImportTraceError, match="name the field with --outcome FIELD"):
        judge.check_unknown()
