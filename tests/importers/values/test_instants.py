"""Points in time are converted to nanoseconds since 1970, to the last digit."""

from zoneinfo import ZoneInfo

import pytest

from recloser.errors import ImportTraceError
from recloser.importers.values.instants import instant_parser

JULY = 1_688_515_200 * 10**9  # 2023-07-05T00:00:00Z


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2023-07-05T00:00:00Z", 0),
        ("2023-07-05T00:00:00.123456789Z", 123_456_789),
        ("2023-07-05T00:00:00.1234567899Z", 123_456_789),
        ("2023-07-05 00:00:00,5 UTC", 500_000_000),
        ("2023-07-05T02:00:00.5+02:00", 500_000_000),
        ("2023-07-05T02:00:00+0200", 0),
        ("2023-07-05T02:00:00+02", 0),
        ("2023-07-04T19:00:00-05:00", 0),
        ("2023-07-05T09:00:00.7+09:00[Asia/Seoul]", 700_000_000),
        ("05/Jul/2023:00:00:00 +0000", 0),
        ("04/Jul/2023:19:00:01 -0500", 10**9),
        ("05/Jul/2023:00:00:00.250 +0000", 250_000_000),
    ],
)
def test_time_is_converted_to_the_nanosecond(text, ns):
    assert instant_parser(None)(text) == JULY + ns


@pytest.mark.parametrize(
    ("value", "unit", "ns"),
    [
        (1688515200, "s", JULY),
        ("1688515200.25", "s", JULY + 250_000_000),
        (1711741798.04, "s", 1_711_741_798_040_000_000),
        (1688515200123, "ms", JULY + 123_000_000),
        (1688515200, "auto", JULY),
        ("1688515200.5", "auto", JULY + 500_000_000),
        (1688515200123, "auto", JULY + 123_000_000),
        (1688515200123456, "auto", JULY + 123_456_000),
        (1688515200123456789, "auto", JULY + 123_456_789),
    ],
)
def test_unit_of_a_number_is_given_or_detected_by_size(value, unit, ns):
    assert instant_parser(unit)(value) == ns


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("2023-07-05T00:00:00", "has no zone"),
        (1688515200, "has no unit"),
        ("2023-13-05T00:00:00Z", "month"),
        ("2023-07-05T24:00:00Z", "no time"),
        ("05/Foo/2023:00:00:00 +0000", "no month 'Foo'"),
        ("2023-07-05T00:00:00+99:00", "offset"),
        ("yesterday", "'yesterday' is not a number or a time"),
        (True, "is not a number"),
        (None, "is not a number"),
        ("", "is not a number or a time"),
    ],
)
def test_malformed_time_is_refused(value, why):
    with pytest.raises(ValueError, match=why):
        instant_parser(None if why == "has no unit" else "s")(value)


def test_given_zone_applies_to_times_that_name_none():
    read = instant_parser(None, ZoneInfo("Europe/Berlin"))
    assert read("2023-07-05T02:00:00") == JULY
    assert read("2023-07-05T01:00:00+01:00") == JULY


def test_unknown_unit_is_refused():
    with pytest.raises(ImportTraceError, match="no unit 'days'"):
        instant_parser("days")
