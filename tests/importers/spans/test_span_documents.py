"""Documents of spans are cut into values, whatever their layout."""

import io
import json
import time

import pytest
from import_support import all_of
from span_support import lines, resource, span, traces

from recloser.importers.spans.span_documents import holds_spans, span_values


def values(data):
    """The values of a file with the lines that they begin in, and the reasons for unreadable ones."""
    found = []
    for batch in span_values("f", io.BufferedReader(io.BytesIO(data))):
        found += enumerate(batch.texts, batch.first)
        found += [(bad.line, "bad: " + bad.why) for bad in batch.unreadable]
    return found


PADDING = "}{" * 200_000


def large(key):
    """A document of more than 4 MiB."""
    resources = [resource(span(number=n, traceState=PADDING)) for n in range(12)]
    document = resources
    for name in reversed(key):
        document = {name: document}
    return document


def test_lines_of_a_span_file_are_values():
    assert values(b'{"a":1}\n\n[2]\n') == [(1, '{"a":1}'), (2, ""), (3, "[2]")]


def test_document_over_several_lines_is_one_value():
    text = json.dumps(traces(span()), indent=2)
    assert values(text.encode()) == [(1, text)]


def test_consecutive_documents_are_values_with_their_line_numbers():
    text = json.dumps({"a": '}"{'}, indent=2)
    assert values(f"{text}\n{text}".encode()) == [(1, text), (4, text)]


def test_elements_of_an_array_are_values():
    assert values(b'[\n{"a":[1]},\n{"b":2}\n]\n') == [(2, '{"a":[1]}'), (3, '{"b":2}')]


def test_array_with_one_element_per_line_is_not_read_as_lines():
    assert values(b'[\n{"a":1}\n]\n') == [(2, '{"a":1}')]


@pytest.mark.parametrize(
    "key",
    [
        ("resourceSpans",), ("batches",), ("trace", "resourceSpans"), ("data",),
        ("data", "trace", "spans"), ("hits", "hits"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("indent", [None, 1])
def test_large_document_is_cut_into_its_spans(key, indent):
    document = large(key)
    if key[0] == "hits":
        document = {"took": 1, "_shards": {"total": 1}, **document}
    found = values(json.dumps(document, indent=indent).encode())
    assert len(found) == 12
    assert json.loads(found[0][1]) == resource(span(number=0, traceState=PADDING))
    assert json.loads(found[-1][1]) == resource(span(number=11, traceState=PADDING))
    assert (found[1][0] > found[0][0]) == (indent is not None)


def test_many_values_are_cut_out_in_linear_time():
    """The time would be quadratic if the rest of the file were copied for each value."""
    text = json.dumps({"data": [{"spans": [n, "x" * 200]} for n in range(30_000)]})
    began = time.process_time()
    found = values(text.encode())
    assert time.process_time() - began < 2
    assert [json.loads(value)["spans"][0] for _, value in found] == list(range(30_000))


def test_large_jaeger_trace_keeps_its_processes():
    trace = {"traceID": "1", "spans": [{"x": "y" * 5_000_000}], "processes": {"p1": {}}}
    ((_, text),) = values(json.dumps(trace).encode())
    assert json.loads(text) == trace


def test_values_before_a_cut_are_read_and_the_cut_is_reported():
    text = json.dumps({"resourceSpans": [resource(span()), resource(span())]}, indent=1)
    (line, whole), (cut_line, why) = values(text[: int(len(text) * 0.8)].encode())
    assert json.loads(whole) == resource(span())
    assert line == 3
    assert why == f"bad: the document is cut in the value that begins in line {cut_line}"


def test_value_of_more_than_16_mib_is_unreadable():
    bad = (2, "bad: it is longer than 16,777,216 bytes")
    too_long = b'{"resourceSpans":[{"x":"' + b"a" * (17 << 20) + b'"}]}\n'
    assert sorted(values(b"[]\n" + too_long + b"[1]\n")) == [(1, "[]"), (2, ""), bad, (3, "[1]")]
    assert values(b'{\n"resourceSpans":[{"x":"' + b"a" * (17 << 20))[-1] == bad


def test_text_between_documents_is_reported_as_not_json():
    found = values(b"{\n}\nfoo bar\n{\n}")
    assert found == [(1, "{\n}"), (2, "bad: it is not JSON: foo bar"), (4, "{\n}")]


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_span_file_is_recognised_by_its_keys(bom):
    assert holds_spans(bom + json.dumps(traces(span()), indent=2).encode())
    assert not holds_spans(b'{"message":"no spans"}')
    assert not holds_spans(b'INFO: {"resourceSpans":[]}')


@pytest.mark.parametrize(
    "line",
    [
        {"ts": "2026-01-01T00:00:00Z", "traceID": "5b8e", "spanID": "1", "status": 200},
        {"time": 1, "operationName": "GetUser", "variables": {}, "status": 200},
        {"traceId": "5b8e", "message": 'calls "localEndpoint": x'},
        {"circuitBreakerName": "bank", "ts": 1, "status": 200},
        {"batches": [1, 2]},
    ],
)
def test_application_log_with_some_span_keys_is_not_a_span_file(line):
    assert not holds_spans(json.dumps(line).encode())


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("are_several", [False, True])
def test_documents_and_lines_result_in_the_same_calls(tmp_path, indent, are_several):
    documents = [traces(span(number=1), span(number=2)), traces(span(number=3))]
    (expected, *_) = all_of(tmp_path, lines(*documents))
    assert len(expected) == 3
    given = documents if are_several else {"trace": {"resourceSpans": [
        each for document in documents for each in document["resourceSpans"]]}}  # fmt: skip
    assert all_of(tmp_path, json.dumps(given, indent=indent)) == (expected, [], {})
