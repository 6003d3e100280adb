"""Records that are no calls are left out, and counted by what they are."""

from recloser.importers.selection import Selection

COLUMNS = {"metric": ["a", "b", None, "a"], "status": ["200", None, "", "503"]}


def test_records_with_the_values_are_kept():
    kept, skipped = Selection({"metric": ["a"]})(COLUMNS, 4)
    assert (kept, skipped) == ([0, 3], {"with metric b": 1, "without metric": 1})


def test_any_value_is_one_that_is_not_missing():
    kept, skipped = Selection({"metric": ["*"]})(COLUMNS, 4)
    assert (kept, skipped) == ([0, 1, 3], {"without metric": 1})


def test_values_that_are_not_kept_are_named_with_an_exclamation_mark():
    kept, skipped = Selection({"metric": ["!a"]})(COLUMNS, 4)
    assert (kept, skipped) == ([1, 2], {"with metric a": 2})


def test_records_that_do_not_say_how_a_call_ended_are_about_something_else():
    kept, skipped = Selection({}, ["status"])(COLUMNS, 4)
    assert (kept, skipped) == ([0, 3], {"without status": 2})


def test_all_are_kept_without_conditions():
    assert Selection({})(COLUMNS, 4) == (None, {})
    assert Selection({"status": ["!404"]})(COLUMNS, 4) == (None, {})


def test_the_table_of_what_is_left_out_keeps_its_size():
    selection = Selection({"metric": ["a"]})
    seen = set()
    for batch in range(10):
        _, skipped = selection({"metric": [f"m{batch}-{n}" for n in range(100)]}, 100)
        seen |= skipped.keys()
        assert sum(skipped.values()) == 100
    assert len(seen) == 21
    assert "with other values of metric" in seen
