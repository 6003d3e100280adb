"""What belongs together in a trace is found: spans that come twice, and both sides of a call."""

import pytest
from import_support import all_of, ready
from span_support import START, lines, resource, span, traces

from recloser.importers import joining
from recloser.importers.joining import Seen, Targets
from recloser.importers.spans import span_reader


def test_seen_knows_what_was_added():
    seen = Seen()
    things = [("trace", str(n)) for n in range(20_000)]
    assert all(map(seen.add, things))
    assert not any(map(seen.add, things))
    assert all(thing in seen for thing in things)
    assert ("trace", "x") not in seen


@pytest.mark.parametrize("run_length", [2, 20_000])
def test_clients_get_the_service_of_their_server_whatever_comes_first(monkeypatch, run_length):
    monkeypatch.setattr(joining, "_RUN_LENGTH", run_length)
    with Targets() as targets:
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
def test_a_client_without_a_target_takes_that_of_the_server(tmp_path, is_server_first):
    told = [traces(client(1, status=2)), traces(server(2, 1), service="bank")]
    of_import = ready(tmp_path, lines(*(reversed(told) if is_server_first else told)))
    (calls,) = [batch for batch in of_import.calls() if len(batch)]
    assert (calls.breaker, calls.start, calls.error) == (["shop->bank"], [START], ["ERROR"])
    assert of_import.joined == 1


def test_a_client_with_a_target_keeps_it(tmp_path):
    told = traces(span(number=1)), traces(server(2, 1), service="other")
    calls, unreadable, skipped = all_of(tmp_path, lines(*told))
    assert [call.breaker for call in calls] == ["shop->bank"]
    assert (unreadable, skipped) == ([], {"server spans": 1})


def test_a_server_of_another_trace_is_none_of_it(tmp_path):
    told = traces(client(1)), traces(server(2, 1, traceId="00"), service="bank")
    calls, (bad,), _ = all_of(tmp_path, lines(*told))
    assert calls == []
    assert (bad.line, "nor has a server's span of its trace" in bad.why) == (1, True)


def test_the_target_is_not_needed_where_the_breaker_is_named_without_it(tmp_path):
    (call,), unreadable, _ = all_of(tmp_path, lines(traces(client(1))), breaker="{caller}")
    assert (call.breaker, unreadable) == ("shop", [])


def test_a_span_that_comes_twice_is_one(tmp_path):
    told = traces(span(number=1), span(number=2)), traces(span(number=1))
    calls, unreadable, skipped = all_of(tmp_path, lines(*told))
    assert (len(calls), unreadable, skipped) == (2, [], {"spans that come twice": 1})


def test_spans_without_ids_or_of_other_traces_are_not_the_same(tmp_path):
    told = traces(span(spanId=""), span(spanId=""), span(), span(traceId="00"))
    calls, *_ = all_of(tmp_path, lines(told))
    assert len(calls) == 4


@pytest.mark.parametrize("is_whole_first", [False, True])
def test_a_span_that_comes_unfinished_and_whole_is_whole(tmp_path, is_whole_first):
    told = [traces(span(endTimeUnixNano="0")), traces(span())]
    text = lines(*(reversed(told) if is_whole_first else told))
    (call,), unreadable, skipped = all_of(tmp_path, text)
    assert (call.took, unreadable, skipped) == (7_000_001, [], {"spans that come twice": 1})


def test_no_more_unfinished_spans_are_held_than_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(span_reader, "_MOST_UNFINISHED", 1)
    told = traces(*[span(number=n, endTimeUnixNano="0") for n in range(3)])
    calls, *_ = all_of(tmp_path, lines(told))
    assert [call.took for call in calls] == [0, 0, 0]


def test_a_thousand_spans_in_one_line_are_as_many_calls(tmp_path):
    told = {"resourceSpans": [resource(*[span(number=n) for n in range(10_000)])]}
    calls, *_ = all_of(tmp_path, lines(told))
    assert len(calls) == 10_000
