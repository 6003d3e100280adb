"""The page about importing: its example of a format works, and it explains every key of a format."""

import tomllib

import pytest

from conftest import ROOT
from recloser.importers.detection.format_opening import open_format, outcome_rules_of
from recloser.importers.formats.format_description import parse_description
from recloser.importers.import_batches import LineBatch
from recloser.importers.mapping.call_mapper import CallMapper
from recloser.importers.mapping.call_options import CallOptions
from recloser.importers.outcomes.outcome_classifier import OutcomeClassifier

IMPORTERS = ROOT / "src" / "recloser" / "importers"
PAGE = (IMPORTERS / "README.md").read_text()
ADD_A_FORMAT = PAGE.partition("## Add a format")[2]
TABLES = {path.stem: tomllib.loads(path.read_text()) for path in (IMPORTERS / "formats").glob("*.toml")}  # fmt: skip


def test_example_of_a_format_results_in_the_calls_of_its_sample():
    block = ADD_A_FORMAT.partition("```toml\n")[2].partition("```")[0]
    description = parse_description("example", tomllib.loads(block))
    lines = description.sample.strip().splitlines()
    detected = open_format(description, lines)
    classifier = OutcomeClassifier(outcome_rules_of(detected))
    mapper = CallMapper(description, detected.field_names, CallOptions(), classifier)
    (calls,) = mapper(detected.reader.read([LineBatch("", 1, lines)], mapper.needed))
    assert calls.breaker == ["shop", "shop"]
    assert calls.took == [250_000_000, 1_500_000_000]
    assert [outcome.value for outcome in calls.outcome] == ["succeeded", "failed"]
    assert calls.unreadable == []


def keys_of(name):
    """The keys that the format files use in one of their tables."""
    tables = [table.get(name, {}) for table in TABLES.values()]
    if name == "outcome":
        tables = [rule for rules in tables for rule in rules]
    if name == "fields":
        tables = [definition for fields in tables for definition in fields.values()]
    return sorted({key for table in tables for key in table})


@pytest.mark.parametrize("name", ["records", "roles", "outcome", "fields", "attempts"])
def test_every_key_of_a_format_file_is_explained(name):
    heading = "`[[outcome]]`" if name == "outcome" else f"`[{name}]`"
    section = ADD_A_FORMAT.partition(f"### {heading}")[2]
    section = section.partition("\n### ")[0]
    missing = [
        key for key in keys_of(name) if f"`{key}`" not in section and f"{key} =" not in section
    ]
    assert missing == []


def test_every_key_at_the_top_of_a_format_file_is_explained():
    keys = {key for table in TABLES.values() for key in table}
    spellings = {key: (f"`{key}`", f"`[{key}]`", f"`[[{key}]]`") for key in keys}
    missing = [key for key in keys if not any(each in ADD_A_FORMAT for each in spellings[key])]
    assert missing == []


def test_every_meaning_is_named():
    meanings = tomllib.loads((IMPORTERS / "outcomes" / "meanings.toml").read_text())
    assert [name for name in meanings if f"`{name}`" not in ADD_A_FORMAT] == []
