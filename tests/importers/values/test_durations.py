"""Durations are converted to nanoseconds exactly, in every form."""

import pytest

from recloser.importers.values.durations import duration_parser

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
def test_duration_is_converted_exactly(value, unit, ns):
    assert duration_parser(unit)(value) == ns


@pytest.mark.parametrize(
    ("value", "unit", "why"),
    [
        (5, None, "has no unit"),
        ("5", None, "has no unit"),
        ("x", "s", "'x' is not a duration"),
        ("5 lightyears", "s", "is not a duration"),
        ("PT", None, "is not a duration"),
        ("-1", "s", "is not a duration"),
        (-1, "s", "out of range"),
        (True, "s", "is not a number"),
        ("nan", "s", "no"),
        ("1e30", "s", "no"),
        ("", "s", "is not a duration"),
        (None, "s", "is not a number"),
    ],
)
def test_malformed_duration_is_refused(value, unit, why):
    with pytest.raises(ValueError, match=why):
        duration_parser(unit)(value)
