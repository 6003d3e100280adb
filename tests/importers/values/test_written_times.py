"""Times as people write them are converted, or refused if they are ambiguous."""

from zoneinfo import ZoneInfo

import pytest
from import_support import imported, ready

from recloser.cli import status_of
from recloser.importers.formats.format_description import TimeField
from recloser.importers.values.instants import instant_parser

AT = 1_631_722_426 * 10**9  # 2021-09-15T16:13:46Z
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("Wed, 15 Sep 2021 16:13:46 +0000", 0),
        ("Wed, 15 Sep 2021 16:13:46 GMT", 0),
        ("15 Sep 2021 11:13:46 EST", 0),
        ("15 Sep 2021 10:13:46 CST", 0),
        ("Wednesday, 15-Sep-2021 18:13:46 +0200 (CEST)", 0),
        ("Wed Sep 15 16:13:46.5 UTC 2021", 500_000_000),
        ("Wed Sep 15 18:13:46 CEST 2021", 0),
        ("Wed Sep 15 18:13:46 +0200 2021", 0),
        ("2021-09-15 18:13:46,123 CEST", 123_000_000),
        ("2021-09-15 17:13:46 CET", 0),
        ("2021-09-15 16:13:46.123456789 +0000 UTC m=+0.01", 123_456_789),
        ("2021/09/15 16:13:46Z", 0),
        ("2021-09-16 01:43:46 ACST", 0),
        ("20210915T161346Z", 0),
        ("20210915T181346.25+0200", 250_000_000),
        ("9/15/2021 4:13:46 PM UTC", 0),
        ("15.9.2021 16:13:46 UTC", 0),
        ("15/09/2021, 16:13:46 UTC", 0),
        ("[15/Sep/2021:16:13:46 +0000]", 0),
    ],
)
def test_time_is_read_in_every_written_form(text, ns):
    assert instant_parser(None)(text) == AT + ns


@pytest.mark.parametrize(
    "text",
    [
        "Wed Sep 15 18:13:46 2021",
        "2021-09-15 18:13:46,000",
        "2021-09-15 18:13:46.000",
        "15/Sep/2021:18:13:46",
        "09/15/2021 18:13:46",
        "9/15/2021 6:13:46 pm",
        "15.09.2021 18:13:46",
    ],
)
def test_time_without_a_zone_is_refused_until_one_is_given(text):
    with pytest.raises(ValueError, match="has no zone: name it with --zone"):
        instant_parser(None)(text)
    assert instant_parser(None, BERLIN)(text) == AT


@pytest.mark.parametrize(
    ("text", "ns"),
    [("12:00:00 AM", 0), ("12:30:00 am", 1800), ("12:00:00 PM", 43200), ("11:59:59 p.m.", 86399)],
)
def test_twelve_am_is_midnight_and_twelve_pm_is_noon(text, ns):
    assert instant_parser(None)(f"1/13/2021 {text} UTC") == (1_610_496_000 + ns) * 10**9


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1/13/2021 13:00:00 PM UTC", "no time '13:00:00' with AM or PM"),
        ("1/13/2021 0:00:00 AM UTC", "no time '00:00:00' with AM or PM"),
        ("13/13/2021 10:00:00 UTC", "month"),
        ("Wed Foo 15 18:13:46 2021", "no month 'Foo'"),
        ("2021-09-15 18:13:46 IST", "several zones are called IST: name yours with --zone"),
        ("2021-09-15 18:13:46 CST", "several zones are called CST"),
        ("Wed Sep 15", "is not a time"),
        ("15 Sep 21 10:00:00 UTC", "is not a time"),
    ],
)
def test_malformed_or_ambiguous_time_is_refused(text, why):
    with pytest.raises(ValueError, match=why):
        instant_parser(None)(text)


def test_ambiguous_date_is_refused_until_the_order_is_given():
    text = "03/04/2021 00:00:00 UTC"
    with pytest.raises(ValueError, match="either of two dates: say which comes first with --dates"):
        instant_parser(None)(text)
    march, april = 1_614_816_000, 1_617_408_000
    assert instant_parser(None, dates="month-first")(text) == march * 10**9
    assert instant_parser(None, dates="day-first")(text) == april * 10**9


def test_zone_name_with_several_meanings_is_that_of_the_given_zone():
    assert instant_parser(None, ZoneInfo("Asia/Kolkata"))("2021-09-15 21:43:46 IST") == AT
    assert instant_parser(None, ZoneInfo("America/Chicago"))("2021-09-15 11:13:46 CDT") == AT
    with pytest.raises(ValueError, match="America/Chicago is not called CST at"):
        instant_parser(None, ZoneInfo("America/Chicago"))("2021-09-15 10:13:46 CST")


def test_time_that_occurred_twice_is_the_first_and_noted():
    twice = []
    read = instant_parser(None, BERLIN, on_ambiguous=twice.append)
    first = 1_635_640_200 * 10**9  # 2021-10-31T00:30:00Z
    assert read("2021-10-31 02:30:00") == first
    assert twice == ["2021-10-31 02:30:00"]
    assert read("2021-10-31 01:59:59") == first - 1801 * 10**9
    assert read("2021-10-31 03:00:00") == first + 5400 * 10**9
    assert len(twice) == 1


def test_zone_name_decides_between_two_times():
    twice = []
    # Several places use these names, so the given zone decides.
    read = instant_parser(None, ZoneInfo("America/Chicago"), on_ambiguous=twice.append)
    first = 1_636_268_400 * 10**9  # 2021-11-07T07:00:00Z
    assert read("2021-11-07 01:30:00 CDT") == first - 1800 * 10**9
    assert read("2021-11-07 01:30:00 CST") == first + 1800 * 10**9
    assert twice == []


def test_time_that_was_skipped_is_refused():
    read = instant_parser(None, BERLIN)
    with pytest.raises(
        ValueError,
        match="there was no '2021-03-28 02:30:00' in Europe/Berlin: clocks were set forward",
    ):
        read("2021-03-28 02:30:00")
    assert read("2021-03-28 03:00:00") - read("2021-03-28 01:59:59") == 10**9


def test_date_and_time_in_two_columns_are_joined(tmp_path):
    text = "date,time,target,status\n2021-09-15,18:13:46.5,a,200\n,18:13:47,a,200\n"
    (call,), (bad,) = imported(tmp_path, text, start=TimeField("date+time"), zone=BERLIN)
    assert (call.start, bad.why) == (AT + 500_000_000, "it has no time")


def test_import_notes_times_that_occurred_twice(capsys, tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("start,target,status\n2021-10-31 02:30:00,a,200\n")
    words = ["import", str(path), "-o", str(tmp_path / "log"), "--zone", "Europe/Berlin"]
    assert status_of(words) == 0
    assert "2021-10-31 02:30:00 occurred twice in the zone" in capsys.readouterr().err
    assert (
        ready(tmp_path, "start,target,status\n2021-10-30 02:30:00,a,200\n").mapper.ambiguous_time
        is None
    )
