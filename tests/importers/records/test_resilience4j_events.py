"""Calls from the events of resilience4j."""

import json

import pytest
from import_support import all_of
from observed_calls import ObservedCall

from recloser import Outcome
from recloser.core.events import REFUSED

AT = "2024-02-25T14:52:20.756573+09:00[Asia/Seoul]"
NS = 1_708_840_340_756_573_000


def read(tmp_path, *lines):
    return all_of(tmp_path, "\n".join(lines) + "\n", format="resilience4j")


@pytest.mark.parametrize(
    ("what", "took", "outcome", "error"),
    [
        ("recorded a successful call. Elapsed time: 7 ms", 7, "succeeded", None),
        ("recorded an error: 'java.io.IOException: BAM!'. Elapsed time: 3 ms", 3, "failed", "java.io.IOException"),
        ("recorded an error which has been ignored: 'x.Y'. Elapsed time: 0 ms", 0, "ignored", "x.Y"),
        ("recorded a call which was not permitted.", 0, "ignored", "NOT_PERMITTED"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("before", ["", "2024-02-25T14:52:20.7+09:00  INFO 4 --- [exec-9] c.C : "])
def test_logged_event_becomes_a_call_that_ends_when_it_is_logged(
    tmp_path, before, what, took, outcome, error
):
    (call,), *_ = read(tmp_path, f"{before}{AT}: CircuitBreaker 'a b' {what}")
    refused = {REFUSED: "NOT_PERMITTED"} if "not permitted" in what else {}
    assert call == ObservedCall(
        "a b", NS - took * 10**6, took * 10**6, Outcome(outcome), error, refused
    )


def test_events_other_than_calls_are_counted_by_type(tmp_path):
    lines = [
        f"{AT}: CircuitBreaker 'a' changed state from CLOSED to OPEN",
        f"{AT}: CircuitBreaker 'a' exceeded failure rate threshold. Current failure rate: 60.0",
        f"{AT}: CircuitBreaker 'a' reset",
        "Started CircuitBreakerApplication in 2 seconds",
        f"{AT}: Retry 'a', waiting PT0.5S",
    ]
    assert read(tmp_path, *lines) == (
        [],
        [],
        {
            "events STATE_TRANSITION": 1,
            "events FAILURE_RATE_EXCEEDED": 1,
            "events RESET": 1,
            "lines that are no events": 2,
        },
    )


OWN = f"{AT}: CircuitBreaker 'a' recorded an error: 'x.Y: z'. Elapsed time: 0 ms"
PUBLISHED = (
    f"18:57:40.8 [main] DEBUG i.g.r.c.i.CircuitBreakerStateMachine - Event ERROR published: {OWN}"
)
LOGGED = f"18:57:40.9 [exec-1] INFO shop.Events : {OWN}"


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([OWN, PUBLISHED], 1),
        ([PUBLISHED, OWN], 1),
        ([PUBLISHED, LOGGED, OWN], 1),
        ([OWN, OWN], 2),
        ([OWN, OWN, PUBLISHED, PUBLISHED], 2),
        ([OWN, PUBLISHED, OWN, PUBLISHED], 2),
        ([PUBLISHED, OWN.replace("an error", "a successful call")], 2),
        ([PUBLISHED, OWN.replace("'a'", "'b'")], 2),
    ],
)
def test_event_written_by_two_loggers_is_one_call(tmp_path, lines, count):
    """Two events of the same text are two calls if each logger wrote two."""
    calls, unreadable, skipped = read(tmp_path, *lines)
    assert (len(calls), unreadable) == (count, [])
    assert sum(skipped.values()) == len(lines) - count


def test_events_are_found_among_other_lines(tmp_path):
    text = "Started in 2 seconds\n" * 9 + LOGGED + "\n"
    calls, _, skipped = all_of(tmp_path, text)
    assert (len(calls), skipped) == (1, {"lines that are no events": 9})


@pytest.mark.parametrize(
    "line",
    [
        "Event published: : CircuitBreaker 'a' recorded a call which was not permitted.",
        f"{AT}: CircuitBreaker 'a' did something new",
        "2024-99-25T14:52:20+09:00: CircuitBreaker 'a' recorded a successful call. Elapsed time: 7 ms",
        f"{AT}: CircuitBreaker 'a' recorded a successful call. Elapsed time: 9{'9' * 20} ms",
    ],
)
def test_unreadable_event_is_reported_with_the_reason(tmp_path, line):
    calls, unreadable, _ = read(tmp_path, line)
    assert (calls, [bad.line for bad in unreadable]) == ([], [1])


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
def test_answer_of_the_actuator_endpoint_is_read(tmp_path, text):
    """The format need not be named."""
    expected = (
        [
            ObservedCall("a", NS - 7_000_000, 7_000_000, Outcome.SUCCEEDED),
            ObservedCall("a", NS - 7_000_000, 7_000_000, Outcome.FAILED, "x.Y: z"),
        ],
        [],
        {"events STATE_TRANSITION": 1},
    )
    assert read(tmp_path, text) == expected
    assert all_of(tmp_path, text) == expected


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
def test_malformed_answer_of_the_endpoint_is_reported(tmp_path, bad):
    calls, unreadable, _ = read(tmp_path, json.dumps([bad]))
    assert (calls, len(unreadable)) == ([], 1)
