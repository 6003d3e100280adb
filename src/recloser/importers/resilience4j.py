"""Calls out of the events that resilience4j logs, or that its actuator endpoint answers with.

Each line holds an event's text, wherever in the line it begins::

    2024-02-25T14:52:20.756573+09:00[Asia/Seoul]: CircuitBreaker 'a' recorded a successful call. \
Elapsed time: 7 ms

A call that was not permitted is kept as one of unknown outcome.
"""

import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, Final

from recloser.events import REFUSED, Outcome
from recloser.importers.documents import MALFORMED, values_of
from recloser.importers.fields import BreakerTemplate, parse_moment
from recloser.importers.source import lines_of, too_long
from recloser.importers.trace import ObservedCall, Skipped, Unreadable

_EVENT: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))(?:\[[^\]]*\])?: "
    r"CircuitBreaker '(?P<breaker>[^']*)' (?P<what>.*)"
)
_ELAPSED: Final = re.compile(r"Elapsed time: (\d+) ms")
_ERROR: Final = re.compile(r": '([^':\s]+)")
_TYPES: Final = {
    "recorded a successful call": "SUCCESS",
    "recorded an error which has been ignored": "IGNORED_ERROR",
    "recorded an error": "ERROR",
    "recorded a call which was not permitted": "NOT_PERMITTED",
    "changed state": "STATE_TRANSITION",
    "reset": "RESET",
    "exceeded failure rate": "FAILURE_RATE_EXCEEDED",
    "exceeded slow call rate": "SLOW_CALL_RATE_EXCEEDED",
    "changed state to DISABLED": "DISABLED",
    "state changed to FORCED_OPEN": "FORCED_OPEN",
}
_OUTCOMES: Final = {
    "SUCCESS": Outcome.SUCCEEDED,
    "ERROR": Outcome.FAILED,
    "IGNORED_ERROR": Outcome.IGNORED,
    "NOT_PERMITTED": Outcome.IGNORED,
}
_NS_PER_MS: Final = 1_000_000


def read_resilience4j(
    text: IO[str], breaker: BreakerTemplate, *, is_json: bool = False
) -> Iterator[ObservedCall | Unreadable | Skipped]:
    """The calls that the events tell of.

    Args:
        text: The log, or the endpoint's answer.
        breaker: Names the breaker; its one field is ``{breaker}``.
        is_json: Whether the text is JSON: events, one a line, or under ``circuitBreakerEvents``.
    """
    if is_json:
        yield from _json_events(text, breaker)
        return
    for number, line in lines_of(text):
        if line is None:
            yield Unreadable(number, too_long())
        elif (match := _EVENT.search(line)) is not None:
            yield _logged(match, breaker, number)
        elif "CircuitBreaker '" in line:
            yield Unreadable(number, "an event without a time and zone")
        else:
            yield Skipped("lines that are no events")


def _logged(
    match: re.Match[str], breaker: BreakerTemplate, line: int
) -> ObservedCall | Unreadable | Skipped:
    what = match["what"]
    kind = next((kind for text, kind in _TYPES.items() if what.startswith(text)), None)
    if kind is None:
        return Unreadable(line, f"an event that is not known: {what[:60]!r}")
    elapsed = _ELAPSED.search(what)
    error = _ERROR.search(what)
    return _call(
        {
            "creationTime": match["time"],
            "circuitBreakerName": match["breaker"],
            "type": kind,
            "errorMessage": error and error[1],
            "durationInMs": elapsed and elapsed[1],
        },
        breaker,
        line,
    )


def _json_events(
    text: IO[str], breaker: BreakerTemplate
) -> Iterator[ObservedCall | Unreadable | Skipped]:
    for value in values_of(text, "circuitBreakerEvents"):
        if isinstance(value, Unreadable):
            yield value
            continue
        line, data = value
        events = data.get("circuitBreakerEvents", data) if isinstance(data, dict) else data
        for event in events if isinstance(events, list) else [events]:
            if isinstance(event, dict):
                yield _call(event, breaker, line)
            else:
                yield Unreadable(line, f"no event: {str(event)[:60]}")


def _call(
    event: Mapping[str, Any], breaker: BreakerTemplate, line: int
) -> ObservedCall | Unreadable | Skipped:
    kind = str(event.get("type"))
    if kind not in _OUTCOMES:
        return Skipped(f"events {kind}")
    try:
        at = parse_moment(re.sub(r"\[.*\]$", "", str(event["creationTime"])), None)
        took = int(event.get("durationInMs") or 0) * _NS_PER_MS
        name = breaker.name({"breaker": str(event["circuitBreakerName"])})
    except MALFORMED as error:
        return Unreadable(line, f"an event that can't be read: {error}")
    if not 0 <= took <= at:
        return Unreadable(line, f"an event that took {took} ns, ending at {at}")
    message = event.get("errorMessage")
    return ObservedCall(
        breaker=name,
        start=at - took,
        took=took,
        outcome=_OUTCOMES[kind],
        error=str(message) if message else None,
        labels={REFUSED: "resilience4j"} if kind == "NOT_PERMITTED" else {},
    )
