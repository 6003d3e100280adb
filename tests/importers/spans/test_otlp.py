"""Calls from spans of OTLP, in their current and older names."""

import json

import pytest
from import_support import all_of, imported, ready
from observed_calls import ObservedCall
from span_support import START, lines, pairs, resource, span, traces

from recloser import Outcome
from recloser.cli import status_of
from recloser.errors import ImportTraceError
from recloser.importers.outcomes.outcome_rules import UserRules

CALL = ObservedCall("shop->bank", START, 7_000_001, Outcome.SUCCEEDED)
UNKNOWN = {"refused": "UNFINISHED"}


def otlp(tmp_path, *documents, text=None, **options):
    """The calls in documents of OTLP, one per line."""
    calls, unreadable = imported(tmp_path, lines(*documents) if text is None else text, **options)
    assert unreadable == []
    return calls


def test_client_span_becomes_a_call(tmp_path):
    assert otlp(tmp_path, traces(span())) == [CALL]


@pytest.mark.parametrize(
    ("values", "status", "outcome", "error"),
    [
        ({"http.response.status_code": 200}, None, "succeeded", None),
        ({"http.response.status_code": 404}, 2, "succeeded", None),
        ({"http.response.status_code": 429, "error.type": "429"}, 2, "succeeded", None),
        ({"http.response.status_code": 499}, 2, "ignored", "499"),
        ({"http.response.status_code": 503, "error.type": "503"}, 2, "failed", "503"),
        ({"http.response.status_code": 500}, None, "failed", "500"),
        ({"http.response.status_code": 0}, None, "failed", "0"),
        ({"http.response.status_code": 200}, 2, "failed", "200"),
        ({"http.response.status_code": 200, "error.type": "timeout"}, 2, "failed", "timeout"),
        ({"http.status_code": 502}, None, "failed", "502"),
        ({"http.status_code": 502, "http.response.status_code": 200}, None, "succeeded", None),
        ({"error.type": "503"}, 2, "failed", "503"),
        ({"error.type": "404"}, 2, "succeeded", None),
        ({"error.type": "timeout"}, 2, "failed", "timeout"),
        ({"rpc.response.status_code": "UNAVAILABLE"}, 2, "failed", "UNAVAILABLE"),
        ({"rpc.response.status_code": "NOT_FOUND"}, 2, "succeeded", None),
        ({"rpc.status_code": "DEADLINE_EXCEEDED"}, 2, "failed", "DEADLINE_EXCEEDED"),
        ({"rpc.grpc.status_code": 14}, 2, "failed", "UNAVAILABLE"),
        ({"rpc.grpc.status_code": 14, "http.status_code": 200}, None, "failed", "UNAVAILABLE"),
        ({"rpc.grpc.status_code": 1}, 2, "ignored", "CANCELLED"),
        ({"rpc.grpc.status_code": 5}, 2, "succeeded", None),
        ({"rpc.grpc.status_code": 0}, None, "succeeded", None),
        ({"rpc.grpc.status_code": 0}, 2, "failed", "ERROR"),
        ({"db.system": "redis"}, 2, "failed", "ERROR"),
        ({"db.system": "redis"}, "STATUS_CODE_ERROR", "failed", "ERROR"),
        ({}, 1, "succeeded", None),
        ({}, "STATUS_CODE_OK", "succeeded", None),
    ],
)
def test_error_status_is_a_failure_unless_http_status_is_4xx(
    tmp_path, values, status, outcome, error
):
    (call,) = otlp(tmp_path, traces(span(values, status)))
    assert (call.outcome, call.error) == (Outcome(outcome), error)


@pytest.mark.parametrize("end", ["0", None, 0])
def test_unfinished_span_has_an_unknown_outcome(tmp_path, end):
    trace_import = ready(tmp_path, lines(traces(span(endTimeUnixNano=end))))
    (calls,) = [batch for batch in trace_import.calls() if len(batch)]
    assert (calls.outcome, calls.labels) == ([Outcome.IGNORED], [UNKNOWN])
    with pytest.raises(ImportTraceError, match="outcome of 1 of 1 calls is unknown.*UNFINISHED"):
        trace_import.classifier.check_unknown()


def test_user_rule_overrides_span_rules(tmp_path):
    document = traces(
        span({"http.response.status_code": 429}), span({"error.type": "Gone"}, 2, number=2)
    )
    own = UserRules(failed=["429"], ignored=["Gone"])
    first, second = otlp(tmp_path, document, own=own)
    assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.IGNORED)


def test_exception_event_names_the_failure(tmp_path):
    event = {"name": "exception", "attributes": pairs({"exception.type": "ConnectError"})}
    (call,) = otlp(tmp_path, traces(span(status=2, events=[event])))
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
def test_target_is_the_first_attribute_that_names_one(tmp_path, values, target):
    (call,) = otlp(tmp_path, traces(span(attributes=pairs(values))))
    assert call.breaker == f"shop->{target}"


def test_templates_and_labels_use_fields_and_attributes_of_spans(tmp_path):
    one = span({"http.request.method": "POST", "url.template": "/pay/{id}", "retries": 3})
    (call,) = otlp(
        tmp_path,
        traces(one),
        breaker="{target} {method} {route}",
        labels=["url.template", "no", "retries"],
    )
    assert call.breaker == "bank POST /pay/{id}"
    assert call.labels == {"url.template": "/pay/{id}", "retries": "3"}


def test_spans_of_other_kinds_are_counted_by_kind(tmp_path):
    kinds = traces(*[span(kind=kind, number=kind) for kind in (1, 2, 4, 5, 0)])
    calls, unreadable, skipped = all_of(tmp_path, lines(kinds))
    assert (calls, unreadable) == ([], [])
    names = ("internal", "server", "producer", "consumer", "unspecified")
    assert skipped == {f"{kind} spans": 1 for kind in names}


def test_sent_messages_are_calls_with_the_producers_option(tmp_path):
    assert otlp(tmp_path, traces(span(kind=4)), producers=True) == [CALL]


@pytest.mark.parametrize(
    "document",
    [
        traces(span(kind="SPAN_KIND_CLIENT"), scopes="instrumentationLibrarySpans"),
        traces(span(startTimeUnixNano=START, endTimeUnixNano=START + 7_000_001)),
        traces(span(kind="3", parentSpanId=None, droppedLinksCount=1)),
        {"batches": [resource(span(kind="SPAN_KIND_CLIENT"))]},
        {"trace": traces(span())},
        {"trace": {"resourceSpans": [resource(span(traceId="W47/95gDgQPSabYzgT/GDA=="))]}},
        {"result": traces(span())},
        resource(span()),
    ],
    ids=["older", "numbers", "texts", "tempo-1", "tempo-2", "base64", "jaeger-3", "resource"],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_every_layout_of_a_span_results_in_the_same_call(tmp_path, document, indent):
    assert otlp(tmp_path, text=json.dumps(document, indent=indent)) == [CALL]


def test_logger_prefix_before_json_is_skipped(tmp_path):
    text = (
        "Sep 01, 2022 9:15:34 AM io.opentelemetry.exporter.logging.otlp.OtlpJsonLogging export\n"
        f"INFO: {json.dumps(resource(span()))}\n"
        f"[otel.javaagent] [main] INFO exporter - {json.dumps(resource(span(number=2)))}\n"
    )
    calls, unreadable, skipped = all_of(tmp_path, text)
    assert (calls, unreadable) == ([CALL] * 2, [])
    assert skipped == {"lines that hold no spans": 1}


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (span(number=2, startTimeUnixNano="x"), "invalid literal"),
        (span(number=2, endTimeUnixNano=str(START - 1)), "ends before it starts"),
        (span(number=2, attributes=[], traceId=""), "names no target"),
        (span(number=2, attributes=[]), "and its trace has no server's span"),
        (span(number=2, kind=9), "no kind 9"),
        (span(number=2, kind=None), "a span cannot be read"),
        ({"kind": 3}, "startTimeUnixNano is missing"),
        ("no span", "a span cannot be read"),
        (span(number=2, attributes=[7]), "a span cannot be read"),
        (span(number=2, startTimeUnixNano="0", endTimeUnixNano="9" * 30), "range"),
        (
            span(number=2, startTimeUnixNano="9" * 30, endTimeUnixNano="9" * 31),
            "starts before 1970",
        ),
    ],
)
def test_unreadable_span_does_not_affect_others(tmp_path, capsys, bad, why):
    path = tmp_path / "trace"
    path.write_text(lines(traces(span(number=1), bad, span(number=3))))
    assert status_of(["import", str(path), "-o", str(tmp_path / "log"), "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["calls"], report["unread"]) == (2, 1)
    assert why in report["unreadable"][0]["why"]


@pytest.mark.parametrize("line", ["{", "[]", "7", "null", '{"resourceMetrics":[]}', "[" * 100_000])
def test_line_without_a_trace_is_reported_with_its_number(tmp_path, line):
    text = f"{lines(traces(span(number=1)))}{line}\n{lines(traces(span(number=2)))}"
    calls, unreadable, _ = all_of(tmp_path, text)
    assert calls == [CALL] * 2
    assert [bad.line for bad in unreadable] == ([] if line == "[]" else [2])


def test_broken_first_line_does_not_affect_the_rest(tmp_path):
    calls, unreadable = imported(tmp_path, f'{{"resourceSpans":[\n{lines(traces(span()))}')
    assert calls == [CALL]
    assert [bad.line for bad in unreadable] == [1]
