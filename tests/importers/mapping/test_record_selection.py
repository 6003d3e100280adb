"""Records that are no calls are left out, and counted by what they are."""

from recloser.importers.mapping.record_selection import RecordSelection

COLUMNS = {"metric": ["a", "b", None, "a"], "status": ["200", None, "", "503"]}


def test_records_with_the_wanted_values_are_selected():
    kept, skipped = RecordSelection({"metric": ["a"]})(COLUMNS, 4)
    assert (kept, skipped) == ([0, 3], {"with metric b": 1, "without metric": 1})


def test_asterisk_selects_any_value_that_is_not_missing():
    kept, skipped = RecordSelection({"metric": ["*"]})(COLUMNS, 4)
    assert (kept, skipped) == ([0, 1, 3], {"without metric": 1})


def test_exclamation_mark_names_values_that_are_not_selected():
    kept, skipped = RecordSelection({"metric": ["!a"]})(COLUMNS, 4)
    assert (kept, skipped) == ([1, 2], {"with metric a": 2})


def test_records_without_an_outcome_are_not_selected():
    kept, skipped = RecordSelection({}, ["status"])(COLUMNS, 4)
    assert (kept, skipped) == ([0, 3], {"without status": 2})


def test_all_records_are_selected_without_conditions():
    assert RecordSelection({})(COLUMNS, 4) == (None, {})
    assert RecordSelection({"status": ["!404"]})(COLUMNS, 4) == (None, {})


def test_reasons_for_skipping_are_limited_in_number():
    selection = RecordSelection({"metric": ["a"]})
    seen = set()
    for batch in range(10):
        _, skipped = selection({"metric": [f"m{batch}-{n}" for n in range(100)]}, 100)
        seen |= skipped.keys()
        assert sum(skipped.values()) == 100
    assert len(seen) == 21
    assert "with other values of metric" in seen
