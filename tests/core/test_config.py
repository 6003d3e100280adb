"""Settings are checked one by one, and read from data, TOML, JSON and the command line."""

from fractions import Fraction
from pathlib import Path

import pytest

from recloser import CircuitBreakerConfig, ConfigError, CountWindow, TimeWindow
from recloser.core.settings import read_settings
from recloser.core.validation import nanoseconds


def test_the_defaults_are_those_of_the_design():
    """Five failures in a row, 30 s, two successes, one probe at once."""
    config = CircuitBreakerConfig()
    assert config.to_mapping() == {
        "failure_threshold": 5,
        "window": None,
        "slow_call_seconds": None,
        "recovery_timeout_seconds": 30,
        "backoff": {"jitter": "none", "seed": 0},
        "half_open_success_threshold": 2,
        "half_open_max_probes": 1,
        "half_open_window": None,
        "half_open_timeout_seconds": None,
        "probe_timeout_seconds": 60,
        "record": (),
        "ignore": (),
        "failure_result": None,
        "mode": "enforce",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("failure_threshold", 0),
        ("failure_threshold", True),
        ("failure_threshold", 2.0),
        ("failure_threshold", "5"),
        ("recovery_timeout_seconds", -1),
        ("recovery_timeout_seconds", float("nan")),
        ("recovery_timeout_seconds", float("inf")),
        ("recovery_timeout_seconds", 10**10),
        ("recovery_timeout_seconds", None),
        ("half_open_success_threshold", -1),
        ("half_open_success_threshold", None),
        ("half_open_max_probes", 0),
    ],
)
def test_a_bad_value_is_refused_with_its_field_and_range(field, value):
    """The message names the field, the range and the value."""
    with pytest.raises(ConfigError, match=rf"^{field} must be .* not "):
        CircuitBreakerConfig(**{field: value})


LARGEST = 2**31 - 1
COUNTS = [
    (CircuitBreakerConfig, "failure_threshold", {}),
    (CircuitBreakerConfig, "half_open_success_threshold", {}),
    (CircuitBreakerConfig, "half_open_max_probes", {}),
    (CountWindow, "size", {"failures": 1}),
    (CountWindow, "minimum_calls", {"size": 5, "failures": 1}),
    (CountWindow, "failures", {"size": 5}),
    (TimeWindow, "seconds", {"failures": 1}),
    (TimeWindow, "minimum_calls", {"seconds": 5, "failures": 1}),
    (TimeWindow, "failures", {"seconds": 5}),
]


@pytest.mark.parametrize(("settings", "field", "others"), COUNTS)
@pytest.mark.parametrize("value", [2**31, 2**63, 10**30])
def test_a_count_of_2_to_the_31_or_more_is_refused(settings, field, others, value):
    assert getattr(settings(**{**others, field: LARGEST}), field) == LARGEST
    with pytest.raises(ConfigError, match=rf"^{field} must be less than 2\*\*31, not {value}"):
        settings(**{**others, field: value})


@pytest.mark.parametrize("field", ["failure_rate", "slow_call_rate"])
@pytest.mark.parametrize("rate", [1 / 3, 1e-10, Fraction(1, 2**31), 0.1234567891, 1])
@pytest.mark.parametrize("window", [CountWindow, TimeWindow])
def test_a_rate_may_have_any_number_of_digits(window, field, rate):
    assert getattr(window(5, **{field: rate}), field) == rate


def test_error_of_an_unknown_setting_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"no setting 'failures'.*failure_threshold"):
        CircuitBreakerConfig.from_mapping({"failures": 3})


def test_settings_are_equal_after_a_round_trip_through_data():
    config = CircuitBreakerConfig(failure_threshold=None, recovery_timeout_seconds=0.25)
    assert CircuitBreakerConfig.from_mapping(config.to_mapping()) == config


@pytest.mark.parametrize(
    ("seconds", "ns"),
    [(0, 0), (30, 30_000_000_000), (0.1, 100_000_000), (30.000000001, 30_000_000_001)],
)
def test_seconds_are_exact_to_the_nanosecond(seconds, ns):
    """A float is read as the decimal number that it prints as, not as its binary value."""
    assert nanoseconds(seconds) == ns


def test_assignments_override_a_settings_file(tmp_path: Path):
    path = tmp_path / "breaker.toml"
    path.write_text("failure_threshold = 3\nrecovery_timeout_seconds = 10\n")
    config = read_settings(path, ["recovery_timeout_seconds=0.5", "half_open_max_probes = 4"])
    assert config == CircuitBreakerConfig(
        failure_threshold=3, recovery_timeout_seconds=0.5, half_open_max_probes=4
    )


def test_settings_may_be_json_and_the_word_none(tmp_path: Path):
    path = tmp_path / "breaker.json"
    path.write_text('{"failure_threshold": null}')
    assert read_settings(path) == CircuitBreakerConfig(failure_threshold=None)
    assert read_settings(None, ["failure_threshold=none"]) == read_settings(path)
    path.write_text('{"failure_threshold": "none"}')
    assert read_settings(path) == CircuitBreakerConfig(failure_threshold=None)


@pytest.mark.parametrize("text", ["failure_threshold = ", "[", "\x00"])
def test_error_names_a_broken_settings_file(tmp_path: Path, text):
    path = tmp_path / "breaker.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match="breaker.toml"):
        read_settings(path)


def test_error_names_a_missing_settings_file(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"absent.toml: No such file"):
        read_settings(tmp_path / "absent.toml")


def test_settings_file_that_is_no_object_is_refused(tmp_path: Path):
    path = tmp_path / "breaker.json"
    path.write_text("[1]")
    with pytest.raises(ConfigError, match="one object"):
        read_settings(path)


@pytest.mark.parametrize(
    ("assignment", "named"),
    [
        ("failure_threshold", "'failure_threshold'"),
        ("failure_threshold=five", "failure_threshold must be .* not 'five'"),
        ("failure_threshold=5 6", "'failure_threshold=5 6'"),
        ("window={size=5}", "CountWindow needs a failure_rate"),
    ],
)
def test_error_names_a_broken_assignment(assignment, named):
    with pytest.raises(ConfigError, match=named):
        read_settings(None, [assignment])
