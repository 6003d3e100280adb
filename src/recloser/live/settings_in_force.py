"""Which settings hold where several breakers of one name are made on one log.

The first ones that a process gives a breaker hold for it, unless a later one asks to replace them.
A warning names both places. A restart with other settings is no such case: it gives the first
settings of its process.
"""

import logging
import sys
import warnings
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from recloser.core.config import CircuitBreakerConfig
from recloser.core.validation import checked_word
from recloser.errors import ConfigError, RecloserWarning
from recloser.live.fast_path import Gate, Given
from recloser.process.host_logging import is_of_signal_handler, log

OnOtherConfig: TypeAlias = Literal["follow", "replace", "raise"]

_CHOICES: Final = get_args(OnOtherConfig)
_MOST_REMEMBERED: Final = 1000
_warned: Final[dict[str | tuple[str, type[Warning], int], int]] = {}
"""The registry in which the ``warnings`` module notes the warnings that it has shown."""


def checked_on_other_config(value: object) -> OnOtherConfig:
    """An argument ``on_other_config``.

    Raises:
        ConfigError: It is none of the three.
    """
    word: OnOtherConfig = checked_word("on_other_config", value, _CHOICES)
    return word


class Decision(NamedTuple):
    """What becomes of the settings that a further breaker of a name is made with.

    Attributes:
        config: The settings that hold.
        is_new: Whether the log does not have them yet.
        warning: What to warn of once no lock is held, if anything.
    """

    config: CircuitBreakerConfig
    is_new: bool
    warning: str | None = None


class SettingsInForce:
    """The settings that this process has given the breakers of one log.

    It has no lock of its own: ``decide`` is called under the lock of the log's sequencer, compares
    plain data, and runs no code of a user. ``Given`` records of breakers that are made in one line
    with one configuration are shared.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: Given | None = None

    def decide(
        self,
        gate: Gate,
        asked: CircuitBreakerConfig | None,
        place: tuple[str, int],
        on_other: OnOtherConfig,
        in_log: CircuitBreakerConfig | None,
    ) -> Decision:
        """Decide which settings hold for a breaker that is being made.

        Args:
            gate: The gate of the breaker.
            asked: The settings that it is made with; None follows those that hold, if any do.
            place: Where it is made.
            on_other: What becomes of settings that differ from those that hold.
            in_log: The settings that the log has for this name.

        Raises:
            ConfigError: The settings differ, and ``on_other`` is ``raise``.
        """
        first = gate.given
        if first is None or asked is first.config or _mean_the_same(asked, first.config):
            config = asked or (_DEFAULT if first is None else first.config)
            return Decision(config, is_new=in_log is None or not _are_equal(in_log, config))
        in_force = first.config
        if in_log is not None and not _are_equal(in_log, in_force):
            in_force = in_log  # other processes may have changed the settings in a shared log
        if asked is None or (
            _are_equal(asked, in_force)
            and not (in_force is first.config and _judge_apart(asked, in_force))
        ):
            return Decision(asked or in_force, is_new=False)
        if on_other == "replace":
            return Decision(asked, is_new=True)
        warning = _told(gate.breaker, Given(asked, place), Given(in_force, first.place))
        if on_other == "raise":
            raise ConfigError(warning)
        return Decision(in_force, is_new=False, warning=warning)

    def note(self, gate: Gate, decision: Decision, place: tuple[str, int]) -> None:
        """Remember settings that a breaker was made with, if they are those that hold from now on."""
        if gate.given is not None and not decision.is_new:
            return
        last = self._last
        if last is None or last.config is not decision.config or last.place is not place:
            last = self._last = Given(decision.config, place)
        gate.given = last


class Unshared(SettingsInForce):
    """Settings of the breaker of a log that no other breaker is ever on: nothing is remembered."""

    __slots__ = ()

    def note(self, gate: Gate, decision: Decision, place: tuple[str, int]) -> None:
        """Forget the settings."""


UNSHARED: Final = Unshared()

_DEFAULT: Final = CircuitBreakerConfig()


def _are_equal(one: CircuitBreakerConfig, other: CircuitBreakerConfig) -> bool:
    """Whether a log holds two configurations in the same form."""
    return one is other or one.to_mapping() == other.to_mapping()


def _mean_the_same(one: CircuitBreakerConfig | None, other: CircuitBreakerConfig) -> bool:
    """Whether two configurations of live breakers differ only in how they name classifiers."""
    return (
        one is not None
        and one.resolved_mapping == other.resolved_mapping
        and one.marks == other.marks
    )


def _judge_apart(one: CircuitBreakerConfig, other: CircuitBreakerConfig) -> list[str]:
    """The settings whose classifiers go by the same names, and are not the same code."""
    marks, others = one.marks, other.marks
    return [setting for setting in marks if marks[setting] != others[setting]]


def _told(name: str, later: Given, first: Given) -> str:
    settings, others = later.config.to_mapping(), first.config.to_mapping()
    differing = ", ".join(
        f"{setting} {settings[setting]!r} instead of {others[setting]!r}"
        for setting in settings
        if settings[setting] != others[setting]
    ) or ", ".join(
        f"{setting} {settings[setting]!r} is other code under the same name"
        for setting in _judge_apart(later.config, first.config)
    )
    return (
        f"breaker {name!r} is made at {_line(later.place)} with other settings than first at "
        f"{_line(first.place)}, which hold: {differing}; give both the same settings, or "
        "on_other_config='replace'"
    )


def _line(place: tuple[str, int]) -> str:
    file, line = place
    return f"{file}:{line}"


def caller_place() -> tuple[str, int]:
    """The file and line outside this package from which it was called."""
    frame = sys._getframe(1)  # noqa: SLF001  # inspect.stack() reads source files
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__")):
        frame = frame.f_back
    return _shared_place(frame.f_code.co_filename, frame.f_lineno)


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "recloser"


@lru_cache(maxsize=1024)
def _shared_place(file: str, line: int) -> tuple[str, int]:
    """One tuple for all breakers that are made in the same line."""
    return file, line


def warn(warning: str, place: tuple[str, int]) -> None:
    """Warn once of something that is so at a place; called while no lock is held.

    What shows warnings may be the host's, such as a logging handler: what it raises goes no further.

    Raises:
        RecloserWarning: A filter of the host, such as ``-W error``, makes errors of warnings.
    """
    if len(_warned) > _MOST_REMEMBERED:
        _warned.clear()
    file, line = place
    try:
        warnings.warn_explicit(warning, RecloserWarning, file, line, registry=_warned)
    except (RecloserWarning, KeyboardInterrupt):
        raise
    except BaseException as error:
        if is_of_signal_handler(error):
            raise
        log(logging.WARNING, "%s (a warning, which could not be shown)", warning, exc_info=True)
