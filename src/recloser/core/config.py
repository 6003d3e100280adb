"""The settings of a breaker: plain data, which the log records whole."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from fractions import Fraction
from functools import cached_property
from itertools import chain
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import attrs
import msgspec

from recloser.core.backoff import Backoff, Constant, Exponential
from recloser.core.dotted_names import resolved_classifier, resolved_predicate
from recloser.core.limits import SETTINGS_BYTES, label
from recloser.core.predicate_marks import mark_of
from recloser.core.validation import (
    Rate,
    Seconds,
    as_rate,
    as_seconds,
    as_text,
    as_whole,
    count,
    either,
    nanoseconds,
    one_of,
    rate,
    refuse_lazy_predicate,
    seconds,
)
from recloser.errors import ConfigError

Mode: TypeAlias = Literal["enforce", "shadow", "disabled"]
MODES: Final = ("enforce", "shadow", "disabled")

EarlyClose: TypeAlias = Literal["succeeded", "ignored", "failed"]
_EARLY_CLOSES: Final = ("succeeded", "ignored", "failed")

Classifier: TypeAlias = type[BaseException] | Callable[[BaseException], bool] | str
"""Selects exceptions: a type, the dotted name of a type, or a predicate."""


def _check_thresholds(window: "CountWindow | TimeWindow") -> None:
    if window.failure_rate is None and window.slow_call_rate is None and window.failures is None:
        raise ConfigError(
            f"a {type(window).__name__} needs a failure_rate, a slow_call_rate or a number of "
            "failures, or it would never trip"
        )


@attrs.frozen
class CountWindow:
    """A window over the last ``size`` outcomes; thresholds are checked at each new outcome.

    Attributes:
        size: How many outcomes the window holds.
        failure_rate: Share of failures at which the breaker trips, from 0 to 1; a float is read as
            the decimal fraction that it prints as.
        minimum_calls: Rates count once this many outcomes are in the window, or ``size`` if that is
            less.
        slow_call_rate: Share of slow calls at which the breaker trips, from 0 to 1.
        failures: Number of failures at which the breaker trips, without a minimum of calls.

    Raises:
        ConfigError: A value is out of its range, or there is no threshold.
    """

    size: int = attrs.field(converter=as_whole, validator=count(1))
    failure_rate: Rate | None = attrs.field(default=None, converter=as_rate, validator=rate)
    minimum_calls: int = attrs.field(default=10, converter=as_whole, validator=count(1))
    slow_call_rate: Rate | None = attrs.field(default=None, converter=as_rate, validator=rate)
    failures: int | None = attrs.field(
        default=None, converter=as_whole, validator=count(1, optional=True)
    )

    def __attrs_post_init__(self) -> None:
        _check_thresholds(self)

    @property
    def needed(self) -> int:
        """How many outcomes must be in the window before a rate counts."""
        return min(self.minimum_calls, self.size)


@attrs.frozen
class TimeWindow:
    """A window over the outcomes of the last ``seconds`` whole seconds of the log.

    Thresholds are checked at each new outcome.

    Attributes:
        seconds: How many whole seconds, including the current one.
        failure_rate: Share of failures at which the breaker trips, from 0 to 1; a float is read as
            the decimal fraction that it prints as.
        minimum_calls: Rates count once this many outcomes are in the window.
        slow_call_rate: Share of slow calls at which the breaker trips, from 0 to 1.
        failures: Number of failures at which the breaker trips, without a minimum of calls.

    Raises:
        ConfigError: A value is out of its range, or there is no threshold.
    """

    seconds: int = attrs.field(converter=as_seconds, validator=count(1))
    failure_rate: Rate | None = attrs.field(default=None, converter=as_rate, validator=rate)
    minimum_calls: int = attrs.field(default=10, converter=as_whole, validator=count(1))
    slow_call_rate: Rate | None = attrs.field(default=None, converter=as_rate, validator=rate)
    failures: int | None = attrs.field(
        default=None, converter=as_whole, validator=count(1, optional=True)
    )

    def __attrs_post_init__(self) -> None:
        _check_thresholds(self)

    @property
    def needed(self) -> int:
        """How many outcomes must be in the window before a rate counts."""
        return self.minimum_calls


def _as_window(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _from_mapping(TimeWindow if "seconds" in value else CountWindow, value)
    return value


def _as_backoff(value: Any) -> Any:
    if isinstance(value, Mapping):
        growing = not {"factor", "max_seconds"}.isdisjoint(value)
        return _from_mapping(Exponential if growing else Constant, value)
    return value


def _as_classifiers(value: Any) -> Any:
    """One classifier, or nested collections of classifiers, as one tuple."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence | AbstractSet):
        return (as_text(value),)
    # The order of a set may differ after a restart, and the settings in the log must not.
    members = sorted(value, key=_name_in_data) if isinstance(value, AbstractSet) else value
    return tuple(chain.from_iterable(map(_as_classifiers, members)))


def _classifiers(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    for classifier in value:
        if isinstance(classifier, type) and not issubclass(classifier, BaseException):
            raise ConfigError(f"{attribute.name} names {classifier!r}, which is no exception type")
        if not isinstance(classifier, str) and not callable(classifier):
            raise ConfigError(
                f"{attribute.name} must be exception types, their dotted names, or predicates, not "
                f"{classifier!r}"
            )
        refuse_lazy_predicate(attribute.name, classifier)


def _predicate(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None and not isinstance(value, str) and not callable(value):
        raise ConfigError(f"{attribute.name} must be a predicate, not {value!r}")
    refuse_lazy_predicate(attribute.name, value)


@attrs.frozen
class Resolved:
    """The classifiers of a configuration, with every dotted name replaced by its object.

    Attributes:
        record: The exception types and predicates that make a call a failure.
        ignore: The exception types and predicates that make a call ignored.
        failure_result: The predicate that makes a result a failure.
    """

    record: tuple[type[BaseException] | Callable[[BaseException], object], ...]
    ignore: tuple[type[BaseException] | Callable[[BaseException], object], ...]
    failure_result: Callable[[Any], object] | None


@attrs.frozen(kw_only=True)
class CircuitBreakerConfig:
    """The settings of a circuit breaker.

    Attributes:
        failure_threshold: Consecutive failures that open the breaker; None turns the rule off.
        window: A window over outcomes; its thresholds open the breaker too.
        slow_call_seconds: A call that took longer than this is slow.
        recovery_timeout_seconds: Cooldown: how long an open breaker rejects calls before it probes.
        backoff: How the cooldown grows with each opening in a row, and its jitter.
        half_open_success_threshold: Successful probes that close the breaker; one failed probe opens
            it again. With 0 it closes as soon as the cooldown is over.
        half_open_max_probes: How many probes may be in flight at once.
        half_open_window: A window over the probes, in place of the two settings above. At most as
            many probes as its size are let through, and its rates decide once its minimum of probes
            has ended.
        half_open_timeout_seconds: A breaker that is half-open for this long opens again; None for no
            limit.
        probe_timeout_seconds: A probe that has not ended after this counts as failed.
        record: Exceptions that are failures, as types, dotted names or predicates; without any,
            every ``Exception`` is a failure. Other exceptions are successes, since the dependency
            answered. A dotted name is resolved when a live breaker is made, which imports its
            module.
        ignore: Exceptions that count neither as failures nor as successes, even if in ``record``.
        failure_result: Predicate that says whether a result is a failure, or its dotted name.
        closed_early: The outcome of a stream that its consumer closed after at least one item:
            ``succeeded``, ``ignored`` or ``failed``. A stream closed before any item is ignored.
        mode: ``enforce``; ``shadow`` to record what the breaker would reject, and reject nothing;
            ``disabled`` to let every call through and only record outcomes.

    Raises:
        ConfigError: A value is out of its range; the message names the field.
    """

    failure_threshold: int | None = attrs.field(
        default=5, converter=as_whole, validator=count(1, optional=True)
    )
    window: CountWindow | TimeWindow | None = attrs.field(
        default=None, converter=_as_window, validator=either(CountWindow, TimeWindow, optional=True)
    )
    slow_call_seconds: Seconds | None = attrs.field(
        default=None, converter=as_seconds, validator=seconds(optional=True)
    )
    recovery_timeout_seconds: Seconds = attrs.field(
        default=30, converter=as_seconds, validator=seconds()
    )
    backoff: Backoff = attrs.field(
        factory=Constant, converter=_as_backoff, validator=either(Constant, Exponential)
    )
    half_open_success_threshold: int = attrs.field(
        default=2, converter=as_whole, validator=count(0)
    )
    half_open_max_probes: int = attrs.field(default=1, converter=as_whole, validator=count(1))
    half_open_window: CountWindow | None = attrs.field(
        default=None, converter=_as_window, validator=either(CountWindow, optional=True)
    )
    half_open_timeout_seconds: Seconds | None = attrs.field(
        default=None,
        converter=as_seconds,
        validator=seconds(above_zero=True, optional=True),
    )
    probe_timeout_seconds: Seconds = attrs.field(
        default=60, converter=as_seconds, validator=seconds(above_zero=True)
    )
    record: tuple[Classifier, ...] = attrs.field(
        default=(), converter=_as_classifiers, validator=_classifiers
    )
    ignore: tuple[Classifier, ...] = attrs.field(
        default=(), converter=_as_classifiers, validator=_classifiers
    )
    failure_result: Callable[[Any], bool] | str | None = attrs.field(
        default=None, converter=as_text, validator=_predicate
    )
    closed_early: EarlyClose = attrs.field(
        default="succeeded", converter=as_text, validator=one_of(*_EARLY_CLOSES)
    )
    mode: Mode = attrs.field(default="enforce", converter=as_text, validator=one_of(*MODES))

    def __attrs_post_init__(self) -> None:
        for name in ("window", "half_open_window"):
            window = getattr(self, name)
            if window and window.slow_call_rate is not None and self.slow_call_seconds is None:
                raise ConfigError(
                    f"slow_call_seconds must be a number of seconds where {name} has a "
                    "slow_call_rate, not None"
                )

    @cached_property
    def recovery_timeout_ns(self) -> int:
        """``recovery_timeout_seconds`` in nanoseconds."""
        return nanoseconds(self.recovery_timeout_seconds)

    @cached_property
    def slow_call_ns(self) -> int | None:
        """``slow_call_seconds`` in nanoseconds; None if no call is slow."""
        return None if self.slow_call_seconds is None else nanoseconds(self.slow_call_seconds)

    @cached_property
    def half_open_timeout_ns(self) -> int | None:
        """``half_open_timeout_seconds`` in nanoseconds; None for no limit."""
        timeout = self.half_open_timeout_seconds
        return None if timeout is None else nanoseconds(timeout)

    @cached_property
    def probe_timeout_ns(self) -> int:
        """``probe_timeout_seconds`` in nanoseconds."""
        return nanoseconds(self.probe_timeout_seconds)

    @cached_property
    def resolved(self) -> Resolved:
        """The classifiers of this configuration, with every dotted name replaced by its object.

        This imports the modules of dotted names. Only live breakers use it, so a log can be replayed
        where the libraries that its settings name are not installed.

        Raises:
            ConfigError: A dotted name can't be imported, or does not name a classifier.
        """
        result = self.failure_result
        return Resolved(
            tuple(resolved_classifier("record", given) for given in self.record),
            tuple(resolved_classifier("ignore", given) for given in self.ignore),
            resolved_predicate("failure_result", result) if isinstance(result, str) else result,
        )

    @cached_property
    def resolved_mapping(self) -> dict[str, object]:
        """``to_mapping``, with the dotted names that the ``resolved`` objects have themselves.

        Raises:
            ConfigError: A dotted name can't be resolved, or the settings take more bytes than a line
                of a log can hold.
        """
        _ = self.marks  # computed now, and not later under a lock
        size = len(msgspec.json.encode(self._mapping))
        if size > SETTINGS_BYTES:
            raise ConfigError(
                f"record and ignore name so much that the settings take {size:,} bytes in the log, "
                f"where {SETTINGS_BYTES:,} are the most: name fewer types, or one that they share"
            )
        return {**self._mapping, **attrs.asdict(self.resolved, value_serializer=_as_data)}

    @cached_property
    def marks(self) -> dict[str, object]:
        """Marks of the classifiers of each setting, which differ where only the names are the same.

        Raises:
            ConfigError: A dotted name can't be resolved.
        """
        resolved = self.resolved
        return {
            "record": tuple(map(mark_of, resolved.record)),
            "ignore": tuple(map(mark_of, resolved.ignore)),
            "failure_result": mark_of(resolved.failure_result),
        }

    def to_mapping(self) -> dict[str, object]:
        """All settings as data for JSON; ``from_mapping`` is its inverse.

        ``closed_early`` is left out if it has its default, as in logs that are older than it.

        Exception types and predicates become dotted names. A replay does not use them, since an
        outcome in the log is already classified.
        """
        return dict(self._mapping)

    @cached_property
    def _mapping(self) -> dict[str, object]:
        data = attrs.asdict(self, value_serializer=_as_data)
        if self.closed_early == "succeeded":
            del data["closed_early"]
        return data

    @classmethod
    def from_mapping(cls, settings: Mapping[str, object]) -> Self:
        """Make a configuration from a mapping of setting names to values.

        Settings that are not named keep their defaults. The text ``"none"`` stands for None, which
        TOML lacks, except where it is a kind of jitter.

        Raises:
            ConfigError: A name is unknown, or a value is out of its range.
        """
        return _from_mapping(cls, settings)


Settings: TypeAlias = CircuitBreakerConfig | Mapping[str, object]
"""A configuration, or a mapping of its settings as in a settings file."""

_Settings = TypeVar("_Settings", bound=attrs.AttrsInstance)


def _from_mapping(cls: type[_Settings], settings: Mapping[str, object]) -> _Settings:
    known = [field.name for field in attrs.fields(cls)]
    for name in settings:
        if name not in known:
            where = "" if cls is CircuitBreakerConfig else f" of {cls.__name__}"
            raise ConfigError(f"there is no setting {name!r}{where}; there are {', '.join(known)}")
    values = {
        name: None if value == "none" and name != "jitter" else value
        for name, value in settings.items()
    }
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{cls.__name__} needs {known[0]}") from error


def _as_data(_config: object, _attribute: object, value: object) -> object:
    if isinstance(value, Fraction):
        return str(value)
    if callable(value):
        return _name_in_data(value)
    return value


def _name_in_data(classifier: object) -> str:
    """The dotted name of a type or predicate, cut to the limits of a label.

    A classifier that is a dotted name already is returned as it is.
    """
    if isinstance(classifier, str):
        return label(classifier)
    name = getattr(classifier, "__qualname__", type(classifier).__qualname__)
    return label(f"{getattr(classifier, '__module__', type(classifier).__module__)}.{name}")


def as_config(value: object) -> CircuitBreakerConfig:
    """Return a configuration as it is, or make one from a mapping of its settings.

    Raises:
        ConfigError: The value is neither, or the mapping is not valid.
    """
    if isinstance(value, CircuitBreakerConfig):
        return value
    if isinstance(value, Mapping):
        return CircuitBreakerConfig.from_mapping(value)
    raise ConfigError(
        f"config must be a CircuitBreakerConfig or a mapping of its settings, not {value!r}"
    )
