"""Calls from Zipkin's JSON, versions 1 and 2."""

import json

import pytest
from import_support import all_of, ready
from observed_calls import ObservedCall

from recloser import Outcome
from recloser.errors import ImportTraceError

START = 1_767_225_600 * 10**9
US = START // 1000
SHOP, BANK = {"serviceName": "shop"}, {"serviceName": "bank", "ipv4": "10.0.0.1"}

SPANS = [
    {
        "traceId": "t", "id": "1", "kind": "CLIENT", "name": "get", "timestamp": US,
        "duration": 7000, "localEndpoint": SHOP, "remoteEndpoint": BANK,
        "tags": {"http.status_code": "404", "error": "404"},
    },
    {
        "traceId": "t", "id": "2", "kind": "CLIENT", "timestamp": US, "duration": 3,
        "localEndpoint": SHOP, "remoteEndpoint": {"ipv4": "10.0.0.2"}, "tags": {"error": "refused"},
    },
    {"traceId": "t", "id": "3", "kind": "SERVER", "timestamp": 1, "duration": 1},
]  # fmt: skip
CALLS = [
    ObservedCall("shop->bank", START, 7_000_000, Outcome.SUCCEEDED),
    ObservedCall("shop->10.0.0.2", START, 3000, Outcome.FAILED, "ERROR"),
]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(SPANS),
        json.dumps([SPANS]),
        json.dumps(SPANS, indent=2),
        json.dumps([SPANS], indent=2),
        "".join(json.dumps(span) + "\n" for span in SPANS),
    ],
    ids=["array", "traces", "document", "document of traces", "lines"],
)
def test_zipkin_version_2_is_read_in_all_layouts(tmp_path, text):
    assert all_of(tmp_path, text) == (CALLS, [], {"server spans": 1})


def shared(**changes):
    """A client's span without a target, and the server's span of the same id."""
    client = {**SPANS[0], "remoteEndpoint": None, "tags": {}, **changes}
    server = {"traceId": "t", "id": "1", "kind": "SERVER", "shared": True, "localEndpoint": BANK}
    return [client, server]


@pytest.mark.parametrize("is_server_first", [False, True])
def test_shared_span_names_the_target(tmp_path, is_server_first):
    spans = shared()
    text = json.dumps(spans[::-1] if is_server_first else spans)
    assert all_of(tmp_path, text) == (CALLS[:1], [], {"server spans": 1})


def test_zipkin_span_without_a_duration_has_an_unknown_outcome(tmp_path):
    trace_import = ready(tmp_path, json.dumps(shared(duration=None)))
    list(trace_import.calls())
    with pytest.raises(ImportTraceError, match="unknown.*UNFINISHED"):
        trace_import.classifier.check_unknown()


def test_zipkin_span_without_a_duration_but_with_an_error_is_a_failure(tmp_path):
    (call,), *_ = all_of(tmp_path, json.dumps(shared(duration=None, tags={"error": "x"})))
    assert (call.outcome, call.took) == (Outcome.FAILED, 0)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "14"])
def test_grpc_status_marks_a_failure(tmp_path, code):
    (call,), *_ = all_of(tmp_path, json.dumps(shared(tags={"grpc.status_code": code})))
    assert (call.outcome, call.error) == (Outcome.FAILED, "UNAVAILABLE")


def annotation(value, at, endpoint):
    return {"value": value, "timestamp": US + at, "endpoint": endpoint}


def version_1(*annotations, binary=(), **changes):
    return {
        "traceId": "t", "id": "1", "name": "get", "annotations": list(annotations),
        "binaryAnnotations": list(binary), **changes,
    }  # fmt: skip


CS, CR = annotation("cs", 0, SHOP), annotation("cr", 7000, SHOP)
SR, SS = annotation("sr", 10, BANK), annotation("ss", 6000, BANK)
SA = {"key": "sa", "value": True, "endpoint": BANK}
BETWEEN = {
    "traceId": "t", "id": "1", "name": "get", "timestamp": US, "localEndpoint": SHOP,
    "remoteEndpoint": BANK,
    "annotations": [{"timestamp": US, "value": "cs"}, {"timestamp": US + 7000, "value": "cr"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("spans", "skipped"),
    [
        ([version_1(CS, SR, SS, CR)], {"server spans": 1}),
        ([version_1(CS, CR, binary=[SA])], {}),
        ([version_1(CS, CR), version_1(SR, SS)], {"server spans": 1}),
        ([version_1(SR, SS), version_1(CS, CR)], {"server spans": 1}),
        ([version_1(CS, timestamp=US, duration=7000, binary=[SA])], {}),
        ([BETWEEN], {}),
    ],
    ids=[
        "both in one",
        "address",
        "shared",
        "shared, server first",
        "without its end",
        "without endpoints",
    ],
)
def test_zipkin_version_1_marks_sides_by_annotations(tmp_path, spans, skipped):
    assert all_of(tmp_path, json.dumps(spans)) == (CALLS[:1], [], skipped)


def test_tags_of_zipkin_version_1_mark_a_failure(tmp_path):
    binary = [SA, {"key": "http.status_code", "value": "503", "endpoint": SHOP}]
    (call,), *_ = all_of(tmp_path, json.dumps([version_1(CS, CR, binary=binary)]))
    assert (call.outcome, call.error) == (Outcome.FAILED, "503")


def test_unreadable_zipkin_trace_is_reported(tmp_path):
    text = '{"kind":"CLIENT"}\n7\n[[[]]]\n{"kind":"CLIENT","timestamp":1,"tags":7}\n'
    calls, unreadable, _ = all_of(tmp_path, text, format="zipkin")
    assert calls == []
    assert [bad.line for bad in unreadable] == [1, 2, 4]
