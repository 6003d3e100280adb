"""What was decided beforehand: the settings of a breaker.

Settings are plain data, so that the log can carry them whole.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import attrs

from recloser.backoff import Backoff, Constant, Exponential
from recloser.errors import ConfigError
from recloser.validation import (
    Rate,
    Seconds,
    as_number,
    either,
    nanoseconds,
    one_of,
    rate,
    seconds,
    whole,
)

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

    size: int = attrs.field(validator=whole(1))
    failure_rate: Rate | None = attrs.field(default=None, converter=as_number, validator=rate)
    minimum_calls: int = attrs.field(default=10, validator=whole(1))
    slow_call_rate: Rate | None = attrs.field(default=None, converter=as_number, validator=rate)
    failures: int | None = attrs.field(default=None, validator=whole(1, optional=True))

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

    seconds: int = attrs.field(validator=whole(1))
    failure_rate: Rate | None = attrs.field(default=None, converter=as_number, validator=rate)
    minimum_calls: int = attrs.field(default=10, validator=whole(1))
    slow_call_rate: Rate | None = attrs.field(default=None, converter=as_number, validator=rate)
    failures: int | None = attrs.field(default=None, validator=whole(1, optional=True))

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
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(value)
    return (value,)


def _classifiers(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    for classifier in value:
        if isinstance(classifier, type) and not issubclass(classifier, BaseException):
            raise ConfigError(f"{attribute.name} names {classifier!r}, which is no exception type")
        if not isinstance(classifier, str) and not callable(classifier):
            raise ConfigError(
                f"{attribute.name} must be exception types, their dotted names, or predicates, not "
                f"{classifier!r}"
            )


def _predicate(_config: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None and not isinstance(value, str) and not callable(value):
        raise ConfigError(f"{attribute.name} must be a predicate, not {value!r}")


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
        record: Which exceptions are failures; without any, every ``Exception`` is. Others are
            successes: the dependency answered.
        ignore: Which exceptions count as neither, even if they are recorded.
        failure_result: Tells a result that is a failure.
        closed_early: What a stream counts as that its consumer closed after at least one item:
            ``succeeded``, ``ignored`` or ``failed``. One closed before any item is ignored.
        mode: ``enforce``; ``shadow`` decides and records, and blocks nothing; ``disabled`` lets
            every call through and decides nothing.

    Raises:
        ConfigError: A value is out of its range; the message names the field.
    """

    failure_threshold: int | None = attrs.field(default=5, validator=whole(1, optional=True))
    window: CountWindow | TimeWindow | None = attrs.field(
        default=None, converter=_as_window, validator=either(CountWindow, TimeWindow, optional=True)
    )
    slow_call_seconds: Seconds | None = attrs.field(default=None, validator=seconds(optional=True))
    recovery_timeout_seconds: Seconds = attrs.field(default=30, validator=seconds())
    backoff: Backoff = attrs.field(
        factory=Constant, converter=_as_backoff, validator=either(Constant, Exponential)
    )
    half_open_success_threshold: int = attrs.field(default=2, validator=whole(0))
    half_open_max_probes: int = attrs.field(default=1, validator=whole(1))
    half_open_window: CountWindow | None = attrs.field(
        default=None, converter=_as_window, validator=either(CountWindow, optional=True)
    )
    half_open_timeout_seconds: Seconds | None = attrs.field(
        default=None, validator=seconds(above_zero=True, optional=True)
    )
    probe_timeout_seconds: Seconds = attrs.field(default=60, validator=seconds(above_zero=True))
    record: tuple[Classifier, ...] = attrs.field(
        default=(), converter=_as_classifiers, validator=_classifiers
    )
    ignore: tuple[Classifier, ...] = attrs.field(
        default=(), converter=_as_classifiers, validator=_classifiers
    )
    failure_result: Callable[[Any], bool] | str | None = attrs.field(
        default=None, validator=_predicate
    )
    closed_early: EarlyClose = attrs.field(default="succeeded", validator=one_of(*_EARLY_CLOSES))
    mode: Mode = attrs.field(default="enforce", validator=one_of(*MODES))

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
        return f"{value.__module__}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return value
