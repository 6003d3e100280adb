"""Breakers of equal settings share one configuration, however many were made."""

import json

import pytest

from recloser import CircuitBreaker, CircuitBreakerConfig, CountWindow, Exponential
from recloser.live.config_pool import pooled


def settings(**others):
    return CircuitBreakerConfig(
        **{
            "failure_threshold": 7,
            "window": CountWindow(10, failure_rate=0.5),
            "backoff": Exponential(factor=2),
            "record": (OSError, (ValueError, KeyError)),
            **others,
        }
    )


def test_equal_settings_are_one_configuration():
    assert pooled(settings()) is pooled(settings())
    assert pooled(settings()) == settings()


@pytest.mark.parametrize(
    "others",
    [
        {"failure_threshold": 8},
        {"recovery_timeout_seconds": 30.0},  # which a log writes as 30.0, and not as 30
        {"window": CountWindow(10, failure_rate="1/2")},
        {"window": CountWindow(10, failure_rate=0.25)},
        {"backoff": Exponential(factor=3)},
        {"record": (OSError,)},
        {"ignore": (LookupError,)},
        {"mode": "shadow"},
    ],
)
def test_settings_that_are_written_differently_stay_apart(others):
    first, other = pooled(settings()), pooled(settings(**others))
    assert other == settings(**others)
    written, others_written = (json.dumps(each.to_mapping()) for each in (first, other))
    assert others_written == json.dumps(settings(**others).to_mapping()) != written


@pytest.mark.parametrize(
    "others",
    [
        {"record": ("builtins.OSError",)},  # a name may mean another class later on
        {"ignore": (lambda error: bool(error.args),)},
        {"failure_result": lambda result: result is None},
        {"failure_result": "operator.not_"},
    ],
)
def test_settings_that_name_code_are_not_shared(others):
    first, second = settings(**others), settings(**others)
    assert pooled(first) is first
    assert pooled(second) is second


def test_breakers_that_are_each_given_equal_settings_share_them():
    first, second = (CircuitBreaker(name, settings()) for name in ("bank", "mail"))
    assert first.config is second.config


def test_no_more_than_some_configurations_are_kept():
    for threshold in range(1, 1000):
        assert pooled(settings(failure_threshold=threshold)).failure_threshold == threshold
    assert pooled(settings()) == settings()
