"""Spans that occur twice are one, and clients' spans are joined with servers'."""

import pytest
from import_support import all_of, ready
from span_support import START, lines, resource, span, traces

from recloser.importers.spans import span_reader
from recloser.importers.spans.joining import SeenSet, TargetJoin


def test_seen_set_contains_what_was_added():
    seen = SeenSet()
    things = [("trace", str(n)) for n in range(20_000)]
    assert all(map(seen.add, things))
    assert not any(map(seen.add, things))
    assert all(thing in seen for thing in things)
    assert ("trace", "x") not in seen


@pytest.mark.parametrize("run_length", [2, 20_000])
def test_join_finds_services_in_any_order_of_spans(run_length):
    with TargetJoin(run_length) as targets:
        targets.serve("t", "1", "bank")
        targets.wait("t", "1", 3, "f", ["a"])
        targets.wait("t", "2", 4, "f", ["b"])
        targets.wait("u", "1", 5, "f", ["c"])
        targets.serve("t", "2", "mail")
        targets.serve("v", "9", "unused")
        found = {
            (held.line, held.source, *held.values): service for held, service in targets.found()
        }
    assert found == {(3, "f", "a"): "bank", (4, "f", "b"): "mail", (5, "f", "c"): None}


def client(number, **changes):
    return span(number=number, attributes=[], **changes)


def server(number, parent, **changes):
    return span(kind=2, number=number, parentSpanId=f"{parent:016x}", **changes)


@pytest.mark.parametrize("is_server_first", [False, True])
def test_client_without_a_target_gets_the_service_of_its_server(tmp_path, is_server_first):
    documents = [traces(client(1, status=2)), traces(server(2, 1), service="bank")]
    trace_import = ready(tmp_path, lines(*(reversed(documents) if is_server_first else documents)))
    (calls,) = [batch for batch in trace_import.calls() if len(batch)]
    assert (calls.breaker, calls.start, calls.error) == (["shop->bank"], [START], ["ERROR"])
    assert trace_import.joined == 1


def test_client_with_a_target_keeps_it(tmp_path):
    documents = traces(span(number=1)), traces(server(2, 1), service="other")
    calls, unreadable, skipped = all_of(tmp_path, lines(*documents))
    assert [call.breaker for call in calls] == ["shop->bank"]
    assert (unreadable, skipped) == ([], {"server spans": 1})


def test_server_span_of_another_trace_is_not_joined(tmp_path):
    documents = traces(client(1)), traces(server(2, 1, traceId="00"), service="bank")
    calls, (bad,), _ = all_of(tmp_path, lines(*documents))
    assert calls == []
    assert (bad.line, "and its trace has no server's span" in bad.why) == (1, True)


def test_target_is_not_needed_if_the_breaker_name_has_none(tmp_path):
    (call,), unreadable, _ = all_of(tmp_path, lines(traces(client(1))), breaker="{caller}")
    assert (call.breaker, unreadable) == ("shop", [])


def test_span_that_occurs_twice_is_one_call(tmp_path):
    documents = traces(span(number=1), span(number=2)), traces(span(number=1))
    calls, unreadable, skipped = all_of(tmp_path, lines(*documents))
    assert (len(calls), unreadable, skipped) == (2, [], {"spans that come twice": 1})


def test_spans_without_ids_or_of_other_traces_are_different(tmp_path):
    document = traces(span(spanId=""), span(spanId=""), span(), span(traceId="00"))
    calls, *_ = all_of(tmp_path, lines(document))
    assert len(calls) == 4


@pytest.mark.parametrize("is_whole_first", [False, True])
def test_finished_copy_of_a_span_is_preferred_to_an_unfinished_one(tmp_path, is_whole_first):
    documents = [traces(span(endTimeUnixNano="0")), traces(span())]
    text = lines(*(reversed(documents) if is_whole_first else documents))
    (call,), unreadable, skipped = all_of(tmp_path, text)
    assert (call.took, unreadable, skipped) == (7_000_001, [], {"spans that come twice": 1})


def test_held_unfinished_spans_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(span_reader, "MAX_UNFINISHED", 1)
    document = traces(*[span(number=n, endTimeUnixNano="0") for n in range(3)])
    calls, *_ = all_of(tmp_path, lines(document))
    assert [call.took for call in calls] == [0, 0, 0]


def test_ten_thousand_spans_in_one_line_are_ten_thousand_calls(tmp_path):
    document = {"resourceSpans": [resource(*[span(number=n) for n in range(10_000)])]}
    calls, *_ = all_of(tmp_path, lines(document))
    assert len(calls) == 10_000
