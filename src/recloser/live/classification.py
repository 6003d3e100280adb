"""Classification of exceptions and results as successes, failures or ignored calls.

A predicate is code of the user: it never runs under a lock, and a predicate that raises matches
nothing. The ``__class__`` of an exception may be code of the user too, so its real type is used where
possible.
"""

import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from typing import Final, TypeAlias

from recloser.core.config import CircuitBreakerConfig, Resolved
from recloser.core.events import Outcome
from recloser.core.limits import label
from recloser.errors import RecloserError
from recloser.live.decision import REFUSALS
from recloser.process.host_logging import is_of_signal_handler, log

_Classifier: TypeAlias = type[BaseException] | Callable[[BaseException], object]


def outcome_of_error(
    config: CircuitBreakerConfig, error: BaseException, breaker: str | None = None
) -> Outcome:
    """Return the outcome of a call that raised an exception.

    The setting ``ignore`` is asked first. An exception that is not an ``Exception`` is ignored unless
    ``record`` names it: a caller that is cancelled or shut down is not a failed dependency. The error
    of a call that a breaker rejected is ignored too: that of ``breaker`` itself always, that of another
    breaker unless ``record`` names its own type. If ``record`` names any types, every other
    ``Exception`` is an answer of the dependency, and a success.

    A group of exceptions is judged by the exceptions in it, unless ``record`` or ``ignore`` names the
    type of the group: one failure makes the group a failure, and the group is ignored if all its
    exceptions are. A predicate that matches groups, and none of the exceptions in them, judges the
    group as a whole.

    Args:
        config: The settings of the breaker.
        error: The exception.
        breaker: The name of the breaker.

    Raises:
        ConfigError: A dotted name in the configuration can't be resolved.
    """
    return _outcome(config.resolved, error, breaker)


def outcome_by_types(
    config: CircuitBreakerConfig, error: BaseException, breaker: str | None = None
) -> Outcome:
    """Return the outcome of a call that raised an exception, without asking any predicate.

    Args:
        config: The settings of the breaker.
        error: The exception.
        breaker: The name of the breaker.
    """
    resolved = config.resolved
    types = Resolved(_types_in(resolved.record), _types_in(resolved.ignore), None)
    return _outcome(types, error, breaker)


def outcome_of_type(config: CircuitBreakerConfig, error: type[BaseException]) -> Outcome | None:
    """Return the outcome of every call that raises exactly this type; None if that depends on more.

    It depends on more if a predicate is asked, for groups and rejected calls, and if the exception or
    a type that the settings name may itself decide of which type it is.

    Args:
        config: The settings of the breaker.
        error: The type.
    """
    resolved = config.resolved
    if issubclass(error, _SPECIAL_TYPES) or _may_say_its_class(error):
        return None
    named = (*resolved.ignore, *resolved.record)
    # Types of other metaclasses, such as those of ``abc``, may count others as their own.
    if any(type(each) is not type for each in named):
        return None
    ignored, recorded = (
        [each for each in classifiers if isinstance(each, type) and issubclass(error, each)]
        for classifiers in (resolved.ignore, resolved.record)
    )
    if ignored or (not recorded and not issubclass(error, Exception)):
        return Outcome.IGNORED
    return Outcome.FAILED if recorded or not resolved.record else Outcome.SUCCEEDED


def _may_say_its_class(error: type[BaseException]) -> bool:
    """Return whether objects of a type can claim to be of another type."""
    return type(error) is not type or any("__class__" in vars(each) for each in _mro_of(error)[:-1])


_mro_of: Final = type.__dict__["__mro__"].__get__


def _types_in(classifiers: Iterable[_Classifier]) -> tuple[_Classifier, ...]:
    return tuple(each if isinstance(each, type) else _matches_nothing for each in classifiers)


def _matches_nothing(_error: BaseException) -> bool:
    return False


def _outcome(resolved: Resolved, error: BaseException, breaker: str | None) -> Outcome:
    if issubclass(type(error), _SPECIAL_TYPES):
        if isinstance(error, BaseExceptionGroup):
            return _outcome_of_group(resolved, error, breaker)
        return _outcome_of_refusal(resolved, error, breaker)
    if resolved.ignore and _matches(resolved.ignore, error):
        return Outcome.IGNORED
    if resolved.record and _matches(resolved.record, error):
        return Outcome.FAILED
    if not issubclass(type(error), Exception):
        return Outcome.IGNORED
    return Outcome.SUCCEEDED if resolved.record else Outcome.FAILED


_SPECIAL_TYPES: Final = (BaseExceptionGroup, *REFUSALS)


def is_refusal_of(breaker: str | None, error: object) -> bool:
    """Return whether an exception is the error of a call that a breaker rejected.

    Args:
        breaker: The name of the breaker.
        error: The exception, or another object.
    """
    if not issubclass(type(error), REFUSALS):
        return False
    try:
        return bool(getattr(error, "breaker", None) == breaker)
    except BaseException as raised:  # a subclass may have made a property of it
        if _is_from_outside(raised):
            raise
        return False


def _outcome_of_refusal(resolved: Resolved, error: BaseException, breaker: str | None) -> Outcome:
    if is_refusal_of(breaker, error):
        return Outcome.IGNORED
    if resolved.ignore and _matches(resolved.ignore, error):
        return Outcome.IGNORED
    is_named = _names(resolved.record, error, (RecloserError,))
    return Outcome.FAILED if is_named else Outcome.IGNORED


def _outcome_of_group(
    resolved: Resolved, group: BaseExceptionGroup[BaseException], breaker: str | None
) -> Outcome:
    inside = set(_outcomes_in(resolved, group, breaker))
    if inside <= {Outcome.IGNORED} or _is_meant(resolved.ignore, group):
        return Outcome.IGNORED
    if Outcome.FAILED in inside or _is_meant(resolved.record, group):
        return Outcome.FAILED
    return Outcome.SUCCEEDED


def _is_meant(classifiers: Iterable[_Classifier], group: BaseExceptionGroup[BaseException]) -> bool:
    """Return whether a predicate matches a group because it is a group.

    ``not isinstance(error, ValueError)`` is true for every group too, but does not ask for groups: it
    is also true for a plain exception with the arguments of the group.
    """
    for classifier in classifiers:
        if isinstance(classifier, type) or not _match(classifier, group):
            continue
        others = (*_leaves_of(group), Exception(*_arguments_of(group)))
        if not any(_match(classifier, error) for error in others):
            return True
    return False


def _leaves_of(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if issubclass(type(error), BaseExceptionGroup):
            waiting += _exceptions_of(error)
        else:
            yield error


# A subclass may have made properties of these, which may raise.
_arguments_of: Final = BaseException.__dict__["args"].__get__
_exceptions_of: Final = BaseExceptionGroup.__dict__["exceptions"].__get__


def _outcomes_in(
    resolved: Resolved, group: BaseExceptionGroup[BaseException], breaker: str | None
) -> Iterator[Outcome]:
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if not issubclass(type(error), BaseExceptionGroup):
            yield _outcome(resolved, error, breaker)
        elif _names(resolved.ignore, error, (BaseExceptionGroup,)):
            yield Outcome.IGNORED
        elif _names(resolved.record, error, (BaseExceptionGroup,)):
            yield Outcome.FAILED
        else:
            waiting += _exceptions_of(error)


def names(
    config: CircuitBreakerConfig, error: BaseException, family: tuple[type[BaseException], ...]
) -> bool:
    """Return whether ``record`` names the type of an exception by a type of a family.

    A type that is more general than the family, such as ``Exception``, does not count.

    Args:
        config: The settings of the breaker.
        error: The exception.
        family: The types of the family; their subtypes belong to it too.
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
    """Return the outcome of a stream that its consumer closed after at least one item.

    Args:
        config: The settings of the breaker.
        error: The exception with which the stream was closed.
    """
    if config.ignore and _matches(config.resolved.ignore, error):
        return Outcome.IGNORED
    if config.record and _matches(config.resolved.record, error):
        return Outcome.FAILED
    return Outcome(config.closed_early)


def is_failure_result(config: CircuitBreakerConfig, result: object) -> bool:
    """Return whether a result is a failure.

    Args:
        config: The settings of the breaker.
        result: The result.

    Raises:
        ConfigError: The dotted name of the predicate can't be resolved.
    """
    if config.failure_result is None:
        return False
    predicate = config.resolved.failure_result
    if predicate is None:
        return False
    try:
        return _is_true(predicate, predicate(result))
    except BaseException as raised:
        if _is_from_outside(raised):
            raise
        log(
            logging.ERROR,
            "the failure_result predicate raised; the result counts as a success",
            exc_info=True,
        )
        return False


def _is_true(predicate: object, answer: object) -> bool:
    """Return whether an answer of a predicate is true; an answer that must be awaited is not."""
    if answer is True or answer is False:
        return answer
    if not isinstance(answer, Awaitable | Generator | AsyncGenerator):
        return bool(answer)
    if isinstance(answer, Coroutine | Generator):
        answer.close()  # or Python warns that it was never awaited
    if id(predicate) not in _lazy_predicates:
        if len(_lazy_predicates) >= _MAX_REMEMBERED:
            _lazy_predicates.clear()
        _lazy_predicates[id(predicate)] = predicate
        log(
            logging.ERROR,
            "a predicate returned an object of %s, which has to be awaited or iterated; "
            "it matches nothing",
            type(answer).__name__,
        )
    return False


_MAX_REMEMBERED: Final = 1000
_lazy_predicates: Final[dict[int, object]] = {}
"""By id, the predicates for which it was logged that their answer must be awaited or iterated."""


def _is_from_outside(raised: BaseException) -> bool:
    """Return whether an exception may be Ctrl-C or comes from a signal handler."""
    return isinstance(raised, KeyboardInterrupt) or is_of_signal_handler(raised)


def type_name(error_type: type[BaseException]) -> str:
    """Return the dotted name of an exception type; a builtin type has no module in it.

    No metaclass is asked. A module that is not a text is left out, unless it is None. A name that is
    too long for a log is shortened by ``limits.label``.

    Args:
        error_type: The type.
    """
    name = _qualified_name_of(error_type)
    try:
        module = _module_of(error_type)
    except AttributeError:  # it was deleted
        module = "builtins"
    if module is None:
        module = "None"
    is_alone = not isinstance(module, str) or module == "builtins"
    dotted = f"{name}" if is_alone else f"{str.__str__(module)}.{name}"
    return label(dotted)


_module_of: Final = type.__dict__["__module__"].__get__
_qualified_name_of: Final = type.__dict__["__qualname__"].__get__


def _matches(classifiers: Iterable[_Classifier], error: BaseException) -> bool:
    for classifier in classifiers:  # noqa: SIM110  # any() would make a generator for each failure
        if _match(classifier, error):
            return True
    return False


def _match(classifier: _Classifier, error: BaseException) -> bool:
    try:
        if isinstance(classifier, type):
            return isinstance(error, classifier)
        return _is_true(classifier, classifier(error))
    except BaseException as raised:
        if _is_from_outside(raised):
            raise
        log(logging.ERROR, "a predicate on exceptions raised; it matches nothing", exc_info=True)
        return False
