"""Settings of other libraries are converted to recloser's."""

import pytest

from recloser import CircuitBreakerConfig, ConfigError
from recloser.importers.other_libraries.foreign_settings import read_foreign

RESILIENCE4J = """
resilience4j.circuitbreaker:
  configs:
    default: {registerHealthIndicator: true}
  instances:
    backendA:
      slidingWindowSize: 20
      minimumNumberOfCalls: 10
      permittedNumberOfCallsInHalfOpenState: 3
      waitDurationInOpenState: 5s
      failureRateThreshold: 60
      slowCallRateThreshold: 80
      slowCallDurationThreshold: 2000
      recordExceptions: [java.io.IOException]
    backendB:
      sliding-window-type: TIME_BASED
      sliding-window-size: 10
      wait-duration-in-open-state: PT1M
      enableExponentialBackoff: true
      exponentialBackoffMultiplier: 2
"""
POLLY = """{"Payments": {"CircuitBreaker": {"FailureRatio": 0.2, "MinimumThroughput": 8,
 "SamplingDuration": "00:00:10", "BreakDuration": "00:00:15.5", "ShouldHandle": 7}}}"""
ENVOY = """
clusters:
- name: bank
  outlier_detection: {consecutive_5xx: 7, base_ejection_time: 45s, interval: 10s}
- name: shop
  outlierDetection: {consecutive5xxErrors: 3, baseEjectionTime: {seconds: 20}}
"""


def read(tmp_path, text, name="c.yaml", section=None):
    path = tmp_path / name
    path.write_text(text)
    foreign = read_foreign(path, section)
    return CircuitBreakerConfig.from_mapping(foreign.settings), foreign.left_out


def test_resilience4j_yaml_is_converted(tmp_path):
    config, left_out = read(tmp_path, RESILIENCE4J, section="backendA")
    assert config.failure_threshold is None
    window = config.window
    assert (window.size, window.minimum_calls, window.failure_rate) == (20, 10, 0.6)
    assert (window.slow_call_rate, config.slow_call_seconds) == (0.8, 2)
    assert config.recovery_timeout_seconds == 5
    assert (config.half_open_window.size, config.half_open_window.needed) == (3, 3)
    assert left_out == ["recordExceptions is not converted: name the Python exceptions in record"]


def test_resilience4j_keys_with_hyphens_and_a_time_window_are_converted(tmp_path):
    config, _ = read(tmp_path, RESILIENCE4J, section="backendB")
    assert config.window.seconds == 10
    assert config.recovery_timeout_seconds == 60
    assert config.backoff.factor == 2


def test_resilience4j_properties_are_converted(tmp_path):
    key = "resilience4j.circuitbreaker.instances.b"
    text = f"# c\n{key}.failure-rate-threshold=50\n{key}.wait-duration-in-open-state=1m30s\n"
    config, _ = read(tmp_path, text, "application.properties")
    assert (config.window.failure_rate, config.recovery_timeout_seconds) == (0.5, 90)
    assert config.window.size == 100


def test_polly_settings_are_converted(tmp_path):
    config, left_out = read(tmp_path, POLLY, "appsettings.json")
    assert (config.window.seconds, config.window.failure_rate) == (10, 0.2)
    assert (config.window.minimum_calls, config.recovery_timeout_seconds) == (8, 15.5)
    assert any("ShouldHandle" in line for line in left_out)


@pytest.mark.parametrize(("name", "threshold", "seconds"), [("bank", 7, 45), ("shop", 3, 20)])
def test_envoy_settings_are_converted(tmp_path, name, threshold, seconds):
    config, left_out = read(tmp_path, ENVOY, section=name)
    assert (config.failure_threshold, config.recovery_timeout_seconds) == (threshold, seconds)
    assert left_out[0].startswith("Envoy ejects one host")


@pytest.mark.parametrize(
    ("text", "name", "why"),
    [
        (RESILIENCE4J, "c.yaml", "several settings; choose one with .*backendA, backendB"),
        ("a: 1", "c.yaml", "no settings of resilience4j, Polly or Envoy"),
        ("a: [", "c.yaml", "c.yaml: while parsing"),
        ("{", "c.json", "c.json: Expecting"),
        ("[" * 100_000, "c.json", "c.json: "),
        ('{"FailureRatio": "x"}', "c.json", "could not convert"),
        ('{"FailureRatio": {}}', "c.json", "must be"),
        ('{"BreakDuration": "soon"}', "c.json", "'soon' is not a duration"),
        ("a.b=1\na.b.c=2\n", "c.properties", "a value and a group"),
    ],
    ids=range(9),
)
def test_unreadable_settings_file_is_reported(tmp_path, text, name, why):
    with pytest.raises(ConfigError, match=why):
        read(tmp_path, text, name)


def test_missing_file_or_section_is_reported(tmp_path):
    with pytest.raises(ConfigError, match="absent: No such file"):
        read_foreign(tmp_path / "absent")
    with pytest.raises(ConfigError, match="under 'nobody'"):
        read(tmp_path, RESILIENCE4J, section="nobody")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x]\nb: *a\n",
        "a: &a {x: 1}\nb:\n  <<: *a\n",
        # The "billion laughs" attack: one word 10**9 times.
        "a0: &a0 [lol]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)),
        "resilience4j: &x\n  circuitbreaker: {instances: {a: &y {again: *y}}}\n",
    ],
    ids=["list", "merge", "laughs", "itself"],
)
def test_yaml_aliases_are_refused_in_one_line(tmp_path, text):
    path = tmp_path / "application.yml"
    path.write_text(text)
    with pytest.raises(
        ConfigError, match=r", line [23]: the YAML alias \*\w+ is not supported: write"
    ) as e:
        read_foreign(path)
    assert "\n" not in str(e.value)


def test_yaml_anchor_without_an_alias_is_accepted(tmp_path):
    path = tmp_path / "application.yml"
    path.write_text(
        "resilience4j:\n  circuitbreaker:\n    instances:\n      a: &a\n        slidingWindowSize: 7\n"
    )
    assert read_foreign(path).settings
