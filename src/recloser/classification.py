"""What an exception or a result says about the dependency.

A predicate is the user's code: it never runs under a lock, and one that raises matches nothing.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from recloser.config import CircuitBreakerConfig
from recloser.decision import REFUSALS, CircuitOpenError, TranslatedRefusalError
from recloser.errors import RecloserError
from recloser.events import Outcome
from recloser.host_logging import log

_Classifier: TypeAlias = type[BaseException] | Callable[[BaseException], object]


def outcome_of_error(
    config: CircuitBreakerConfig, error: BaseException, breaker: str | None = None
) -> Outcome:
    """How a call that raised ``error`` ended.

    ``ignore`` is asked first. Unless ``record`` names it, an exception that is no ``Exception``
    is ignored: a cancelled caller, or one that is shut down, is not a failed dependency. So is the
    refusal of a breaker: that of ``breaker`` itself always, that of another unless ``record``
    names it by its own type. Where ``record`` names
    some, every other ``Exception`` is an answer of the dependency, a success.

    A group of exceptions is judged by the exceptions in it, unless ``record`` or ``ignore`` names
    the type of the group: one failure makes it a failure, and it is ignored if all of them are.

    Raises:
        ConfigError: A dotted name in the configuration can't be resolved.
    """
    if isinstance(error, _JUDGED_APART):
        if isinstance(error, BaseExceptionGroup):
            return _outcome_of_group(config, error, breaker)
        return _outcome_of_refusal(config, error, breaker)
    if config.ignore and _matches(config.resolved.ignore, error):
        return Outcome.IGNORED
    if config.record and _matches(config.resolved.record, error):
        return Outcome.FAILED
    if not isinstance(error, Exception):
        return Outcome.IGNORED
    return Outcome.SUCCEEDED if config.record else Outcome.FAILED


_JUDGED_APART: Final = (BaseExceptionGroup, *REFUSALS)


def _outcome_of_refusal(
    config: CircuitBreakerConfig,
    error: CircuitOpenError | TranslatedRefusalError,
    breaker: str | None,
) -> Outcome:
    if error.breaker == breaker:
        return Outcome.IGNORED
    if config.ignore and _matches(config.resolved.ignore, error):
        return Outcome.IGNORED
    is_named = names(config, error, (RecloserError,))
    return Outcome.FAILED if is_named else Outcome.IGNORED


def _outcome_of_group(
    config: CircuitBreakerConfig, group: BaseExceptionGroup[BaseException], breaker: str | None
) -> Outcome:
    found = Outcome.IGNORED
    for outcome in _outcomes_in(config, group, breaker):
        if outcome is Outcome.FAILED:
            return outcome
        if outcome is Outcome.SUCCEEDED:
            found = outcome
    return found


def _outcomes_in(
    config: CircuitBreakerConfig, group: BaseExceptionGroup[BaseException], breaker: str | None
) -> Iterator[Outcome]:
    resolved = config.resolved
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if not isinstance(error, BaseExceptionGroup):
            yield outcome_of_error(config, error, breaker)
        elif _names(resolved.ignore, error, (BaseExceptionGroup,)):
            yield Outcome.IGNORED
        elif _names(resolved.record, error, (BaseExceptionGroup,)):
            yield Outcome.FAILED
        else:
            waiting += error.exceptions


def names(
    config: CircuitBreakerConfig, error: BaseException, family: tuple[type[BaseException], ...]
) -> bool:
    """Whether ``record`` names the type of ``error`` by a type of ``family`` or a subtype of one.

    A type that is more general, such as ``Exception``, does not name it in this sense.
    """
    return _names(config.resolved.record, error, family)


def _names(
    classifiers: Iterable[_Classifier],
    error: BaseException,
    family: tuple[type[BaseException], ...],
) -> bool:
    return any(
        isinstance(classifier, type)
        and issubclass(classifier, family)
        and _match(classifier, error)
        for classifier in classifiers
    )


def outcome_of_early_close(config: CircuitBreakerConfig, error: GeneratorExit) -> Outcome:
    """How a stream ended that its consumer closed after at least one item."""
    if config.ignore and _matches(config.resolved.ignore, error):
        return Outcome.IGNORED
    if config.record and _matches(config.resolved.record, error):
        return Outcome.FAILED
    return Outcome(config.closed_early)


def is_failure_result(config: CircuitBreakerConfig, result: object) -> bool:
    """Whether a result that was returned is a failure.

    Raises:
        ConfigError: The dotted name of the predicate can't be resolved.
    """
    if config.failure_result is None:
        return False
    predicate = config.resolved.failure_result
    if predicate is None:
        return False
    try:
        return bool(predicate(result))
    except Exception:  # noqa: BLE001  # it is logged with its traceback
        log(
            logging.ERROR,
            "the failure_result predicate raised; the result counts as a success",
            exc_info=True,
        )
        return False


def type_name(error_type: type[BaseException]) -> str:
    """The dotted name of an exception type; a builtin one goes without its module."""
    module, name = error_type.__module__, error_type.__qualname__
    dotted = f"{name}" if module == "builtins" else f"{module}.{name}"
    return dotted.encode("utf-8", "backslashreplace").decode()


def _matches(classifiers: Iterable[_Classifier], error: BaseException) -> bool:
    for classifier in classifiers:  # noqa: SIM110  # any() would make a generator for each failure
        if _match(classifier, error):
            return True
    return False


def _match(classifier: _Classifier, error: BaseException) -> bool:
    try:
        if isinstance(classifier, type):
            return isinstance(error, classifier)
        return bool(classifier(error))
    except Exception:  # noqa: BLE001  # as above
        log(logging.ERROR, "a predicate on exceptions raised; it matches nothing", exc_info=True)
        return False
