"""Calls out of spans: OTLP, Jaeger and Zipkin, in their current and older names."""

import io
import json

import pytest

from recloser import Outcome
from recloser.importers.fields import BreakerTemplate, OutcomeRule
from recloser.importers.jaeger import read_jaeger
from recloser.importers.otlp import read_otlp
from recloser.importers.spans import FAILURES, SpanMapping
from recloser.importers.trace import ObservedCall, Skipped, Unreadable
from recloser.importers.zipkin import read_zipkin

START = 1_767_225_600 * 10**9


def mapping(breaker="{caller}->{target}", labels=(), producers=False, ignored=()):
    return SpanMapping(
        breaker=BreakerTemplate(breaker),
        rule=OutcomeRule(FAILURES, ignored),
        labels=labels,
        producers=producers,
    )


def value(content):
    kind = {bool: "boolValue", int: "intValue", float: "doubleValue", str: "stringValue"}
    return {kind[type(content)]: str(content) if type(content) is int else content}


def pairs(values):
    return [{"key": key, "value": value(content)} for key, content in values.items()]


def span(values=(), status=None, kind=3, **changes):
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": "GET",
        "kind": kind,
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 7_000_001),
        "attributes": pairs({"server.address": "bank", **dict(values)}),
        "status": {} if status is None else {"code": status},
        **changes,
    }


def resource(*spans, service="shop", scopes="scopeSpans"):
    return {
        "resource": {"attributes": pairs({"service.name": service})},
        scopes: [{"scope": {}, "spans": list(spans)}],
    }


def traces(*spans, **options):
    return {"resourceSpans": [resource(*spans, **options)]}


def otlp(*documents, text=None, **options):
    lines = "".join(json.dumps(document) + "\n" for document in documents)
    return list(
        read_otlp(io.StringIO(lines if text is None else text, newline=""), mapping(**options))
    )


def test_the_span_of_a_client_becomes_a_call():
    assert otlp(traces(span())) == [ObservedCall("shop->bank", START, 7_000_001, Outcome.SUCCEEDED)]


@pytest.mark.parametrize(
    ("values", "status", "outcome", "error"),
    [
        ({"http.response.status_code": 200}, None, "succeeded", None),
        ({"http.response.status_code": 404}, 2, "succeeded", None),
        ({"http.response.status_code": 429, "error.type": "429"}, 2, "succeeded", None),
        ({"http.response.status_code": 503, "error.type": "503"}, 2, "failed", "503"),
        ({"http.response.status_code": 500}, None, "failed", "500"),
        ({"http.status_code": 502}, None, "failed", "502"),
        ({"http.status_code": 502, "http.response.status_code": 200}, 2, "succeeded", None),
        ({"error.type": "503"}, 2, "failed", "503"),
        ({"error.type": "404"}, 2, "succeeded", None),
        ({"error.type": "timeout"}, 2, "failed", "timeout"),
        ({"rpc.response.status_code": "UNAVAILABLE"}, 2, "failed", "UNAVAILABLE"),
        ({"rpc.response.status_code": "NOT_FOUND"}, 2, "succeeded", None),
        ({"rpc.status_code": "DEADLINE_EXCEEDED"}, 2, "failed", "DEADLINE_EXCEEDED"),
        ({"rpc.grpc.status_code": 14}, 2, "failed", "UNAVAILABLE"),
        ({"rpc.grpc.status_code": 5}, 2, "succeeded", None),
        ({"rpc.grpc.status_code": 0}, None, "succeeded", None),
        ({"db.system": "redis"}, 2, "failed", "ERROR"),
        ({}, 1, "succeeded", None),
    ],
)
def test_the_code_goes_before_the_status(values, status, outcome, error):
    (call,) = otlp(traces(span(values, status)))
    assert (call.outcome, call.error) == (Outcome(outcome), error)


def test_an_exception_names_the_failure():
    event = {"name": "exception", "attributes": pairs({"exception.type": "ConnectError"})}
    (call,) = otlp(traces(span(status=2, events=[event])))
    assert call.error == "ConnectError"


@pytest.mark.parametrize(
    ("values", "target"),
    [
        ({"service.peer.name": "a", "peer.service": "b", "server.address": "c"}, "a"),
        ({"peer.service": "b", "server.address": "c"}, "b"),
        ({"server.address": "c", "server.port": 443, "net.peer.name": "d"}, "c:443"),
        ({"net.peer.name": "d", "net.peer.port": 80, "url.full": "http://e/"}, "d:80"),
        ({"url.full": "https://me:pw@e:8443/x?y", "http.url": "http://f/"}, "e:8443"),
        ({"http.url": "http://f/x", "rpc.service": "g"}, "f"),
        ({"rpc.service": "g", "db.system": "h"}, "g"),
        ({"db.system.name": "h", "db.system": "i"}, "h"),
        ({"db.system": "i", "network.peer.address": "10.0.0.1"}, "i"),
        ({"network.peer.address": "10.0.0.1"}, "10.0.0.1"),
    ],
)
def test_the_target_is_the_first_that_is_told(values, target):
    (call,) = otlp(traces(span(attributes=pairs(values))))
    assert call.breaker == f"shop->{target}"


def test_templates_and_labels_name_what_the_span_tells():
    told = span({"http.request.method": "POST", "url.template": "/pay/{id}"})
    (call,) = otlp(traces(told), breaker="{target} {method} {route}", labels=["url.template", "no"])
    assert call.breaker == "bank POST /pay/{id}"
    assert call.labels == {"url.template": "/pay/{id}"}


def test_other_spans_are_counted_as_what_they_are():
    kinds = [span(kind=kind) for kind in (1, 2, 4, 5, 0)]
    assert otlp(traces(*kinds)) == [
        Skipped(f"{kind} spans")
        for kind in ("internal", "server", "producer", "consumer", "unspecified")
    ]
    (call,) = otlp(traces(span(kind=4)), producers=True)
    assert isinstance(call, ObservedCall)


def test_older_and_tolerated_forms_are_read():
    (old,) = otlp(traces(span(kind="SPAN_KIND_CLIENT"), scopes="instrumentationLibrarySpans"))
    (number,) = otlp(traces(span(startTimeUnixNano=START, endTimeUnixNano=START + 1)))
    assert isinstance(old, ObservedCall)
    assert number.took == 1


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("document", [traces(span(), span()), [traces(span()), traces(span())]])
def test_a_document_is_read_like_lines(document, indent):
    found = otlp(text=json.dumps(document, indent=indent))
    if isinstance(document, list) and indent is None:
        assert [type(item) for item in found] == [Unreadable]
    else:
        assert [type(item) for item in found] == [ObservedCall, ObservedCall]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (span(startTimeUnixNano="x"), "invalid literal"),
        (span(endTimeUnixNano=str(START - 1)), "ends before it starts"),
        (span(attributes=[]), "has no target"),
        (span(kind=9), "no kind 9"),
        (span(kind=None), "a span can't be read"),
        ({"kind": 3}, "startTimeUnixNano' is missing"),
        ("no span", "a span can't be read"),
        (span(attributes=[7]), "a span can't be read"),
        (span(startTimeUnixNano="0", endTimeUnixNano="9" * 30), "out of range"),
    ],
)
def test_a_span_that_can_not_be_read_costs_no_other(bad, why):
    first, second, third = otlp(traces(span(), bad, span()))
    assert isinstance(second, Unreadable)
    assert why in second.why
    assert first == third == ObservedCall("shop->bank", START, 7_000_001, Outcome.SUCCEEDED)


@pytest.mark.parametrize("line", ["{", "[]", "7", "null", '{"resourceMetrics":[]}', "[" * 100_000])
def test_a_line_that_is_no_trace_is_told_with_its_number(line):
    good = json.dumps(traces(span()))
    first, bad, last = otlp(text=f"{good}\n{line}\n{good}\n")
    assert isinstance(bad, Unreadable)
    assert bad.line == 2
    assert first == last


def test_a_broken_first_line_does_not_cost_the_rest():
    first, second = otlp(text=f'{{"resourceSpans":[\n{json.dumps(traces(span()))}\n')
    assert isinstance(first, Unreadable)
    assert isinstance(second, ObservedCall)


def test_a_document_that_breaks_off_is_told_so():
    text = json.dumps({"resourceSpans": [resource(span()), resource(span())]}, indent=1)
    *calls, bad = otlp(text=text[: int(len(text) * 0.8)])
    assert len(calls) == 1
    assert isinstance(bad, Unreadable)
    assert "broken behind its element 1" in bad.why


JAEGER = {
    "traceID": "t",
    "spans": [
        {
            "spanID": "1", "operationName": "GET /pay", "startTime": START // 1000,
            "duration": 7000, "processID": "p1", "references": [],
            "tags": [
                {"key": "span.kind", "type": "string", "value": "client"},
                {"key": "peer.service", "type": "string", "value": "bank"},
                {"key": "http.status_code", "type": "int64", "value": 503},
                {"key": "error", "type": "bool", "value": True},
            ],
        },
        {
            "spanID": "2", "operationName": "SELECT", "startTime": START // 1000,
            "duration": 1, "processID": "p1",
            "tags": [
                {"key": "span.kind", "type": "string", "value": "client"},
                {"key": "db.system", "type": "string", "value": "mysql"},
                {"key": "error", "type": "bool", "value": False},
            ],
        },
        {"spanID": "3", "startTime": START // 1000, "duration": 1, "processID": "p1", "tags": []},
    ],
    "processes": {"p1": {"serviceName": "shop", "tags": []}},
}  # fmt: skip


def jaeger(text):
    return list(read_jaeger(io.StringIO(text, newline=""), mapping()))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"data": [JAEGER], "total": 0}),
        json.dumps({"data": [JAEGER], "total": 0}, indent=2),
        json.dumps(JAEGER),
        json.dumps([JAEGER], indent=2),
    ],
    ids=["line", "document", "trace", "array"],
)
def test_jaeger_is_read_as_it_is_downloaded(text):
    assert jaeger(text) == [
        ObservedCall("shop->bank", START, 7_000_000, Outcome.FAILED, "503"),
        ObservedCall("shop->mysql", START, 1000, Outcome.SUCCEEDED),
        Skipped("unspecified spans"),
    ]


def test_what_is_wrong_in_jaeger_is_told():
    broken = {**JAEGER, "spans": [*JAEGER["spans"][:1], {"duration": 1}, 7]}
    call, *bad = jaeger(json.dumps(broken) + "\n" + json.dumps({"data": 7}) + "\n[]\n")
    assert isinstance(call, ObservedCall)
    assert [type(item) for item in bad] == [Unreadable] * 4


ZIPKIN = [
    {
        "traceId": "t", "id": "1", "kind": "CLIENT", "name": "get", "timestamp": START // 1000,
        "duration": 7000, "localEndpoint": {"serviceName": "shop"},
        "remoteEndpoint": {"serviceName": "bank", "ipv4": "10.0.0.1", "port": 80},
        "tags": {"http.status_code": "404", "error": "404"},
    },
    {
        "traceId": "t", "id": "2", "kind": "CLIENT", "timestamp": START // 1000,
        "localEndpoint": {"serviceName": "shop"}, "remoteEndpoint": {"ipv4": "10.0.0.2"},
        "tags": {"error": "refused"},
    },
    {"traceId": "t", "id": "3", "kind": "SERVER", "timestamp": 1, "duration": 1},
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ZIPKIN),
        json.dumps([ZIPKIN]),
        json.dumps(ZIPKIN, indent=2),
        json.dumps([ZIPKIN], indent=2),
        "".join(json.dumps(span) + "\n" for span in ZIPKIN),
    ],
    ids=["array", "traces", "document", "document of traces", "lines"],
)
def test_zipkin_is_read_in_all_its_shapes(text):
    assert list(read_zipkin(io.StringIO(text, newline=""), mapping())) == [
        ObservedCall("shop->bank", START, 7_000_000, Outcome.SUCCEEDED),
        ObservedCall("shop->10.0.0.2", START, 0, Outcome.FAILED, "ERROR"),
        Skipped("server spans"),
    ]


def test_what_is_wrong_in_zipkin_is_told():
    text = '{"kind":"CLIENT"}\n7\n[[[]]]\n{"kind":"CLIENT","timestamp":1,"tags":7}\n'
    found = list(read_zipkin(io.StringIO(text, newline=""), mapping()))
    assert [type(item) for item in found] == [Unreadable] * 3
