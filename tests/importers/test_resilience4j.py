"""Calls out of the events of resilience4j."""

import io
import json

import pytest

from recloser import Outcome
from recloser.importers.fields import BreakerTemplate
from recloser.importers.resilience4j import read_resilience4j
from recloser.importers.trace import ObservedCall, Skipped, Unreadable
from recloser.replay.traffic import REFUSED

AT = "2024-02-25T14:52:20.756573+09:00[Asia/Seoul]"
NS = 1_708_840_340_756_573_000


def read(*lines, is_json=False):
    text = io.StringIO("\n".join(lines), newline="")
    return list(read_resilience4j(text, BreakerTemplate("{breaker}"), is_json=is_json))


@pytest.mark.parametrize(
    ("what", "took", "outcome", "error"),
    [
        ("recorded a successful call. Elapsed time: 7 ms", 7, "succeeded", None),
        ("recorded an error: 'java.io.IOException: BAM!'. Elapsed time: 3 ms", 3, "failed", "java.io.IOException"),
        ("recorded an error which has been ignored: 'x.Y'. Elapsed time: 0 ms", 0, "ignored", "x.Y"),
        ("recorded a call which was not permitted.", 0, "ignored", None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "2024-02-25T14:52:20.7+09:00  INFO 4 --- [exec-9] c.C : "])
def test_a_logged_event_becomes_a_call_that_ends_when_it_is_logged(
    before, what, took, outcome, error
):
    (call,) = read(f"{before}{AT}: CircuitBreaker 'a b' {what}")
    refused = {REFUSED: "resilience4j"} if "not permitted" in what else {}
    assert call == ObservedCall(
        "a b", NS - took * 10**6, took * 10**6, Outcome(outcome), error, refused
    )


def test_what_is_no_call_is_counted_as_what_it_is():
    lines = [
        f"{AT}: CircuitBreaker 'a' changed state from CLOSED to OPEN",
        f"{AT}: CircuitBreaker 'a' exceeded failure rate threshold. Current failure rate: 60.0",
        f"{AT}: CircuitBreaker 'a' reset",
        "Started CircuitBreakerApplication in 2 seconds",
        f"{AT}: Retry 'a', waiting PT0.5S",
    ]
    assert [item.what for item in read(*lines)] == [
        "events STATE_TRANSITION",
        "events FAILURE_RATE_EXCEEDED",
        "events RESET",
        "lines that are no events",
        "lines that are no events",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Event published: : CircuitBreaker 'a' recorded a call which was not permitted.",
        f"{AT}: CircuitBreaker 'a' did something new",
        "2024-99-25T14:52:20+09:00: CircuitBreaker 'a' recorded a successful call. Elapsed time: 7 ms",
        f"{AT}: CircuitBreaker 'a' recorded a successful call. Elapsed time: 9{'9' * 20} ms",
    ],
)
def test_an_event_that_can_not_be_read_is_told(line):
    (bad,) = read(line)
    assert isinstance(bad, Unreadable)


def event(kind, **changes):
    return {
        "circuitBreakerName": "a", "type": kind, "creationTime": AT, "errorMessage": None,
        "durationInMs": 7, "stateTransition": None, **changes,
    }  # fmt: skip


EVENTS = [event("SUCCESS"), event("ERROR", errorMessage="x.Y: z"), event("STATE_TRANSITION")]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"circuitBreakerEvents": EVENTS}),
        json.dumps({"circuitBreakerEvents": EVENTS}, indent=2),
        "\n".join(map(json.dumps, EVENTS)),
        json.dumps(EVENTS),
    ],
    ids=["answer", "indented", "lines", "array"],
)
def test_the_endpoints_answer_is_read(text):
    assert read(text, is_json=True) == [
        ObservedCall("a", NS - 7_000_000, 7_000_000, Outcome.SUCCEEDED),
        ObservedCall("a", NS - 7_000_000, 7_000_000, Outcome.FAILED, "x.Y: z"),
        Skipped("events STATE_TRANSITION"),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        7,
        "x",
        event("ERROR", creationTime=7),
        event("ERROR", durationInMs="x"),
        event("ERROR", durationInMs=-1),
    ],
)
def test_an_answer_that_is_wrong_is_told(bad):
    (found,) = read(json.dumps([bad]), is_json=True)
    assert isinstance(found, Unreadable)
