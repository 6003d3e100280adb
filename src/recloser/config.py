"""What was decided beforehand: the settings of a breaker.

Settings are plain data, so that the log can carry them whole. Durations are given in seconds and
decided in nanoseconds, a float being taken for the decimal number that it prints as.
"""

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, TypeAlias

import attrs

from recloser.errors import ConfigError

Seconds: TypeAlias = int | float

MAX_SECONDS = 1_000_000_000
_NS_PER_SECOND = 1_000_000_000

_Validator: TypeAlias = Callable[[object, "attrs.Attribute[Any]", object], None]


def nanoseconds(seconds: Seconds) -> int:
    """The whole nanoseconds in ``seconds``, exact for every decimal of up to nine places."""
    return round(Decimal(repr(seconds)) * _NS_PER_SECOND)


def _whole(least: int, *, optional: bool = False) -> _Validator:
    wanted = f"a whole number from {least} up" + (', or "none"' if optional else "")

    def check(_config: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if value is None and optional:
            return
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ConfigError(f"{attribute.name} must be {wanted}, not {value!r}")

    return check


def _seconds(_config: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    fits = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= MAX_SECONDS
    )
    if not fits:
        raise ConfigError(
            f"{attribute.name} must be a number of seconds from 0 to {MAX_SECONDS}, not {value!r}"
        )


@attrs.frozen(kw_only=True)
class CircuitBreakerConfig:
    """The settings of a circuit breaker.

    Attributes:
        failure_threshold: So many failures in a row open the breaker; None turns the rule off.
        recovery_timeout_seconds: How long an open breaker refuses calls before it probes.
        half_open_success_threshold: So many successful probes close the breaker; with 0 it closes
            as soon as the cooldown is over.
        half_open_max_probes: How many probes may be under way at once.

    Raises:
        ConfigError: A value is out of its range; the message names the field.
    """

    failure_threshold: int | None = attrs.field(default=5, validator=_whole(1, optional=True))
    recovery_timeout_seconds: Seconds = attrs.field(default=30, validator=_seconds)
    half_open_success_threshold: int = attrs.field(default=2, validator=_whole(0))
    half_open_max_probes: int = attrs.field(default=1, validator=_whole(1))

    @property
    def recovery_timeout_ns(self) -> int:
        """``recovery_timeout_seconds`` in nanoseconds."""
        return nanoseconds(self.recovery_timeout_seconds)

    def to_mapping(self) -> dict[str, object]:
        """All settings as data for JSON; ``from_mapping`` is its inverse."""
        return attrs.asdict(self)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, object]) -> Self:
        """The configuration that a mapping of field names to values describes.

        Fields that are not named keep their defaults; the text ``"none"`` stands for None, which
        TOML lacks.

        Raises:
            ConfigError: A name is unknown or a value out of its range.
        """
        known = {name: field.type for name, field in attrs.fields_dict(cls).items()}
        for name in settings:
            if name not in known:
                raise ConfigError(f"there is no setting {name!r}; there are {', '.join(known)}")
        values = {name: None if value == "none" else value for name, value in settings.items()}
        return cls(**values)  # type: ignore[arg-type]  # the validators check every value


def read_settings(path: Path | None, assignments: Iterable[str] = ()) -> CircuitBreakerConfig:
    """A configuration from a TOML or JSON file, then ``NAME=VALUE`` assignments on top.

    Raises:
        ConfigError: The file or an assignment can't be read, or describes no configuration.
    """
    settings = {} if path is None else _read_file(path)
    for assignment in assignments:
        settings |= _read_assignment(assignment)
    return CircuitBreakerConfig.from_mapping(settings)


def _read_file(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: the settings must be one object of names and values")
    return settings


def _read_assignment(assignment: str) -> dict[str, object]:
    name, equals, value = assignment.partition("=")
    if not equals:
        raise ConfigError(f"a setting is given as NAME=VALUE, not {assignment!r}")
    if value.strip().lower() in ("none", "off"):
        return {name.strip(): None}
    try:
        return tomllib.loads(f"{name} = {value}")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the value in {assignment!r} is neither a number nor a text") from error
