"""Durations become nanoseconds, whatever their form and exactly as they are written."""

import pytest

from recloser.importers.durations import duration_reader

MS = 10**6
S = 10**9


@pytest.mark.parametrize(
    ("value", "unit", "ns"),
    [
        (5, "ms", 5 * MS),
        ("1.5", "ms", 1_500_000),
        ("1.886", "s", 1886 * MS),
        (0.782670468, "s", 782_670_468),
        (1e-05, "s", 10_000),
        ("0.0000000015", "s", 2),
        ("1,234", "ms", 1234 * MS),
        ("12ms", None, 12 * MS),
        ("12 ms", None, 12 * MS),
        ("0.027s", None, 27 * MS),
        ("1m2.5s", None, 62_500 * MS),
        ("1h0m0.000000001s", None, 3600 * S + 1),
        ("250µs", None, 250_000),
        ("PT1.5S", None, 1500 * MS),
        ("PT1M0.25S", None, 60_250 * MS),
        ("P1DT1H", None, 25 * 3600 * S),
        ("12ms", "s", 12 * MS),
    ],
)
def test_a_duration_is_read_exactly(value, unit, ns):
    assert duration_reader(unit)(value) == ns


@pytest.mark.parametrize(
    ("value", "unit", "why"),
    [
        (5, None, "has no unit"),
        ("5", None, "has no unit"),
        ("x", "s", "'x' is no duration"),
        ("5 lightyears", "s", "no duration"),
        ("PT", None, "no duration"),
        ("-1", "s", "no duration"),
        (-1, "s", "out of range"),
        (True, "s", "no number"),
        ("nan", "s", "no"),
        ("1e30", "s", "no"),
        ("", "s", "no duration"),
        (None, "s", "no number"),
    ],
)
def test_what_is_no_duration_is_refused(value, unit, why):
    with pytest.raises(ValueError, match=why):
        duration_reader(unit)(value)
