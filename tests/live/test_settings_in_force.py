"""Which settings hold where several breakers of one name are made on one log."""

import subprocess
import sys
import warnings
from functools import partial

import pytest
from breaker_calls import fail

from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    MemoryLog,
    RecloserWarning,
)

THREE = CircuitBreakerConfig(failure_threshold=3)
FOUR = CircuitBreakerConfig(failure_threshold=4)


@pytest.fixture
def log(clock):
    return MemoryLog(clock=clock)


def configured(log):
    return [event.config for event in log if event.kind == "breaker_configured"]


def test_second_settings_of_a_name_are_warned_of_with_both_places_and_the_first_hold(log):
    first = CircuitBreaker("bank", THREE, log=log)
    line = sys._getframe().f_lineno
    with pytest.warns(RecloserWarning) as warned:
        second = CircuitBreaker("bank", FOUR, log=log)
    (warning,) = warned
    text = str(warning.message)
    assert f"{__file__}:{line - 1}" in text
    assert f"{__file__}:{line + 2}" in text
    assert "failure_threshold 4 instead of 3" in text
    assert (warning.filename, warning.lineno) == (__file__, line + 2)
    assert first.config == second.config == THREE
    assert len(configured(log)) == 1
    fail(second, 3)
    assert first.current_state().value == "OPEN"


def test_a_service_that_makes_both_in_each_request_still_trips_and_warns_once(log):
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        for settings in (FOUR, THREE, FOUR, THREE):
            breaker = CircuitBreaker("bank", settings, log=log)
            fail(breaker)
    assert len(warned) == 1
    assert breaker.current_state().value == "OPEN"


def test_other_settings_may_replace_the_first(log):
    CircuitBreaker("bank", THREE, log=log)
    second = CircuitBreaker("bank", FOUR, log=log, on_other_config="replace")
    assert second.config == FOUR
    assert CircuitBreaker("bank", FOUR, log=log).config == FOUR
    assert [settings["failure_threshold"] for settings in configured(log)] == [3, 4]


def test_other_settings_may_be_refused(log):
    first = CircuitBreaker("bank", THREE, log=log)
    with pytest.raises(ConfigError, match="failure_threshold 4 instead of 3"):
        CircuitBreaker("bank", FOUR, log=log, on_other_config="raise")
    assert CircuitBreaker("bank", THREE, log=log, on_other_config="raise").config == THREE
    fail(first, 3)
    assert first.current_state().value == "OPEN"


def test_unknown_choice_is_refused(log):
    with pytest.raises(ConfigError, match="on_other_config must be follow, replace or raise"):
        CircuitBreaker("bank", log=log, on_other_config="ignore")


def test_breaker_without_settings_follows_those_that_hold_without_a_warning(log):
    CircuitBreaker("bank", THREE, log=log)
    assert CircuitBreaker("bank", log=log).config == THREE
    assert CircuitBreaker("bank", log=log, on_other_config="raise").config == THREE
    assert len(configured(log)) == 1


def test_settings_that_differ_only_in_how_they_name_a_type_are_the_same(log):
    CircuitBreaker("bank", CircuitBreakerConfig(record=[OSError]), log=log)
    CircuitBreaker("bank", {"record": ["OSError"]}, log=log)
    CircuitBreaker("bank", {"record": ["builtins.IOError"]}, log=log)


def test_names_and_logs_have_settings_of_their_own(log, clock):
    CircuitBreaker("bank", THREE, log=log)
    CircuitBreaker("shop", FOUR, log=log)
    CircuitBreaker("bank", FOUR, log=MemoryLog(clock=clock))
    CircuitBreaker("bank", FOUR)
    CircuitBreaker("bank", THREE)


def test_restart_with_other_settings_takes_them_without_a_warning(tmp_path, clock):
    for settings in (THREE, FOUR):
        with EventLog(tmp_path, clock=clock) as log:
            breaker = CircuitBreaker("bank", settings, log=log)
            assert breaker.config == settings
    assert [settings["failure_threshold"] for settings in configured(log)] == [3, 4]


def test_warning_names_the_places_of_registry_and_breaker_of_one_name(log):
    registry = Breakers(THREE, log=log)
    registry["bank"]
    line = sys._getframe().f_lineno
    with pytest.warns(RecloserWarning, match=f"{__file__}:{line - 1}, which hold"):
        CircuitBreaker("bank", FOUR, log=log)


def test_warning_that_is_made_an_error_leaves_no_lock_taken(log):
    first = CircuitBreaker("bank", THREE, log=log)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RecloserWarning):
            CircuitBreaker("bank", FOUR, log=log)
    fail(first, 3)
    assert first.current_state().value == "OPEN"


def test_warning_is_given_while_no_lock_is_held(log):
    first = CircuitBreaker("bank", THREE, log=log)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *_, **__: fail(first)
        CircuitBreaker("bank", FOUR, log=log)
    assert first.snapshot().totals.failed == 1


def test_warning_is_shown_by_default(tmp_path):
    code = (
        "from recloser import *\n"
        "log = MemoryLog()\n"
        "CircuitBreaker('bank', {'failure_threshold': 3}, log=log)\n"
        "CircuitBreaker('bank', {'failure_threshold': 4}, log=log)\n"
    )
    script = tmp_path / "service.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert f"{script}:4: RecloserWarning: breaker 'bank' is made at {script}:4" in done.stderr
    assert f"first at {script}:3" in done.stderr


def only(kind):
    def predicate(error):
        return isinstance(error, kind)

    return predicate


def test_predicates_of_one_name_that_enclose_other_values_are_warned_of_and_the_first_holds(log):
    first = CircuitBreaker("bank", {"record": only(OSError)}, log=log)
    with pytest.warns(RecloserWarning, match="record .* is other code under the same name"):
        second = CircuitBreaker("bank", {"record": only(ValueError)}, log=log)
    assert second.config is first.config


def test_lambdas_of_one_name_with_other_code_are_warned_of(log):
    CircuitBreaker("bank", {"failure_result": lambda result: result == 1}, log=log)
    with pytest.warns(RecloserWarning, match="failure_result .* is other code"):
        CircuitBreaker("bank", {"failure_result": lambda result: result == 2}, log=log)


@pytest.mark.filterwarnings("error")
def test_predicate_that_is_defined_anew_for_each_breaker_is_the_same(log):
    other = MemoryLog()
    for _ in range(2):
        CircuitBreaker("bank", {"record": only(OSError), "ignore": lambda _: False}, log=log)
        CircuitBreaker("bank", {"record": partial(is_one_of, limit=(1, "a"))}, log=other)


def is_one_of(error, *, limit):
    return error in limit


def test_predicates_of_one_name_can_be_replaced(log):
    CircuitBreaker("bank", {"record": only(OSError)}, log=log)
    settings = CircuitBreakerConfig(record=only(ValueError))
    assert CircuitBreaker("bank", settings, log=log, on_other_config="replace").config is settings
    assert CircuitBreaker("bank", settings, log=log).config is settings


def test_warning_that_cannot_be_shown_is_logged_and_the_breaker_is_made(log, monkeypatch, caplog):
    def broken(*_, **__):
        raise SystemExit("no standard error")

    CircuitBreaker("bank", THREE, log=log)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", broken)
        assert CircuitBreaker("bank", FOUR, log=log).config == THREE
    assert "breaker 'bank' is made at" in caplog.text


def test_ctrl_c_while_a_warning_is_shown_passes_on(log, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    CircuitBreaker("bank", THREE, log=log)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", interrupted)
        with pytest.raises(KeyboardInterrupt):
            CircuitBreaker("bank", FOUR, log=log)


def test_warning_that_a_filter_makes_an_error_is_raised(log):
    CircuitBreaker("bank", THREE, log=log)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RecloserWarning, match="other settings"):
            CircuitBreaker("bank", FOUR, log=log)
