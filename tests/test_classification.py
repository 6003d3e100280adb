"""What an exception or a result says about the dependency."""

import asyncio

import pytest

from recloser import CircuitBreaker, CircuitBreakerConfig, ConfigError, EventLog, MemoryLog, Outcome
from recloser.classification import is_failure_result, outcome_of_error

FAILED, IGNORED, SUCCEEDED = Outcome.FAILED, Outcome.IGNORED, Outcome.SUCCEEDED


class OwnError(ValueError):
    def __str__(self):
        raise AssertionError("an exception's text is nobody's business")


def is_busy(error):
    return "busy" in error.args


def broken(_):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("settings", "error", "outcome"),
    [
        ({}, OSError(), FAILED),
        ({}, asyncio.CancelledError(), IGNORED),
        ({}, KeyboardInterrupt(), IGNORED),
        ({}, GeneratorExit(), IGNORED),
        ({"record": [OSError]}, TimeoutError(), FAILED),
        ({"record": OSError}, TimeoutError(), FAILED),
        ({"record": [OSError]}, ValueError(), SUCCEEDED),
        ({"record": [OSError]}, asyncio.CancelledError(), IGNORED),
        ({"record": [asyncio.CancelledError]}, asyncio.CancelledError(), FAILED),
        ({"record": [is_busy]}, ValueError("busy"), FAILED),
        ({"record": [is_busy]}, ValueError("idle"), SUCCEEDED),
        ({"record": ["OSError"]}, TimeoutError(), FAILED),
        ({"record": ["builtins.OSError"]}, TimeoutError(), FAILED),
        ({"record": ["test_classification.OwnError"]}, OwnError(), FAILED),
        ({"record": ["OwnError"]}, OwnError(), SUCCEEDED),
        ({"ignore": [ValueError]}, OwnError(), IGNORED),
        ({"ignore": [ValueError]}, OSError(), FAILED),
        ({"ignore": [TimeoutError], "record": [OSError]}, TimeoutError(), IGNORED),
        ({"ignore": [TimeoutError], "record": [OSError]}, OSError(), FAILED),
        ({"ignore": [broken]}, OSError(), FAILED),
    ],
)
def test_what_is_ignored_goes_first_then_what_is_recorded(settings, error, outcome):
    assert outcome_of_error(CircuitBreakerConfig(**settings), error) is outcome


def test_a_result_can_be_a_failure():
    config = CircuitBreakerConfig(failure_result=lambda result: result == 503)
    assert is_failure_result(config, 503)
    assert not is_failure_result(config, 200)
    assert not is_failure_result(CircuitBreakerConfig(failure_result=broken), 503)
    log = MemoryLog()
    assert CircuitBreaker("b", config, log=log).call(lambda: 503) == 503
    assert (list(log)[-1].kind, list(log)[-1].error) == ("call_failed", "failure_result")


def test_predicates_and_texts_of_exceptions_run_under_no_lock(clock):
    """A predicate may use the breaker itself, which would wait for ever under its lock."""
    log = MemoryLog(clock=clock)

    def nosy(error):
        breaker.before_call()
        breaker.after_success()
        return True

    breaker = CircuitBreaker("b", CircuitBreakerConfig(record=[nosy]), log=log)
    with pytest.raises(OwnError):
        breaker.call(raising, OwnError())
    assert list(log)[-1].kind == "call_failed"


def raising(error):
    raise error


def test_a_configuration_tells_the_log_the_names_of_what_it_can_not_hold(tmp_path, clock):
    """And a restart with the same ones is no new configuration."""
    config = CircuitBreakerConfig(record=[OSError, OwnError, is_busy], failure_result=broken)
    for _ in range(2):
        with EventLog(tmp_path / "log", clock=clock) as log:
            CircuitBreaker("b", config, log=log)
    configured = [event for event in log if event.kind == "breaker_configured"]
    assert len(configured) == 1
    assert configured[0].config["record"] == [
        "builtins.OSError",
        "test_classification.OwnError",
        "test_classification.is_busy",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"record": [int]}, "record names <class 'int'>, which is no exception type"),
        ({"ignore": [7]}, "ignore must be exception types, .* not 7"),
        ({"failure_result": 503}, "failure_result must be a predicate, not 503"),
    ],
)
def test_what_can_not_classify_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CircuitBreakerConfig(**settings)
