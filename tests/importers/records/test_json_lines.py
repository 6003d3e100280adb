"""JSON objects, one per line, are read by paths of keys."""

import pytest

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import LineBatch
from recloser.importers.records.json_lines import JsonLinesReader
from recloser.importers.values.json_paths import path_of


def read(*lines, wanted):
    (records,) = JsonLinesReader().read([LineBatch("f", 1, list(lines))], wanted)
    return records


def test_path_of_keys_reaches_into_nested_objects():
    lines = ('{"a":{"b":{"c":1}},"d":"x","e":[1]}', '{"a":{},"d":null}')
    records = read(*lines, wanted=["a.b.c", "d"])
    assert records.columns == {"a.b.c": [1, None], "d": ["x", None]}
    assert list(records.lines) == [1, 2]
    assert records.unreadable == []


@pytest.mark.parametrize(
    "odd", ['{"a":"text"}', '{"a":[1]}', '{"a":null}', '{"a":{"b":7}}', '{"a":{"b":null}}']
)
def test_json_object_of_another_shape_lacks_the_value(odd):
    records = read('{"a":{"b":{"c":1}}}', odd, wanted=["a.b.c"])
    assert records.columns == {"a.b.c": [1, None]}


def test_path_may_be_the_beginning_of_another_path():
    records = read('{"a":{"b":1}}', '{"a":2}', wanted=["a", "a.b"])
    assert records.columns == {"a": [{"b": 1}, 2], "a.b": [1, None]}


def test_key_with_a_point_is_quoted_in_a_path():
    assert path_of('a."b.c".d') == ("a", "b.c", "d")
    assert read('{"b.c":1}', wanted=['"b.c"']).columns == {'"b.c"': [1]}


@pytest.mark.parametrize("text", ["", ".", "a.", "a..b", "a[0]", '"a'])
def test_malformed_path_of_keys_is_refused(text):
    with pytest.raises(ImportTraceError, match="is not a path of keys"):
        path_of(text)


@pytest.mark.parametrize("bad", ["x", "[1]", "7", '{"a":', "[" * 5000, None])
def test_json_line_that_is_not_an_object_is_unreadable(bad):
    records = read('{"a":1}', "", bad, '{"a":2}', wanted=["a"])
    assert records.columns == {"a": [1, 2]}
    assert list(records.lines) == [1, 4]
    assert [each.line for each in records.unreadable] == [3]
