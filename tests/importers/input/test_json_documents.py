"""JSON values are returned one by one, whatever the layout and whatever is around them."""

import gzip
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from import_support import imported, ready

from recloser.errors import ImportTraceError
from recloser.importers.import_batches import MAX_LINE_CHARS
from recloser.importers.input.inputs import Inputs
from recloser.importers.input.json_documents import has_path, is_json_document, json_values

CALLS = [
    {"start_ms": 1000 + number, "duration_ms": number, "service": "bank", "status": 200 + 300 * (number == 2),
     "tags": [{"a": '}]"{'}, {"b": "\\"}], "in": {"records": [1]}} for number in range(1, 6)
]  # fmt: skip
FORMS = {
    "one per line": "\n".join(map(json.dumps, CALLS)),
    "pretty, one after another": "\n".join(json.dumps(call, indent=2) for call in CALLS),
    "concatenated": "".join(map(json.dumps, CALLS)),
    "with a space between": " ".join(map(json.dumps, CALLS)),
    "record separators": "".join(f"\x1e{json.dumps(call, indent=1)}\n" for call in CALLS),
    "array": json.dumps(CALLS),
    "pretty array": json.dumps(CALLS, indent="\t"),
    "an array per line": "\n".join(json.dumps([call]) for call in CALLS),
    "array, one per line": "[" + ",\n".join(map(json.dumps, CALLS)) + "]\n",
}
UNDER = {
    "one line": {"log": {"version": [{"a": 1}], "entries": CALLS, "after": {"x": "}"}}},
    "first": {"log": {"entries": CALLS}, "entries": [{"no": "call"}]},
    "last": {"x": {"entries": 5}, "": [[{}], "]"], "n": -1.5e3, "t": True, "log": {"entries": CALLS}},
}  # fmt: skip


def values_and_cuts(text, path=(), size=None):
    cuts = []
    pieces = iter(
        [text] if size is None else [text[n : n + size] for n in range(0, len(text), size)]
    )
    return list(json_values(pieces, path, cuts.append)), cuts


@pytest.mark.parametrize("form", FORMS)
def test_every_layout_of_json_results_in_the_same_calls(tmp_path, form):
    calls, unreadable = imported(tmp_path, FORMS[form])
    assert unreadable == []
    assert [(call.breaker, call.start, call.took) for call in calls] == [
        ("bank", (1000 + number) * 10**6, number * 10**6) for number in range(1, 6)
    ]
    assert [call.error for call in calls] == [None, "500", None, None, None]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("form", UNDER)
def test_records_are_read_under_the_given_path(tmp_path, form, indent):
    text = json.dumps(UNDER[form], indent=indent)
    calls, unreadable = imported(tmp_path, text, records="log.entries")
    assert (len(calls), unreadable) == (5, [])
    twice, _ = imported(tmp_path, text + "\n" + text, records="log.entries")
    assert len(twice) == 10


@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("form", FORMS)
def test_values_are_whole_however_the_text_is_split(form, size):
    values, cuts = values_and_cuts(FORMS[form], size=size)
    assert list(map(json.loads, values)) == CALLS
    assert cuts == []


@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("form", UNDER)
def test_values_under_a_path_are_whole_however_the_text_is_split(form, size):
    values, cuts = values_and_cuts(json.dumps(UNDER[form]), ("log", "entries"), size)
    assert list(map(json.loads, values)) == CALLS
    assert cuts == []


inner = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False),
              st.text('ab{}[]",:\\\n é\u2028', max_size=6)),
    lambda values: st.one_of(
        st.lists(values, max_size=3), st.dictionaries(st.sampled_from(["a", "entries", '"', "{", ""]), values)
    ),
    max_leaves=12,
)  # fmt: skip
objects = st.lists(
    st.dictionaries(st.sampled_from(["a", "log", "entries", "}"]), inner), max_size=5
)


@given(
    values=objects,
    others=st.dictionaries(st.sampled_from(["b", "log ", "entry", "}"]), inner),
    indent=st.sampled_from([None, 0, 3]),
    size=st.integers(1, 30),
)
def test_any_json_values_are_returned_unchanged(values, others, indent, size):
    def written(value):
        return json.dumps(value, indent=indent, ensure_ascii=size % 2 == 0)

    joined = ("" if size % 3 else "\n").join(map(written, values))
    document = written(others | {"log": others | {"entries": values} | others} | others)
    for text, path in ((joined, ()), (written(values), ()), (document * 2, ("log", "entries"))):
        found, cuts = values_and_cuts(text, path, size)
        assert list(map(json.loads, found)) == values * (2 if path else 1)
        assert cuts == []


def test_path_without_records_is_refused(tmp_path):
    text = json.dumps(UNDER["one line"])
    with pytest.raises(ImportTraceError, match=r"trace: there is nothing under log\.calls"):
        ready(tmp_path, text, records="log.calls")


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        ('{"a":1}\n{"a":2}\n', False),
        ('{"a":1}', False),
        ('{\n  "a": 1\n}\n', True),
        ('{"a": 1,\r\n "b": 2}', True),
        ('{"a":1}{"a":2}', True),
        ('{"a":1} {"a":2}\n', True),
        ('[\n  {"a": 1}', True),
        ('[{"a":1}]', True),
        ("[2026-01-01T00:00:00Z] GET /", False),
        ("[info] {}", False),
        ('{"a":"cut in a text\n{"a":1}\n', False),
        ("{broken}\n", False),
        ("a,b\n1,2\n", False),
    ],
)
def test_json_document_is_distinguished_from_json_lines(head, is_one):
    assert is_json_document(head) is is_one


def test_array_under_a_path_is_detected_from_the_beginning():
    text = json.dumps(UNDER["last"])
    assert has_path(text[:200], ("log", "entries"))
    assert not has_path(text, ("log", "version"))
    assert not has_path('{"log": {"entries"', ("log", "entries"))
    assert not has_path('{"log": {"entries": 5}}', ("log", "entries"))


@pytest.mark.parametrize(
    ("keys", "is_there"), [([("status",)], True), ([("in", "records")], True), ([("code",)], False)]
)
def test_array_is_recognised_by_the_keys_of_its_records(keys, is_there):
    path = ("log", "entries")
    text = json.dumps(UNDER["one line"])
    assert has_path(text, path, keys) is is_there
    assert has_path(text[: text.index('"in"') + 17], path, keys) is is_there


def test_records_under_the_path_of_a_known_format_are_detected(tmp_path):
    (tmp_path / "trace").write_text(json.dumps(UNDER["last"], indent=1))
    inputs = Inputs(
        [str(tmp_path / "trace")], known=[(("log", "calls"), ()), (("log", "entries"), ())]
    )
    (batch,) = inputs.lines()
    assert list(map(json.loads, batch.texts)) == CALLS


def test_records_option_is_refused_for_other_files_than_json(tmp_path):
    with pytest.raises(
        ImportTraceError, match="trace: --records names an array in JSON, and this file is not JSON"
    ):
        ready(tmp_path, "a,b\n1,2\n", records="a.b")


@pytest.mark.parametrize("form", ["pretty array", "array", "pretty, one after another"])
def test_data_before_a_cut_is_imported_and_the_cut_is_reported(tmp_path, form):
    (tmp_path / "trace").write_text(FORMS[form][: len(FORMS[form]) * 3 // 4])
    inputs = Inputs([str(tmp_path / "trace")])
    assert sum(len(batch.texts) for batch in inputs.lines()) == 3
    assert inputs.cuts == {str(tmp_path / "trace"): "the JSON is cut before its end"}


def test_array_without_an_end_is_reported(tmp_path):
    assert values_and_cuts('[{"a":1}') == (['{"a":1}'], ["the JSON is cut before its end"])


@pytest.mark.parametrize("size", [None, 5])
@pytest.mark.parametrize(
    ("bad", "shown"),
    [
        (
            '{\n    "a": nil,\n    "in": [\n      {\n        "b": 1\n      }\n    ]\n  }',
            '{\n    "a": n',
        ),
        ('{"a" 1}', '{"a" 1'),
        ("}", "}"),
    ],
)
def test_malformed_value_is_skipped_and_the_next_one_read(bad, shown, size):
    # Within the malformed value an object begins a line; it is not a neighbour of the value.
    values, cuts = values_and_cuts('[\n  {"a":1},\n  ' + bad + ',\n  {"a":2}\n]', size=size)
    assert (values, cuts) == (['{"a":1}', shown, '{"a":2}'], [])


def test_malformed_value_on_a_single_line_ends_reading_and_is_reported():
    values, cuts = values_and_cuts('[{"a":1},{"a":x},{"a":2}]' + " " * 20)
    assert (values, cuts) == (['{"a":1}'], ["it is not JSON after '{\"a\":x'"])


def test_unreadable_record_is_reported_with_its_position(tmp_path):
    text = (
        '[{"start_ms":1,"service":"a","status":200},\n{"start_ms":"x","service":"a","status":200}]'
    )
    calls, (bad,) = imported(tmp_path, text)
    assert len(calls) == 1
    assert (bad.line, bad.unit) == (2, "record")


def test_too_long_json_value_is_skipped(tmp_path):
    long = json.dumps({"a": ["x" * 70, {"b": '"}'}] * (MAX_LINE_CHARS // 80)})
    values, cuts = values_and_cuts(f'[{{"a":1}},{long},{{"a":2}}]', size=1 << 16)
    assert (values, cuts) == (['{"a":1}', None, '{"a":2}'], [])
    with pytest.raises(ImportTraceError, match="no record can be read.*--records, as log.entries"):
        ready(tmp_path, "[" + long + "]")


def test_long_json_value_in_short_pieces_is_read_quickly():
    value = json.dumps({"a": [{"b": number} for number in range(70_000)]})
    assert 900_000 < len(value) < MAX_LINE_CHARS
    began = time.process_time()
    values, cuts = values_and_cuts(f"[{value},{value}]", size=1000)
    assert (values, cuts) == ([value] * 2, [])
    assert time.process_time() - began < 3


@pytest.mark.parametrize("endless", ['{"a":"', '{"a":[', '{"a":{"b":1},', "[[["])
def test_endless_json_document_is_given_up(endless):
    def pieces():
        yield '{"a":1}' + endless
        while True:
            yield endless[-1] * (1 << 18)

    cuts = []
    values = json_values(pieces() if endless != "[[[" else iter(["["] * 10**5), (), cuts.append)
    assert [value for value in values if value] == ['{"a":1}'] * (endless != "[[[")
    assert len(cuts) == 1


def test_json_document_may_be_compressed_and_in_any_encoding(tmp_path):
    for data in (gzip.compress(FORMS["pretty array"].encode()), FORMS["array"].encode("utf-16")):
        assert len(imported(tmp_path, data)[0]) == 5


def test_error_suggests_arrays_that_may_hold_the_records(tmp_path):
    with pytest.raises(ImportTraceError, match=r"in an array: name it with --records log\.entries"):
        ready(tmp_path, json.dumps({"log": {"n": [1], "entries": CALLS}}, indent=1))
