"""Calls from Jaeger's JSON."""

import json

import pytest
from import_support import all_of
from observed_calls import ObservedCall

from recloser import Outcome

START = 1_767_225_600 * 10**9


def tag(key, value):
    return {"key": key, "value": value}


PAY = {
    "traceID": "t", "spanID": "1", "operationName": "GET /pay", "startTime": START // 1000,
    "duration": 7000, "processID": "p1", "references": [],
    "tags": [
        tag("span.kind", "client"), tag("peer.service", "bank"),
        tag("http.status_code", 503), tag("error", True),
    ],
}  # fmt: skip
SELECT = {
    "traceID": "t", "spanID": "2", "operationName": "SELECT", "startTime": START // 1000,
    "duration": 1, "processID": "p1",
    "tags": [tag("span.kind", "client"), tag("db.system", "mysql"), tag("error", False)],
}  # fmt: skip
OTHER = {
    "traceID": "t", "spanID": "3", "startTime": START // 1000, "duration": 1, "processID": "p1",
    "tags": [], "operationName": "x",
}  # fmt: skip
TRACE = {
    "traceID": "t",
    "spans": [PAY, SELECT, OTHER],
    "processes": {"p1": {"serviceName": "shop", "tags": []}},
}
CALLS = [
    ObservedCall("shop->bank", START, 7_000_000, Outcome.FAILED, "503"),
    ObservedCall("shop->mysql", START, 1000, Outcome.SUCCEEDED),
]


@pytest.mark.parametrize("document", [{"data": [TRACE], "total": 0}, TRACE, [TRACE]])
@pytest.mark.parametrize("indent", [None, 2])
def test_every_layout_of_a_jaeger_trace_results_in_the_same_calls(tmp_path, document, indent):
    text = json.dumps(document, indent=indent)
    assert all_of(tmp_path, text) == (CALLS, [], {"unspecified spans": 1})


def of_elasticsearch(span):
    """A span as Jaeger stores it in Elasticsearch with all tags as fields."""
    tags = {each["key"].replace(".", "@"): str(each["value"]).lower() for each in span["tags"]}
    rest = {key: value for key, value in span.items() if key not in ("tags", "processID")}
    return {**rest, "tag": tags, "process": {"serviceName": "shop", "tags": []}}


STORED = [of_elasticsearch(span) for span in (PAY, SELECT, OTHER)]


@pytest.mark.parametrize(
    "text",
    [
        "".join(json.dumps({"_index": "jaeger-span", "_source": span}) + "\n" for span in STORED),
        "".join(json.dumps(span) + "\n" for span in STORED),
        json.dumps({"took": 3, "hits": {"total": 3, "hits": [{"_source": s} for s in STORED]}}),
        json.dumps({"hits": {"hits": [{"_source": s} for s in STORED]}}, indent=2),
        json.dumps(STORED, indent=4),
    ],
    ids=["dump", "lines", "answer", "pretty", "array"],
)
def test_elasticsearch_documents_result_in_the_same_calls(tmp_path, text):
    assert all_of(tmp_path, text) == (CALLS, [], {"unspecified spans": 1})


@pytest.mark.parametrize(
    ("tags", "outcome", "error"),
    [
        ([], "succeeded", None),
        ([tag("error", "true")], "failed", "ERROR"),
        ([tag("error", True), tag("http.status_code", 404)], "succeeded", None),
        ([tag("error", True), tag("http.status_code", "200")], "failed", "200"),
        ([tag("otel.status_code", "ERROR")], "failed", "ERROR"),
        ([tag("rpc.grpc.status_code", 14), tag("http.status_code", 200)], "failed", "UNAVAILABLE"),
    ],
)
def test_error_status_is_a_failure_unless_http_status_is_4xx(tmp_path, tags, outcome, error):
    span = {**SELECT, "tags": [*SELECT["tags"][:2], *tags]}
    (call,), *_ = all_of(tmp_path, json.dumps({**TRACE, "spans": [span]}))
    assert (call.outcome, call.error) == (Outcome(outcome), error)


def test_logged_exception_names_the_failure(tmp_path):
    log = {"timestamp": 1, "fields": [tag("event", "exception"), tag("exception.type", "a.B")]}
    span = {**SELECT, "tags": [*SELECT["tags"][:2], tag("error", True)], "logs": [log]}
    (call,), *_ = all_of(tmp_path, json.dumps({**TRACE, "spans": [span]}))
    assert call.error == "a.B"


def test_client_gets_its_target_from_the_server_that_refers_to_it(tmp_path):
    client = {**PAY, "tags": [tag("span.kind", "client")]}
    server = {
        **OTHER, "tags": [tag("span.kind", "server")], "processID": "p2",
        "references": [{"refType": "CHILD_OF", "traceID": "t", "spanID": "1"}],
    }  # fmt: skip
    processes = {"p1": {"serviceName": "shop"}, "p2": {"serviceName": "bank"}}
    text = json.dumps({"spans": [client, server], "processes": processes})
    calls, unreadable, skipped = all_of(tmp_path, text)
    assert [call.breaker for call in calls] == ["shop->bank"]
    assert (unreadable, skipped) == ([], {"server spans": 1})


def test_unreadable_jaeger_trace_is_reported(tmp_path):
    broken = {**TRACE, "spans": [PAY, {"duration": 1, "tags": SELECT["tags"]}, 7]}
    text = json.dumps(broken) + "\n" + json.dumps({"data": [7]}) + "\n7\n"
    calls, unreadable, _ = all_of(tmp_path, text)
    assert calls == CALLS[:1]
    assert [bad.line for bad in unreadable] == [1, 1, 2, 3]
