"""Times as people type them."""

from datetime import UTC, datetime

import pytest

from recloser import RecloserError
from recloser.audit.time_argument import AfterEvent, WallTime, parse_time

SECOND = 10**9
LAST = datetime(2026, 11, 24, 14, 0, 0, tzinfo=UTC)


def parse(text):
    return parse_time(text, 5 * SECOND, 10_000 * SECOND, LAST)


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-24T13:48:54Z", datetime(2026, 11, 24, 13, 48, 54, tzinfo=UTC)),
        ("2026-11-24T13:48:54+01:00", datetime(2026, 11, 24, 12, 48, 54, tzinfo=UTC)),
        ("2026-11-24 13:48", datetime(2026, 11, 24, 12, 48, tzinfo=UTC)),
        ("2026-07-01 13:48", datetime(2026, 7, 1, 11, 48, tzinfo=UTC)),
        ("14:59:59", datetime(2026, 11, 24, 13, 59, 59, tzinfo=UTC)),
        ("15:00:01", datetime(2026, 11, 23, 14, 0, 1, tzinfo=UTC)),
        ("13:59:59Z", datetime(2026, 11, 24, 13, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_or_local_or_the_last_such_time_of_day(text, utc):
    assert parse(text) == WallTime(utc, 0)


def test_a_time_keeps_its_nanoseconds():
    assert parse("2026-11-24T13:48:54.501379727Z") == WallTime(
        datetime(2026, 11, 24, 13, 48, 54, 501379, tzinfo=UTC), 727
    )
    assert parse("2026-11-24T13:48:54.5013797Z").ns == 700


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("-5m", 9_700 * SECOND),
        ("-5m ago", 9_700 * SECOND),
        ("-1h30m", 4_600 * SECOND),
        ("-1d", 5 * SECOND),
        ("+1.5s", 6_500_000_000),
        ("+250ms", 5_250_000_000),
    ],
)
def test_relative_times_use_the_time_of_the_log(text, at):
    assert parse(text) == at


def test_an_event_number_is_a_time():
    assert parse("seq:106") == AfterEvent(106)


@pytest.mark.parametrize("text", ["", "yesterday", "5m", "-5", "+", "seq:x", "25:00", "2026-13-01"])
def test_an_unreadable_time_is_an_error_that_lists_the_forms(text):
    with pytest.raises(RecloserError, match=r"as a time; use 2026-11-24T14:48:54Z, "):
        parse(text)
