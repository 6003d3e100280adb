"""Dotted names in settings are resolved when a live breaker is made, and only then."""

import concurrent.futures
import re
import sys
from types import ModuleType

import pytest
import redis
import requests

from recloser import (
    Breakers,
    CircuitBreaker,
    CircuitBreakerConfig,
    ConfigError,
    EventLog,
    MemoryLog,
    replay,
)
from recloser.proof.proof import prove

THRESHOLD = 3


def raising(error):
    raise error


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("requests.Timeout", requests.ReadTimeout()),
        ("requests.exceptions.Timeout", requests.Timeout()),
        ("requests.ConnectionError", requests.ConnectionError()),
        ("redis.ConnectionError", redis.ConnectionError()),
        ("asyncio.TimeoutError", TimeoutError()),
        ("socket.timeout", TimeoutError()),
        ("socket.error", OSError()),
        ("concurrent.futures.TimeoutError", concurrent.futures.TimeoutError()),
        ("IOError", OSError()),
        ("EnvironmentError", OSError()),
        ("builtins.IOError", OSError()),
        ("json.JSONDecodeError", requests.JSONDecodeError("", "", 0)),
    ],
)
@pytest.mark.parametrize("setting", ["record", "ignore"])
def test_any_importable_name_of_an_exception_type_names_it(name, error, setting):
    breaker = CircuitBreaker("b", {setting: [name]})
    with pytest.raises(type(error)):
        breaker.call(raising, error)
    totals = breaker.snapshot().totals
    assert (totals.failed, totals.ignored) == ((1, 0) if setting == "record" else (0, 1))


def test_module_of_a_name_is_imported_when_a_breaker_is_made(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "late_module.py").write_text("class Outer:\n    class DownError(Exception): pass\n")
    config = CircuitBreakerConfig(record=["late_module.Outer.DownError"])
    assert "late_module" not in sys.modules
    breaker = CircuitBreaker("b", config)
    down = sys.modules.pop("late_module").Outer.DownError()
    with pytest.raises(type(down)):
        breaker.call(raising, down)
    assert breaker.snapshot().totals.failed == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ConectionError", "no builtin exception 'ConectionError'; did you mean ConnectionError"),
        ("Timeout", "no builtin exception 'Timeout'; did you mean TimeoutError?"),
        ("HTTPStatusError", "give the name of its module too"),
        ("requests.TimeOut", "no 'TimeOut' in requests; did you mean Timeout"),
        (
            "requests.exceptions.TimeoutError",
            "no 'TimeoutError' in requests.exceptions; did you mean",
        ),
        ("concurrent.futures.Timeout", "did you mean TimeoutError?"),
        ("reqests.Timeout", "reqests is not installed; did you mean requests?"),
        ("no_such_library.errors.Down", "no_such_library is not installed"),
        ("requests.Session", "which is no exception type but"),
        ("json.decoder", "which is no exception type but"),
        ("", "not the dotted name of anything"),
        ("requests.", "not the dotted name of anything"),
        ("tests.<locals>.Down", "not the dotted name of anything"),
    ],
)
@pytest.mark.parametrize("setting", ["record", "ignore"])
def test_name_that_can_not_be_resolved_is_refused_with_a_hint(setting, name, message):
    with pytest.raises(ConfigError, match=re.escape(message)) as refused:
        CircuitBreaker("b", {setting: [name]})
    assert str(refused.value).startswith(f"{setting} names {name!r}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import another_missing_library", "can't be imported: ModuleNotFoundError"),
        ("1 / 0", "can't be imported: ZeroDivisionError: division by zero"),
    ],
)
def test_module_that_fails_to_import_is_named(tmp_path, monkeypatch, source, message):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "broken_module.py").write_text(source)
    with pytest.raises(ConfigError, match=re.escape(message)):
        CircuitBreaker("b", {"record": ["broken_module.Down"]})
    assert "broken_module" not in sys.modules


def is_refusal(result):
    return result == "refused"


def test_failure_result_may_be_given_by_its_dotted_name():
    breaker = CircuitBreaker("b", {"failure_result": f"{__name__}.is_refusal"})
    assert [breaker.call(str, text) for text in ("refused", "taken")] == ["refused", "taken"]
    assert (breaker.snapshot().totals.failed, breaker.snapshot().totals.succeeded) == (1, 1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_app.is_bad", "failure_result names 'no_such_app.is_bad', and no_such_app is not"),
        (f"{__name__}.is_refusl", "did you mean is_refusal"),
        (f"{__name__}.THRESHOLD", "which is no predicate but 3"),
    ],
)
def test_failure_result_that_can_not_be_resolved_is_refused(name, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        CircuitBreaker("b", {"failure_result": name})


def test_settings_that_were_read_back_from_a_log_still_name_their_predicates():
    config = CircuitBreakerConfig(record=[is_refusal], failure_result=is_refusal)
    again = CircuitBreakerConfig.from_mapping(config.to_mapping())
    assert again.resolved == config.resolved


def test_registry_refuses_an_unknown_name_when_a_breaker_is_made():
    breakers = Breakers({"record": ["no_such_library.Down"]})
    with pytest.raises(ConfigError, match="not installed"):
        breakers["payments"]
    assert len(breakers) == 0


def test_refused_settings_leave_no_trace_in_the_log():
    log = MemoryLog()
    with pytest.raises(ConfigError):
        CircuitBreaker("b", {"record": ["no_such_library.Down"]}, log=log)
    assert len(log) == 0


def test_log_that_names_a_missing_library_can_be_replayed_and_proved(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "library_of_the_service.py").write_text("class Down(Exception): pass\n")
    with EventLog(tmp_path / "log") as log:
        breaker = CircuitBreaker("b", {"record": ["library_of_the_service.Down"]}, log=log)
        with pytest.raises(ZeroDivisionError):
            breaker.call(lambda: 1 / 0)
    monkeypatch.undo()
    del sys.modules["library_of_the_service"]
    assert replay(tmp_path / "log").snapshots["b"].totals.succeeded == 1
    assert all(row.divergence is None for row in prove(list(log)).rows)
    with pytest.raises(ConfigError, match="library_of_the_service is not installed"):
        CircuitBreaker("b", breaker.config.to_mapping())


@pytest.fixture
def lazy_module(monkeypatch):
    """A module that imports what it has on first use, which fails."""
    module = ModuleType("lazymod")

    def missing(name):
        raise ImportError("install lazymod[extra]")

    module.__getattr__ = missing
    monkeypatch.setitem(sys.modules, "lazymod", module)


@pytest.mark.usefixtures("lazy_module")
def test_attribute_that_raises_when_read_is_a_config_error_with_its_text():
    with pytest.raises(ConfigError, match=r"record names 'lazymod.Err'.*install lazymod\[extra\]"):
        CircuitBreaker("b", {"record": "lazymod.Err"})


@pytest.mark.parametrize("name", ["math.pi.X", "sys.maxsize.X"])
def test_name_inside_of_a_number_is_not_found(name):
    with pytest.raises(ConfigError, match=f"record names '{name}', and there is no 'X' in"):
        CircuitBreaker("b", {"record": name})


def test_module_that_exits_when_imported_is_a_config_error(tmp_path, monkeypatch):
    (tmp_path / "exitmod.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="exitmod can't be imported: SystemExit: 3"):
        CircuitBreaker("b", {"record": "exitmod.Err"})


def test_ctrl_c_while_a_module_is_imported_passes_on(tmp_path, monkeypatch):
    (tmp_path / "ctrlcmod.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        CircuitBreaker("b", {"record": "ctrlcmod.Err"})


class LazyObject:
    def __repr__(self):
        raise RuntimeError("not loaded")

    __class__ = property(__repr__)


def test_object_that_cannot_be_shown_is_a_config_error(monkeypatch):
    module = ModuleType("proxymod")
    module.proxy = LazyObject()
    monkeypatch.setitem(sys.modules, "proxymod", module)
    for name in ("proxymod.proxy", "proxymod.proxy.Err", "proxymod.Err"):
        with pytest.raises(ConfigError, match=f"record names '{name}'"):
            CircuitBreaker("b", {"record": name})


async def is_bad_later(_):
    return False


@pytest.mark.parametrize("setting", ["record", "ignore", "failure_result"])
def test_dotted_name_of_a_coroutine_function_is_refused(setting):
    with pytest.raises(ConfigError, match=f"{setting} must be a plain predicate"):
        CircuitBreaker("b", {setting: f"{__name__}.is_bad_later"})
