"""OTLP in protobuf results in the same calls as its JSON."""

import json
from base64 import b64encode

import pytest
from import_support import all_of
from span_support import lines, span, traces

from recloser.importers.spans.otlp_protobuf import is_protobuf

pytest.importorskip("opentelemetry.proto")
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

DOCUMENTS = [
    traces(span({"http.response.status_code": 503}, 2, number=1), span(number=2)),
    traces(span(kind=2, number=3)),
]


def message(document):
    """A message in protobuf; its JSON has ids in base64, and OTLP's JSON has them in hexadecimal."""
    copy = json.loads(json.dumps(document))
    for each in copy["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId"):
            each[name] = b64encode(bytes.fromhex(each[name])).decode()
    return ParseDict(copy, TracesData()).SerializeToString()


def behind_its_length(data):
    return len(data).to_bytes(4, "big") + data


def test_messages_after_their_lengths_are_read(tmp_path):
    """The collector's file exporter writes them in this form."""
    data = b"".join(behind_its_length(message(document)) for document in DOCUMENTS)
    found = all_of(tmp_path, data)
    assert found == all_of(tmp_path, lines(*DOCUMENTS))
    assert (len(found[0]), found[1]) == (2, [])


def test_single_message_is_read(tmp_path):
    assert all_of(tmp_path, message(DOCUMENTS[0])) == all_of(tmp_path, lines(DOCUMENTS[0]))


def test_cut_message_is_reported(tmp_path):
    data = b"".join(behind_its_length(message(document)) for document in DOCUMENTS)
    calls, unreadable, _ = all_of(tmp_path, data[:-20])
    assert len(calls) == 2
    assert [bad.line for bad in unreadable] == [2]


@pytest.mark.parametrize("head", [b"", b"\n\n\n\n", b"\x00" * 100, b"{}", b"\n\x10abc"])
def test_other_bytes_are_not_taken_for_protobuf(head):
    assert not is_protobuf(head)
