"""Reads settings of a breaker from files and from ``NAME=VALUE`` arguments."""

import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from recloser.core.config import CircuitBreakerConfig, Settings
from recloser.errors import ConfigError


def read_settings(
    path: Path | None,
    assignments: Iterable[str] = (),
    base: Mapping[str, object] | None = None,
) -> CircuitBreakerConfig:
    """Read a configuration from a TOML or JSON file and from assignments, which win.

    Args:
        path: The file; None for none.
        assignments: Texts ``NAME=VALUE``; a value is written as in TOML, such as
            ``window={size=10, failure_rate=0.5}``.
        base: Settings to begin with where there is no file; by default none.

    Raises:
        ConfigError: The file or an assignment can't be read, or a setting is not valid.
    """
    settings = dict(base or {}) if path is None else _read_file(path)
    for assignment in assignments:
        settings |= _read_assignment(assignment)
    return CircuitBreakerConfig.from_mapping(settings)


def configured(base: Settings, settings: Mapping[str, object]) -> CircuitBreakerConfig:
    """A copy of a configuration with some settings changed.

    Args:
        base: The configuration.
        settings: New values by name; ``window.size`` names the ``size`` of the setting ``window``.

    Raises:
        ConfigError: A name is unknown, or a value is out of its range.
    """
    data = dict(base.to_mapping() if isinstance(base, CircuitBreakerConfig) else base)
    for name, value in settings.items():
        outer, dot, inner = name.partition(".")
        if dot:
            held = data.get(outer)
            data[outer] = {**(held if isinstance(held, Mapping) else {}), inner: value}
        else:
            data[name] = value
    return CircuitBreakerConfig.from_mapping(data)


def _read_file(path: Path) -> dict[str, object]:
    try:
        text = path.read_text(encoding="utf-8")
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: the settings must be one object of names and values")
    return settings


def _read_assignment(assignment: str) -> dict[str, object]:
    name, equals, value = assignment.partition("=")
    name, value = name.strip(), value.strip()
    if not equals:
        raise ConfigError(f"a setting is given as NAME=VALUE, not {assignment!r}")
    if value.lower() in ("none", "off"):
        return {name: None}
    if value.isidentifier() and value not in ("true", "false"):
        return {name: value}  # a word, such as a mode, need not be quoted twice for the shell
    try:
        return tomllib.loads(f"{name} = {value}")
    except (ValueError, RecursionError) as error:  # of TOML, or a number of too many digits
        raise ConfigError(f"the value in {assignment[:60]!r} can't be read: {error}") from error
