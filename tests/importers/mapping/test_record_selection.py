"""Selection of the records that are calls, and the counts of the others by reason."""

from import_support import all_of

from recloser.importers.mapping.record_selection import RecordSelection

COLUMNS = {"metric": ["a", "b", None, "a"], "status": ["200", None, "", "503"]}


def test_records_with_the_wanted_values_are_selected():
    selected, skipped = RecordSelection({"metric": ["a"]})(COLUMNS, 4)
    assert (selected, skipped) == ([0, 3], {"with metric b": 1, "without metric": 1})


def test_asterisk_selects_any_value_that_is_not_missing():
    selected, skipped = RecordSelection({"metric": ["*"]})(COLUMNS, 4)
    assert (selected, skipped) == ([0, 1, 3], {"without metric": 1})


def test_exclamation_mark_names_values_that_are_not_selected():
    selected, skipped = RecordSelection({"metric": ["!a"]})(COLUMNS, 4)
    assert (selected, skipped) == ([1, 2], {"with metric a": 2})


def test_records_without_an_outcome_are_not_selected():
    selected, skipped = RecordSelection({}, ["status"])(COLUMNS, 4)
    assert (selected, skipped) == ([0, 3], {"without status": 2})


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


def test_records_that_where_leaves_out_are_counted_beside_unselected_ones(tmp_path):
    text = (
        "StartTime,EndTime,IsError,SpanType,Peer\n"
        "1623728461000,1623728461250,False,Exit,bank\n"
        "1623728461000,1623728461250,False,Entry,bank\n"
        "1623728461000,1623728461250,True,Exit,mail\n"
    )
    calls, unreadable, skipped = all_of(tmp_path, text, where="Peer == 'bank'")
    assert (len(calls), unreadable) == (1, [])
    assert skipped == {"not selected by --where": 1, "with SpanType Entry": 1}
