"""Checks of the arguments of breakers, registries and reports.

Each function returns the argument in the form in which it is used, or raises one error that names the
argument. All of them run outside every lock, as they may run code of a user's class.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from recloser.clock import Clock
from recloser.core.config import MODES, CircuitBreakerConfig, Mode, Settings, as_config
from recloser.core.limits import NAME_BYTES, label, wire_bytes
from recloser.core.validation import as_text, checked_text, shown, takes
from recloser.errors import ConfigError
from recloser.live.live_log import Log
from recloser.live.memory_log import NoLog

_SHOWN: Final = 40
"""How many characters of a name that is too long are shown."""


def checked_name(name: object) -> str:
    """Return the name of a breaker as an exact ``str``, whatever subclass of it was given.

    Raises:
        ConfigError: It is empty, too long, or not a text that UTF-8 can encode.
    """
    text: str = checked_text("name", name)
    size = wire_bytes(text)
    if size > NAME_BYTES:
        raise ConfigError(
            f"name must take at most {NAME_BYTES:,} bytes in a line of the log, not {size:,}: "
            f"{text[:_SHOWN]!r}…"
        )
    return text


def loggable_text(value: object) -> str | None:
    """Return a string in the form that a log can hold: cut to the limit, and valid UTF-8.

    Raises:
        ConfigError: The value is not a string.
    """
    if value is None:
        return None
    text = as_text(value)
    if not isinstance(text, str):
        raise ConfigError(f"actor, reason and error must be texts, not {shown(value)}")
    return label(text)


def checked_mode(mode: object) -> Mode:
    """Return the mode of a breaker if it is valid.

    Raises:
        ConfigError: There is no such mode.
    """
    word = as_text(mode)
    if word not in MODES:
        raise ConfigError(f"mode must be one of {', '.join(MODES)}, not {shown(mode)}")
    return cast("Mode", word)


def checked_log(log: object) -> Log:
    """Return the log that was given; for None, a log that keeps nothing.

    Raises:
        ConfigError: The value is something else, such as the path of a log.
    """
    if log is None:
        return NoLog()
    if isinstance(log, Log):
        return log
    if isinstance(log, str | os.PathLike):
        path = os.fspath(log)
        raise ConfigError(
            f"log must be a log, not the path of one: give log=EventLog({path!r}), made once in "
            "each process"
        )
    raise ConfigError(f"log must be an EventLog, a RedisLog or a MemoryLog, not {shown(log)}")


def checked_clock(clock: object) -> Clock | None:
    """Return the clock that was given, or None.

    Raises:
        ConfigError: The value is something else, such as the class of a clock.
    """
    if clock is None:
        return None
    if not isinstance(clock, type):
        readings = (getattr(clock, "monotonic_ns", None), getattr(clock, "now", None))
        if all(map(callable, readings)):
            return cast("Clock", clock)
    raise ConfigError(
        "clock must be an object with monotonic_ns() and now(), such as a ManualClock(), "
        f"not {shown(clock)}"
    )


def checked_config_source(
    config: object,
) -> CircuitBreakerConfig | Callable[[str], Settings] | None:
    """Return the settings of a registry, or the function that returns them for a name.

    Raises:
        ConfigError: The value is neither, or the function does not take a name.
    """
    if isinstance(config, Log):
        raise ConfigError(
            "config must be settings or a function that gives them, not a log: Breakers(log=log)"
        )
    if config is None or not callable(config):
        return None if config is None else checked_config(config)
    if config is CircuitBreakerConfig:
        raise ConfigError("config must be settings, not their class: CircuitBreakerConfig(…)")
    if not takes(config, 1):
        raise ConfigError(
            "config must be settings, or a function that takes a name and gives them, not "
            f"{shown(config)}, which can't be called with one argument"
        )
    return cast("Callable[[str], Settings]", config)


def config_or_none(config: object) -> CircuitBreakerConfig | None:
    """Return the configuration that was given, also as a mapping of settings; None for None.

    Raises:
        ConfigError: The value is neither, or is not a valid configuration.
    """
    if config is None or isinstance(config, CircuitBreakerConfig):
        return config
    return checked_config(config)


def checked_config(config: object) -> CircuitBreakerConfig:
    """Return the configuration that was given, also as a mapping of settings.

    Raises:
        ConfigError: The value is neither, or is not a valid configuration.
    """
    if isinstance(config, Log):
        raise ConfigError(
            f"config must be settings, not a log: give log={type(config).__name__}(…)"
        )
    return as_config(config)


def checked_folder(name: str, value: Any) -> Path:
    """Return an argument that is the path of a folder.

    Args:
        name: The name of the argument, for the error.
        value: The argument.

    Raises:
        ConfigError: The value is not a path, or is empty.
    """
    try:
        path = as_text(os.fspath(value))
    except TypeError:
        path = None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ConfigError(f"{name} must be the path of a folder, not {shown(value)}")
    return Path(path)
