"""For who comes from elsewhere: the public interface of other breakers, on ours.

``from recloser.compat import pybreaker`` or ``from recloser.compat import circuitbreaker`` in place
of the import of those libraries, and the rest of the code stays as it is. ``record_in(log)`` has
every breaker that is made afterwards recorded; each then needs a name of its own.
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
    """Have the breakers that are made from now on recorded in ``log``; None ends it.

    Args:
        log: The log of all of them.
        clock: What times them; by default the log's clock, or else the system's.
    """
    _defaults.log = log
    _defaults.clock = clock


class Recording:
    """Where one breaker of another library's interface is recorded.

    Args:
        log: Its log; by default that of ``record_in``.
        clock: What times it; by default that of ``record_in``, or else the system's.

    Attributes:
        clock: What times it.
    """

    def __init__(self, log: Log | None, clock: Clock | None) -> None:
        chosen = _defaults.log if log is None else log
        self._is_recorded = chosen is not None
        self._log = NoLog() if chosen is None else chosen
        given = clock or _defaults.clock
        self._given = given
        self.clock: Clock = SYSTEM_CLOCK if given is None else given

    def breaker(self, name: str | None, config: CircuitBreakerConfig) -> CircuitBreaker:
        """The breaker of this name under these settings, which become its own if they are not.

        Raises:
            ConfigError: It is recorded and has no name.
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
