"""What was decided beforehand: the settings of a breaker.

Settings are plain data, so that the log can carry them whole.
"""

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
"""Tells some exceptions from others: a type, the dotted name of a type, or a predicate."""


def _check_thresholds(window: "CountWindow | TimeWindow") -> None:
    if window.failure_rate is None and window.slow_call_rate is None and window.failures is None:
        raise ConfigError(
            f"a {type(window).__name__} needs a failure_rate, a slow_call_rate or a number of "
            "failures, or it would never trip"
        )


@attrs.frozen
class CountWindow:
    """The last ``size`` outcomes, held against thresholds whenever one comes in.

    Attributes:
        size: How many outcomes are in it.
        failure_rate: Share of failures at which it trips; a float is the fraction that it prints
            as.
        minimum_calls: So many outcomes, or ``size`` if that is less, must be in it before a rate
            counts.
        slow_call_rate: Share of slow calls at which it trips.
        failures: Number of failures at which it trips, with no minimum.
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
        """How many outcomes must be in it before a rate counts."""
        return min(self.minimum_calls, self.size)


@attrs.frozen
class TimeWindow:
    """The outcomes of the last ``seconds`` whole seconds of the log, held against thresholds.

    The attributes are those of ``CountWindow``, but for:

    Attributes:
        seconds: How many whole seconds, with the one that is under way.
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
        """How many outcomes must be in it before a rate counts."""
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
    """One classifier, or any nesting of collections of them, as one tuple."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence | AbstractSet):
        return (as_text(value),)
    # A set has no order, and the settings in the log must be the same after a restart.
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
        failure_threshold: So many failures in a row open the breaker; None turns the rule off.
        window: A window of outcomes that opens it too, whichever is first.
        slow_call_seconds: A call that took longer than this is slow.
        recovery_timeout_seconds: How long an open breaker refuses calls before it probes.
        backoff: How that grows with each opening in a row, and its jitter.
        half_open_success_threshold: So many successful probes close the breaker, and the first that
            fails opens it again; with 0 it closes as soon as the cooldown is over.
        half_open_max_probes: How many probes may be under way at once.
        half_open_window: A window over the probes, instead of the two above: at most its size are
            let through, and once its minimum has reported, its rates decide.
        half_open_timeout_seconds: A half-open breaker that takes longer opens again.
        probe_timeout_seconds: A probe that has not reported after this counts as failed.
        record: Which exceptions are failures, as types, dotted names or predicates; without any,
            every ``Exception`` is. Others are successes: the dependency answered. The name of a
            type is resolved when a live breaker is made, which imports its module.
        ignore: Which exceptions count as neither, even if they are recorded.
        failure_result: Predicate that says whether a result is a failure, or its dotted name.
        closed_early: What a stream counts as that its consumer closed after at least one item:
            ``succeeded``, ``ignored`` or ``failed``. One closed before any item is ignored.
        mode: ``enforce``; ``shadow`` decides and records, and blocks nothing; ``disabled`` lets
            every call through and decides nothing.

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
        """``slow_call_seconds`` in nanoseconds."""
        return None if self.slow_call_seconds is None else nanoseconds(self.slow_call_seconds)

    @cached_property
    def half_open_timeout_ns(self) -> int | None:
        """``half_open_timeout_seconds`` in nanoseconds."""
        timeout = self.half_open_timeout_seconds
        return None if timeout is None else nanoseconds(timeout)

    @cached_property
    def probe_timeout_ns(self) -> int:
        """``probe_timeout_seconds`` in nanoseconds."""
        return nanoseconds(self.probe_timeout_seconds)

    @cached_property
    def resolved(self) -> Resolved:
        """The classifiers of this configuration, with every dotted name replaced by its object.

        The modules of dotted names are imported, so only live breakers ask for it: a log can be
        replayed where the libraries that its settings name are not installed.

        Raises:
            ConfigError: A dotted name can't be imported, or names no classifier.
        """
        result = self.failure_result
        return Resolved(
            tuple(resolved_classifier("record", given) for given in self.record),
            tuple(resolved_classifier("ignore", given) for given in self.ignore),
            resolved_predicate("failure_result", result) if isinstance(result, str) else result,
        )

    @cached_property
    def resolved_mapping(self) -> dict[str, object]:
        """``to_mapping`` with the dotted names of ``resolved`` objects, however they were named.

        Raises:
            ConfigError: As ``resolved``, or they take up more than a line of a log can hold.
        """
        _ = self.marks  # outside the lock, too
        size = len(msgspec.json.encode(self._mapping))
        if size > SETTINGS_BYTES:
            raise ConfigError(
                f"record and ignore name so much that the settings take {size:,} bytes in the log, "
                f"where {SETTINGS_BYTES:,} are the most: name fewer types, or one that they share"
            )
        return {**self._mapping, **attrs.asdict(self.resolved, value_serializer=_as_data)}

    @cached_property
    def marks(self) -> dict[str, object]:
        """By setting, what tells classifiers apart that go by the same name, as plain data.

        Raises:
            ConfigError: As ``resolved``.
        """
        resolved = self.resolved
        return {
            "record": tuple(map(mark_of, resolved.record)),
            "ignore": tuple(map(mark_of, resolved.ignore)),
            "failure_result": mark_of(resolved.failure_result),
        }

    def to_mapping(self) -> dict[str, object]:
        """All settings as data for JSON; ``from_mapping`` is its inverse.

        ``closed_early`` is left out where it has its default, so that readers and logs from before
        it are not concerned.

        Exception types and predicates are told by their dotted names, which decide nothing: by
        the time an outcome is an event, it is classified.
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
        """The configuration that a mapping of field names to values describes.

        Fields that are not named keep their defaults; the text ``"none"`` stands for None, which
        TOML lacks, except where it is a kind of jitter.

        Raises:
            ConfigError: A name is unknown or a value out of its range.
        """
        return _from_mapping(cls, settings)


Settings: TypeAlias = CircuitBreakerConfig | Mapping[str, object]
"""A configuration, or a mapping of its settings as in a settings file."""

_Settings = TypeVar("_Settings", bound=attrs.AttrsInstance)


def _from_mapping(cls: type[_Settings], settings: Mapping[str, object]) -> _Settings:
    known = [field.name for field in attrs.fields(cls)]
    for name in settings:
        if name not in known:
            raise ConfigError(f"there is no setting {name!r}; there are {', '.join(known)}")
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
    """The dotted name by which data names a type or predicate; a dotted name is its own.

    One that is too long is cut as ``limits.label`` says.
    """
    if isinstance(classifier, str):
        return label(classifier)
    name = getattr(classifier, "__qualname__", type(classifier).__qualname__)
    return label(f"{getattr(classifier, '__module__', type(classifier).__module__)}.{name}")


def as_config(value: object) -> CircuitBreakerConfig:
    """A configuration, from one or from a mapping of settings as in a settings file.

    Raises:
        ConfigError: It is neither, or the mapping describes no configuration.
    """
    if isinstance(value, CircuitBreakerConfig):
        return value
    if isinstance(value, Mapping):
        return CircuitBreakerConfig.from_mapping(value)
    raise ConfigError(
        f"config must be a CircuitBreakerConfig or a mapping of its settings, not {value!r}"
    )
