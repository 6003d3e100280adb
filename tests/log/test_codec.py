"""Every event survives encoding and decoding, and nothing else is decoded."""

from datetime import UTC, datetime
from typing import get_args

import attrs
import pytest

from recloser import CircuitBreakerState, DamagedLogError, FutureVersionError, NotALogError
from recloser.core.events import (
    GENESIS,
    BreakerConfigured,
    CallFailed,
    CallIgnored,
    CallObserved,
    CallRejected,
    CallSucceeded,
    Checkpoint,
    ClockTicked,
    Event,
    FiredRule,
    ForcedClosed,
    ForcedOpen,
    LogGap,
    LogOpened,
    LogSealed,
    ModeChanged,
    Outcome,
    ProbeAdmitted,
    Reason,
    Reset,
    Rule,
    StateChanged,
    Trigger,
)
from recloser.log.codec import check_header, decode, encode

WALL = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)
EVENTS = [
    LogOpened(1, 0, 1, 1, 2, WALL, 7, "boot", "host", 9, "0.1.0", "a" * 64, 3, 4, 2),
    BreakerConfigured(2, 1, "b", {"failure_threshold": None, "recovery_timeout_seconds": 0.5}),
    CallSucceeded(3, 2, "b", 2, 5, 1, 40),
    CallFailed(4, 3, "b", 0, 5, 0, "OSError"),
    CallIgnored(5, 4, "b", 0, 5, 0, "KeyboardInterrupt"),
    CallRejected(6, 5, "b", Reason.COOLDOWN_ACTIVE, 30, 2),
    ProbeAdmitted(7, 6, "b", 2, 1),
    ClockTicked(8, 7, WALL, 11),
    ForcedOpen(9, 8, "b", "ann", "maintenance"),
    ForcedClosed(10, 9, "b", None, None),
    Reset(11, 10, "b", None, "it is mended"),
    StateChanged(
        12,
        11,
        "b",
        1,
        CircuitBreakerState.CLOSED,
        CircuitBreakerState.OPEN,
        Trigger.TRIP,
        FiredRule(Rule.FAILURE_RATE, 2, 0, (), 4, "0.5", (3, 9)),
    ),
    Checkpoint(13, 12, "b", {"epoch": 1}),
    LogGap(14, 13, 5, "No space left on device"),
    CallObserved(15, 14, "b", 4, 10, Outcome.FAILED, "503", {"route": "GET /"}),
    ModeChanged(16, 15, "b", "shadow", "ann", "a dry run"),
    LogSealed(17, 16, 16, GENESIS),
]


def test_examples_cover_every_event():
    assert {type(event) for event in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_event_survives_encoding_and_decoding(event):
    line = encode(event)
    assert line.startswith(b'{"event":"%s","seq":%d,"at":' % (event.kind.encode(), event.seq))
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.kind)
def test_decoded_events_are_immutable(event):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.seq = 99


def test_default_values_are_left_out_of_the_line():
    assert encode(CallSucceeded(3, 2, "b", 0, 5)) == (
        b'{"event":"call_succeeded","seq":3,"at":2,"breaker":"b","epoch":0,"took":5}\n'
    )


def test_name_with_a_newline_stays_on_one_line():
    event = Reset(1, 0, "a\nb\u2028\x1b[31m")
    assert encode(event).count(b"\n") == 1
    assert decode(encode(event)) == event


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"{}",
        b'{"event":"reset"}',
        b'{"event":"unheard_of","seq":1,"at":0}',
        b'{"event":"reset","seq":1,"at":0,"breaker":"b","colour":"red"}',
        b'{"event":"reset","seq":-1,"at":0,"breaker":"b"}',
        b'{"event":"reset","seq":1.5,"at":0,"breaker":"b"}',
        b'{"event":"reset","seq":1,"at":9223372036854775808,"breaker":"b"}',
        b'{"event":"reset","seq":1,"at":0,"breaker":7}',
        b'{"event":"reset","seq":1,"at":0,"breaker":"b"} x',
        b'{"event":"reset","seq":1,"at":0,"breaker":"\xff"}',
        b'{"event":"clock_ticked","seq":1,"at":0,"wall":"2026-01-01T00:00:00","monotonic":0}',
        b'{"event":"clock_ticked","seq":1,"at":0,"wall":"2026-01-01T00:00:00+02:00","monotonic":0}',
        b"[" * 100_000,
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_line_without_an_event_is_refused(line):
    with pytest.raises(DamagedLogError, match="no event can be read here"):
        decode(line)


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"# a shell script", b"[" * 100_000, b"\x00" * 64, b'{"event":"\xec"}']
)
def test_first_line_that_is_not_a_header_is_refused(line):
    with pytest.raises(NotALogError, match="^here: this is not a recloser log"):
        check_header(line, "here")


@pytest.mark.parametrize(
    ("field", "what"), [("format", "format version 3"), ("rules", "rules vers")]
)
def test_header_of_a_later_version_is_not_reported_as_damage(field, what):
    versions = {"format": 1, "rules": 1} | {field: 3}
    line = '{{"event":"log_opened","format":{format},"rules":{rules},"new":[1]}}'.format(**versions)
    with pytest.raises(FutureVersionError, match=f"{what}.*upgrade recloser"):
        check_header(line.encode(), "here")


def test_header_of_this_version_is_accepted():
    check_header(encode(EVENTS[0]), "here")
