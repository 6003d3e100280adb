"""Classification of exceptions and results as successes, failures or ignored calls."""

import asyncio
import gc
import signal
from functools import partial

import pytest

from recloser import (
    CircuitBreaker,
    CircuitBreakerConfig,
    CircuitBreakerState,
    CircuitOpenError,
    ConfigError,
    EventLog,
    MemoryLog,
    Outcome,
    RecloserError,
)
from recloser.live.classification import is_failure_result, outcome_of_error, outcome_of_type

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
        ({"ignore": [ValueError]}, OwnError(), IGNORED),
        ({"ignore": [ValueError]}, OSError(), FAILED),
        ({"ignore": [TimeoutError], "record": [OSError]}, TimeoutError(), IGNORED),
        ({"ignore": [TimeoutError], "record": [OSError]}, OSError(), FAILED),
        ({"ignore": [broken]}, OSError(), FAILED),
    ],
)
def test_ignore_is_asked_before_record(settings, error, outcome):
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


def test_configuration_names_the_callables_that_the_log_cannot_hold(tmp_path, clock):
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
def test_object_that_can_not_classify_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        CircuitBreakerConfig(**settings)


def refusal():
    breaker = CircuitBreaker("inner")
    breaker.force_open()
    with pytest.raises(CircuitOpenError) as refused:
        breaker.call(int)
    return refused.value


@pytest.mark.parametrize(
    ("settings", "outcome"),
    [
        ({}, IGNORED),
        ({"record": [Exception]}, IGNORED),
        ({"record": [lambda error: True]}, IGNORED),
        ({"record": [CircuitOpenError]}, FAILED),
        ({"record": [RecloserError]}, FAILED),
        ({"record": ["recloser.CircuitOpenError"]}, FAILED),
        ({"record": [CircuitOpenError], "ignore": [CircuitOpenError]}, IGNORED),
    ],
)
@pytest.mark.parametrize("is_grouped", [False, True])
def test_rejection_of_another_breaker_is_ignored_unless_recorded_by_name(
    settings, outcome, is_grouped
):
    error = ExceptionGroup("several", [refusal()]) if is_grouped else refusal()
    assert outcome_of_error(CircuitBreakerConfig(**settings), error) is outcome


def group(*errors):
    return BaseExceptionGroup("several", errors)


DOWN, BAD, GONE = OSError("down"), ValueError("bad input"), asyncio.CancelledError()


class OwnGroup(ExceptionGroup):
    pass


@pytest.mark.parametrize(
    ("settings", "error", "outcome"),
    [
        ({}, group(DOWN), FAILED),
        ({}, group(GONE), IGNORED),
        ({}, group(GONE, DOWN), FAILED),
        ({"record": [OSError]}, group(DOWN), FAILED),
        ({"record": [OSError]}, group(BAD), SUCCEEDED),
        ({"record": [OSError]}, group(BAD, DOWN), FAILED),
        ({"record": [OSError]}, group(BAD, GONE), SUCCEEDED),
        ({"record": [OSError]}, group(group(BAD), group(group(DOWN))), FAILED),
        ({"record": [OSError], "ignore": [OSError]}, group(DOWN), IGNORED),
        ({"record": [Exception], "ignore": [ValueError]}, group(BAD), IGNORED),
        ({"ignore": [ValueError]}, group(BAD), IGNORED),
        ({"ignore": [ValueError]}, group(BAD, GONE), IGNORED),
        ({"ignore": [ValueError]}, group(BAD, DOWN), FAILED),
        ({"ignore": [ValueError], "record": [OSError]}, group(BAD, KeyError()), SUCCEEDED),
        ({"ignore": [ExceptionGroup]}, group(DOWN), IGNORED),
        ({"ignore": [ExceptionGroup]}, group(GONE, group(DOWN)), IGNORED),
        ({"ignore": [OwnGroup]}, group(DOWN), FAILED),
        ({"ignore": [OwnGroup]}, group(OwnGroup("own", [DOWN])), IGNORED),
        ({"record": ["ExceptionGroup"]}, group(BAD), FAILED),
        ({"record": [is_busy]}, group(ValueError("busy")), FAILED),
        ({"record": [lambda error: not isinstance(error, ValueError)]}, group(BAD), SUCCEEDED),
    ],
)
def test_group_is_judged_by_its_leaves_unless_its_type_is_named(settings, error, outcome):
    assert outcome_of_error(CircuitBreakerConfig(**settings), error) is outcome


def test_deeply_nested_group_is_judged_by_its_leaf():
    error = DOWN
    for _ in range(5000):
        error = ExceptionGroup("deeper", [error])
    assert outcome_of_error(CircuitBreakerConfig(), error) is FAILED


def test_failing_task_of_a_task_group_counts_as_the_failure_it_is():
    breaker = CircuitBreaker("b", CircuitBreakerConfig(record=[OSError], ignore=[ValueError]))

    async def fetch(error):
        raise error

    @breaker
    async def fetch_all(*errors):
        async with asyncio.TaskGroup() as tasks:
            for error in errors:
                tasks.create_task(fetch(error))

    for errors in [(DOWN, BAD), (BAD,), (KeyError(),)]:
        with pytest.raises(ExceptionGroup):
            asyncio.run(fetch_all(*errors))
    totals = breaker.snapshot().totals
    assert (totals.failed, totals.ignored, totals.succeeded) == (1, 1, 1)


def test_collections_of_classifiers_may_be_sets_and_may_be_nested():
    nested = CircuitBreakerConfig(record=((OSError, ValueError), KeyError))
    assert nested.record == (OSError, ValueError, KeyError)
    assert CircuitBreakerConfig(record={ValueError, OSError}).record == (OSError, ValueError)
    assert CircuitBreakerConfig.from_mapping({"record": "none"}).record == ()


@pytest.mark.parametrize("setting", ["record", "ignore", "failure_result"])
def test_coroutine_function_as_predicate_is_refused(setting):
    async def predicate(_):
        return False

    with pytest.raises(
        ConfigError, match=f"{setting} must be a plain predicate, not the coroutine"
    ):
        CircuitBreakerConfig(**{setting: predicate})


def test_predicate_whose_isinstance_check_raises_matches_nothing():
    class Odd(type):
        def __instancecheck__(cls, instance):
            raise ZeroDivisionError

    class OddError(Exception, metaclass=Odd):
        pass

    assert outcome_of_error(CircuitBreakerConfig(ignore=[OddError]), DOWN) is FAILED


def test_name_of_an_exception_type_that_utf_8_lacks_is_recorded(tmp_path, clock):
    odd = type("OddError", (Exception,), {"__qualname__": "Odd\ud800", "__module__": None})
    with EventLog(tmp_path, clock=clock) as log:
        breaker = CircuitBreaker("b", log=log)
        with pytest.raises(odd):
            breaker.call(raising, odd())
    assert [event.error for event in log if event.kind == "call_failed"] == ["None.Odd\\ud800"]


class HandlerError(BaseException):
    """Raised by a signal handler, as a time limit is."""


def raise_handler_error(*_):
    raise HandlerError


def exits(_):
    raise SystemExit("predicate")


def is_cancelled(_):
    raise asyncio.CancelledError


@pytest.mark.parametrize("predicate", [exits, is_cancelled])
@pytest.mark.parametrize("setting", ["ignore", "record"])
def test_predicate_that_raises_no_exception_matches_nothing(predicate, setting):
    breaker = CircuitBreaker("b", {setting: predicate})
    with pytest.raises(OSError, match="down"):
        breaker.call(raising, OSError("down"))
    totals = breaker.snapshot().totals
    assert (totals.failed, totals.succeeded) == ((1, 0) if setting == "ignore" else (0, 1))


@pytest.mark.parametrize("predicate", [exits, is_cancelled])
def test_failure_result_that_raises_no_exception_counts_as_success_and_ends_the_probe(predicate):
    settings = {
        "failure_result": predicate,
        "failure_threshold": 1,
        "recovery_timeout_seconds": 0,
        "half_open_success_threshold": 1,
    }
    breaker = CircuitBreaker("b", settings)
    with pytest.raises(OSError, match="down"):
        breaker.call(raising, OSError("down"))
    assert breaker.call(int) == 0
    assert breaker.current_state() is CircuitBreakerState.CLOSED


def interrupts(_):
    raise KeyboardInterrupt


def is_timed_out(_):
    signal.raise_signal(signal.SIGUSR1)


@pytest.mark.parametrize(
    ("predicate", "passes_on"), [(interrupts, KeyboardInterrupt), (is_timed_out, HandlerError)]
)
def test_interruption_of_a_predicate_passes_on_after_the_outcome_was_recorded(predicate, passes_on):
    before = signal.signal(signal.SIGUSR1, raise_handler_error)
    try:
        failing = CircuitBreaker("b", {"ignore": predicate})
        with pytest.raises(passes_on):
            failing.call(raising, OSError("down"))
        returning = CircuitBreaker("c", {"failure_result": predicate})
        with pytest.raises(passes_on):
            returning.call(int)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert failing.snapshot().totals.failed == 1
    assert returning.snapshot().totals.succeeded == 1


class NamelessType(type):
    def __getattribute__(cls, name):
        if name in ("__module__", "__qualname__"):
            raise RuntimeError(name)
        return super().__getattribute__(name)


class NamelessError(Exception, metaclass=NamelessType):
    pass


class UnaskableError(Exception):
    @property
    def __class__(self):
        raise RuntimeError("__class__")


class OddRefusalError(CircuitOpenError):
    @property
    def breaker(self):
        raise RuntimeError("breaker")


class OddModuleError(Exception):
    __module__ = 5


class WeirdType(type):
    def __instancecheck__(cls, _):
        raise SystemExit("asked")


class WeirdError(Exception, metaclass=WeirdType):
    pass


@pytest.mark.parametrize(
    ("error_type", "name", "is_ignored"),
    [
        (NamelessError, "test_classification.NamelessError", False),
        (UnaskableError, "test_classification.UnaskableError", False),
        (OddRefusalError, "test_classification.OddRefusalError", True),
        (OddModuleError, "OddModuleError", False),
        (WeirdError, "test_classification.WeirdError", False),
    ],
)
def test_exception_that_cannot_be_asked_is_recorded_and_reaches_the_caller(
    error_type, name, is_ignored
):
    log = MemoryLog()
    breaker = CircuitBreaker("b", log=log)
    error = error_type()
    caught = None
    try:
        breaker.call(raising, error)
    except BaseException as raised:  # noqa: BLE001  # pytest.raises asks the exception for its class
        caught = raised
    assert caught is error
    totals = breaker.snapshot().totals
    assert (totals.failed, totals.ignored) == ((0, 1) if is_ignored else (1, 0))
    assert list(log)[-1].error == name


def test_refusal_that_cannot_be_asked_is_a_failure_where_it_is_reported_as_one():
    breaker = CircuitBreaker("b")
    breaker.before_call()
    breaker.after_failure(error=OddRefusalError())
    assert breaker.snapshot().totals.failed == 1


def test_exception_type_in_settings_that_cannot_be_asked_matches_nothing():
    breaker = CircuitBreaker("b", {"ignore": [WeirdError]})
    with pytest.raises(OSError, match="down"):
        breaker.call(raising, OSError("down"))
    assert breaker.snapshot().totals.failed == 1


async def later(_):
    return True


async def items_later(_):
    yield True


def items(_):
    yield True


class Later:
    async def __call__(self, _):
        return True


@pytest.mark.parametrize(
    "predicate",
    [later, items_later, items, Later(), Later().__call__, partial(later), partial(Later())],
)
@pytest.mark.parametrize("setting", ["record", "ignore", "failure_result"])
def test_predicate_that_has_to_be_awaited_or_iterated_is_refused(predicate, setting):
    with pytest.raises(ConfigError, match=f"{setting} must be a plain predicate"):
        CircuitBreakerConfig(**{setting: predicate})


@pytest.mark.parametrize("answer", [later, items_later, items])
@pytest.mark.filterwarnings("error")
def test_answer_that_has_to_be_awaited_or_iterated_is_no_match_and_logged_once(answer, caplog):
    breaker = CircuitBreaker("b", {"ignore": lambda error: answer((error,))})
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            breaker.call(raising, OSError("down"))
    assert breaker.snapshot().totals.failed == 2
    assert len(caplog.records) == 1
    returning = CircuitBreaker("c", {"failure_result": lambda result: answer((result,))})
    returning.call(int)
    gc.collect()
    assert returning.snapshot().totals.succeeded == 1


def is_group(error):
    return isinstance(error, ExceptionGroup)


class ClosedGroup(ExceptionGroup):
    @property
    def exceptions(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("settings", "group", "outcome"),
    [
        ({"record": is_group}, ExceptionGroup("g", [ValueError()]), FAILED),
        ({"ignore": is_group}, ExceptionGroup("g", [ValueError()]), IGNORED),
        ({"record": OSError, "ignore": is_group}, ExceptionGroup("g", [OSError()]), IGNORED),
        (
            {"ignore": lambda error: isinstance(error, ExceptionGroup | ValueError)},
            ExceptionGroup("g", [ValueError(), OSError()]),
            FAILED,
        ),
        (
            {"ignore": lambda error: not isinstance(error, OSError)},
            ExceptionGroup("g", [OSError()]),
            FAILED,
        ),
        ({}, ClosedGroup("g", [ValueError()]), FAILED),
        ({"record": OSError}, ClosedGroup("g", [ValueError()]), SUCCEEDED),
    ],
)
def test_predicate_that_matches_no_exception_of_a_group_is_asked_for_the_whole(
    settings, group, outcome
):
    assert outcome_of_error(CircuitBreakerConfig(**settings), group) is outcome


class ToldError(TimeoutError):
    """It says that it is another."""

    @property
    def __class__(self):
        return KeyError


class Asking(type):
    pass


class OfAnotherMetaclassError(Exception, metaclass=Asking):
    pass


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"record": (TimeoutError,)},
        {"ignore": (LookupError,)},
        {"record": (KeyError, OSError), "ignore": (FileNotFoundError,)},
        {"record": (BaseException,)},
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        *(TimeoutError, KeyError, FileNotFoundError, OSError, KeyboardInterrupt, SystemExit),
        *(GeneratorExit, StopIteration),
    ],
)
def test_outcome_of_type_equals_outcome_of_error(settings, error):
    config = CircuitBreakerConfig(**settings)
    assert outcome_of_type(config, error) is outcome_of_error(config, error())


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({}, CircuitOpenError),
        ({}, ExceptionGroup),
        ({}, ToldError),
        ({}, OfAnotherMetaclassError),
        ({"record": (lambda _: True,)}, KeyError),
        ({"ignore": (OfAnotherMetaclassError,)}, KeyError),
    ],
)
def test_outcome_of_type_is_none_when_the_type_is_not_enough(settings, error):
    assert outcome_of_type(CircuitBreakerConfig(**settings), error) is None
