"""Outcomes are decided by rules; values that no rule names are unknown, counted and refused."""

import pytest

from recloser import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.outcomes.outcome_classifier import MAX_ROWS, OutcomeClassifier, OutcomeRow
from recloser.importers.outcomes.outcome_rules import OutcomeRule, UserRules, Verdict

FLAGS = OutcomeRule(field="flags", split=",", ignored=["DC"], refused=["UO"], failed=["UF", "URX"])
STATUS = OutcomeRule(field="status", failed=["5xx"], succeeded=["200-399", "4xx"])
OK, BAD, NONE = Verdict.SUCCEEDED, Verdict.FAILED, Verdict.UNKNOWN


def classified(columns, rules=(FLAGS, STATUS), own=None):
    classifier = OutcomeClassifier(rules, own or UserRules())
    size = len(next(iter(columns.values())))
    return classifier, classifier.classify(columns, size)


@pytest.mark.parametrize(
    ("flags", "status", "verdict"),
    [
        ("-", 200, "succeeded"), ("-", "404", "succeeded"), ("-", 503, "failed"),
        ("UF,URX", 0, "failed"), ("UF", 200, "failed"), ("DC", 0, "ignored"),
        ("UO,URX", 503, "refused"), ("-", 0, "unknown"), ("XX", 200, "succeeded"),
        ("-", 100, "unknown"), (None, None, "unknown"), ("-", [1], "unknown"), ("-", True, "unknown"),
    ],
)  # fmt: skip
def test_first_rule_that_names_a_value_decides(flags, status, verdict):
    _, (found,) = classified({"flags": [flags], "status": [status]})
    assert found.verdict.value == verdict


def test_failure_is_named_by_all_present_values():
    _, found = classified({"flags": ["UF", "-", "-"], "status": [503, 503, 200]})
    assert [each.error for each in found] == ["UF,503", "503", None]


def test_unknown_and_refused_calls_are_logged_as_ignored_and_not_known():
    _, found = classified({"flags": ["UO", "-", "DC"], "status": [503, 0, 0]})
    assert {each.outcome for each in found} == {Outcome.IGNORED}
    assert [each.is_known for each in found] == [False, False, True]


def test_user_rule_is_tried_before_every_other():
    own = UserRules(failed=["404", "DC"], succeeded=["503"], ignored=["200"])
    _, found = classified({"flags": ["-", "DC", "-", "-"], "status": [404, 0, 503, 200]}, own=own)
    assert [each.verdict.value for each in found] == ["failed", "failed", "succeeded", "ignored"]


@pytest.mark.parametrize(
    ("named", "value", "is_named"),
    [
        ("5xx", "503", True), ("5xx", "50", False), ("500-599", "599", True), ("1-3", "2", True),
        ("timeout*", "timeout after 5 s", True), ("*", "any\nthing", True), ("a.b", "axb", False),
    ],
)  # fmt: skip
def test_values_are_matched_by_class_range_and_wildcard(named, value, is_named):
    rule = OutcomeRule(field="v", failed=[named])
    _, (found,) = classified({"v": [value]}, [rule])
    assert (found.verdict is BAD) == is_named


def test_table_counts_calls_by_value_and_verdict():
    classifier, _ = classified({"flags": ["-", "-", "UF"], "status": [200, 200, 0]})
    assert classifier.fields == ["flags", "status"]
    assert classifier.table() == [OutcomeRow(("-", "200"), OK, 2), OutcomeRow(("UF", "0"), BAD, 1)]


def test_table_of_outcomes_is_limited_in_size():
    classifier, _ = classified({"status": list(range(1000, 1000 + 3 * MAX_ROWS))}, [STATUS])
    rows = classifier.table()
    assert len(rows) == MAX_ROWS + 1
    assert rows[-1] == OutcomeRow(("other values",), NONE, 2 * MAX_ROWS)
    assert sum(row.count for row in rows) == 3 * MAX_ROWS


def test_more_than_one_percent_unknown_is_refused_with_the_values():
    classifier, _ = classified({"status": [200] * 99 + [0]}, [STATUS])
    classifier.check_unknown()
    classifier, _ = classified({"status": [200] * 98 + [0, "x"]}, [STATUS])
    with pytest.raises(ImportTraceError) as refused:
        classifier.check_unknown()
    assert "the outcome of 2 of 100 calls is unknown" in str(refused.value)
    assert "of status: 0 (1); x (1)" in str(refused.value)


def test_user_decides_the_outcome_of_unknown_values():
    own = UserRules(unknown=Verdict.FAILED)
    classifier, (found,) = classified({"status": [0]}, [STATUS], own)
    assert found.verdict is BAD
    classifier.check_unknown()


def test_format_without_rules_needs_an_outcome_field():
    classifier, _ = classified({"status": [0]}, [])
    with pytest.raises(ImportTraceError, match="name the field with --outcome FIELD"):
        classifier.check_unknown()
