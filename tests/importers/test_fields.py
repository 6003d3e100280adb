"""How fields become names, outcomes and times."""

import pytest

from recloser import Outcome
from recloser.errors import ImportTraceError
from recloser.importers.fields import (
    BreakerTemplate,
    OutcomeRule,
    parse_moment,
    parse_ns,
)


def test_a_template_names_a_breaker_from_fields():
    template = BreakerTemplate("{caller}->{target} {{x}}")
    assert template.fields == ["caller", "target"]
    assert template.name({"caller": "a", "target": "{b}"}) == "a->{b} {x}"


@pytest.mark.parametrize("template", ["{a.b!r}", "{a:>10}", "{}", "{", "}", "{ }"])
def test_a_template_is_plain_fields_and_no_program(template):
    with pytest.raises(ImportTraceError, match="--breaker"):
        BreakerTemplate(template)


def test_a_field_with_a_dot_is_a_name_and_no_attribute():
    assert BreakerTemplate("{server.address}").name({"server.address": "x"}) == "x"


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        ("200", "succeeded"),
        ("404", "succeeded"),
        ("500", "failed"),
        ("599", "failed"),
        ("5000", "succeeded"),
        ("429", "failed"),
        ("430", "failed"),
        ("432", "succeeded"),
        ("fail", "failed"),
        ("failure", "succeeded"),
        ("a.c", "failed"),
        ("abc", "succeeded"),
        ("499", "ignored"),
        ("503", "ignored"),
    ],
)
def test_an_outcome_is_told_by_value_class_or_range(value, outcome):
    """What is ignored goes before what failed."""
    rule = OutcomeRule(["5xx", "429-431", "fail", "a.c"], ["499", "503"])
    assert rule(value) is Outcome(outcome)


def test_without_patterns_all_succeed():
    assert OutcomeRule([])("") is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("text", "unit", "ns"),
    [
        ("119.942", 10**6, 119_942_000),
        ("0", 1, 0),
        ("1674981729481715339", 1, 1674981729481715339),
        ("1e3", 10**6, 10**9),
        (" 7 ", 1, 7),
    ],
)
def test_numbers_are_exact(text, unit, ns):
    assert parse_ns(text, unit) == ns


@pytest.mark.parametrize("text", ["", "x", "-1", "nan", "inf", "1e30", "1,5"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="is no number|out of range"):
        parse_ns(text, 10**6)


def test_moments_are_numbers_or_iso_8601():
    assert parse_moment("2026-01-01T01:00:00.5+01:00", None) == 1767225600 * 10**9 + 5 * 10**8
    assert parse_moment("1767225600.25", 10**9) == 1767225600 * 10**9 + 25 * 10**7


def test_a_time_without_a_zone_is_not_guessed():
    with pytest.raises(ValueError, match="no time zone"):
        parse_moment("2026-01-01T00:00:00", None)
