"""What an exception or a result says about the dependency.

A predicate is the user's code: it never runs under a lock, and one that raises matches nothing.
"""

import logging
from collections.abc import Iterable
from typing import Final

from recloser.config import CircuitBreakerConfig, Classifier
from recloser.decision import CircuitOpenError
from recloser.errors import RecloserError
from recloser.events import Outcome

_logger: Final = logging.getLogger("recloser")


def outcome_of_error(
    config: CircuitBreakerConfig, error: BaseException, breaker: str | None = None
) -> Outcome:
    """How a call that raised ``error`` ended.

    What is ignored goes first. Unless ``record`` names it, an exception that is no ``Exception``
    is ignored: a cancelled caller, or one that is shut down, is not a failed dependency. Where
    ``record`` names some, every other ``Exception`` is an answer of the dependency, a success.

    The refusal of a breaker is ignored, as no dependency was called: that of ``breaker`` itself
    always, that of another unless ``record`` names it.
    """
    if isinstance(error, CircuitOpenError):
        return _outcome_of_refusal(config, error, breaker)
    if config.ignore and _matches(config.ignore, error):
        return Outcome.IGNORED
    if config.record and _matches(config.record, error):
        return Outcome.FAILED
    if not isinstance(error, Exception):
        return Outcome.IGNORED
    return Outcome.SUCCEEDED if config.record else Outcome.FAILED


def _outcome_of_refusal(
    config: CircuitBreakerConfig, error: CircuitOpenError, breaker: str | None
) -> Outcome:
    if error.breaker == breaker or _matches(config.ignore, error):
        return Outcome.IGNORED
    named = [classifier for classifier in config.record if _may_name_refusals(classifier)]
    return Outcome.FAILED if _matches(named, error) else Outcome.IGNORED


def _may_name_refusals(classifier: Classifier) -> bool:
    """Whether a classifier is about refusals, and not about exceptions of all kinds."""
    if isinstance(classifier, type):
        return issubclass(classifier, RecloserError)
    return not isinstance(classifier, str) or classifier.startswith("recloser.")


def outcome_of_early_close(config: CircuitBreakerConfig, error: GeneratorExit) -> Outcome:
    """How a stream ended that its consumer closed after at least one item."""
    if config.ignore and _matches(config.ignore, error):
        return Outcome.IGNORED
    if config.record and _matches(config.record, error):
        return Outcome.FAILED
    return Outcome(config.closed_early)


def is_failure_result(config: CircuitBreakerConfig, result: object) -> bool:
    """Whether a result that was returned is a failure."""
    predicate = config.failure_result
    if predicate is None or isinstance(predicate, str):
        return False
    try:
        return bool(predicate(result))
    except Exception:
        _logger.exception("the failure_result predicate raised; the result counts as a success")
        return False


def type_name(error_type: type[BaseException]) -> str:
    """The dotted name of an exception type; a builtin one goes without its module."""
    if error_type.__module__ == "builtins":
        return error_type.__qualname__
    return f"{error_type.__module__}.{error_type.__qualname__}"


def _matches(classifiers: Iterable[Classifier], error: BaseException) -> bool:
    return any(_match(classifier, error) for classifier in classifiers)


def _match(classifier: Classifier, error: BaseException) -> bool:
    if isinstance(classifier, type):
        return isinstance(error, classifier)
    if isinstance(classifier, str):
        name = classifier.removeprefix("builtins.")
        return any(type_name(kind) == name for kind in type(error).__mro__[:-1])
    try:
        return bool(classifier(error))
    except Exception:
        _logger.exception("a predicate on exceptions raised; it matches nothing")
        return False
