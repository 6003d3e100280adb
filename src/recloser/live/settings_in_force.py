"""Which settings are in force when several breakers of one name are made on one log.

The first settings that a process gives a breaker stay in force, unless a later breaker of the same
name asks to replace them. A warning names both places in the code. A restart with other settings is
no conflict: it gives the first settings of its own process.
"""

import logging
import sys
import warnings
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from recloser.core.config import CircuitBreakerConfig
from recloser.core.validation import checked_word
from recloser.errors import ConfigError, RecloserWarning
from recloser.live.fast_path import FastPath
from recloser.process.host_logging import is_of_signal_handler, log

OnOtherConfig: TypeAlias = Literal["follow", "replace", "raise"]

_CHOICES: Final = get_args(OnOtherConfig)
_MAX_REMEMBERED: Final = 1000
_warned: Final[dict[str | tuple[str, type[Warning], int], int]] = {}
"""The registry in which the ``warnings`` module notes the warnings that it has shown."""


def checked_on_other_config(value: object) -> OnOtherConfig:
    """Return the argument ``on_other_config`` if it is valid.

    Raises:
        ConfigError: It is none of the three choices.
    """
    word: OnOtherConfig = checked_word("on_other_config", value, _CHOICES)
    return word


class GivenSettings(NamedTuple):
    """Settings that a breaker was made with, and where.

    Attributes:
        config: The settings.
        made_at: The file and line where the breaker was made.
    """

    config: CircuitBreakerConfig
    made_at: tuple[str, int]


class SettingsDecision(NamedTuple):
    """The settings that are in force after a further breaker of a name is made.

    Attributes:
        config: The settings in force.
        is_new: Whether the log does not have these settings yet.
        warning: The warning to give once no lock is held; None for none.
    """

    config: CircuitBreakerConfig
    is_new: bool
    warning: str | None = None


class SettingsInForce:
    """The settings that this process has given the breakers of one log.

    It has no lock of its own: ``decide`` and ``note`` are called under the lock of the log's
    sequencer, compare plain data, and run no code of the user. Breakers that are made in one line
    with one configuration share one ``GivenSettings``.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: GivenSettings | None = None

    def decide(
        self,
        fast_path: FastPath,
        requested: CircuitBreakerConfig | None,
        made_at: tuple[str, int],
        on_other_config: OnOtherConfig,
        in_log: CircuitBreakerConfig | None,
    ) -> SettingsDecision:
        """Decide which settings are in force for a breaker that is being made.

        Args:
            fast_path: The fast path of the breaker, which keeps the settings given before.
            requested: The settings of the new breaker; None to follow those in force.
            made_at: The file and line where the breaker is made.
            on_other_config: What happens to settings that differ from those in force.
            in_log: The settings that the log has for this name; None if it has none.

        Raises:
            ConfigError: The settings differ, and ``on_other_config`` is ``raise``.
        """
        first = fast_path.given_settings
        if first is None or requested is first.config or _mean_the_same(requested, first.config):
            config = requested or (_DEFAULT if first is None else first.config)
            is_new = in_log is None or not _are_equal(in_log, config)
            return SettingsDecision(config, is_new=is_new)
        in_force = first.config
        if in_log is not None and not _are_equal(in_log, in_force):
            in_force = in_log  # other processes may have changed the settings in a shared log
        if requested is None or (
            _are_equal(requested, in_force)
            and not (in_force is first.config and _differing_classifiers(requested, in_force))
        ):
            return SettingsDecision(requested or in_force, is_new=False)
        if on_other_config == "replace":
            return SettingsDecision(requested, is_new=True)
        later = GivenSettings(requested, made_at)
        warning = _warning(fast_path.breaker, later, GivenSettings(in_force, first.made_at))
        if on_other_config == "raise":
            raise ConfigError(warning)
        return SettingsDecision(in_force, is_new=False, warning=warning)

    def note(
        self, fast_path: FastPath, decision: SettingsDecision, made_at: tuple[str, int]
    ) -> None:
        """Remember the settings of a decision if they are in force from now on.

        Args:
            fast_path: The fast path of the breaker, which keeps the settings.
            decision: The decision on the breaker's settings.
            made_at: The file and line where the breaker is made.
        """
        if fast_path.given_settings is not None and not decision.is_new:
            return
        last = self._last
        if last is None or last.config is not decision.config or last.made_at is not made_at:
            last = self._last = GivenSettings(decision.config, made_at)
        fast_path.given_settings = last


class Unshared(SettingsInForce):
    """The settings of a breaker without a log: no other breaker shares its log, so none are kept."""

    __slots__ = ()

    def note(
        self, fast_path: FastPath, decision: SettingsDecision, made_at: tuple[str, int]
    ) -> None:
        """Remember nothing, as no other breaker can share these settings."""


UNSHARED: Final = Unshared()

_DEFAULT: Final = CircuitBreakerConfig()


def _are_equal(one: CircuitBreakerConfig, other: CircuitBreakerConfig) -> bool:
    """Return whether a log holds two configurations in the same form."""
    return one is other or one.to_mapping() == other.to_mapping()


def _mean_the_same(one: CircuitBreakerConfig | None, other: CircuitBreakerConfig) -> bool:
    """Return whether two configurations differ at most in how they name their classifiers."""
    return (
        one is not None
        and one.resolved_mapping == other.resolved_mapping
        and one.marks == other.marks
    )


def _differing_classifiers(one: CircuitBreakerConfig, other: CircuitBreakerConfig) -> list[str]:
    """Return the settings whose classifiers have the same name but are not the same code."""
    marks, others = one.marks, other.marks
    return [setting for setting in marks if marks[setting] != others[setting]]


def _warning(name: str, later: GivenSettings, first: GivenSettings) -> str:
    settings, others = later.config.to_mapping(), first.config.to_mapping()
    differing = ", ".join(
        f"{setting} {settings[setting]!r} instead of {others[setting]!r}"
        for setting in settings
        if settings[setting] != others[setting]
    ) or ", ".join(
        f"{setting} {settings[setting]!r} is other code under the same name"
        for setting in _differing_classifiers(later.config, first.config)
    )
    return (
        f"breaker {name!r} is made at {_location(later.made_at)} with other settings than first at "
        f"{_location(first.made_at)}, which hold: {differing}; give both the same settings, or "
        "on_other_config='replace'"
    )


def _location(made_at: tuple[str, int]) -> str:
    file, line = made_at
    return f"{file}:{line}"


def caller_location() -> tuple[str, int]:
    """Return the file and line outside this package from which the package was called."""
    frame = sys._getframe(1)  # noqa: SLF001  # inspect.stack() reads source files
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__")):
        frame = frame.f_back
    return _shared_location(frame.f_code.co_filename, frame.f_lineno)


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "recloser"


@lru_cache(maxsize=1024)
def _shared_location(file: str, line: int) -> tuple[str, int]:
    """Return one tuple for all breakers that are made in the same line."""
    return file, line


def warn(warning: str, made_at: tuple[str, int]) -> None:
    """Give a warning once per location; called while no lock is held.

    A warning may be shown by code of the host, such as a logging handler. What that code raises goes
    no further.

    Args:
        warning: The warning.
        made_at: The file and line that the warning is about.

    Raises:
        RecloserWarning: A filter of the host, such as ``-W error``, turns warnings into errors.
    """
    if len(_warned) > _MAX_REMEMBERED:
        _warned.clear()
    file, line = made_at
    try:
        warnings.warn_explicit(warning, RecloserWarning, file, line, registry=_warned)
    except (RecloserWarning, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_of_signal_handler(error):
            raise
        log(logging.WARNING, "%s (a warning, which could not be shown)", warning, exc_info=True)
