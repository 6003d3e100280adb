"""Calls from the answers of SkyWalking's query service."""

import json

import pytest
from import_support import all_of
from observed_calls import ObservedCall

from recloser import Outcome

START = 1_767_225_600 * 10**9


def span(number, kind, **changes):
    return {
        "traceId": "t", "segmentId": "a.1", "spanId": number, "parentSpanId": number - 1,
        "refs": [], "serviceCode": "shop", "startTime": START // 10**6,
        "endTime": START // 10**6 + 7, "endpointName": "/pay", "type": kind, "peer": "",
        "component": "HttpClient", "isError": False, "layer": "Http", "tags": [], "logs": [],
        **changes,
    }  # fmt: skip


BAD = span(
    1, "Exit", peer="bank:80", isError=True,
    logs=[{"time": 1, "data": [{"key": "error.kind", "value": "java.net.ConnectException"}]}],
)  # fmt: skip
SPANS = [
    span(0, "Entry"),
    BAD,
    span(2, "Exit", peer="bank:80", tags=[{"key": "http.status_code", "value": "404"}], isError=True),
    span(3, "Exit"),
    span(4, "Local"),
    span(
        0, "Entry", segmentId="b.1", serviceCode="mail",
        refs=[{"traceId": "t", "parentSegmentId": "a.1", "parentSpanId": 3, "type": "CROSS_PROCESS"}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        {"data": {"trace": {"spans": SPANS}}},
        {"data": {"queryTrace": {"spans": SPANS}}},
        {"spans": SPANS},
        SPANS,
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_exit_spans_are_calls(tmp_path, document, indent):
    calls, unreadable, skipped = all_of(tmp_path, json.dumps(document, indent=indent))
    assert calls == [
        ObservedCall(
            "shop->bank:80", START, 7_000_000, Outcome.FAILED, "java.net.ConnectException"
        ),
        ObservedCall("shop->bank:80", START, 7_000_000, Outcome.SUCCEEDED),
        ObservedCall("shop->mail", START, 7_000_000, Outcome.SUCCEEDED),
    ]
    assert (unreadable, skipped) == ([], {"server spans": 2, "internal spans": 1})


def test_unreadable_skywalking_trace_is_reported(tmp_path):
    text = json.dumps([BAD, {**BAD, "startTime": None, "spanId": 9}, {"serviceCode": "x"}, 7])
    calls, unreadable, _ = all_of(tmp_path, text)
    assert len(calls) == 1
    assert len(unreadable) == 3
