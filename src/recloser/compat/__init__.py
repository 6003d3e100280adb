"""The interfaces of ``pybreaker`` and ``circuitbreaker``, implemented by recloser.

Replace the import of those libraries by ``from recloser.compat import pybreaker`` or ``from
recloser.compat import circuitbreaker``; the rest of your code stays the same. After ``record_in(log)``
all new breakers are recorded, and each needs a name of its own.
"""

from typing import Final

from attrs import define

from recloser.clock import SYSTEM_CLOCK, Clock
from recloser.core.config import CircuitBreakerConfig
from recloser.errors import ConfigError
from recloser.live.breaker import CircuitBreaker
from recloser.live.live_log import Log
from recloser.live.memory_log import NoLog

__all__ = ["record_in"]

_UNNAMED: Final = "unnamed"


@define
class _Defaults:
    log: Log | None = None
    clock: Clock | None = None


_defaults: Final = _Defaults()


def record_in(log: Log | None, *, clock: Clock | None = None) -> None:
    """Record breakers that are created from now on in a log.

    Args:
        log: The log; None ends recording.
        clock: The clock that times them; by default the log's clock, or else the system's.
    """
    _defaults.log = log
    _defaults.clock = clock


class Recording:
    """The log and the clock of one breaker that has another library's interface.

    Args:
        log: Its log; by default that of ``record_in``.
        clock: Its clock; by default that of ``record_in``, or else the system's.

    Attributes:
        clock: Its clock.
    """

    def __init__(self, log: Log | None, clock: Clock | None) -> None:
        chosen = _defaults.log if log is None else log
        self._is_recorded = chosen is not None
        self._log = NoLog() if chosen is None else chosen
        given = clock or _defaults.clock
        self._given = given
        self.clock: Clock = SYSTEM_CLOCK if given is None else given

    def breaker(self, name: str | None, config: CircuitBreakerConfig) -> CircuitBreaker:
        """Return the breaker of this name, and give it these settings.

        Raises:
            ConfigError: The breaker is recorded and has no name.
        """
        if name is None and self._is_recorded:
            raise ConfigError("a breaker that is recorded needs a name: give it one")
        return CircuitBreaker(
            _UNNAMED if name is None else name,
            config,
            log=self._log,
            clock=self._given,
            on_other_config="replace",
        )
